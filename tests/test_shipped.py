"""The model that ships: whole, small, as good as it says, and found by whoever has trained nothing yet."""

import shutil
from pathlib import Path

import pytest
import torch

from charlm.checkpoint.model import load_model
from charlm.evaluation import surprisals, total
from charlm.runs.heldout import held_out
from tests.conftest import AUSTEN

MODEL = AUSTEN.parent.parent / "checkpoints" / "austen" / "model.safetensors"
GOOD = 1.2  # nats per character, which is a text that reads like Austen from afar


def test_it_scores_what_it_says_on_text_that_it_has_not_seen(monkeypatch):
    """Three megabytes at the most; the exact loss of the held-out part of data/austen.txt is the one in the file."""
    assert MODEL.stat().st_size <= 3_000_000
    monkeypatch.chdir(MODEL.parent.parent.parent)
    model, card = load_model(MODEL, torch.device("cpu"))
    ids, source = held_out(MODEL, card)
    assert source == Path("data/austen.txt")
    assert card.scores.exact
    found = total(surprisals(model, ids)).nats_per_character
    assert found == pytest.approx(card.scores.validation_nats, abs=1e-5)
    assert found < GOOD


def test_it_is_what_is_sampled_before_anything_is_trained(charlm):
    """`charlm sample` in a fresh copy of the project takes it, and says so; a run that was trained comes first."""
    Path("checkpoints/austen").mkdir(parents=True)
    shutil.copy(MODEL, "checkpoints/austen")
    result = charlm("sample", "--length", "20", "--seed", "1")
    assert result.status == 0
    assert "checkpoints/austen/model.safetensors" in result.err
    Path("t.txt").write_text("to be or not to be, that is the question. " * 40)
    assert charlm("train", "t.txt", "--max-steps", "2", "--hidden-size", "8").status == 0
    assert "checkpoints/t/model.safetensors" in charlm("sample", "--length", "5").err
