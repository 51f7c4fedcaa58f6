"""A disk that takes nothing, or half a line: what could not be saved is saved later, or said at the end."""

import contextlib
from pathlib import Path

import pytest
import torch

from benchmarks.reliability.faults import Op, Watch
from charlm.checkpoint.model import load_model
from charlm.errors import Interrupted, RunError
from charlm.runs.drive import drive
from charlm.runs.folder import open_run
from charlm.training.events import Event
from tests.commands import is_error
from tests.runs.reference import (
    Silent,
    assert_metrics_grow,
    assert_same_end,
    go_on,
    signal_at_step,
)


def test_a_scoring_that_cannot_be_saved_says_how_to_go_on(charlm, new_run, whole, monkeypatch):
    """The disk may be full at the very end, too."""
    from charlm.runs import finish as module

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder = new_run()
    with monkeypatch.context() as patch:
        patch.setattr(module, "save_model", full)
        is_error(charlm("train", "--resume", "run", "--quiet"), 1, "No space left", "charlm train --resume run")
    go_on(folder)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


def test_a_line_of_the_metrics_that_was_half_written_is_taken_back(new_run, whole):
    """A disk that takes half a line takes it whole, later, once."""
    folder, torn = new_run(), []

    def act(_number: int, op: Op) -> int | None:
        if op.kind == "write" and op.path.endswith("metrics.jsonl") and len(torn) < 5:
            torn.append(op)
            return len(op.data) // 2
        return None

    with Watch(folder, act).watching():
        go_on(folder)
    assert len(torn) == 5
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == len((whole["lstm"] / "metrics.jsonl").read_text().splitlines())
    assert_metrics_grow(folder)


class Full:
    """A disk that takes nothing from its write number `first` on, `times` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, first: int, times: int) -> None:
        from charlm.runs import disk

        self.writes, self.first, self.times, self.real = 0, first, times, disk.write_atomically
        monkeypatch.setattr(disk, "write_atomically", self)

    def __call__(self, path: Path, contents: bytes, keep: Path | None = None) -> None:
        self.writes += 1
        if self.first <= self.writes < self.first + self.times:
            raise OSError(28, "No space left on device", str(path))
        self.real(path, contents, keep)


@pytest.mark.parametrize("first", range(2, 10))
@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_disk_that_is_full_for_a_while_costs_nothing(new_run, whole, monkeypatch, first, times):
    """A save that fails is said, training goes on, the next save makes up for it, and the run ends as if nothing had been."""
    folder = new_run()
    with monkeypatch.context() as patch:
        full = Full(patch, first, times)
        reporter = Silent()
        with contextlib.suppress(RunError):
            drive(open_run(folder), reporter, report_seconds=0.0)
    assert [notice for notice in reporter.notices if "could not be saved: No space left on device" in notice]
    if full.writes >= first + times:
        assert [notice for notice in reporter.notices if "saved again" in notice]
    go_on(folder)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


def test_a_disk_that_stays_full_fails_at_the_end(new_run, whole, monkeypatch):
    """What could not be saved is an error that says how to go on, and what had been saved is still there."""
    folder = new_run()
    with monkeypatch.context() as patch:
        Full(patch, 4, 10**9)
        with pytest.raises(RunError, match="No space left") as error:
            go_on(folder)
    assert "charlm train --resume" in error.value.hint
    go_on(folder)
    assert_same_end(folder, whole["lstm"])


def test_a_folder_that_takes_no_files_fails_before_the_first_step(new_run, monkeypatch):
    """Whoever cannot save is told so at once."""
    folder = new_run()
    steps: list[Event] = []
    Full(monkeypatch, 1, 10**9)
    with pytest.raises(RunError, match="cannot be written to"):
        go_on(folder, steps.append)
    assert steps == []


def test_a_model_without_a_score_is_as_new_as_the_last_save(new_run, monkeypatch):
    """Before the first evaluation every save keeps the model as it then is."""
    monkeypatch.setattr("charlm.training.loop.SAVE_SECONDS", 0.0)
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(5))
    assert load_model(folder / "model.safetensors", torch.device("cpu"))[1].step == 6
