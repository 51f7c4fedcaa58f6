"""Reporters: each takes every event, and none writes to standard output what is not data."""

import io
import json
import math
import sys

import pytest

from charlm.display.progress import REPORTERS, Asked, Bar, JsonLines, LogLines, Quiet, describe_end, in_touch, suiting
from charlm.training.events import CheckpointDue, EvalDone, Event, RunDone, SampleDrawn, SampleDue, StepsDone

WHEN = {"step": 30, "seconds": 61.0, "progress": 0.25}
EVENTS: list[Event] = [
    StepsDone(**WHEN, loss_nats=2 * math.log(2), grad_norm=0.5, chars_per_second=123_456.0),
    EvalDone(**WHEN, validation_nats=3 * math.log(2), is_best=True),
    EvalDone(**WHEN, validation_nats=None, is_best=True),
    SampleDue(**WHEN),
    SampleDrawn(**WHEN, text="one \x1b[31m[/nope] \ud800 ended\n"),
    CheckpointDue(**WHEN),
    RunDone(**WHEN, validation_nats=math.log(2), checkpoint="runs/\x1b.safetensors"),
    RunDone(**WHEN, validation_nats=None, checkpoint="x"),
]


class Screen(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class DeadScreen(Screen):
    """A terminal that has gone."""

    def write(self, _text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")


def shown(kind: type[Quiet], monkeypatch: pytest.MonkeyPatch, screen: io.StringIO, events: list[Event] = EVENTS) -> str:
    """What a reporter of that `kind` writes to `screen` on standard error for a notice and `events`."""
    monkeypatch.setattr(sys, "stderr", screen)
    reporter = kind()
    reporter.notice("mark \x1b this")
    for event in events:
        reporter.report(event)
    reporter.close()
    return screen.getvalue()


@pytest.mark.parametrize("kind", REPORTERS)
def test_every_reporter_takes_every_event(kind, monkeypatch, capsys):
    """No event is too much for any reporter, and nothing hostile gets through."""
    error = shown(kind, monkeypatch, Screen())
    assert "[31m" not in error.replace("␛[31m", "")
    assert "\ud800" not in error
    assert ("mark ␛ this" in error) == (kind is not Quiet)
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("kind", REPORTERS)
def test_a_screen_that_has_gone_stops_no_run(kind, monkeypatch):
    """When standard error fails, a run goes on."""
    assert shown(kind, monkeypatch, DeadScreen()) == ""


@pytest.mark.parametrize("kind", [Bar, LogLines, Quiet])
def test_standard_output_is_for_data(kind, monkeypatch, capsys):
    """But for JSON, reporters leave standard output alone."""
    shown(kind, monkeypatch, Screen())
    assert capsys.readouterr().out == ""


def test_json_lines_are_the_rows(monkeypatch, capsys):
    """Each event that has a row is one line of valid JSON."""
    shown(JsonLines, monkeypatch, Screen())
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["event"] for row in rows] == ["step", "eval", "eval", "sample", "done", "done"]
    assert rows[0]["train_nats"] == 2 * math.log(2)
    assert rows[1]["validation_bpc"] == pytest.approx(3)
    assert rows[2]["validation_bpc"] is None
    assert all(row["step"] == 30 and row["seconds"] == 61.0 for row in rows)


def test_json_has_no_number_that_json_lacks(monkeypatch, capsys):
    """A gradient norm that overflowed under loss scaling is null."""
    event = StepsDone(**WHEN, loss_nats=1.0, grad_norm=math.inf, chars_per_second=1.0)
    shown(JsonLines, monkeypatch, Screen(), [event])
    assert json.loads(capsys.readouterr().out)["grad_norm"] is None


def test_the_bar_has_what_people_look_for(monkeypatch):
    """Step, train and validation bits per character, speed and time left are on the bar."""
    bar = shown(Bar, monkeypatch, Screen(), [EVENTS[1], EVENTS[0]])
    last = bar.split("\r")[-1]
    for part in ("step 30", "train 2.000", "3.000", "123k chars/s", "3:03 left", "25%"):
        assert part in last, last


def test_a_log_line_stands_alone(monkeypatch):
    """Where there is no terminal each report is one line with its step."""
    rows = shown(LogLines, monkeypatch, io.StringIO()).split("\n")[:-1]
    assert rows[0] == "mark ␛ this"
    assert len(rows) == 4  # an evaluation without a score is nothing to read
    assert all("30" in row for row in rows[1:])
    assert "2.000 bits/char" in rows[1]
    assert "3.000 bits/char" in rows[2]
    assert "\\n" in rows[3]


def test_quiet_is_quiet(monkeypatch):
    """The quiet reporter writes nothing."""
    assert shown(Quiet, monkeypatch, Screen()) == ""


@pytest.mark.parametrize(("nats", "words"), [(math.log(2), "0.6931 nats/char, 1.000 bits/char"), (None, "no score")])
def test_the_end_says_what_was_reached(nats, words):
    """The last line has the score, or says that there is none."""
    line = describe_end(RunDone(step=30, seconds=3661.0, progress=1.0, validation_nats=nats, checkpoint="x"))
    assert words in line
    assert "30 steps" in line
    assert "1:01:01" in line


ASKED = [Asked(json=json, quiet=quiet, is_terminal=there) for json in (0, 1) for quiet in (0, 1) for there in (0, 1)]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_whoever_asks_is_shown_a_run_in_one_way(asked, monkeypatch):
    """Of the reporters there are one suits: JSON before silence, and that before whatever the screen takes."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    expected = JsonLines if asked.json else Quiet if asked.quiet else Bar if asked.is_terminal else LogLines
    assert [type(reporter) for reporter in suiting(asked)] == [expected]


class Noting(Quiet):
    """A reporter that keeps what it is told."""

    SECONDS = 2.0

    def __init__(self) -> None:
        super().__init__()
        self.told: list[object] = []

    def report(self, event: Event) -> None:
        self.told.append(event)

    def notice(self, text: str) -> None:
        self.told.append(text)

    def close(self) -> None:
        self.told.append("closed")


class Failing(Noting):
    """One whose screen has gone."""

    def close(self) -> None:
        raise OSError(5, "Input/output error")


def test_several_may_listen_at_once():
    """Each is told everything, in turn, as often as the most eager likes."""
    first, second = Noting(), Noting()
    with in_touch(first, Quiet(), second) as reporter:
        assert reporter.seconds == 2.0
        reporter.notice("a remark")
        for event in EVENTS:
            reporter.report(event)
    assert first.told == second.told == ["a remark", *EVENTS, "closed"]


def test_each_is_closed_whatever_became_of_the_others():
    """One that cannot be closed says so, once the others are."""
    first, last = Noting(), Noting()
    with pytest.raises(OSError, match="Input"), in_touch(first, Failing(), last):
        pass
    assert first.told == last.told == ["closed"]
