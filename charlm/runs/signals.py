"""A first SIGINT, SIGTERM or SIGHUP asks a run to stop; a second one ends the process. Knows nothing of runs."""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class StopRequest:
    """While entered, the first SIGINT, SIGTERM or SIGHUP is only noted in `signal`; a second one ends the process at once.

    A signal that was being ignored, as under nohup, stays so.
    """

    NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> "StopRequest":
        numbers = [getattr(signal, name) for name in self.NAMES if hasattr(signal, name)]
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            os._exit(128 + number)
        self.signal = number

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
