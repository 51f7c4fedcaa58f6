"""What a figure was measured on, and how two ways of doing a thing are compared."""

import os
import platform
import signal
from collections.abc import Callable

import torch

from charlm.machine import processor_name


def describe_machine() -> str:
    """The machine and the versions, in one line."""
    return f"{processor_name()}, {os.cpu_count()} cores; torch {torch.__version__}, Python {platform.python_version()}"


def heed_signals() -> None:
    """Let Ctrl-C and a lost terminal end this process and its children, also in the background of a script."""
    for number, handler in {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def alternate(ways: dict[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """The figure of each way, `runs` times, one after the other in turn, so that a machine's drift meets all alike."""
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, measure in ways.items():
            figures[name].append(measure())
    return figures
