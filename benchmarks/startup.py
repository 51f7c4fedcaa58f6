"""How long do commands take that compute almost nothing, and how long does training take besides its time limit?

    python -m benchmarks.startup [path/to/tinyshakespeare.txt] [--runs 5] [--beside CHECKOUT]

Times whole processes, as a user starts them. With `--beside`, they run in turn with those of another checkout. The sampled
model is the shipped one.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.machine import alternate, describe_machine
from benchmarks.quality import HERE, run

COMMANDS = {"--help": ["--help"], "info": ["info"], "sample --length 1": ["sample", "--length", "1", "--seed", "1"]}
LIMITS = (2, 10, 60)  # seconds of training


def timed(checkout: Path, arguments: list[str]) -> float:
    """Time `charlm ARGUMENTS` in an empty folder, with the code in `checkout`, in seconds."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as a user has it: Python keeps what it compiled
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "charlm", *arguments]
        subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)
        return time.perf_counter() - began


def whole(checkout: Path, corpus: str, seconds: int) -> float:
    """Time the whole of `charlm train --max-time`."""
    with tempfile.TemporaryDirectory() as folder:
        return run(corpus, ["--max-time", f"{seconds}s"], Path(folder) / "run", checkout)[2]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="?")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--beside", type=Path)
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    checkouts = {"here": HERE} | ({"beside": options.beside.resolve()} if options.beside else {})
    for name, arguments in COMMANDS.items():
        show(name, alternate({which: partial(timed, path, arguments) for which, path in checkouts.items()}, options.runs))
    if options.corpus and Path(options.corpus).exists():
        corpus = str(Path(options.corpus).resolve())
        for limit in LIMITS:
            ways = {which: partial(whole, path, corpus, limit) for which, path in checkouts.items()}
            show(f"train --max-time {limit}s", alternate(ways, max(1, options.runs // (1 + limit // 20))))


def show(name: str, figures: dict[str, list[float]]) -> None:
    """Print one line: the median and range of each way, in seconds."""
    parts = (f"{which} {median(each):.2f} s ({min(each):.2f} to {max(each):.2f})" for which, each in figures.items())
    print(f"{name}: {', '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
