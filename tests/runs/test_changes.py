"""What has changed since a run was stopped, its text, its machine or its record: said in a line, or refused."""

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from charlm.display.terminal import visible_line
from charlm.errors import Interrupted
from tests.commands import TEXT, TINY, is_error, trained
from tests.runs.reference import go_on, set_record, signal_at_step

SINCE: dict[str, Callable[[Path], object]] = {
    "t.txt has gone": lambda path: path.unlink(),
    "t.txt has changed": lambda path: path.write_text(TEXT + "!"),
    "": lambda path: os.utime(path, (0, 0)),
}


@pytest.mark.parametrize("notice", SINCE)
def test_the_corpus_file_is_not_needed_any_more(charlm, tmp_path: Path, notice):
    """A run goes on with its own copy, the same, though the text has gone or changed; one line says so, where it is so."""
    path = tmp_path / "t.txt"
    for out in ("a", "b"):
        path.write_text(TEXT)
        assert charlm("train", "t.txt", *TINY, "--max-steps", "5", "--out", out).status == 0
        if out == "b":
            SINCE[notice](path)
        result = charlm("train", "--resume", out, "--max-steps", "9")
        assert result.status == 0, result.err
    said = [line for line in result.err.splitlines() if "goes on with its own copy" in line]
    assert len(said) == bool(notice)
    assert notice in "".join(said)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


LESS_THAN_ITS_FILE: dict[str, tuple[str, tuple[str, ...]]] = {
    "each letter in three": (unicodedata.normalize("NFD", "각난닫랄맘밥삿앙잦찿칵탙팦핳\n" * 30), ("--normalize", "NFC")),
    "far apart": ("".join(f"{word}{'=' * 70}" for word in ["cat", "mat", "rat sat"] * 30), ("--documents", "=" * 70)),
}


@pytest.mark.parametrize("is_changed", [False, True])
@pytest.mark.parametrize("how", LESS_THAN_ITS_FILE)
def test_a_file_of_which_little_is_learned_has_not_changed_for_that(charlm, tmp_path: Path, how, is_changed):
    """Where a normal form makes one character of several, or much stands between documents, only a change is one."""
    text, options = LESS_THAN_ITS_FILE[how]
    run = trained(tmp_path, text, *options)
    raw = (tmp_path / "t.txt").read_bytes()
    assert len(raw) > 8 * (run / "corpus.bin").stat().st_size
    (tmp_path / "t.txt").write_bytes(raw[:-1] if is_changed else raw)
    result = charlm("train", "--resume", run, "--max-steps", "7")
    assert result.status == 0, result.err
    assert ("t.txt has changed since the run began" in result.err) == is_changed
    assert ("own copy" in result.err) == is_changed


def test_a_text_from_a_pipe_is_not_looked_for(charlm):
    """What was read from standard input cannot be compared, and nothing is said of it."""
    assert charlm("train", "-", *TINY, "--max-steps", "5", stdin=TEXT.encode()).status == 0
    assert "own copy" not in charlm("train", "--resume", "stdin", "--max-steps", "9").err


def test_another_number_of_threads_is_said_to_add_up_otherwise(new_run):
    """A resumption that cannot be bit-exact says so."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(4))
    machine = json.loads((folder / "run.json").read_text())["machine"]
    set_record(folder, machine=machine | {"torch": "1.0", "processor": "Z80"})
    said = [notice for notice in go_on(folder).notices if "not bit-exact" in notice]
    assert len(said) == 1
    assert "torch 1.0 -> " in said[0]
    assert "processor Z80 -> " in said[0]


def test_a_run_in_bfloat16_goes_on_on_a_machine_without(charlm, tmp_path, monkeypatch):
    """In the best precision that there is, with one line that says so, to the same end in steps."""
    (tmp_path / "t.txt").write_text(TEXT)
    monkeypatch.setattr("charlm.model.devices.runs", lambda *_: True)
    begin = ("train", "t.txt", "--cell", "gru", *TINY, "--precision", "bf16")  # a GRU runs in it on any processor
    assert charlm(*begin, "--max-steps", "4", "--out", "run", "--quiet").status == 0
    monkeypatch.setattr("charlm.model.devices.runs", lambda precision, _: precision == "fp32")
    result = charlm("train", "--resume", "run", "--max-steps", "8")
    assert result.status == 0, result.err
    assert [line for line in result.err.splitlines() if "bf16" in line] == [
        "not bit-exact from here on: precision bf16 -> fp32"
    ]


def test_a_fact_that_an_earlier_charlm_did_not_keep_has_not_changed(new_run):
    """What run.json does not say of the machine that the run was begun on is not said to be another now."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(4))
    machine = json.loads((folder / "run.json").read_text())["machine"]
    set_record(folder, machine={name: fact for name, fact in machine.items() if name not in ("torch", "processor")})
    assert not [notice for notice in go_on(folder).notices if "not bit-exact" in notice]


def test_a_record_that_was_edited_is_said_to_be(new_run):
    """Settings in run.json that the saved state was not trained with make another run of it, and one line says which."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(4))
    training = json.loads((folder / "run.json").read_text())["training"]
    set_record(folder, training=training | {"clip_norm": 0.5})
    said = [notice for notice in go_on(folder).notices if "not bit-exact" in notice]
    assert said == ["not bit-exact from here on: run.json was changed: clip_norm 1.0 -> 0.5"]


EDITS: dict[str, Callable[[dict], dict]] = {
    "end 40 steps -> 80 steps": lambda record: {"end": record["end"] | {"amount": 80}},
    "validation": lambda record: {"splits": record["splits"] | {"validation": record["splits"]["validation"] - 1}},
    "vocab_sha256": lambda record: {"vocab": record["vocab"] | {"symbols": record["vocab"]["symbols"][:-1] + "z"}},
}


@pytest.mark.parametrize("what", EDITS)
@pytest.mark.parametrize("left", ["last.safetensors", "previous.safetensors"])
def test_no_edit_of_a_record_is_silent(new_run, what, left):
    """Whatever it is that decides what the next step does: one line says that it is no longer what it was."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    if left == "previous.safetensors":
        (folder / "last.safetensors").unlink()
    set_record(folder, **EDITS[what](json.loads((folder / "run.json").read_text())))
    said = [notice for notice in go_on(folder).notices if "not bit-exact" in notice]
    assert len(said) == 1
    assert what in said[0]


def test_the_state_before_the_last_says_too_what_has_changed(new_run):
    """What a crash between two renames leaves is resumed with the same remarks."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    (folder / "last.safetensors").unlink()
    machine = json.loads((folder / "run.json").read_text())["machine"]
    set_record(folder, machine=machine | {"torch": "1.0"})
    assert [notice for notice in go_on(folder).notices if "torch 1.0 -> " in notice]


def test_a_record_that_claims_a_larger_model_is_not_believed(charlm, new_run):
    """No memory is taken for a model that no saved state could hold."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(4))
    model = json.loads((folder / "run.json").read_text())["model"]
    set_record(folder, model=model | {"hidden_size": 2000, "num_layers": 2})
    is_error(charlm("train", "--resume", "run", "--quiet"), 1, "too small for the model")


def test_an_edit_that_no_state_fits_is_named(charlm, new_run):
    """Where run.json was changed so that nothing saved fits it, the change is said, and not only that nothing fits."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    training = json.loads((folder / "run.json").read_text())["training"]
    set_record(folder, training=training | {"batch_size": 3})
    is_error(charlm("train", "--resume", "run", "--quiet"), 1, "run.json was changed: batch_size 4 -> 3")


@pytest.mark.parametrize("name", ["a\nb.txt", "a\rcharlm: error: fake.txt", "\x1b[2J.txt"])
def test_the_name_of_a_text_is_never_a_line_of_its_own(charlm, tmp_path: Path, name):
    """Where a file is named, what follows a line's end in its name does not look like something we said."""
    (tmp_path / name).write_text(TEXT)
    result = charlm("train", name, *TINY, "--max-steps", "3", "--out", "run")
    (tmp_path / name).unlink()
    again = charlm("train", "--resume", "run", "--max-steps", "5")
    said = [line for line in again.err.splitlines() if "own copy" in line]
    assert len(said) == 1
    assert f"{visible_line(name)} has gone" in said[0]
    assert result.status == again.status == 0
    assert not {"\r", "\x1b"} & set(result.err + again.err)
