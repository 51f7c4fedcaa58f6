"""Files of a run that are damaged, gone or a stranger's: it goes on from what is whole and says so, or is one line of error."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from charlm.checkpoint.model import load_model
from charlm.errors import Interrupted, RunError
from charlm.tensorfile import TensorFile
from tests.commands import TEXT, TINY, is_error
from tests.runs.reference import DAMAGE, STEPS, assert_metrics_grow, assert_same_end, flip, go_on, set_record, signal_at_step


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_last_state_falls_back_to_the_one_before(new_run, whole, how):
    """With last.safetensors damaged, previous.safetensors goes on, says so, and ends the same."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    DAMAGE[how](folder / "last.safetensors")
    reporter = go_on(folder)
    assert any("last.safetensors" in notice and "previous.safetensors" in notice for notice in reporter.notices)
    assert any("at step 20" in notice for notice in reporter.notices)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


def test_both_states_damaged_is_an_error(charlm, new_run):
    """With nothing to go on from, a run says so in its last line, and the model file stays."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    model = (folder / "model.safetensors").read_bytes()
    for name in ("last.safetensors", "previous.safetensors"):
        flip(folder / name)
    result = charlm("train", "--resume", "run", "--quiet")
    is_error(result, 1, "previous.safetensors", "hash")
    assert (folder / "model.safetensors").read_bytes() == model


SPOILED: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda folder: (folder / "run.json").write_text("{"),
    "not an object": lambda folder: (folder / "run.json").write_text("[]"),
    "short corpus": lambda folder: os.truncate(folder / "corpus.bin", 100),
    "no corpus": lambda folder: (folder / "corpus.bin").unlink(),
    "one bit of the corpus": lambda folder: flip(folder / "corpus.bin"),
    "no hash": lambda folder: set_record(folder, ids_sha256=None),
    "a vocabulary that is smaller": lambda folder: set_record(folder, vocab={"kind": "char", "start": 0, "symbols": "\nabc"}),
    "a record without end": lambda folder: os.truncate(folder / "run.json", 1 << 25),
    "bad bytes": lambda folder: (folder / "run.json").write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_run_folder_is_one_line_of_error(charlm, new_run, how):
    """A run folder that cannot be opened is an error that names it."""
    SPOILED[how](new_run())
    is_error(charlm("train", "--resume", "run"), 1, "run")


@pytest.mark.parametrize("torn", [b'{"event": "st', b"\xff\xfe", b"[]\n", b'{"event": "step"}\n', b"\n\n"])
def test_a_torn_line_in_the_metrics_is_dropped(new_run, whole, torn):
    """What a crash left at the end of metrics.jsonl is no obstacle."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    go_on(folder)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


def test_a_fall_back_keeps_the_good_state_until_there_are_two(new_run):
    """The state that a damaged one is replaced by does not push out the one before, which was gone on from."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    flip(folder / "last.safetensors")
    good = (folder / "previous.safetensors").read_bytes()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(22))
    assert (folder / "previous.safetensors").read_bytes() == good
    with TensorFile(folder / "last.safetensors", "training") as file:
        assert file.head["position"]["step"] == 23


@pytest.mark.parametrize("gone", [("last",), ("last", "previous")])
def test_a_state_that_is_gone_is_said_to_be(new_run, whole, gone):
    """Going on from less than was there is never silent."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    for name in gone:
        (folder / f"{name}.safetensors").unlink()
    said = " ".join(go_on(folder).notices)
    assert ("last.safetensors is not there" in said) == (len(gone) == 1)
    assert ("starts from the beginning" in said) == (len(gone) == 2)
    assert_same_end(folder, whole["lstm"])


def test_what_is_no_file_is_no_state(new_run, whole):
    """A pipe in the place of a state, or a folder in that of litter, keeps no run from going on."""
    folder = new_run()
    os.mkfifo(folder / "last.safetensors")
    (folder / ".x.tmp").mkdir()
    (folder / ".last.safetensors.01234567.tmp").mkdir()
    go_on(folder)
    assert_same_end(folder, whole["lstm"])


RECORDS = {
    "large": b" " * (1 << 25),
    "lists": b"[" + b"[]," * (1 << 20) + b"0]",
    "numbers": b"[" + b"1e9," * (1 << 20) + b"0]",
    "deep": b"[" * 4000,
    "infinite": b'{"number": Infinity}',
    "late": b'{"number": 9007199254740991}',
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_strangers_record_is_read_within_bounds(charlm, new_run, what):
    """A run.json of any kind takes little memory, is no obstacle to other runs, and does not make its run the newest."""
    folder = new_run()
    (Path("checkpoints") / "strange").mkdir(parents=True)
    (Path("checkpoints") / "strange" / "run.json").write_bytes(RECORDS[what])
    (Path("checkpoints") / "strange" / "model.safetensors").write_bytes(b"")
    (folder.parent / "t.txt").write_text(TEXT)
    assert charlm("train", "t.txt", *TINY, "--max-steps", "2").status == 0
    tracemalloc.start()
    result = charlm("info")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert result.status == 0
    assert "checkpoints/t/model" in result.err
    is_error(charlm("train", "--resume", "strange", "--quiet"), 1, "strange")


@pytest.mark.parametrize("how", [*(name for name in DAMAGE if name != "a model"), "gone"])
@pytest.mark.parametrize("step", [24, STEPS])
def test_a_damaged_model_is_said_and_chosen_anew(new_run, how, step):
    """Without its best model a run goes on, says so, and ends with one that was evaluated and scored."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    if step == STEPS:
        go_on(folder)
    (DAMAGE | {"gone": Path.unlink})[how](folder / "model.safetensors")
    reporter = go_on(folder)
    assert [notice for notice in reporter.notices if "model.safetensors" in notice and "takes its place" in notice]
    _, card = load_model(folder / "model.safetensors", torch.device("cpu"))
    assert card.step in (30, STEPS)
    assert card.scores.exact


def test_a_fall_back_is_not_lost_to_the_next_save(new_run, whole, monkeypatch):
    """After a damaged newest state, the good one before it stays until a new one is whole."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    flip(folder / "last.safetensors")

    from charlm.runs import disk

    real = disk.write_atomically

    def full(path: Path, contents: bytes, keep: Path | None = None) -> None:
        if path.name == "last.safetensors":
            raise OSError(28, "No space left on device")
        real(path, contents, keep)

    monkeypatch.setattr(disk, "write_atomically", full)
    with pytest.raises(RunError, match="No space"):
        go_on(folder)
    monkeypatch.undo()
    go_on(folder)
    assert_same_end(folder, whole["lstm"])
