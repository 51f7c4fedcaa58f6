"""Is nothing lost, and nothing let in?

    python -m benchmarks.reliability [--quick] [--only FIGURE ...]

Prints one line per figure: the promise, how many cases were tried, and how many went wrong, with the first faults below it. The
exit status is 1 when anything went wrong. Everything takes about a quarter of an hour on two cores; the tests run `--quick`.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.machine import describe_machine, heed_signals
from benchmarks.reliability import continuing, crashes, hostile, removals, strangers
from benchmarks.reliability.figure import Figure
from charlm.errors import brief

SHOWN = 5  # faults, at most, for each figure


@dataclass(frozen=True, slots=True)
class Asked:
    """A figure: its name, its target, the function that takes it, and that function's argument in full and with `--quick`."""

    name: str
    target: str
    take: Callable[[int], Figure]
    full: int
    quick: int


FIGURES = (
    Asked("kills", "2,000 kills while saving: 0 runs lost, 0 invalid files", crashes.kills, 2000, 20),
    Asked("power", "every state after a loss of power: 0 invalid files, 0 lost", crashes.power_losses, 100, 3),
    Asked("exactness", "3 cells x 1-3 layers x dropout x 10 cuts: 0 differing bytes", continuing.exactness, 10, 1),
    Asked("signals", "200 signals: right status, saved, at most one step lost", continuing.signals, 200, 6),
    Asked("errors", "an error at every operation: 0 lost, 0 tracebacks", continuing.errors, 1, 9),
    Asked("races", "50 races of two commands on one folder: 0 corruptions", continuing.races, 50, 5),
    Asked("damage", "every bit flipped, every length cut: 100 % detected", strangers.damage, 1, 211),
    Asked("forged", "20,000 forged files: 0 crashes, 0 hangs, under 50 MB", strangers.forged, 20_000, 400),
    Asked("hostile", "288 hostile texts and prompts: 0 tracebacks, 0 silent changes", hostile.hostile_texts, 288, 36),
    Asked("code points", "all 1,114,112 on a terminal or a page: 0 live controls", strangers.code_points, 1, 61),
    Asked("removals", "each mechanism taken out: its test fails", removals.removals, 1, 5),
)


def main() -> None:
    """Take the figures and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[asked.name for asked in FIGURES], metavar="FIGURE")
    options = parser.parse_args()
    heed_signals()
    torch.set_num_threads(1)  # the runs are small, and a process with threads cannot be forked safely
    print(describe_machine(), flush=True)
    began, failed = time.perf_counter(), []
    for asked in FIGURES:
        if options.only and asked.name not in options.only:
            continue
        start = time.perf_counter()
        figure = asked.take(asked.quick if options.quick else asked.full)
        seconds = time.perf_counter() - start
        print(
            f"{asked.name}: {asked.target}\n    {figure.cases:,} cases, {len(figure.faults)} wrong, {seconds:.0f} s", flush=True
        )
        if figure.note:
            print(f"    {figure.note}", flush=True)
        for fault in figure.faults[:SHOWN]:
            print(f"    WRONG: {brief(fault)}", flush=True)
        if figure.faults or not figure.cases:
            failed.append(asked.name)
    print(f"{time.perf_counter() - began:.0f} s in all; {'not reached: ' + ', '.join(failed) if failed else 'all reached'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
