"""How a run looks while it trains: a bar on a terminal, a log line elsewhere, JSON where a program reads.

A new way to show one: a class with `report`, `notice` and `close`, and its entry in REPORTERS.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from charlm.display.terminal import json_line, visible, visible_line
from charlm.display.waiting import Silence, Stderr
from charlm.errors import counted
from charlm.training.events import EvalDone, Event, Reporter, RunDone, SampleDrawn, Scoring, StepsDone, as_record, bits


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
    """One line per report on standard error, and, when asked, one that says where the run is."""

    def __init__(self) -> None:
        super().__init__()
        self.silence = Silence(self.say_where)
        self.where = "getting ready"

    def report(self, event: Event) -> None:
        """Write the event as one line."""
        self.where = _where(event)
        line = _describe(event)
        if line:
            self._line(f"step {event.step:>6}  {line}")

    def say_where(self) -> None:
        """Write one line that says what is being done."""
        self._line(self.where)

    def notice(self, text: str) -> None:
        """Write the remark as one line."""
        self._line(visible_line(text))

    def _line(self, text: str) -> None:
        self.silence.heard()
        self.err.write(text + "\n")
        self.err.flush()


class JsonLines(LogLines):
    """One JSON line per report on standard output, flushed; remarks still go to standard error."""

    def report(self, event: Event) -> None:
        """Write the event's record."""
        self.where = _where(event)
        record = as_record(event)
        if record is not None:
            self.silence.heard()
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


def _where(event: Event) -> str:
    doing = f"scoring the best model exactly: {event.scored:.0%}" if isinstance(event, Scoring) else "at work"
    return f"step {event.step:>6}  {doing}"


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


@contextlib.contextmanager
def in_touch(reporter: Reporter) -> Iterator[None]:
    """While entered, a reporter of lines is never silent for long; at the end it is closed, whichever it is."""
    with contextlib.ExitStack() as held:
        held.callback(reporter.close)
        if isinstance(reporter, LogLines):
            held.enter_context(reporter.silence.broken())
        yield
