"""How a run looks while it trains: a bar on a terminal, a log line elsewhere, JSON where a program reads.

A new way to show one: a class with `report`, `notice` and `close`, and its entry in REPORTERS.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from tqdm import tqdm

from charlm.display.terminal import json_line, visible, visible_line
from charlm.errors import counted
from charlm.inspection.findings import Progress
from charlm.training.events import EvalDone, Event, Reporter, RunDone, SampleDrawn, Scoring, StepsDone, as_record, bits

T = TypeVar("T")


class Stderr:
    """Standard error as a file that swallows errors: a screen that has gone must not stop a run."""

    encoding = "utf-8"  # tells tqdm that its finer bars can be shown

    def write(self, text: str) -> None:
        """Write `text` if anyone is there."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush if anyone is there."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether a person is there."""
        return sys.stderr.isatty()

    def fileno(self) -> int:
        """The descriptor, by which tqdm learns the terminal's width."""
        return sys.stderr.fileno()


class Quiet:
    """Shows nothing."""

    def __init__(self) -> None:
        self.err = Stderr()

    def report(self, event: Event) -> None:
        """Show nothing."""

    def notice(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Leave nothing behind."""


class LogLines(Quiet):
    """One line per report on standard error."""

    def report(self, event: Event) -> None:
        """Write the event as one line."""
        line = _describe(event)
        if line:
            self._line(f"step {event.step:>6}  {line}")

    def notice(self, text: str) -> None:
        """Write the remark as one line."""
        self._line(visible_line(text))

    def _line(self, text: str) -> None:
        self.err.write(text + "\n")
        self.err.flush()


class JsonLines(LogLines):
    """One JSON line per report on standard output, flushed; remarks still go to standard error."""

    def report(self, event: Event) -> None:
        """Write the event's record."""
        record = as_record(event)
        if record is not None:
            sys.stdout.write(json_line(record))
            sys.stdout.flush()


class Bar(Quiet):
    """One tqdm bar: step, train and validation bits per character, speed and time left; samples scroll by above it."""

    FORMAT = "{percentage:3.0f}% {bar} {desc}"

    def __init__(self) -> None:
        super().__init__()
        self.validation = "val -"
        self.bar: tqdm[Any] = tqdm(total=1.0, file=self.err, bar_format=self.FORMAT, desc="starting", dynamic_ncols=True)

    def report(self, event: Event) -> None:
        """Move the bar, or write a sample above it."""
        if isinstance(event, EvalDone):
            self.validation = f"val ~{_bpc(event.validation_nats)}"
        if isinstance(event, StepsDone):
            left = event.seconds * (1 - event.progress) / max(event.progress, 1e-9)
            self.bar.n = event.progress
            self.bar.set_description_str(
                f"step {event.step} · train {_bpc(event.loss_nats)} · {self.validation} bpc · "
                f"{_count(event.chars_per_second)} chars/s · {_clock(left)} left"
            )
        if isinstance(event, Scoring):
            self.bar.n = event.scored
            self.bar.set_description_str("scoring the best model exactly")
        if isinstance(event, SampleDrawn):
            rule = f"── a sample at step {event.step} "
            self.bar.write(f"{rule:─<60}\n{visible(event.text).strip(chr(10))}\n", file=self.err)

    def notice(self, text: str) -> None:
        """Write the remark above the bar."""
        self.bar.write(visible_line(text), file=self.err)

    def close(self) -> None:
        """Leave the bar's last state standing."""
        self.bar.close()


def _describe(event: Event) -> str:
    if isinstance(event, StepsDone):
        done = f"{event.progress:.0%} done in {_clock(event.seconds)}"
        return f"train {_bpc(event.loss_nats)} bits/char  {_count(event.chars_per_second)} chars/s  {done}"
    if isinstance(event, EvalDone) and event.validation_nats is not None:
        return f"validation about {_bpc(event.validation_nats)} bits/char{'  (best)' if event.is_best else ''}"
    if isinstance(event, SampleDrawn):
        return "sample " + json.dumps(visible(event.text), ensure_ascii=False)
    return ""


def describe_end(event: RunDone) -> str:
    """What a run reached, in one line."""
    score = "no validation part, so no score"
    if event.validation_nats is not None:
        score = f"validation {event.validation_nats:.4f} nats/char, {_bpc(event.validation_nats)} bits/char, exactly"
    return f"{counted(event.step, 'step')}, {_clock(event.seconds)} of training: {score}"


def _bpc(nats: float | None) -> str:
    value = bits(nats)
    return "-" if value is None else f"{value:.3f}"


def _count(number: float) -> str:
    return f"{number / 1e6:.2f}M" if number >= 1e6 else f"{number / 1e3:.0f}k" if number >= 1e4 else f"{number:.0f}"


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(min(seconds, 1e9)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


REPORTERS: dict[str, Callable[[], Reporter]] = {"bar": Bar, "log": LogLines, "json": JsonLines, "quiet": Quiet}


def follow(work: Generator[Progress, None, T]) -> T:
    """Do `work`, with a bar for its stages on standard error where that is a terminal, and give its result."""
    bar = None
    if sys.stderr.isatty():
        form = "{desc} {bar} {percentage:3.0f}% {elapsed}"
        bar = tqdm(total=1.0, file=Stderr(), bar_format=form, leave=False, dynamic_ncols=True, mininterval=0.1)
    try:
        while True:
            step = next(work)
            if bar is not None:
                bar.set_description_str(f"{step.stage:38}", refresh=False)
                bar.update(step.fraction - bar.n)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        work.close()
        if bar is not None:
            bar.close()
