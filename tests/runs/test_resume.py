"""A run that was stopped or killed ends as one that was not, bit for bit."""

import contextlib
from pathlib import Path

import pytest

from charlm.errors import CharlmError, Interrupted, RunError
from charlm.files import folder_lock
from charlm.runs.drive import drive
from charlm.runs.folder import open_run
from charlm.training.events import Event
from tests.commands import TEXT, TINY, is_error
from tests.conftest import CELLS
from tests.runs.reference import (
    LABELLED,
    STEPS,
    PowerCut,
    Silent,
    assert_metrics_grow,
    assert_same_end,
    cut_at_event,
    go_on,
    set_record,
    signal_at_step,
)


@pytest.mark.parametrize("name", [*CELLS, *LABELLED, "documents"])
def test_an_interrupted_run_ends_like_one_that_was_not(new_run, whole, name):
    """40 steps are the same bit for bit as 20 steps, a signal, and a resumption."""
    folder = new_run(name)
    with pytest.raises(Interrupted) as stopped:
        go_on(folder, signal_at_step(19))
    assert "at step 20" in stopped.value.message
    assert "at step 20" in go_on(folder).notices[0]
    assert_same_end(folder, whole[name])
    assert_metrics_grow(folder)


@pytest.mark.parametrize("name", ["lstm", *LABELLED, "documents"])
def test_a_run_interrupted_again_and_again_ends_the_same(new_run, whole, name):
    """Any number of interruptions, in the middle of epochs and of reports, change nothing."""
    folder = new_run(name)
    for step in (1, 4, 9, 13, 25, 38):
        with pytest.raises(Interrupted):
            go_on(folder, signal_at_step(step))
    go_on(folder)
    assert_same_end(folder, whole[name])
    assert_metrics_grow(folder)


EVENTS = [("lstm", number) for number in (1, 5, 11, 12, 13, 24, 36, 48, 49)]
EVENTS += [(name, number) for name in ("classify", "documents") for number in (13, 36)]
EVENTS += [pytest.param(name, number, marks=pytest.mark.slow) for name in ("tag", "restore") for number in (13, 36)]


@pytest.mark.parametrize(("name", "number"), EVENTS)
def test_a_run_killed_at_any_event_ends_the_same(new_run, whole, name, number):
    """A process that ends without a word, at whatever event, costs time only."""
    folder = new_run(name)
    with pytest.raises(PowerCut):
        go_on(folder, cut_at_event(number))
    go_on(folder)
    assert_same_end(folder, whole[name])
    assert_metrics_grow(folder)


RENAMES = [("lstm", call) for call in (1, 2, 3, 4, 5)] + [(name, call) for name in LABELLED for call in (4,)]


@pytest.mark.parametrize(("name", "call"), RENAMES)
@pytest.mark.parametrize("after", [False, True])
def test_a_run_killed_at_any_rename_ends_the_same(new_run, whole, monkeypatch, name, call, after):
    """A process that ends just before or after any file is put in its place costs time only."""
    folder, real, calls = new_run(name), Path.replace, []

    def cut(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == call:
            if after:
                real(self, target)
            raise PowerCut
        return real(self, target)

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(PowerCut):
        go_on(folder)
    monkeypatch.undo()
    go_on(folder)
    assert_same_end(folder, whole[name])
    assert_metrics_grow(folder)


def test_a_run_killed_before_its_first_save_starts_over(new_run, whole, charlm):
    """Without anything saved, resuming is starting."""
    folder = new_run()
    result = charlm("train", "--resume", str(folder))
    assert result.status == 0
    assert_same_end(folder, whole["lstm"])


def test_resuming_a_finished_run_says_so_and_changes_nothing(charlm, new_run):
    """A run at its end stays as it is, to the byte."""
    folder = new_run()
    assert charlm("train", "--resume", "run").status == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = charlm("train", "--resume", "run")
    assert result.status == 0
    assert f"already trained to its end, step {STEPS}" in result.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


OTHER_OPTIONS = [
    ("--hidden-size", "9"),
    ("--seed", "2"),
    ("--seed", "0"),
    ("--dropout", "0"),
    ("--learning-rate", "1"),
    ("--cell", "gru"),
    ("--cell", "lstm"),
    ("--out", "elsewhere"),
    ("--overwrite",),
    ("--symbols", "byte"),
    ("--eval-every", "3"),
]


@pytest.mark.parametrize("option", OTHER_OPTIONS, ids=" ".join)
def test_resuming_takes_no_other_option(charlm, new_run, option):
    """What a run was started with is not said again, and cannot be changed."""
    new_run()
    is_error(charlm("train", "--resume", "run", *option), 2, option[0])


def test_resuming_takes_no_corpus(charlm, new_run, tmp_path: Path):
    """A run has its corpus already."""
    (tmp_path / "t.txt").write_text(TEXT)
    new_run()
    is_error(charlm("train", "t.txt", "--resume", "run"), 2, "CORPUS")


def test_two_trainers_do_not_share_a_folder(charlm, new_run):
    """While one process trains a run, another gets an error, and changes nothing."""
    folder = new_run()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with folder_lock(folder):
        is_error(charlm("train", "--resume", "run", "--max-steps", "99", "--quiet"), 1, "another process")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_run_is_found_by_its_path_and_by_its_name(charlm, tmp_path: Path):
    """--resume takes a path, or a name under checkpoints/."""
    (tmp_path / "t.txt").write_text(TEXT)
    assert charlm("train", "t.txt", *TINY, "--max-steps", "3").status == 0
    for name in ("t", "checkpoints/t", str(tmp_path / "checkpoints" / "t")):
        assert charlm("train", "--resume", name).status == 0


def test_a_run_that_was_replaced_while_it_was_opened_is_left_alone(new_run):
    """What was read before the folder was held must still be so when it is."""
    folder = new_run()
    run = open_run(folder)
    set_record(folder, started="later")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunError, match="changed by another process"):
        drive(run, Silent())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("step", [1, 17, 20, STEPS])
def test_a_screen_that_has_gone_costs_no_work(new_run, whole, step):
    """When showing an event fails, the run stops with everything saved, and resumed it ends as if nothing had been."""

    def broken(event: Event) -> None:
        if event.step == step:
            raise BrokenPipeError

    folder = new_run()
    with pytest.raises(BrokenPipeError):
        go_on(folder, broken)
    assert (folder / "model.safetensors").exists()
    go_on(folder)
    assert_same_end(folder, whole["lstm"])


def test_nothing_but_the_runs_files_is_left(new_run):
    """Interrupted, resumed and finished, a run has left no temporary file."""
    folder = new_run()
    with contextlib.suppress(CharlmError):
        go_on(folder, signal_at_step(5))
    go_on(folder)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
