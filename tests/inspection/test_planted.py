"""The quick form of `benchmarks/planted.py`: what was planted is found, and where there is nothing, nothing is."""

from dataclasses import replace

import pytest

from benchmarks import planted
from tests.conftest import AUSTEN

pytestmark = pytest.mark.slow


def test_a_quote_cell_that_was_trained_is_found_and_used(monkeypatch):
    """A model trained to near the entropy of a text whose hidden variable is quotes has a unit for them, which it uses."""
    monkeypatch.setitem(planted.PLANTED, "quotes", replace(planted.PLANTED["quotes"], steps=800))
    finding, nats, entropy = planted.plant("quotes", seed=1, train_characters=100_000)
    assert nats < entropy + 0.02
    assert abs(finding.confirmed_score) > 0.95
    assert finding.verdict == "used"


def test_where_there_is_nothing_nothing_is_confirmed(monkeypatch):
    """Of 10 models, of independent characters or never trained, at most one has any unit that is confirmed."""
    monkeypatch.setattr(planted, "NOVEL", AUSTEN)
    assert sum(bool(planted.null(seed, characters=20_000, steps=60)) for seed in range(10)) <= 1


def test_a_cell_for_the_label_that_was_trained_is_found_and_used():
    """A classifier of texts that one symbol decides has a unit that holds the label, which its own loss needs."""
    finding, nats = planted.plant_label(seed=1, steps=400)
    assert nats < 0.1
    assert finding.feature == "label=>"
    assert abs(finding.confirmed_score) > 0.9
    assert finding.verdict == "used"


def test_labels_drawn_by_lot_have_no_cell():
    """Of 5 classifiers of labels that nothing decides, none has a unit that is confirmed."""
    assert sum(bool(planted.null_label(seed, texts=100, steps=60)) for seed in range(5)) == 0
