"""Reporters: each takes every event, and none writes to standard output what is not data."""

import io
import json
import math
import sys

import pytest

from charlm.display.progress import REPORTERS, describe_end
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


def shown(name: str, monkeypatch: pytest.MonkeyPatch, screen: io.StringIO, events: list[Event] = EVENTS) -> str:
    """What the reporter called `name` writes to `screen` on standard error for a notice and `events`."""
    monkeypatch.setattr(sys, "stderr", screen)
    reporter = REPORTERS[name]()
    reporter.notice("mark \x1b this")
    for event in events:
        reporter.report(event)
    reporter.close()
    return screen.getvalue()


@pytest.mark.parametrize("name", REPORTERS)
def test_every_reporter_takes_every_event(name, monkeypatch, capsys):
    """No event is too much for any reporter, and nothing hostile gets through."""
    error = shown(name, monkeypatch, Screen())
    assert "[31m" not in error.replace("␛[31m", "")
    assert "\ud800" not in error
    assert ("mark ␛ this" in error) == (name != "quiet")
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("name", REPORTERS)
def test_a_screen_that_has_gone_stops_no_run(name, monkeypatch):
    """When standard error fails, a run goes on."""
    assert shown(name, monkeypatch, DeadScreen()) == ""


@pytest.mark.parametrize("name", ["bar", "log", "quiet"])
def test_standard_output_is_for_data(name, monkeypatch, capsys):
    """But for JSON, reporters leave standard output alone."""
    shown(name, monkeypatch, Screen())
    assert capsys.readouterr().out == ""


def test_json_lines_are_the_records(monkeypatch, capsys):
    """Each event that has a record is one line of valid JSON."""
    shown("json", monkeypatch, Screen())
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["event"] for record in records] == ["step", "eval", "eval", "sample", "done", "done"]
    assert records[0]["train_nats"] == 2 * math.log(2)
    assert records[1]["validation_bpc"] == pytest.approx(3)
    assert records[2]["validation_bpc"] is None
    assert all(record["step"] == 30 and record["seconds"] == 61.0 for record in records)


def test_json_has_no_number_that_json_lacks(monkeypatch, capsys):
    """A gradient norm that overflowed under loss scaling is null."""
    event = StepsDone(**WHEN, loss_nats=1.0, grad_norm=math.inf, chars_per_second=1.0)
    shown("json", monkeypatch, Screen(), [event])
    assert json.loads(capsys.readouterr().out)["grad_norm"] is None


def test_the_bar_has_what_people_look_for(monkeypatch):
    """Step, train and validation bits per character, speed and time left are on the bar."""
    bar = shown("bar", monkeypatch, Screen(), [EVENTS[1], EVENTS[0]])
    last = bar.split("\r")[-1]
    for part in ("step 30", "train 2.000", "3.000", "123k chars/s", "3:03 left", "25%"):
        assert part in last, last


def test_a_log_line_stands_alone(monkeypatch):
    """Where there is no terminal each report is one line with its step."""
    rows = shown("log", monkeypatch, io.StringIO()).split("\n")[:-1]
    assert rows[0] == "mark ␛ this"
    assert len(rows) == 4  # an evaluation without a score is nothing to read
    assert all("30" in row for row in rows[1:])
    assert "2.000 bits/char" in rows[1]
    assert "3.000 bits/char" in rows[2]
    assert "\\n" in rows[3]


def test_quiet_is_quiet(monkeypatch):
    """The quiet reporter writes nothing."""
    assert shown("quiet", monkeypatch, Screen()) == ""


@pytest.mark.parametrize(("nats", "words"), [(math.log(2), "0.6931 nats/char, 1.000 bits/char"), (None, "no score")])
def test_the_end_says_what_was_reached(nats, words):
    """The last line has the score, or says that there is none."""
    line = describe_end(RunDone(step=30, seconds=3661.0, progress=1.0, validation_nats=nats, checkpoint="x"))
    assert words in line
    assert "30 steps" in line
    assert "1:01:01" in line
