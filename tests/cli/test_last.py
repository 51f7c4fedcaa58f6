"""`--last`: the newest state of a run as a model, where the best is not what its user wants."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from charlm.checkpoint.card import read_card
from charlm.checkpoint.model import load_model, save_model
from charlm.model.heads import Tagger
from tests.commands import TEXT, is_error, mood_run, trained

LETTERS = "qjzkxvwb"
OF_ANOTHER_KIND = "".join(f"{a}{b} {b}{a}{c}\n" for a in LETTERS for b in LETTERS for c in LETTERS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose best model is not its newest: its validation part is another kind of text."""
    text = TEXT * 20 + LETTERS + OF_ANOTHER_KIND[: len(TEXT * 20) // 9]
    return trained(tmp_path_factory.mktemp("text"), text, "--max-steps", "60", "--eval-every", "5", "--learning-rate", "0.03")


@pytest.fixture
def commands(run: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Each command that takes --last and a language model, on that run."""
    (tmp_path / "e.txt").write_text(TEXT * 20)
    how = ["-c", str(run), "--json"]
    return {
        "sample": ["sample", "--argmax", "-n", "40", "--seed", "1", *how],
        "eval": ["eval", "e.txt", *how],
        "info": ["info", *how],
        "inspect-cells": ["inspect-cells", "e.txt", "--threads", "1", *how],
    }


def test_the_newest_model_may_be_better_than_the_best(charlm, run, commands):
    """On the text that was learned from; its step is the run's last, and it has no score of its own."""
    card, _ = read_card(run / "model.safetensors")
    newest = json.loads(charlm(*commands["info"], "--last").text)
    assert newest["training"]["step"] == 60 > card.step
    assert newest["scores"]["validation_nats"] is None
    assert newest["parameters"] == json.loads(charlm(*commands["info"]).text)["parameters"]
    assert "the newest state, of step 60" in " ".join(charlm("info", "-c", str(run), "--last").text.split())
    best, last = (json.loads(charlm(*commands["eval"], *more).text)["nats_per_char"] for more in ((), ("--last",)))
    assert last < best - 0.5


@pytest.mark.parametrize("command", ["sample", "eval", "inspect-cells"])
def test_it_is_the_model_that_the_state_holds(charlm, run, commands, tmp_path, command):
    """A model file with the state's own tensors, read by another library, answers alike; the best answers otherwise."""
    network, card = load_model(run / "model.safetensors", torch.device("cpu"))
    with safe_open(run / "last.safetensors", "np") as state, torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.from_numpy(state.get_tensor(f"model.{name}")))
    save_model(tmp_path / "by_hand.safetensors", network, card)
    by_hand = [str(tmp_path / "by_hand.safetensors") if word == str(run) else word for word in commands[command]]
    best, last, expected = (charlm(*words) for words in (commands[command], [*commands[command], "--last"], by_hand))
    assert (best.status, last.status, expected.status) == (0, 0, 0)
    assert last.out == expected.out != best.out


def test_the_run_started_last_is_meant_where_none_is_named(charlm, run, tmp_path):
    """By its newest state, also if it has no model file yet; and its file, or its name, means the same run."""
    shutil.copytree(run, tmp_path / "checkpoints" / "mine")
    (tmp_path / "checkpoints" / "mine" / "model.safetensors").unlink()
    words = ["info", "--json", "--last"]
    expected = charlm(*words, "-c", str(run)).text
    for how in ([], ["-c", "mine"], ["-c", "checkpoints/mine/last.safetensors"], ["-c", str(run / "model.safetensors")]):
        assert charlm(*words, *how).text == expected
    assert "checkpoints/mine/last.safetensors" in charlm(*words).err


def test_where_there_is_no_run_it_is_one_line(charlm, run, tmp_path):
    """A model that stands alone, a folder that is none, a state without its record, a damaged one, and none at all."""
    (tmp_path / "alone").mkdir()
    shutil.copy(run / "model.safetensors", tmp_path / "alone" / "model.safetensors")
    is_error(charlm("sample", "--last", "-c", "alone"), 1, "alone has no last.safetensors beside it", "Leave it out")
    is_error(charlm("sample", "--last", "-c", "nowhere"), 1, "there is no model at nowhere")
    is_error(charlm("sample", "--last"), 1, "there is no run under checkpoints/ yet")
    shutil.copy(run / "last.safetensors", tmp_path / "alone" / "last.safetensors")
    is_error(charlm("sample", "--last", "-c", "alone"), 1, "alone/run.json cannot be read", "--last")
    shutil.copy(run / "run.json", tmp_path / "alone" / "run.json")
    assert charlm("sample", "--last", "-c", "alone", "--seed", "1").status == 0
    raw = bytearray((run / "last.safetensors").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "alone" / "last.safetensors").write_bytes(raw)
    is_error(charlm("sample", "--last", "-c", "alone", "--seed", "1"), 1, "alone/last.safetensors")


@pytest.mark.parametrize("field", [{"task": "classify"}, {"task": "nonsense"}])
def test_a_record_that_says_nonsense_is_one_line(charlm, run, tmp_path, field):
    """What a model file may not say, a run may not either."""
    shutil.copytree(run, tmp_path / "strange")
    record = json.loads((run / "run.json").read_text())
    record["training"] |= field
    (tmp_path / "strange" / "run.json").write_text(json.dumps(record))
    for command in ("sample", "info"):
        done = charlm(command, "--last", "-c", "strange")
        assert (done.status, "bug in charlm" in done.err) == (1 if command == "sample" else done.status, False)


def test_a_damaged_best_model_does_not_matter(charlm, run, tmp_path):
    """The newest state stands for itself."""
    shutil.copytree(run, tmp_path / "worn")
    (tmp_path / "worn" / "model.safetensors").write_bytes(b"no model")
    worn, whole = (charlm("sample", "--last", "-c", folder, "--seed", "1").out for folder in ("worn", str(run)))
    assert worn == whole != b""


def test_a_model_that_gives_labels_has_a_newest_state_too(charlm, tmp_path_factory, tmp_path):
    """It predicts, scores and is inspected; whether words have one label is as in its best model."""
    run = mood_run(tmp_path_factory.mktemp("moods"), Tagger)
    (tmp_path / "t.txt").write_text("up up down\n")
    for words in (["predict", "t.txt"], ["eval"], ["info"]):
        assert charlm(*words, "--last", "-c", str(run), "--json").status == 0
    infos = [json.loads(charlm("info", "-c", str(run), "--json", *more).text) for more in ((), ("--last",))]
    assert infos[0]["one_label_a_word"] == infos[1]["one_label_a_word"]
    assert infos[0]["labels"] == infos[1]["labels"]


@pytest.mark.parametrize("is_one", [True, False])
def test_the_newest_state_knows_whether_a_word_has_one_label(charlm, tmp_path, is_one):
    """As its run's texts have it: all letters of a word alike, or not; the best model says the same."""
    words = [word for number in range(40) for word in ("cat" if number % 3 else "rose", "ran")]
    rows = "".join(
        "".join(f"{letter}\t{'noun' if word != 'ran' and (is_one or letter != 't') else 'other'}\n" for letter in word) + "\n"
        for word in words
    )
    run = trained(tmp_path, rows, "--task", "tag", name="t.tsv")
    infos = [json.loads(charlm("info", "-c", str(run), "--json", *more).text) for more in ((), ("--last",))]
    assert [info["one_label_a_word"] for info in infos] == [is_one, is_one]
