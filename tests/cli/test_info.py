"""`charlm info`: a model file says everything of itself, without torch, and obeys nothing that stands in it."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands import TEXT, is_error, trained
from tests.conftest import CELLS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of TEXT, alone in a folder, the run it came from gone."""
    folder = trained(tmp_path_factory.mktemp("text"), TEXT, "--seed", "12", "--dropout", "0.25")
    path = tmp_path_factory.mktemp("elsewhere") / "shared.safetensors"
    shutil.move(folder / "model.safetensors", path)
    shutil.rmtree(folder)
    return path


def test_the_model_file_alone_says_everything(charlm, model):
    """info --json has exactly the names that other programs rely on, from the model file and nothing else."""
    result = charlm("info", "-c", str(model), "--json")
    assert result.status == 0
    assert result.text.count("\n") == 1
    contents = json.loads(result.text)
    assert {"model", "training", "vocab", "parameters", "scores"} <= set(contents)
    assert contents["model"] == {"cell": "lstm", "embedding_size": 5, "hidden_size": 8, "num_layers": 1, "dropout": 0.25}
    assert contents["training"]["seed"] == 12
    assert contents["training"]["batch_size"] == 4
    assert contents["vocab"]["symbols"] == "".join(sorted(set(TEXT)))
    assert contents["vocab"]["size"] == len(set(TEXT))
    assert contents["scores"]["validation_nats"] > 0
    assert contents["scores"]["exact"] is True


@pytest.mark.parametrize(("cell", "gates", "biases"), [("lstm", 4, 2), ("gru", 3, 2), ("rnn", 1, 2)])
def test_the_parameter_count_is_that_of_the_equations(charlm, tmp_path: Path, cell, gates, biases):
    """Parameters: an embedding, gates of input, recurrence and bias for each layer, and a head."""
    assert cell in CELLS
    folder = trained(tmp_path, TEXT, "--cell", cell, "--num-layers", "2")
    v, e, h = len(set(TEXT)), 5, 8
    counts = {
        v * e + gates * h * (e + h + n) + gates * h * (h + h + n) + v * h + v for n in (1, biases)
    }  # one bias a gate, or two as torch has them
    assert json.loads(charlm("info", "-c", str(folder), "--json").text)["parameters"] in counts


def test_people_see_the_same(charlm, model):
    """Without --json there is a line for each thing."""
    result = charlm("info", "-c", str(model))
    assert result.status == 0
    contents = json.loads(charlm("info", "-c", str(model), "--json").text)
    words = " ".join(result.text.split())
    for shown in ("1 x 8 LSTM", f"{contents['parameters']:,} parameters", "seed 12", "exactly", "⏎"):
        assert shown in words
    assert f"{contents['scores']['validation_nats']:.4f}" in words


def test_a_hostile_vocabulary_is_shown_and_not_obeyed(charlm, tmp_path: Path):
    """Control characters and markup in a vocabulary never reach the screen raw."""
    folder = trained(tmp_path, "\x1b[31m\x9b\u202e[/nope][bold]\0\n" * 30)
    result = charlm("info", "-c", str(folder))
    assert result.status == 0
    assert not set(result.text) & {"\x1b", "\x9b", "\u202e", "\0"}
    assert "␛" in result.text


def test_bytes_need_no_list_of_symbols(charlm, tmp_path: Path):
    """A model of bytes knows all 256."""
    folder = trained(tmp_path, bytes(range(256)) * 4, "--symbols", "byte")
    assert json.loads(charlm("info", "-c", str(folder), "--json").text)["vocab"]["size"] == 256
    assert "all 256 bytes" in " ".join(charlm("info", "-c", str(folder)).text.split())


def test_nothing_in_the_file_names_a_path_or_a_host(model, tmp_path_factory):
    """What people share does not say where it was made."""
    contents = model.read_bytes()
    assert str(tmp_path_factory.getbasetemp()).encode() not in contents
    assert b"t.txt" not in contents


def test_a_missing_model_is_one_line_of_error(charlm):
    """Nothing to describe is an error with a hint."""
    is_error(charlm("info", "-c", "nope"), 1, "nope")


def test_what_a_strangers_file_says_of_itself_is_harmless(charlm, model, tmp_path):
    """Escapes in a model's own description are shown, not sent."""
    import torch

    from charlm.checkpoint.model import load_model, save_model

    loaded, card = load_model(model, torch.device("cpu"))
    evil = replace(card, setting=replace(card.setting, torch="\x1b[2J\x1b]0;owned\x07", precision="\u202e"))
    save_model(tmp_path / "evil.safetensors", loaded, evil)
    shown = charlm("info", "-c", "evil.safetensors").text
    assert "owned" in shown
    assert not set("\x1b\x07\u202e") & set(shown)


def test_a_model_is_described_without_torch(model):
    """All of it is in the file's head, and loading torch would take a second or more."""
    code = f"""
import sys
from charlm.cli.app import main
try:
    main(["info", "-c", {str(model)!r}])
except SystemExit as end:
    sys.exit(end.code or "torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0


FILMS = "".join(f"{'a fine' if n % 2 else 'no good'} film, number {n}\t{'good' if n % 2 else 'bad'}\n" for n in range(60))


@pytest.mark.parametrize(
    ("name", "text", "options", "labels", "shown"),
    [
        (
            "t.tsv",
            FILMS,
            ("--task", "classify", "--pooling", "last"),
            ["bad", "good"],
            "2 labels of a text, from the last state: bad, good",
        ),
        (
            "t.tsv",
            FILMS,
            ("--task", "classify", "--pooling", "mean", "--bidirectional", "--test-fraction", "0"),
            ["bad", "good"],
            "from the mean of all states",
        ),
        ("t.txt", TEXT.title() * 9, ("--restore", "case"), ["as is", "upper"], "of a character, to restore case: as is, upper"),
    ],
)
def test_a_model_of_labels_names_them_and_its_scores(charlm, tmp_path: Path, name, text, options, labels, shown):
    """What the labels are, of what, whether both ways are read, and how it did on the test part if there is one."""
    folder = trained(tmp_path, text, *options, name=name)
    contents = json.loads(charlm("info", "-c", folder, "--json").text)
    words = " ".join(charlm("info", "-c", folder).text.split())
    assert contents["labels"] == labels
    assert shown in words
    assert ("both ways" in words) == contents["model"].get("bidirectional", False)
    scores = contents["scores"]
    assert f"{scores['validation_nats']:.4f} nats/label, {scores['accuracy']:.1%} right" in words
    if "--test-fraction" in options:
        assert scores["test"] is None
        assert "not scored on a test part" in words
    else:
        assert f"accuracy {scores['test']['accuracy']:.4f}" in words
        assert f"{scores['test']['num_labels']:,} labels of the test part" in words
