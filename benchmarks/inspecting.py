"""How long does inspect-cells take, and how much memory, as the text grows?

    python -m benchmarks.inspecting [--hidden-size 512] [--num-layers 2] [--characters 250000 500000 1000000] [--steps 300]

Trains a model of that shape for a few steps, so that its units do something. Then runs the whole `charlm inspect-cells` (every
unit of every signal against every feature, tests, baselines and clamps) over the given numbers of characters of the novel.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.machine import describe_machine

NOVEL = "data/austen.txt"


def measured(*arguments: str) -> tuple[float, float, float]:
    """Run a charlm command; returns its seconds, its seconds of processor time, and the most memory it held, in GB."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "charlm", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"charlm {' '.join(arguments)} failed")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden-size", default="512")
    parser.add_argument("--num-layers", default="2")
    parser.add_argument("--steps", default="300")
    parser.add_argument("--characters", nargs="*", default=["250000", "500000", "1000000"])
    options = parser.parse_args()
    print(f"{options.num_layers} x {options.hidden_size}\n{describe_machine()}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        shape = ["--hidden-size", options.hidden_size, "--num-layers", options.num_layers, "--max-steps", options.steps]
        shape += ["--embedding-size", "64", "--batch-size", "32", "--seq-len", "64"]
        measured("train", NOVEL, *shape, "--out", folder, "--overwrite", "--quiet")
        for characters in options.characters:
            look = ["inspect-cells", NOVEL, "--checkpoint", folder, "--max-characters", characters, "--json"]
            seconds, processor, memory = measured(*look)
            print(f"{int(characters):,} characters: {seconds:.0f} s, {processor:.0f} s of processor time, {memory:.2f} GB")


if __name__ == "__main__":
    main()
