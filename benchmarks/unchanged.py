"""Does a change leave the language model exactly as it was, and as fast?

    python -m benchmarks.unchanged BEFORE [AFTER] [--runs 5] [--only bits | --only speed]

Two commits, or one and the working tree, run the same commands; only the command line and files are used. Every cell is trained
with every optimiser: in one go, with a break, and from where BEFORE was stopped. Then come samples, scores and findings. All
tensors and all output must be equal; a difference is named, and the exit status is then 1. Speed is processor time with one
thread, measured in turn.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

from safetensors.numpy import load_file

from benchmarks.machine import alternate, describe_machine, heed_signals
from benchmarks.quality import HERE

CELLS, OPTIMISERS = ("lstm", "gru", "rnn"), ("muon", "adamw")
TRAIN = "train data/austen.txt --validation-fraction 0.02 --seed 7 --precision fp32 --quiet --overwrite --num-layers 2"
SMALL = "--dropout 0.2 --hidden-size 48 --embedding-size 24 --batch-size 8 --seq-len 32 --eval-every 50"
LARGE = "--hidden-size 256 --embedding-size 128 --batch-size 32 --seq-len 64 --max-steps 100 --out timed"
SAMPLE, INSPECT = "sample --seed 3 --length", "inspect-cells data/austen.txt --max-characters 20000"
USES = [f"{SAMPLE} 500{how}" for how in ("", " --argmax", " --clamp 1:5=0.9 --prompt It", " --num-samples 5 --top-p 0.9")]
USES += ["eval shipped/held-out.txt --json", "eval data/README.md --unknown skip --dynamic --json", f"{INSPECT} --json"]
TIMED = {  # the first is the time to start, which is subtracted from the others
    "start": f"{SAMPLE} 1 --checkpoint shipped",
    **{f"train {cell}, 100 steps": f"{TRAIN} {LARGE} --cell {cell}" for cell in CELLS},
    "sample 20,000 characters": f"{SAMPLE} 20000 --checkpoint shipped",
    "eval of a novel": "eval data/austen.txt --checkpoint shipped",
    "inspect-cells, 20,000 characters": f"{INSPECT} --checkpoint shipped",
}
# As `python -m charlm`, but no code runs from anywhere except the checkout.
CHARLM = """import charlm, os, runpy
assert os.path.realpath(charlm.__file__).startswith(os.environ["PYTHONPATH"] + os.sep), charlm.__file__
runpy.run_module("charlm", run_name="__main__", alter_sys=True)"""

Sides = dict[Path, Path]  # the folder commands run in -> the checkout whose code they run


def run(sides: Sides, command: str) -> float:
    """Run `charlm COMMAND` on all sides at once, its output into the file "out"; returns seconds of processor time."""
    typed = [sys.executable, "-c", CHARLM, *command.split(), "--threads", "1", "--device", "cpu"]
    processes, seconds = [], 0.0
    try:
        for folder, checkout in sides.items():
            environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
            with (folder / "out").open("wb") as out, (folder / "errors").open("wb") as errors:
                processes += [subprocess.Popen(typed, cwd=folder, env=environment, stdout=out, stderr=errors)]
        for folder, process in zip(sides, processes, strict=True):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode, seconds = os.waitstatus_to_exitcode(status), seconds + usage.ru_utime + usage.ru_stime
            if process.returncode:
                sys.exit(f"{folder.name}: charlm {command} failed\n{(folder / 'errors').read_text()}")
    finally:
        for process in processes:
            process.kill()  # does nothing to a process that has ended
            process.wait()
    return seconds


def difference(before: Path, after: Path) -> str:
    """Say how many tensors of two safetensors files differ, and name the first; empty when all are equal bit for bit."""
    mine, theirs = ({name: (x.dtype, x.shape, x.tobytes()) for name, x in load_file(f).items()} for f in (before, after))
    odd = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    return f"{len(odd)} of {len(mine)} tensors differ, such as {odd[0]}" if odd else ""


def trained(sides: Sides, how: str) -> Iterator[tuple[str, str]]:
    """Train without a break, with one, and from where the first side stopped; yields each file, and how it differs."""
    before, after = sides
    run(sides, f"{TRAIN} {SMALL} --cell {how} --max-steps 200 --out whole")
    run(sides, f"{TRAIN} {SMALL} --cell {how} --max-steps 100 --out broken")
    for folder in sides:
        shutil.rmtree(folder / "handed", ignore_errors=True)
        shutil.copytree(before / "broken", folder / "handed")
    for begun in ("broken", "handed"):
        run(sides, f"train --resume {begun} --max-steps 200 --quiet")
    for name in map("/".join, product(("whole", "broken", "handed"), ("model.safetensors", "last.safetensors"))):
        yield name, difference(before / name, after / name)


def used(sides: Sides, model: str) -> Iterator[tuple[str, str]]:
    """Take samples, scores, findings and activations of a model; yields each command, and how its output differs."""
    for command in USES:
        run(sides, f"{command} --checkpoint {model}")
        outputs = [(folder / "out").read_bytes() for folder in sides]
        before, after = map(json.loads, outputs) if "--json" in command else outputs
        yield command, "" if before == after else " became ".join(repr(each[:200]) for each in outputs)
    run(sides, f"{INSPECT} --save-activations cells --checkpoint {model}")
    yield "--save-activations", difference(*(folder / "cells" for folder in sides))


def same_bits(sides: Sides) -> bool:
    """Whether nothing differs; prints a line for each model, with what differs."""
    is_same = True
    for how in ("shipped", *map(" --optimiser ".join, product(CELLS, OPTIMISERS))):
        compared = [*used(sides, how)] if how == "shipped" else [*trained(sides, how), *used(sides, "whole")]
        wrong = [f"\n    {name}: {what}" for name, what in compared if what]
        print(f"{how}: {len(compared) - len(wrong)} of {len(compared)} equal{''.join(wrong)}", flush=True)
        is_same = is_same and not wrong
    return is_same


def show_speed(sides: Sides, runs: int) -> None:
    """Print a table of the time each command takes on each side."""
    print("| processor time | before, s | after, s | after / before, pair by pair |\n|---|---|---|---|")
    start = 0.0
    for name, command in TIMED.items():
        figures = alternate({str(side[0]): partial(run, dict([side]), command) for side in sides.items()}, runs)
        before, after = ([each - start for each in column] for column in figures.values())
        start = start or median(before + after)
        ratios = [theirs / mine for mine, theirs in zip(before, after, strict=True)]
        print(f"| {name} | {median(before):.2f} | {median(after):.2f} ", end="")
        print(f"| {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) |", flush=True)


def prepare(folder: Path, commit: str | None) -> Path:
    """Make the folder a side's commands run in, and beside it a checkout of the commit; None is the working tree."""
    shutil.copytree(HERE / "data", folder / "data")
    shutil.copytree(HERE / "checkpoints" / "austen", folder / "shipped")
    if commit is None:
        return HERE
    code = folder.with_name(f"{folder.name}-code")
    subprocess.run(["git", "archive", "--output", f"{code}.tar", commit], cwd=HERE, check=True)
    shutil.unpack_archive(f"{code}.tar", code)
    return code


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after", nargs="?")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=["bits", "speed"])
    options = parser.parse_args()
    heed_signals()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left running or lying about
    print(f"{options.before} and then {options.after or 'the working tree'}\n{describe_machine()}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        commits = {Path(name).resolve() / which: getattr(options, which) for which in ("before", "after")}
        sides = {folder: prepare(folder, commit) for folder, commit in commits.items()}
        is_same = options.only == "speed" or same_bits(sides)
        if options.only != "bits":
            show_speed(sides, options.runs)
    sys.exit(not is_same)


if __name__ == "__main__":
    main()
