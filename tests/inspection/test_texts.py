"""Several texts read one after the other are each what they are when read alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.inspection import texts, trace
from charlm.inspection.texts import between, states_at, whole_chapters
from charlm.inspection.trace import Trace
from tests.conftest import CELLS, new_model
from tests.inspection.reference import random_ids, traced, walk

N = 311
IDS = random_ids(N)
STARTS = np.array([0, 3, 4, 40, 41, 100, 230, 231, 300])  # texts of 1 to 130 characters: shorter than a lane, and over many
LAYERS = 2

each_cell = pytest.mark.parametrize("cell", CELLS)


def alone(cell: str) -> dict[tuple[int, str], np.ndarray]:
    """By (layer, signal) the values `(N, H)` of all texts, each walked by hand."""
    model = new_model(cell, LAYERS).double()
    walks = [walk(model, text).signals for text in np.split(IDS, STARTS[1:])]
    return {key: np.concatenate([each[key] for each in walks]) for key in walks[0]}


@pytest.mark.parametrize("bounds", [(0, N), (41, 300), (17, 299)], ids=["all", "whole texts", "from within one"])
@pytest.mark.parametrize("chapter", [50, 1000])
@each_cell
def test_each_text_is_traced_as_if_it_stood_alone(cell, chapter, bounds, monkeypatch):
    """Every signal, wherever chapters, lanes and the bounds cut the texts; every place comes once."""
    for name, size in {"CHAPTER": chapter, "LANES": 6, "BLOCK": 3}.items():
        monkeypatch.setattr(trace, name, size)
    found, _ = Trace.over(new_model(cell, LAYERS).double(), IDS, bounds, starts=STARTS)
    assert (len(found.chapters) > 1) == (chapter == 50)
    shared = Trace(model=found.model, chapters=tuple(found.shares()))
    for key, expected in alone(cell).items():
        np.testing.assert_allclose(traced(found)[key], expected[slice(*bounds)], atol=1e-12)
        np.testing.assert_allclose(traced(shared)[key], expected[slice(*bounds)], atol=1e-12)


def test_a_chapter_is_whole_texts(monkeypatch):
    """Each begins where a text does, and has no more characters than it may unless one text alone has."""
    monkeypatch.setattr(trace, "CHAPTER", 50)
    found, _ = Trace.over(new_model("rnn", 1), IDS, (0, N), starts=STARTS)
    assert [(each.start, each.stop) for each in found.chapters] == [
        (0, 41),
        (41, 100),
        (100, 230),
        (230, 231),
        (231, 300),
        (300, N),
    ]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(1, 60))
def test_chapters_follow_one_another_and_are_as_long_as_they_may_be(lengths, most):
    """They end where texts do, cover all, and one more text would be too much for each but the last."""
    edges = np.cumsum([0, *lengths]).tolist()
    found = list(whole_chapters(np.array(edges[:-1]), (0, edges[-1]), most))
    assert [start for start, _ in found] + edges[-1:] == [0] + [stop for _, stop in found]
    for start, stop in found:
        after = edges[edges.index(stop) + 1 :]
        assert stop in edges
        assert stop - start <= most or edges.index(stop) == edges.index(start) + 1
        assert not after or after[0] - start > most


@pytest.mark.parametrize("window", [4, 1000])
@each_cell
def test_the_state_at_a_place_is_that_after_what_its_text_has_before_it(cell, window, monkeypatch):
    """At any places, in any order, twice the same one too; zero where a text begins."""
    monkeypatch.setattr(texts, "WINDOW", window)
    model, places = new_model(cell, LAYERS).double(), np.array([99, 0, 3, 229, 55, 99, 231, 310, 5])
    by_hand = alone(cell)
    for layer, parts in enumerate(states_at(model, IDS, STARTS, places)):
        for part, values in zip(model.layers[layer].parts, parts, strict=True):
            expected = [by_hand[layer, part][place - 1] * (place not in STARTS) for place in places]
            np.testing.assert_allclose(values, expected, atol=1e-12)


def test_places_are_counted_from_the_first_bound():
    """A text that begins at the second bound is not between the two."""
    assert between(STARTS, (40, 230)).tolist() == [0, 1, 60]


def test_a_language_models_chapters_have_no_beginnings():
    """One text is read as ever: no state is made anew."""
    found, _ = Trace.over(new_model("gru", 1), IDS, (0, N))
    assert [chapter.begins for chapter in found.chapters] == [None]
    assert torch.equal(found.chapters[0].shares()[0].ids, found.chapters[0].ids[:, :32])
