"""Runs that learn labels: what is damaged or does not fit is one line; patience, a moved end, and what takes whose place."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch

from benchmarks.machine import last_of_each
from benchmarks.reliability.figure import KINDS
from charlm.checkpoint.format import to_bytes
from charlm.checkpoint.model import load_model
from charlm.config import End
from charlm.errors import Interrupted
from charlm.files import folder_lock
from charlm.model.devices import CPU
from charlm.runs.data import window_of
from charlm.runs.folder import open_run
from charlm.tensorfile import TensorFile
from charlm.training.events import Event, RunDone
from tests.commands import SHORT, TINY, is_error, trained
from tests.runs.reference import (
    LABELLED,
    PowerCut,
    assert_metrics_grow,
    assert_same_end,
    cut_at_event,
    flip,
    go_on,
    set_record,
    signal_at_step,
)


def record_of(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


SPOILED: dict[str, Callable[[Path], object]] = {
    "short": lambda folder: os.truncate(folder / "examples.bin", 100),
    "empty": lambda folder: os.truncate(folder / "examples.bin", 0),
    "long": lambda folder: (folder / "examples.bin").write_bytes((folder / "examples.bin").read_bytes() + b"\0"),
    "gone": lambda folder: (folder / "examples.bin").unlink(),
    "a bit of its bounds": lambda folder: flip(folder / "examples.bin", 9),
    "a bit of its ids": lambda folder: flip(folder / "examples.bin"),
    "no labels": lambda folder: set_record(folder, labels=[]),
    "a label fewer": lambda folder: set_record(folder, labels=record_of(folder)["labels"][:1]),
    "labels that are numbers": lambda folder: set_record(folder, labels=[1, 2]),
    "labels that are a string": lambda folder: set_record(folder, labels="ab"),
    "no characters": lambda folder: set_record(folder, num_characters=0),
    "one character more": lambda folder: set_record(folder, num_characters=record_of(folder)["num_characters"] + 1),
    "fewer than none": lambda folder: set_record(folder, num_characters=-5),
    "too many": lambda folder: set_record(folder, num_characters=10**30),
    "another task": lambda folder: set_record(folder, training=record_of(folder)["training"] | {"task": "language"}),
    "one text more": lambda folder: set_record(folder, splits=(was := record_of(folder)["splits"]) | {"test": was["test"] + 1}),
}


@pytest.mark.parametrize("how", SPOILED)
@pytest.mark.parametrize("name", ["classify", "tag"])
def test_a_spoiled_run_of_labels_is_one_line_of_error(charlm, new_run, name, how):
    """Its copy of the examples and what its record says of them fit, or it cannot be opened."""
    SPOILED[how](new_run(name))
    is_error(charlm("train", "--resume", "run"), 1, "run")


@pytest.mark.parametrize("name", ["classify", "tag"])  # the text to be restored is too short for a test part
def test_the_test_part_is_scored_once(new_run, name):
    """A run that is over keeps its score, and says nothing of the test part again, whatever is then done with it."""
    folder = new_run(name)
    first, second = (next(event for event in go_on_events(folder) if isinstance(event, RunDone)) for _ in range(2))
    assert first.judgement is not None
    assert second.judgement is None
    _, card = load_model(folder / "model.safetensors", CPU)
    assert card.scores.test is not None
    assert card.scores.test.accuracy == first.judgement.model.accuracy.value


def go_on_events(folder: Path) -> list[Event]:
    """Resume the run; gives all that it reported."""
    seen: list[Event] = []
    go_on(folder, seen.append)
    return seen


@pytest.mark.parametrize("label", ["999999999 spaces", "a\tb", "no"])
def test_a_strangers_labels_are_read_within_bounds(charlm, new_run, label):
    """Those of a run that restores spaces are numbers of spaces that a screen can hold."""
    folder = new_run("restore")
    set_record(folder, labels=[label, *record_of(folder)["labels"][1:]])
    is_error(charlm("train", "--resume", "run"), 1, "run.json: labels")


@pytest.mark.parametrize("name", LABELLED)
def test_labels_that_changed_their_names_are_said_to_have(new_run, name):
    """Whoever edits them in run.json is told that the run is no longer what it was."""
    folder = new_run(name)
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(4))
    set_record(folder, labels=record_of(folder)["labels"][::-1])
    said = [notice for notice in go_on(folder).notices if "not bit-exact" in notice]
    assert len(said) == 1
    assert "labels_sha256" in said[0]


def rewritten(path: Path, change: Callable[[dict], object]) -> None:
    """Change the head of a model's file, with a hash that fits."""
    with TensorFile(path, "model") as file:
        head = file.head
    change(head)
    path.write_bytes(to_bytes(safetensors.torch.load(path.read_bytes()), head))


HEADS: dict[str, Callable[[dict], object]] = {
    "one label": lambda head: head.update(labels=head["labels"][:1]),
    "three labels": lambda head: head.update(labels=[*head["labels"], "z"]),
    "more labels than are ever learned": lambda head: head.update(labels=[str(number) for number in range(1001)]),
    "no label": lambda head: head.pop("labels"),
    "more than all right": lambda head: head["scores"].update(accuracy=1e300),
    "less than nothing found": lambda head: head["scores"]["test"].update(macro_f1=-0.5),
    "another task": lambda head: head["training"].update(task="language"),
    "the other task": lambda head: head["training"].update(task="tag") or head["model"].update(bidirectional=True),
}


@pytest.mark.parametrize("how", HEADS)
def test_a_model_whose_labels_do_not_fit_is_one_line_of_error(charlm, whole, tmp_path, how):
    """A file that says other labels, or another task, than its weights are for does not open; its run chooses a model anew."""
    shutil.copytree(whole["classify"], tmp_path / "run")
    rewritten(Path("run/model.safetensors"), HEADS[how])
    is_error(charlm("sample", "-c", "run"), 1, "run/model.safetensors")
    assert any("takes its place" in notice for notice in go_on(Path("run")).notices)
    assert load_model(Path("run/model.safetensors"), CPU)[1].labels == ("no", "yes")


def test_a_language_model_with_labels_is_one_line_of_error(charlm, whole, tmp_path):
    """Labels in a file of a model that gives none are no reason to fall over."""
    shutil.copytree(whole["lstm"], tmp_path / "run")
    rewritten(Path("run/model.safetensors"), lambda head: head.update(labels=["a", "b"]))
    is_error(charlm("sample", "-c", "run"), 1, "labels")
    set_record(Path("run"), labels=["a", "b"])
    is_error(charlm("train", "--resume", "run"), 1, "names 2 labels")


IMPATIENT = ("--patience", "2", "--max-steps", "400", "--eval-every", "1", "--learning-rate", "1")


def test_a_run_whose_patience_has_ended_is_over(charlm, tmp_path):
    """Resumed it changes nothing and says so; stopped before that, it ends as one that was not."""
    folder = trained(tmp_path, KINDS["classify"][1], *KINDS["classify"][2], *IMPATIENT, name="t.tsv")
    ended = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert (ended["event"], ended["step"] < 400) == ("done", True)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = charlm("train", "--resume", "t")
    assert result.status == 0
    assert f"trained to its end, step {ended['step']}, after which 2 evaluations found nothing better" in result.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    for path in again.iterdir():
        if path.name not in ("run.json", "examples.bin"):
            path.unlink()
    with pytest.raises(Interrupted):
        go_on(again, signal_at_step(ended["step"] - 2))
    go_on(again)
    assert_same_end(folder, again)


def test_a_moved_end_asks_for_more_than_patience_had(charlm, tmp_path):
    """Whoever gives a later end to a run that ended early gets more steps, as its last line had promised."""
    folder = trained(tmp_path, KINDS["classify"][1], *KINDS["classify"][2], *IMPATIENT, name="t.tsv")
    ended = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    result = charlm("train", "--resume", "t", "--max-steps", "500")
    assert result.status == 0
    assert f"resuming checkpoints/t at step {ended}" in result.err
    assert json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["step"] > ended


def test_a_moved_end_outlives_a_power_cut(tmp_path):
    """Cut off before its first save, a run whose end was moved past its patience goes on, and ends as one that was not."""
    folder = trained(tmp_path, KINDS["classify"][1], *KINDS["classify"][2], *IMPATIENT, name="t.tsv")
    cut = tmp_path / "cut"
    shutil.copytree(folder, cut)
    go_on(folder, end=End("steps", 500))
    with pytest.raises(PowerCut):
        go_on(cut, cut_at_event(1), end=End("steps", 500))
    go_on(cut)
    assert_same_end(folder, cut)


def test_a_lost_model_asks_for_more_than_patience_had(tmp_path):
    """A run that ended early and lost its best model seeks another; once it has, resuming changes nothing again."""
    folder = trained(tmp_path, KINDS["classify"][1], *KINDS["classify"][2], *IMPATIENT, name="t.tsv")
    (folder / "model.safetensors").unlink()
    go_on(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    go_on(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", LABELLED)
def test_a_run_of_labels_stopped_while_it_is_scored_is_scored_when_resumed(new_run, whole, monkeypatch, name):
    """The exact score that a signal cut short is taken by the resumption, and recorded."""
    from charlm.tasks import labels as module

    folder, real = new_run(name), module.LabelTask.score

    def interrupted(task, model, *, exact, **options):
        if exact:
            os.kill(os.getpid(), signal.SIGINT)
        return real(task, model, exact=exact, **options)

    monkeypatch.setattr(module.LabelTask, "score", interrupted)
    with pytest.raises(Interrupted):
        go_on(folder)
    monkeypatch.undo()
    go_on(folder)
    assert_same_end(folder, whole[name])
    assert_metrics_grow(folder)


@pytest.mark.parametrize("name", ["classify", "language"])
def test_a_run_takes_the_place_of_one_of_another_kind(charlm, tmp_path, name):
    """--overwrite leaves nothing of the run before; its files are all charlm's, whatever it learned."""
    for kind in (name, "classify" if name == "language" else "language"):
        file, text, options = KINDS[kind]
        Path(file).write_text(text)
        assert charlm("train", file, *last_of_each(*options, *SHORT), "--out", "run", "--overwrite", "--quiet").status == 0
    assert Path("run/examples.bin").exists() == (name == "language")
    assert Path("run/corpus.bin").exists() == (name != "language")
    with folder_lock(Path("run")):
        is_error(
            charlm("train", file, *last_of_each(*options, *SHORT), "--out", "run", "--overwrite", "--quiet"),
            1,
            "another process",
        )


@pytest.mark.parametrize("change", ["", "has gone", "has changed"])
@pytest.mark.parametrize("label", ["x", "a label so long that few bytes of the file are text"])
def test_the_source_of_labels_is_compared(charlm, change, label):
    """However long the labels are: a run says that its file has changed when it has, and only then."""
    path = Path("t.tsv")
    path.write_text(
        "".join(f"{letter}\t{label} {letter in 'aeiou'}\n" for letter in "the cat sat on the mat".replace(" ", "") * 9)
    )
    assert charlm("train", "t.tsv", "--task", "tag", *SHORT).status == 0
    if change == "has gone":
        path.unlink()
    elif change:
        path.write_text(path.read_text() + "a\tx\n")
    result = charlm("train", "--resume", "t", "--max-steps", "7")
    assert result.status == 0, result.err
    said = [line for line in result.err.splitlines() if "own copy" in line]
    assert [change in line for line in said] == [True] * bool(change)


def test_too_few_texts_are_said_to_be(charlm, tmp_path):
    """A batch that does not fit, and a part that no text fell into, are each a line in words that are right."""
    Path("t.tsv").write_text("aa\tx\nbb\ty\naa\tx\nbb\ty\n")
    result = charlm("train", "t.tsv", "--task", "classify", *last_of_each(*TINY, "--max-steps", "2", "--batch-size", "64"))
    assert result.status == 0
    assert "there are few texts: --batch-size 64 shrinks to 4" in result.err
    assert "there are too few different texts for a validation part, so there will be no score" in result.err


def test_texts_shorter_than_a_window_need_no_room_for_it(charlm, tmp_path):
    """--seq-len is how much of a text is read at most; memory is asked for what there is."""
    Path("t.tsv").write_text(KINDS["classify"][1])
    options = ("--task", "classify", "--hidden-size", "512", "--seq-len", str(1 << 20), "--max-steps", "1", "--quiet")
    assert charlm("train", "t.tsv", *options).status == 0
    run = open_run(Path("checkpoints/t"), threads=1)
    assert window_of(run.data, run.training) == max(len(line.split("\t")[0]) for line in KINDS["classify"][1].splitlines())


def test_pooling_is_of_texts(charlm, tmp_path):
    """Where each character has its own label there is nothing to choose."""
    Path("t.tsv").write_text(KINDS["tag"][1])
    is_error(charlm("train", "t.tsv", "--task", "tag", *SHORT, "--pooling", "max"), 2, "--pooling", "--task tag")


# What commit 7a706fc wrote of a language model's run: nothing that came with labels is in its files.
RECORD = {"argv", "files", "started", "number", "text", "machine", "model", "training", "end", "recipe", "vocab", "splits"}
HASHES = {"corpus_sha256", "ids_sha256"}
MODEL = {"cell", "embedding_size", "hidden_size", "num_layers", "dropout"}
READ = {"symbols", "encoding", "glob", "validation_fraction", "test_fraction"}
TRAINING = {"task", "batch_size", "seq_len", "optimiser", "learning_rate", "clip_norm", "seed", "eval_every", "sample_every"}
PLACE = {"device", "precision", "threads"}
CARD = {"kind", "model", "training", "text", "vocab", "splits", "corpus_sha256", "setting", "step", "scores"}
POSITION = {"step", "epoch", "window", "seconds", "evaluated_step", "best_nats", "scale", "scale_growth"}
ABOUT = {"model", "training", "end", "splits", "ids_sha256", "vocab_sha256"}


def test_the_files_of_a_language_model_have_no_new_field(whole):
    """An earlier charlm opens them: no field of labels, of patience or of an origin is there."""
    folder = whole["lstm"]
    record = record_of(folder)
    assert record.keys() == RECORD | HASHES
    with TensorFile(folder / "model.safetensors", "model") as file:
        card = file.head
    with TensorFile(folder / "last.safetensors", "training") as file:
        state = file.head
    assert card.keys() == CARD
    assert card["scores"].keys() == {"validation_nats", "exact"}
    assert state.keys() == {"kind", "position", "run"}
    assert state["position"].keys() == POSITION
    assert state["run"].keys() == ABOUT
    for within in (record, card, state["run"]):
        assert within["model"].keys() == MODEL
        assert within["training"].keys() == TRAINING | PLACE
    assert record["text"].keys() == card["text"].keys() == READ
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    when = {"event", "step", "seconds", "progress"}
    assert {row["event"]: row.keys() - when for row in rows} == {
        "step": {"train_nats", "grad_norm", "chars_per_second"},
        "eval": {"validation_nats", "validation_bpc", "is_best"},
        "sample": {"text"},
        "done": {"validation_nats", "validation_bpc", "checkpoint"},
    }
    assert not (folder / "examples.bin").exists()


NOW = {"step": 0, "seconds": 0.0, "progress": 0.0}


def labels_of(kind: str) -> list[str]:
    """As many labels as a run may have, each as long, or all with as many commas and brackets, as they may have."""
    if kind == "long":
        return [f"{number:03}".ljust(100, "\U0001d54f") for number in range(1000)]
    return [f"{number:03},{'[' if number < 1000 else ''}" for number in range(1000)]


@pytest.mark.parametrize("kind", ["long", "marks"])
def test_the_most_labels_that_are_taken_make_a_run_that_opens(monkeypatch, tmp_path, kind):
    """What is read within bounds, run.json and the head of a model, has room for all that is let in."""
    rows = [f"text {number}\t{label}\n" for number, label in enumerate(labels_of(kind) * 2)]
    with monkeypatch.context() as patch:
        patch.setattr("charlm.runs.drive.drive", lambda *_, **__: RunDone(**NOW, validation_nats=None, checkpoint=""))
        folder = trained(tmp_path, "".join(rows), "--task", "classify", name="t.tsv")
    for step in (1, 3):
        with pytest.raises(Interrupted):  # before baselines are fitted, which takes a while with so many
            go_on(folder, signal_at_step(step))
        assert len(load_model(folder / "model.safetensors", CPU)[1].labels) == 1000


TOO_MUCH = {
    "too long": ("x" * 101, "line 1: the label", "101 characters"),
    "too many marks": ("," * 90, "commas and brackets"),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_labels_that_no_file_could_hold_are_refused_at_once(charlm, tmp_path, what):
    """Before anything is trained, and by a line that says what is too much."""
    label, *said = TOO_MUCH[what]
    Path("t.tsv").write_text(
        "".join(f"text {number}\t{label}{number % 30 if label[0] == ',' else ''}\n" for number in range(60))
    )
    is_error(charlm("train", "t.tsv", "--task", "classify", *SHORT), 1, *said)
    assert not Path("checkpoints").exists()


def test_an_origin_that_does_not_fit_is_one_line(charlm, tmp_path):
    """Sizes in run.json that are not those of the model that the run begins with, and a model of other symbols."""
    (tmp_path / "t.txt").write_text(KINDS["language"][1])
    (tmp_path / "t.tsv").write_text(KINDS["classify"][1])
    begin = ("train", "t.tsv", "--task", "classify", "--batch-size", "4", "--max-steps", "2", "--quiet", "--init-from")
    assert charlm("train", "t.txt", *SHORT, "--symbols", "byte", "--out", "bytes").status == 0
    is_error(charlm(*begin, "bytes"), 2, "--symbols is char", "Say --symbols byte")
    assert charlm("train", "t.txt", *SHORT, "--out", "language").status == 0
    assert charlm(*begin, "language", "--out", "run").status == 0
    for name in ("model", "last"):
        Path(f"run/{name}.safetensors").unlink()
    Path("run/previous.safetensors").unlink(missing_ok=True)
    set_record(Path("run"), model=record_of(Path("run"))["model"] | {"hidden_size": 9})
    is_error(charlm("train", "--resume", "run", "--quiet"), 1, "hidden_size 8", "says 9")
