"""How do the time of a step and the memory grow with the corpus, the hidden size and the batch?

    python -m benchmarks.scaling [--steps 30]

Each line is one `charlm train` in a process of its own: the milliseconds a step that the command reports, the whole command's
time, and the most memory it held. Only one of the three sizes grows at a time.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe_machine

TEXT = Path(__file__).parent.parent / "data" / "austen.txt"
CORPORA = (1, 4, 16, 64)  # times the shipped text
HIDDEN_SIZES = (128, 256, 512, 1024)
BATCH_SIZES = (16, 32, 64, 128)


def measure(corpus: Path, hidden_size: int, batch_size: int, steps: int, folder: Path) -> tuple[float, float, float]:
    """Run one command; returns milliseconds a step, seconds in all, and the most memory in mebibytes."""
    log = folder / "log"
    command = [sys.executable, "-m", "charlm", "train", str(corpus), "--out", str(folder / "run"), "--overwrite", "--json"]
    command += [f"--hidden-size={hidden_size}", f"--batch-size={batch_size}", "--seq-len=64", "--embedding-size=128"]
    command += ["--num-layers=1", f"--max-steps={steps}", "--sample-every=1000000"]
    began = time.perf_counter()
    with log.open("wb") as out, Path(os.devnull).open("wb") as nothing:
        actions = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, nothing.fileno(), 2)]
        process = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
        _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    whole = time.perf_counter() - began
    reports = [json.loads(line) for line in log.read_text().splitlines()]
    evaluated = next(report for report in reports if report["event"] == "eval" and report["step"] == steps)
    first = next(report for report in reports if report["event"] == "step")
    per_step = (evaluated["seconds"] - first["seconds"]) / (steps - first["step"])
    return per_step * 1e3, whole, usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    print(describe_machine())
    print(f"{'corpus':>10} {'hidden':>7} {'batch':>6} {'ms/step':>9} {'in all, s':>10} {'MiB':>7}")
    lines = [(times, 256, 32) for times in CORPORA]
    lines += [(1, hidden_size, 32) for hidden_size in HIDDEN_SIZES] + [(1, 256, batch_size) for batch_size in BATCH_SIZES]
    with tempfile.TemporaryDirectory() as folder:
        for times, hidden_size, batch_size in lines:
            corpus = Path(folder) / f"{times}.txt"
            if not corpus.exists():
                corpus.write_text(TEXT.read_text() * times)
            per_step, whole, memory = measure(corpus, hidden_size, batch_size, options.steps, Path(folder))
            size = corpus.stat().st_size / 1e6
            print(f"{size:7.1f} MB {hidden_size:7} {batch_size:6} {per_step:9.1f} {whole:10.1f} {memory:7.0f}", flush=True)


if __name__ == "__main__":
    main()
