"""What the Unix signals SIGINT, SIGTERM and SIGHUP do: interrupt a command, or ask a run to stop, where a second one ends it.

Knows nothing of runs, and does not load torch.
"""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

STOPPED = "interrupted"  # the message when there is nothing more to say


class _Heeded:
    """While entered, `_come` handles the three signals. A signal that was ignored, as under nohup, stays ignored."""

    NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

    def __init__(self) -> None:
        self.signal = 0  # the first that came
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Self:
        numbers = [getattr(signal, name) for name in self.NAMES if hasattr(signal, name)]
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._come)
        return self

    def _come(self, number: int, frame: FrameType | None) -> None:
        raise NotImplementedError

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class StopRequest(_Heeded):
    """While entered, the first signal is only noted in `signal`; the second one ends the process at once."""

    def _come(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            os._exit(128 + number)
        self.signal = number


class Interruption(_Heeded):
    """While entered, each signal ends the work tidily by a KeyboardInterrupt, as Ctrl-C does; the first is in `signal`."""

    def _come(self, number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):  # an exception inside an import may be turned into anything, and nothing needs tidying yet
            os.write(2, f"charlm: {STOPPED}\n".encode())
            os._exit(128 + number)
        self.signal = self.signal or number
        raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None
