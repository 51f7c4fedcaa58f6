"""Nobody waits for long without a word, and a terminal has a bar."""

import contextlib
import io
import re
import sys
import threading
import time
from pathlib import Path

import pytest

from charlm.config import CorpusConfig
from charlm.display import waiting as module
from charlm.display.progress import LogLines, in_touch
from charlm.display.waiting import MOST_TICKS, TICK, waiting
from charlm.text.corpus import encode_corpus
from charlm.text.vocab import Vocab
from charlm.training.events import Scoring, StepsDone
from tests.commands import SHORT, TEXT
from tests.display.test_progress import WHEN, Screen

STEP = StepsDone(**WHEN, loss_nats=1.0, grad_norm=0.5, chars_per_second=1.0)


@pytest.fixture
def quickly(monkeypatch):
    """Ten seconds go by in some hundredths of one."""
    monkeypatch.setattr(module, "TICK", 0.01)


@pytest.fixture
def err(monkeypatch) -> io.StringIO:
    """Standard error, which is no terminal."""
    screen = io.StringIO()
    monkeypatch.setattr(module.Stderr, "write", lambda _, text: screen.write(text))
    return screen


def until(holds, seconds: float = 30.0) -> None:
    """Wait until it does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_ten_seconds_are_the_most():
    """A word that came just before a tick is followed by the next within ten seconds."""
    assert TICK * MOST_TICKS < 10


def test_silence_is_broken_again_and_again_with_what_was_told_last(quickly, err):
    """Where there is no terminal, though nothing new is told."""
    with waiting() as tell:
        until(lambda: err.getvalue().count("working: 0%") >= 2)
        tell("counting", 0.25)
        until(lambda: err.getvalue().count("counting: 25% after") >= 2)
    assert all(re.fullmatch(r"(working: 0|counting: 25)% after \d+ s", line) for line in err.getvalue().splitlines())


def test_short_work_is_silent(err):
    """What takes no time says nothing in a pipe."""
    with waiting() as tell:
        tell("counting", 0.5)
    assert err.getvalue() == ""


@pytest.mark.parametrize("ends", [contextlib.nullcontext(), pytest.raises(KeyboardInterrupt)], ids=["well", "by Ctrl-C"])
def test_nothing_goes_on_when_the_work_has_ended(quickly, err, ends):
    """However it ended, no thread is left and nothing more is said."""
    before = threading.active_count()
    with ends, waiting():
        until(err.getvalue)
        if not isinstance(ends, contextlib.nullcontext):
            raise KeyboardInterrupt
    assert threading.active_count() == before


def test_a_terminal_has_a_bar_that_is_gone_in_the_end(monkeypatch):
    """Its stage and share are shown."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with waiting() as tell:
        tell("reading", 0.1)
        time.sleep(0.15)
        tell("counting", 0.7)
    assert "counting" in screen.getvalue()
    assert " 70%" in screen.getvalue()
    assert screen.getvalue().rsplit("\r", 2)[-2].strip() == ""


def test_a_new_stage_begins_with_its_own_share(monkeypatch):
    """Not with that of the stage before it, for as long as nothing more is told."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with waiting() as tell:
        tell("reading", 1.0)
        tell("measuring", 0.0)
    shown = [line for line in screen.getvalue().split("\r") if "measuring" in line]
    assert shown
    assert all("  0%" in line for line in shown)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (STEP, "step     30  at work"),
        (
            Scoring(**WHEN, what="scoring the best model exactly", scored=0.4),
            "step     30  scoring the best model exactly: 40%",
        ),
    ],
)
def test_a_log_says_where_the_run_is(quickly, err, event, says):
    """Between the lines of a log, when they are far apart."""
    reporter = LogLines()
    with in_touch(reporter):
        reporter.report(event)
        until(lambda: says in err.getvalue())


def test_a_log_that_is_written_often_is_left_alone(err, monkeypatch):
    """No line is added to those that come anyway."""
    monkeypatch.setattr(module, "TICK", 0.2)
    reporter = LogLines()
    with in_touch(reporter):
        for _ in range(100):
            reporter.report(STEP)
            time.sleep(0.01)
    assert "at work" not in err.getvalue()


def test_what_is_quiet_stays_so(charlm, quickly, monkeypatch):
    """Neither reading a text nor training on it says a word then."""
    monkeypatch.setattr("charlm.text.corpus.Vocab.from_counts", slowly(Vocab.from_counts))
    Path("t.txt").write_text(TEXT)
    assert charlm("train", "t.txt", *SHORT, "--quiet", "--out", "a").err == ""
    assert "reading the text: 100% after" in charlm("train", "t.txt", *SHORT, "--out", "b").err


def slowly(real):
    def slow(*arguments):
        time.sleep(0.2)
        return real(*arguments)

    return slow


def test_the_reading_of_a_text_is_told(tmp_path):
    """Both times it is read, chunk by chunk, up to its end."""
    (tmp_path / "t").write_bytes(b"the cat sat. " * 300_000)
    told: list[tuple[str, float]] = []
    encode_corpus([str(tmp_path / "t")], CorpusConfig(), tmp_path / "ids", lambda *each: told.append(each))
    assert told[0] == ("copying the text", 0.0)
    for stage in ("reading the text", "encoding the text"):
        shares = [share for each, share in told if each == stage]
        assert len(shares) >= 4
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("command", "stage"),
    [
        (("eval", "t.txt"), "scoring: "),
        (("sample", "--num-samples", "2", "--length", "3000"), "drawing: "),
        (("inspect-cells", "t.txt"), r"[a-z ]+: \d+% after"),
    ],
    ids=lambda each: each[0],
)
def test_every_command_that_may_take_long_says_where_it_is(charlm, quickly, command, stage):
    """In a pipe, on standard error; standard output is what it was."""
    Path("t.txt").write_text(TEXT * (100 if command[0] == "eval" else 9))
    assert charlm("train", "t.txt", *SHORT, "--quiet").status == 0
    result = charlm(*command, *(["--seed", "1"] if command[0] == "sample" else []))
    assert result.status == 0, result.err
    assert re.search(stage, result.err)
    assert not re.search(stage, result.text)
