"""What every benchmark needs: the machine in one line, signals, and measuring several ways in turn."""

import os
import platform
import signal
from collections.abc import Callable

import torch

from charlm.machine import processor_name

LISTS = ("--clamp", "--feature", "--glob", "--prompt", "--show", "--stop")  # options that may be given several times


def describe_machine() -> str:
    """Name the machine and the versions in one line."""
    return f"{processor_name()}, {os.cpu_count()} cores; torch {torch.__version__}, Python {platform.python_version()}"


def last_of_each(*words: str) -> list[str]:
    """The words of a command without the values of options that come again with others, for charlm takes each option once."""
    pieces: list[list[str]] = []
    for word in words:
        if pieces and len(pieces[-1]) == 1 and pieces[-1][0].startswith("--") and not word.startswith("--"):
            pieces[-1].append(word)
        else:
            pieces.append([word])
    last = {piece[0]: piece for piece in pieces}
    return [word for piece in pieces if len(piece) == 1 or piece[0] in LISTS or last[piece[0]] is piece for word in piece]


def heed_signals() -> None:
    """Let Ctrl-C and a lost terminal end this process and its children, also when a script runs it in the background."""
    for number, handler in {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def alternate(ways: dict[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Measure each way `runs` times, in turn, so that a drift of the machine affects all of them alike."""
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, measure in ways.items():
            figures[name].append(measure())
    return figures
