"""Which loss does a time limit reach? The exact validation loss after `charlm train CORPUS --max-time TIME`, for several seeds.

    python -m benchmarks.quality path/to/tinyshakespeare.txt [--max-time 60s] [--seeds 3] [--target 1.48] [and of charlm train]

`--max-time none` sets no end at all. With `--target`, the last line says whether the mean over the seeds reaches it; the time
to a loss is the shortest limit at which it does. Both the training time, which the limit counts, and the whole command's time
are printed. With `--beside CHECKOUT`, the code of another checkout does the same, in turn.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median

from benchmarks.machine import describe_machine

HERE = Path(__file__).resolve().parent.parent


def run(corpus: str, options: list[str], out: Path, checkout: Path = HERE) -> tuple[float, float, float]:
    """Train with the code in `checkout`; returns exact nats per character, seconds of training, seconds of the command."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as a user has it: Python keeps what it compiled
    began = time.perf_counter()
    command = [sys.executable, "-m", "charlm", "train", str(Path(corpus).resolve()), "--json", "--out", str(out), *options]
    kept = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, "cwd": out.parent, "env": environment}
    lines = subprocess.run(command, check=True, **kept).stdout
    done = json.loads(lines.splitlines()[-1])
    return done["validation_nats"], done["seconds"], time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--max-time", default="60s")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--target", type=float)
    parser.add_argument("--beside", type=Path)
    options, further = parser.parse_known_args()
    if not Path(options.corpus).exists():
        sys.exit(f"skipped: there is no {options.corpus}; the corpus is not this project's to ship")
    print(f"{Path(options.corpus).name}, --max-time {options.max_time} {' '.join(further)}\n{describe_machine()}", flush=True)
    end = [] if options.max_time == "none" else ["--max-time", options.max_time]
    checkouts = {"here": HERE}
    if options.beside:
        checkouts["beside"] = options.beside.resolve()
    losses: dict[str, list[float]] = {which: [] for which in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, options.seeds + 1):
            for which, checkout in checkouts.items():
                out = Path(folder) / which / str(seed)
                out.parent.mkdir(exist_ok=True)
                nats, trained, whole = run(options.corpus, [*end, "--seed", str(seed), *further], out, checkout)
                losses[which].append(nats)
                what = f"{nats:.4f} nats/char, {trained:.1f} s of training, {whole:.1f} s in all"
                print(f"{which}, seed {seed}: {what}", flush=True)
    for which, each in losses.items():
        print(f"{which}: median {median(each):.4f}, mean {mean(each):.4f}, worst {max(each):.4f}")
    if options.target is not None:
        reached = mean(losses["here"]) <= options.target
        print(f"to reach: {options.target}: {'reached' if reached else 'not reached'} by the mean")


if __name__ == "__main__":
    main()
