"""The model that ships: whole, small, as good as it says, and found by whoever has trained nothing yet, in any folder."""

from pathlib import Path

import pytest
import torch

from charlm.checkpoint.model import load_model
from charlm.evaluation import surprisals, total
from charlm.runs.find import SHIPPED, find_model
from charlm.runs.heldout import held_out
from tests.conftest import AUSTEN

MODEL = AUSTEN.parent.parent / "checkpoints" / "austen" / "model.safetensors"
GOOD = 1.2  # nats per character, which is a text that reads like Austen from afar


@pytest.mark.slow
def test_it_scores_what_it_says_on_text_that_it_has_not_seen():
    """The exact loss of the text beside it is the one in the file."""
    model, card = load_model(MODEL, torch.device("cpu"))
    ids, _ = held_out(MODEL, card)
    assert card.scores.exact
    found = total(surprisals(model, ids)).nats_per_character
    assert found == pytest.approx(card.scores.validation_nats, abs=1e-5)
    assert found < GOOD


def test_what_ships_beside_it_is_the_end_of_its_corpus():
    """The tenth of data/austen.txt that training held out, whole; the model has three megabytes at the most."""
    assert MODEL.stat().st_size <= 3_000_000
    _, card = load_model(MODEL, torch.device("cpu"))
    ids, source = held_out(MODEL, card)
    assert source == MODEL.with_name("held-out.txt")
    assert card.vocab.decode(ids) == AUSTEN.read_text(encoding="utf-8")[card.splits.train :]


def test_it_is_what_is_sampled_before_anything_is_trained(charlm):
    """`charlm sample` in an empty folder takes it, and says so; a run that was trained comes first, and it keeps its name."""
    for command in (("sample", "--length", "20", "--seed", "1"), ("info",)):
        result = charlm(*command)
        assert result.status == 0
        assert result.err.startswith(f"model: {MODEL}, which ships with charlm\n")
    Path("t.txt").write_text("to be or not to be, that is the question. " * 40)
    assert charlm("train", "t.txt", "--max-steps", "2", "--hidden-size", "8").status == 0
    assert charlm("sample", "--length", "5").err.startswith("model: checkpoints/t/model.safetensors\n")
    assert find_model("austen") == MODEL


def test_an_installed_package_has_it_within(tmp_path, monkeypatch):
    """Where the wheel puts it comes before where a checkout has it."""
    assert MODEL.parent in SHIPPED
    assert SHIPPED[0].parent.parent == Path(__import__("charlm").__file__).parent
    installed = tmp_path / "charlm" / "shipped" / "austen"
    installed.mkdir(parents=True)
    (installed / "model.safetensors").touch()
    monkeypatch.setattr("charlm.runs.find.SHIPPED", (installed, SHIPPED[1]))
    assert find_model(None) == find_model("austen") == installed / "model.safetensors"
