"""The end of a run that is resumed: it may be moved, with a word, and a run has one."""

import itertools
import json
import shutil

import pytest

from charlm.config import End
from charlm.errors import Interrupted, RunError
from tests.commands import is_error
from tests.runs.reference import (
    STEPS,
    assert_metrics_grow,
    assert_same_end,
    go_on,
    set_record,
    signal_at_step,
)


@pytest.mark.parametrize(
    ("option", "value", "step"), [("--max-steps", "50", 50), ("--epochs", "4", 52), ("--max-steps", "15", 15)]
)
def test_moving_the_end_says_so_and_is_recorded(charlm, new_run, option, value, step):
    """A new end re-stretches the schedule, with a notice, and stays the run's end."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(11))
    result = charlm("train", "--resume", "run", option, value, "--json")
    assert result.status == 0, result.err
    assert f"the end moves from {STEPS} steps to {step} steps" in result.err
    assert "learning rate" in result.err
    assert json.loads(result.text.splitlines()[-1])["step"] == step
    assert json.loads((folder / "run.json").read_text())["end"] == {"unit": "steps", "amount": step}
    assert_metrics_grow(folder)


def test_the_same_end_again_is_no_move(charlm, new_run, whole):
    """Saying the end that a run has already changes nothing."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(11))
    result = charlm("train", "--resume", "run", "--max-steps", str(STEPS))
    assert "the end moves" not in result.err
    assert_same_end(folder, whole["lstm"])


@pytest.mark.parametrize(
    "end",
    [
        {"max_steps": None, "epochs": None, "max_seconds": None},
        {"max_steps": None, "epochs": 2.0, "max_seconds": None},
        {"max_steps": 5, "epochs": None, "max_seconds": 5.0},
        {"unit": "epochs", "amount": 2.0},
        {"unit": "years", "amount": 2},
        {"unit": "steps", "amount": 2.5},
        {"unit": "steps"},
        {},
        5,
    ],
)
def test_a_record_must_have_one_end(charlm, new_run, end):
    """A run without an end, or with one that is not in steps or seconds, is an error that names the field."""
    set_record(new_run(), end=end)
    is_error(charlm("train", "--resume", "run", "--max-steps", "50", "--quiet"), 1, "end")


def test_an_end_moved_to_where_the_run_stands_is_evaluated(new_run):
    """A run that is over because its end came to it is scored at its last step like any other."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    go_on(folder, end=End("steps", 25))
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["event"] == "eval"] == [10, 20, 25]


@pytest.mark.parametrize("end", [End("steps", STEPS - 1), End("seconds", 1e-9)])
def test_an_end_that_is_behind_is_refused(whole, tmp_path, end):
    """A run that is past the end it is given says so, and its record stays as it was."""
    folder = tmp_path / "run"
    shutil.copytree(whole["lstm"], folder)
    before = (folder / "run.json").read_bytes()
    with pytest.raises(RunError, match="already past"):
        go_on(folder, end=end)
    assert (folder / "run.json").read_bytes() == before


def test_a_run_limited_by_time_goes_on_with_the_time_it_had_left(new_run, monkeypatch):
    """Seconds count on from where they were saved, by a clock that no one can set back."""
    folder = new_run()
    set_record(folder, end={"unit": "seconds", "amount": 100.0})
    clock = itertools.count()  # a second at each look
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("time.time", lambda: -float(next(clock)))
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(9))
    saved = [json.loads(line)["seconds"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert 10 <= saved[-1] < 50
    go_on(folder)
    seconds = [json.loads(line)["seconds"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert seconds == sorted(seconds)
    assert seconds[len(saved)] - saved[-1] < 5
    assert 100 <= seconds[-1] < 105
