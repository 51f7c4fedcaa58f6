"""`--documents`: a model of texts that are told apart writes, scores and shows each of them by itself."""

import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from charlm.checkpoint.card import read_card
from charlm.checkpoint.model import load_model, save_model
from charlm.cli import sample
from charlm.config import CorpusConfig
from charlm.errors import CheckpointError
from charlm.text.cutting import read_documents
from charlm.text.gathering import VALIDATION, part_of
from charlm.text.vocab import END, START, Vocab
from tests.commands import TINY, is_error, on_terminal, trained
from tests.tasks.test_documents import alone

NAMES = [
    f"{first}{last}" for first in ("Ann", "Ben", "Carl", "Dorr", "Ed", "Fay") for last in ("", "a", "ie", "mund", "ston", "by")
]
TEXT = "\n".join(NAMES) + "\n"
DOCUMENTS = ("--documents", "line", "--max-steps", "60", "--learning-rate", "0.05", "--validation-fraction", "0.3")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of NAMES, one a line."""
    return str(trained(tmp_path_factory.mktemp("names"), TEXT, *DOCUMENTS))


@pytest.fixture(scope="module")
def byte_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same of bytes, between two of which stands a mark."""
    text = TEXT.replace("\n", "<|>")
    return str(trained(tmp_path_factory.mktemp("bytes"), text, *DOCUMENTS, "--symbols", "byte", "--documents", "<|>"))


def forced(folder: Path, model: str, symbol: int, other: int) -> str:
    """A copy of a model that always finds `symbol` the likeliest by far, and then `other`."""
    network, card = load_model(Path(model) / "model.safetensors", torch.device("cpu"))
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
        network.head.bias[card.vocab.symbols.index(symbol)] = 90.0
        network.head.bias[card.vocab.symbols.index(other)] = 60.0
    save_model(folder / "forced.safetensors", network, card)
    return str(folder / "forced.safetensors")


def test_samples_end_by_themselves(charlm, model):
    """Each is on a line of its own, and neither START nor END is printed; a prompt begins each of its samples."""
    result = charlm("sample", "-c", model, "--num-samples", "30", "--seed", "3")
    assert result.status == 0
    *lines, rest = result.text.split("\n")
    assert (len(lines), rest) == (30, "")
    assert all(re.fullmatch("[A-Za-z]*", line) and len(line) < 60 for line in lines)
    prompted = charlm("sample", "-c", model, "-p", "Ann", "-p", "Ben", "--num-samples", "3", "--seed", "3").text.splitlines()
    assert [line[:3] for line in prompted] == ["Ann"] * 3 + ["Ben"] * 3


def test_one_sample_is_the_first_of_a_json_list_of_one(charlm, model):
    """Whether it is written as it comes or kept, it is the same, and so it is with the most probable."""
    for options in (("--seed", "5"), ("--argmax", "--seed", "5"), ("--seed", "5", "--stop", "n")):
        alone = charlm("sample", "-c", model, *options, "-p", "Ca").text
        (row,) = json.loads(charlm("sample", "-c", model, *options, "-p", "Ca", "--json").text)["samples"]
        assert alone == row["prompt"] + row["text"] + "\n"
        assert row["prompt"] == "Ca"


def test_a_start_is_never_drawn(charlm, model, tmp_path, monkeypatch):
    """Though a model would: then what is next most probable comes, and the length is that of any document that does not end."""
    never = forced(tmp_path, model, START, ord("n"))
    assert charlm("sample", "-c", never, "--seed", "1", "--length", "7").text == "n" * 7 + "\n"
    assert sample.LONGEST == 10_000
    monkeypatch.setattr(sample, "LONGEST", 600)
    assert charlm("sample", "-c", never, "--seed", "1").text == "n" * 600 + "\n"
    ended = forced(tmp_path, model, END, ord("n"))
    assert charlm("sample", "-c", ended, "--seed", "1", "-p", "Ed").text == "Ed\n"
    assert charlm("sample", "-c", ended, "--num-samples", "3", "--seed", "1").text == "\n\n\n"


def test_bytes_are_told_apart_too(charlm, byte_model):
    """Samples are bytes with the usual line between, and a text is cut at the same mark."""
    result = charlm("sample", "-c", byte_model, "--num-samples", "4", "--seed", "3", "--length", "50")
    assert result.status == 0
    assert len(result.out.split(b"\n----------\n")) == 4
    Path("e.txt").write_bytes(b"Ann<|>\xff\n<|>")
    score = json.loads(charlm("eval", "e.txt", "-c", byte_model, "--json").text)
    assert (score["documents"], score["characters"]) == (2, 3 + 1 + 2 + 1)
    is_error(charlm("inspect-cells", "-c", byte_model), 2, "documents of bytes")


@pytest.mark.parametrize("options", [("--min-count", "9"), ("--symbols", "word", "--min-count", "2")])
def test_symbols_that_are_spelt_are_told_apart_too(charlm, options):
    """What a model lacks is spelt within its document; scores are per character of the text, an end counting as one."""
    lines = [f"{name.lower()} and {other.lower()} é{number}" for number, (name, other) in enumerate(pairwise(NAMES))]
    run = str(trained(Path(), "\n".join(lines), *DOCUMENTS, *options))
    result = charlm("sample", "-c", run, "--num-samples", "6", "--seed", "3", "--length", "90")
    assert result.text.count("\n") == 6
    Path("e.txt").write_text("bob é7\n\n语 and z\n", encoding="utf-8")
    score = json.loads(charlm("eval", "e.txt", "-c", run, "--json").text)
    assert (score["documents"], score["characters"], score["skipped"]) == (2, 6 + 1 + 7 + 1, 0)
    network, card = load_model(Path(run) / "model.safetensors", torch.device("cpu"))
    found = read_documents(["e.txt"], card.text, card.vocab, skip_unknown=False).documents
    nats = sum(loss for losses in alone(network, found) for loss in losses)
    assert score["nats_per_char"] == pytest.approx(nats / 15, abs=1e-6)
    shown = charlm("eval", "e.txt", "-c", run, "--per-character").text.splitlines()
    assert shown[::2] == ["bob é7⏎", "语 and z⏎"]
    assert charlm("inspect-cells", "-c", run, "--show", "0:1", "--threads", "1", "--length", "30").status == 0
    one = charlm("sample", "-c", run, "--seed", "3", "-p", "ann").text
    assert one == charlm("sample", "-c", run, "--seed", "3", "-p", "ann", "--num-samples", "1").text
    assert one.startswith("ann")
    said = json.loads(charlm("info", "-c", run, "--json").text)
    assert sum(said["documents"].values()) == len(lines)
    assert said["vocab"]["size"] == len(card.vocab)


def test_the_score_is_that_of_each_document_alone(charlm, model):
    """eval cuts a text as the model's own was cut; the mean of what each symbol costs from the zero state on is its score."""
    Path("e.txt").write_text("Edston\r\n\nFay\nBenmund")
    score = json.loads(charlm("eval", "e.txt", "-c", model, "--json").text)
    network, card = load_model(Path(model) / "model.safetensors", torch.device("cpu"))
    found = read_documents(["e.txt"], card.text, card.vocab, skip_unknown=False)
    nats = [loss for losses in alone(network, found.documents) for loss in losses]
    assert score["documents"] == 3
    assert score["characters"] == len(nats) == 6 + 3 + 7 + 3
    assert score["nats_per_char"] == pytest.approx(np.mean(nats), abs=1e-6)
    line = charlm("eval", "e.txt", "-c", model).text
    assert "19 characters of 3 documents, the ends among them" in line


def test_each_character_is_shown_with_a_line_break_after_each_document(charlm, model):
    """On a terminal and into a pipe; the score is the same."""
    Path("e.txt").write_text("Edie\n\nFaya\n")
    result = charlm("eval", "e.txt", "-c", model, "--per-character")
    assert result.text.splitlines()[::2] == ["Edie⏎", "Faya⏎"]
    assert [len(line) for line in result.text.splitlines()[1::2]] == [5, 5]
    assert charlm("eval", "e.txt", "-c", model).text in result.err


def test_eval_of_a_stream_has_no_dynamic_evaluation(charlm, model):
    """And an unknown character is named with its document, or left out."""
    Path("e.txt").write_text("Ann\nB?n\n")
    is_error(charlm("eval", "e.txt", "-c", model, "--dynamic"), 2, "each from a fresh state")
    is_error(charlm("eval", "e.txt", "-c", model), 1, "e.txt: in document 2 the model has never seen '?'")
    assert json.loads(charlm("eval", "e.txt", "-c", model, "--unknown", "skip", "--json").text)["skipped"] == 1


def test_the_exact_score_of_a_run_is_that_of_its_documents_held_out(charlm, model):
    """What info says is what eval finds for the same documents."""
    said = json.loads(charlm("info", "-c", model, "--json").text)
    held_out = said["documents"]["validation"]
    assert sum(said["documents"].values()) == len(NAMES)
    assert said["scores"]["exact"] is True
    card = load_model(Path(model) / "model.safetensors", torch.device("cpu"))[1]
    names = [name for name in NAMES if part_of(name, card.text) == VALIDATION]
    assert len(names) == held_out > 3
    Path("e.txt").write_text("\n".join(names))
    score = json.loads(charlm("eval", "e.txt", "-c", model, "--json").text)
    assert said["scores"]["validation_nats"] == pytest.approx(score["nats_per_char"], abs=1e-6)
    assert f"{len(NAMES)} documents, one a line; train" in re.sub(r"\s+", " ", charlm("info", "-c", model).text)


def test_the_newest_state_of_a_run_tells_documents_apart_too(charlm, model):
    """With --last the same commands take it, and say the same of its corpus."""
    Path("e.txt").write_text("Edston\nFay\n")
    assert json.loads(charlm("eval", "e.txt", "-c", model, "--last", "--json").text)["documents"] == 2
    assert charlm("sample", "-c", model, "--last", "--num-samples", "5", "--seed", "1").text.count("\n") == 5
    best, newest = (json.loads(charlm("info", "-c", model, *last, "--json").text) for last in ((), ("--last",)))
    assert best["documents"] == newest["documents"]


def test_units_are_looked_at_document_by_document(charlm, model):
    """What a unit does in a document does not depend on those before it."""
    Path("one.txt").write_text("Carlston\n" * 300)
    Path("two.txt").write_text("Faymund\nCarlston\n" + "Carlston\n" * 300)
    for name in ("one", "two"):
        result = charlm("inspect-cells", f"{name}.txt", "-c", model, "--save-activations", f"{name}.st", "--threads", "1")
        assert result.status == 0
    one, two = load_file("one.st"), load_file("two.st")
    start = load_model(Path(model) / "model.safetensors", torch.device("cpu"))[1].vocab.start
    assert one["ids"][0] == two["ids"][0] == start
    np.testing.assert_allclose(one["layer0.h"][:9], two["layer0.h"][8:17], atol=1e-6)
    result = charlm(
        "inspect-cells", "two.txt", "-c", model, "--html", "p.html", "--show", "0:1", "--threads", "1", "--length", "40"
    )
    assert result.status == 0
    assert "no unit is clamped" in result.err
    assert "Faymund⏎\n" in result.text
    few = charlm("inspect-cells", "-c", model)
    assert (few.status, few.text) == (1, "")
    assert "too few" in few.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--documents", ""), "--documents is empty"),
        (("--documents", "a\udcffb"), "must be UTF-8"),
        (("--documents", "line", "--separator", "x"), "--separator"),
        (("--documents", "line", "--task", "tag"), "--task tag"),
        (("--documents", "line", "--restore", "case"), "--restore case"),
        (("--documents", "file"), "1 document, cut one a file"),
    ],
)
def test_what_does_not_go_together_is_refused(charlm, options, said):
    """In one line, and nothing is left behind."""
    Path("t.txt").write_text(TEXT)
    result = charlm("train", "t.txt", *options, *TINY, "--max-steps", "1")
    assert result.status in (1, 2)
    assert said in result.err
    assert result.err.count("\n") == 1
    assert not Path("checkpoints").exists()


def test_a_run_may_begin_from_a_model_of_a_running_text(charlm, model, tmp_path):
    """What that lacks, the marks, begins with fresh weights, and the other way they are left."""
    trained(tmp_path, TEXT)
    small = (*TINY[4:], "--max-steps", "1", "--documents", "line")
    result = charlm("train", "t.txt", "--init-from", "checkpoints/t", *small, "--out", "a")
    assert result.status == 0
    assert "fresh weights for 2 new ones: the start of a document, the end of a document" in result.err
    result = charlm("train", "t.txt", "--init-from", model, *TINY[4:], "--max-steps", "1", "--out", "b")
    assert result.status == 0
    assert "fresh weights for 1 new one: '\\n'" in result.err


def test_what_stands_between_is_typed_with_escapes(charlm):
    r"""\n and \t are understood, and the model remembers what they stand for."""
    Path("t.txt").write_text("\n\n".join(NAMES))
    assert charlm("train", "t.txt", *TINY, "--max-steps", "2", "--documents", r"\n\n", "--out", "r").status == 0
    assert "documents, between '\\\\n\\\\n'" in re.sub(r"\s+", " ", charlm("info", "-c", "r").text).replace("\\n", "\\\\n")
    assert json.loads(charlm("info", "-c", "r", "--json").text)["training"]["text"]["documents"] == "\n\n"


def test_a_sample_on_a_terminal_is_a_line(model):
    """What ends by itself is followed by a line end, so that the prompt is where it should be."""
    assert re.fullmatch(r"Ed\w*\n", on_terminal("sample", "-c", model, "--seed", "1", "-p", "Ed"))


def test_the_held_out_documents_may_lie_beside_a_model(charlm, model, tmp_path):
    """A model that is shared without its run finds them in held-out.txt; nothing else is taken for them."""
    network, card = load_model(Path(model) / "model.safetensors", torch.device("cpu"))
    save_model(tmp_path / "model.safetensors", network, card)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "names.txt").write_text(TEXT)
    is_error(charlm("inspect-cells", "-c", "model.safetensors", "--show", "0:1"), 1, "are not beside it")
    (tmp_path / "held-out.txt").write_text("\n".join(name for name in NAMES if part_of(name, card.text) == VALIDATION))
    assert "held-out.txt" in charlm("inspect-cells", "-c", "model.safetensors", "--show", "0:1").err


@pytest.mark.parametrize(
    "change",
    [
        {"num_documents": ()},
        {"num_documents": (1, -1, 0)},
        {"num_documents": (10**6, 0, 0)},
        {"text": CorpusConfig()},
        {"vocab": Vocab(kind="char", symbols=tuple(range(97, 123)), start=0)},
    ],
)
def test_a_card_that_contradicts_itself_is_refused(model, tmp_path, change):
    """Whether documents are told apart is said by the text, the vocabulary and the numbers, or by none of them."""
    network, card = load_model(Path(model) / "model.safetensors", torch.device("cpu"))
    save_model(tmp_path / "m.safetensors", network, replace(card, **change))
    with pytest.raises(CheckpointError, match="documents"):
        read_card(tmp_path / "m.safetensors")


def test_a_run_whose_record_contradicts_itself_is_not_opened(charlm, model, tmp_path):
    """Its vocabulary has the marks, so its text is cut somehow."""
    shutil.copytree(model, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    del record["text"]["documents"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    is_error(charlm("train", "--resume", "run", "--max-steps", "70"), 1, "documents are ''")
