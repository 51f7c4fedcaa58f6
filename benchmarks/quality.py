"""What loss does a time limit buy? The exact validation loss after `charlm train CORPUS --max-time TIME`, for several seeds.

    python -m benchmarks.quality path/to/tinyshakespeare.txt [--max-time 60s] [--seeds 3] [--target 1.48] [and of charlm train]

`--max-time none` gives no end at all. With a target, the last line says whether the mean over the seeds reaches it: the time to
a loss is the shortest limit at which it does. The whole command's time stands beside the training time that the limit counts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

from benchmarks.machine import describe_machine, median


def run(corpus: str, options: list[str], out: Path) -> tuple[float, float, float]:
    """One run: exact nats per character, seconds of training, seconds of the whole command."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "charlm", "train", corpus, "--json", "--out", str(out), *options]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    done = json.loads(lines.splitlines()[-1])
    return done["validation_nats"], done["seconds"], time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--max-time", default="60s")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--target", type=float)
    options, further = parser.parse_known_args()
    if not Path(options.corpus).exists():
        sys.exit(f"skipped: there is no {options.corpus}; the corpus is not this project's to ship")
    print(f"{Path(options.corpus).name}, --max-time {options.max_time} {' '.join(further)}\n{describe_machine()}", flush=True)
    end = [] if options.max_time == "none" else ["--max-time", options.max_time]
    losses = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, options.seeds + 1):
            nats, trained, whole = run(options.corpus, [*end, "--seed", str(seed), *further], Path(folder) / str(seed))
            losses.append(nats)
            print(f"seed {seed}: {nats:.4f} nats/char, {trained:.1f} s of training, {whole:.1f} s in all", flush=True)
    print(f"median {median(losses):.4f}, mean {mean(losses):.4f}, worst {max(losses):.4f}")
    if options.target is not None:
        print(f"to reach: {options.target}: {'reached' if mean(losses) <= options.target else 'not reached'} by the mean")


if __name__ == "__main__":
    main()
