"""How a run looks while it trains: a bar on a terminal, log lines elsewhere, JSON for programs.

To add a way to show a run, write a class whose `suits` says when to use it, and add it to REPORTERS. All that suit are used.
"""

import contextlib
import json
import math
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from charlm.display.terminal import json_line, visible, visible_line
from charlm.display.waiting import Silence, Stderr
from charlm.errors import counted
from charlm.training.events import ROWS, EvalDone, Event, PredictionsDrawn, RunDone, SampleDrawn, Scoring, StepsDone, as_row


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What decides which reporters suit: the options `json` and `quiet`, and whether standard error is a terminal."""

    json: bool
    quiet: bool
    is_terminal: bool


@dataclass(frozen=True, slots=True)
class Unit:
    """How a loss in nats is shown: over `size` nats, by `name`, which the bar has shortened to `short`."""

    name: str
    short: str
    size: float

    def shown(self, nats: float | None) -> str:
        """The number alone, `-` for none."""
        return "-" if nats is None else f"{nats / self.size:.3f}"


CHARACTERS = Unit("bits/char", "bpc", math.log(2))
LABELS = Unit("nats/label", "nats", 1.0)


class Quiet:
    """Shows nothing. What others show is in `unit`."""

    SECONDS = 5.0  # of training between two reports of steps, roughly

    def __init__(self, unit: Unit = CHARACTERS) -> None:
        self.err = Stderr()
        self.unit = unit

    @classmethod
    def suits(cls, asked: Asked) -> bool:
        """Whether this reporter is the one for `asked`."""
        return asked.quiet and not asked.json

    def breaking_silence(self) -> AbstractContextManager[None]:
        """While entered, a reporter may break a long silence; this one does not."""
        return contextlib.nullcontext()

    def report(self, event: Event) -> None:
        """Show nothing."""

    def notice(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Leave nothing behind."""


class LogLines(Quiet):
    """One line per report on standard error; after a long silence, one that says where the run is."""

    def __init__(self, unit: Unit = CHARACTERS) -> None:
        super().__init__(unit)
        self.silence = Silence(self.say_where)
        self.where = "getting ready"

    @classmethod
    def suits(cls, asked: Asked) -> bool:
        """When standard error is not a terminal."""
        return not (asked.json or asked.quiet or asked.is_terminal)

    def breaking_silence(self) -> AbstractContextManager[None]:
        """While entered, break a long silence by saying where the run is."""
        return self.silence.broken()

    def report(self, event: Event) -> None:
        """Write the event as one line."""
        self.where = _where(event)
        line = _describe(event, self.unit)
        if line:
            self._line(f"step {event.step:>6}  {line}")

    def say_where(self) -> None:
        """Write one line that says what is being done."""
        self._line(self.where)

    def notice(self, text: str) -> None:
        """Write the notice as one line."""
        self._line(visible_line(text))

    def _line(self, text: str) -> None:
        self.silence.heard()
        self.err.write(text + "\n")
        self.err.flush()


class JsonLines(LogLines):
    """One JSON row per report on standard output, flushed; notices still go to standard error."""

    SECONDS = 1.0

    @classmethod
    def suits(cls, asked: Asked) -> bool:
        """When JSON is asked for, with or without `quiet`."""
        return asked.json

    def report(self, event: Event) -> None:
        """Write the event's row."""
        self.where = _where(event)
        row = as_row(event)
        if row is not None:
            self.silence.heard()
            sys.stdout.write(json_line(row))
            sys.stdout.flush()


class Bar(Quiet):
    """One tqdm bar: step, train and validation bits per character, speed and time left; samples scroll by above it."""

    SECONDS = 0.5
    FORMAT = "{percentage:3.0f}% {bar} {desc}"

    def __init__(self, unit: Unit = CHARACTERS) -> None:
        super().__init__(unit)
        self.validation, self.right = "val -", ""
        self.bar: tqdm[Any] = tqdm(total=1.0, file=self.err, bar_format=self.FORMAT, desc="starting", dynamic_ncols=True)

    @classmethod
    def suits(cls, asked: Asked) -> bool:
        """On a terminal."""
        return asked.is_terminal and not (asked.json or asked.quiet)

    def report(self, event: Event) -> None:
        """Move the bar, or write a sample above it."""
        if isinstance(event, EvalDone):
            self.validation = f"val ~{self.unit.shown(event.validation_nats)}"
            if event.accuracy is not None:
                self.right = f" · {event.accuracy:.1%} right"
        if isinstance(event, StepsDone):
            left = event.seconds * (1 - event.progress) / max(event.progress, 1e-9)
            self.bar.n = event.progress
            losses = f"train {self.unit.shown(event.loss_nats)} · {self.validation} {self.unit.short}{self.right}"
            self.bar.set_description_str(
                f"step {event.step} · {losses} · {_count(event.chars_per_second)} chars/s · {_clock(left)} left"
            )
        if isinstance(event, Scoring):
            self.bar.n = event.scored
            self.bar.set_description_str(event.what)
        if isinstance(event, SampleDrawn):
            rule = f"── {'predictions' if isinstance(event, PredictionsDrawn) else 'a sample'} at step {event.step} "
            self.bar.write(f"{rule:─<60}\n{visible(event.text).strip(chr(10))}\n", file=self.err)

    def notice(self, text: str) -> None:
        """Write the notice above the bar."""
        self.bar.write(visible_line(text), file=self.err)

    def close(self) -> None:
        """Leave the bar's last state standing."""
        self.bar.close()


def _where(event: Event) -> str:
    doing = f"{event.what}: {event.scored:.0%}" if isinstance(event, Scoring) else "at work"
    return f"step {event.step:>6}  {doing}"


def _describe(event: Event, unit: Unit) -> str:
    if isinstance(event, StepsDone):
        done = f"{event.progress:.0%} done in {_clock(event.seconds)}"
        return f"train {unit.shown(event.loss_nats)} {unit.name}  {_count(event.chars_per_second)} chars/s  {done}"
    if isinstance(event, EvalDone) and event.validation_nats is not None:
        right = "" if event.accuracy is None else f", {event.accuracy:.1%} right"
        return f"validation about {unit.shown(event.validation_nats)} {unit.name}{right}{'  (best)' if event.is_best else ''}"
    if isinstance(event, SampleDrawn):
        return f"{ROWS[type(event)]} " + json.dumps(visible(event.text), ensure_ascii=False)
    return ""


def describe_end(event: RunDone, unit: Unit = CHARACTERS) -> str:
    """Say in one line what a run reached."""
    nats, score = event.validation_nats, "no validation part, so no score"
    if nats is not None and unit is CHARACTERS:
        score = f"validation {nats:.4f} nats/char, {unit.shown(nats)} {unit.name}, exactly"
    elif nats is not None:
        right = "" if event.accuracy is None else f", {event.accuracy:.1%} right"
        score = f"validation {nats:.4f} {unit.name}{right}, exactly"
    return f"{counted(event.step, 'step')}, {_clock(event.seconds)} of training: {score}"


# Not tqdm's own `format_sizeof` and `format_interval`, which write 9.50k for 9500 and 03:03 for 3:03.
def _count(number: float) -> str:
    return f"{number / 1e6:.2f}M" if number >= 1e6 else f"{number / 1e3:.0f}k" if number >= 1e4 else f"{number:.0f}"


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(min(seconds, 1e9)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def suiting(asked: Asked, unit: Unit = CHARACTERS) -> list[Quiet]:
    """Make one reporter of each kind that suits."""
    return [kind(unit) for kind in REPORTERS if kind.suits(asked)]


class Tee:
    """Several reporters as one. An `OSError` in any of them is raised, as it would be from a single reporter."""

    def __init__(self, *reporters: Quiet) -> None:
        self.reporters = reporters

    @property
    def seconds(self) -> float:
        """The shortest time any of them wants between two reports of steps."""
        return min((reporter.SECONDS for reporter in self.reporters), default=Quiet.SECONDS)

    def report(self, event: Event) -> None:
        """Let each show the event."""
        for reporter in self.reporters:
            reporter.report(event)

    def notice(self, text: str) -> None:
        """Let each show the notice."""
        for reporter in self.reporters:
            reporter.notice(text)

    def close(self) -> None:
        """Let each leave the screen."""
        for reporter in self.reporters:
            reporter.close()


@contextlib.contextmanager
def in_touch(*reporters: Quiet) -> Iterator[Tee]:
    """Use the reporters as one, and break their long silences; each is closed at the end, whatever goes wrong."""
    with contextlib.ExitStack() as held:
        for reporter in reporters:
            held.callback(reporter.close)
            held.enter_context(reporter.breaking_silence())
        yield Tee(*reporters)


REPORTERS: tuple[type[Quiet], ...] = (Bar, LogLines, JsonLines, Quiet)
