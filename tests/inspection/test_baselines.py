"""What can be told of a label without the model, against dictionaries and scikit-learn."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from charlm.config import ModelConfig
from charlm.features.labels import Labels
from charlm.features.registry import Feature
from charlm.inspection import baselines
from charlm.inspection.baselines import CONTEXT, from_context, linear, shortened, tables, untrained
from charlm.inspection.ranking import binned, rank
from charlm.inspection.trace import groups
from charlm.model.language_model import LanguageModel
from charlm.text.vocab import Vocab
from tests.conftest import CELLS, new_model
from tests.inspection.reference import given, letters, random_ids, read, traced

N = 6000
HALVES = (0, N // 2), (N // 2, N)


def effect(ids: np.ndarray, label: np.ndarray, *, is_graded: bool = False, vocab_size: int = 13) -> float:
    """How well the label is told from context."""
    labels = Labels(ids, letters(vocab_size), [given("label", label, is_graded=is_graded)])
    return float(from_context(labels, HALVES)[0])


def back(ids: np.ndarray, places: int) -> np.ndarray:
    """The symbol so many places before each."""
    return np.concatenate([np.zeros(places, dtype=int), ids[: len(ids) - places]])


@pytest.mark.parametrize("places", [0, 3, 7])
def test_what_one_of_the_last_8_characters_says_is_predicted(places):
    """A label that is a function of the character so many places back has effect 1, yes/no or graded."""
    ids = random_ids(N)
    assert effect(ids, back(ids, places) == 4) > 0.99
    assert effect(ids, back(ids, places) * 5 % 13, is_graded=True) > 0.97


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_what_the_last_characters_say_together_is_predicted(k):
    """Also where no single place says anything: whether an even number of the last k symbols are the first one."""
    ids = random_ids(N, 2)
    label = sum(back(ids, places) for places in range(k)) % 2
    assert effect(ids, label, vocab_size=2) > 0.98


def test_what_the_last_8_characters_do_not_say_is_not_predicted():
    """Labels that are random, or that depend on the ninth last character alone, have effects near 0 on text not seen."""
    ids = random_ids(N, 5)
    coins = np.random.default_rng(1).integers(0, 4, N)
    assert effect(ids, coins > 1, vocab_size=5) < 0.1
    assert effect(ids, coins, is_graded=True, vocab_size=5) < 0.1
    assert effect(ids, back(ids, 8) == 2, vocab_size=5) < 0.1
    assert effect(ids, back(ids, 7) == 2, vocab_size=5) > 0.99


def test_features_are_told_side_by_side_as_alone():
    """Each feature's effect is its own, whatever others are asked about."""
    ids = random_ids(N)
    features = [given("a", back(ids, 2) == 4), given("b", ids * 3, is_graded=True), given("c", ids * 0)]
    together = from_context(Labels(ids, letters(13), features), HALVES)
    alone = [from_context(Labels(ids, letters(13), [feature]), HALVES)[0] for feature in features]
    np.testing.assert_allclose(together, alone, atol=1e-12)
    assert together[2] == 0


def by_dictionary(ids: list, first: tuple, second: tuple, targets: np.ndarray, length: int) -> list[float]:
    """Means of what followed each context, each with one character's worth of trust in that of the shorter context."""
    contexts = {t: tuple(ids[t - places] if t >= places else None for places in range(length)) for t in range(len(ids))}
    tables: list[dict] = []
    for known in range(1, length + 1):
        members = defaultdict(list)
        for t in range(*first):
            members[contexts[t][:known]].append(targets[t - first[0]])
        shorter = [tables[-1][key[:-1]] if tables else targets.mean() for key in members]
        tables.append({key: (sum(ys) + y) / (len(ys) + 1) for (key, ys), y in zip(members.items(), shorter, strict=True)})
    predictions = []
    for t in range(*second):
        known = [table[contexts[t][: number + 1]] for number, table in enumerate(tables) if contexts[t][: number + 1] in table]
        predictions.append(known[-1] if known else targets.mean())
    return predictions


@pytest.mark.parametrize("vocab_size", [3, 13, 400])
@pytest.mark.parametrize("bounds", [((0, 90), (90, 170)), ((2, 70), (0, 50))], ids=["in order", "from the start"])
def test_tables_are_dictionaries(vocab_size, bounds):
    """Contexts of 1 to 8 characters, also of large vocabularies and at the text's start, predict what a slow loop predicts."""
    ids = random_ids(170, vocab_size, dtype="uint16")
    first, second = bounds
    targets = np.random.default_rng(2).standard_normal((first[1] - first[0], 2))
    found = list(tables(ids, first, second, targets))
    assert len(found) == CONTEXT
    for length, prediction in enumerate(found, 1):
        for column in range(2):
            expected = by_dictionary(ids.tolist(), first, second, targets[:, column], length)
            np.testing.assert_allclose(prediction[:, column], expected, atol=1e-12)


@pytest.mark.parametrize("vocab_size", [3, 13, 400])
def test_the_linear_predictor_is_scikit_learns(vocab_size, monkeypatch):
    """Ridge regression on which symbol stands at each place, the rarer symbols and what is before the start being one."""
    monkeypatch.setattr(baselines, "COMMONEST", 7)
    ids = (random_ids(500, vocab_size, dtype="uint16").astype(int) ** 2 // vocab_size).astype(np.uint16)
    first, second = (0, 300), (300, 500)
    targets = np.random.default_rng(2).standard_normal((300, 2))
    commonest = np.argsort(-np.bincount(ids[:300], minlength=vocab_size), kind="stable")[:7].tolist()
    rows = [
        [float((ids[t - places] if t >= places else None) == symbol) for places in range(CONTEXT) for symbol in commonest]
        + [float(t < places or ids[t - places] not in commonest) for places in range(CONTEXT)]
        for t in range(500)
    ]
    ridge = Ridge(alpha=baselines.RIDGE * 300, fit_intercept=False).fit(rows[:300], targets)
    found = linear(ids, first, second, targets, vocab_size)
    np.testing.assert_allclose(found, ridge.predict(rows[300:]), atol=1e-6)


def test_a_context_does_not_reach_into_the_text_before():
    """Of several texts, what is predicted at each character is what is predicted where each text stands alone."""
    ids, starts = random_ids(200), np.array([0, 1, 5, 20, 100, 104, 111, 150])
    first, second = (0, 100), (100, 200)
    targets = np.random.default_rng(2).standard_normal((100, 2))
    before = [max(start for start in starts if start <= t) for t in range(200)]
    apart = np.concatenate(
        [np.append(np.full(CONTEXT, 13), text) for text in np.split(ids, starts[1:])]
    )  # 13 stands for nothing
    places = np.arange(200) + CONTEXT * (np.searchsorted(starts, np.arange(200), side="right"))
    known = [apart[places - back] for back in range(CONTEXT)]
    for back in range(CONTEXT):
        found = baselines._shifted(ids, (0, 200), back, starts).astype(int) - 1
        np.testing.assert_array_equal(np.where(found < 0, 13, found), known[back])
        assert all((found[t] < 0) == (t - back < before[t]) for t in range(200))
    tabled = next(tables(ids, first, second, targets, starts))
    np.testing.assert_array_equal(tabled, next(tables(ids, first, second, targets)))  # one character is always its own text's
    assert not np.allclose(linear(ids, first, second, targets, 13, starts), linear(ids, first, second, targets, 13))


def test_a_byte_or_a_large_vocabulary_is_no_hindrance():
    """Labels of a text in more than 256 symbols, and of bytes, are told as any."""
    vocab = Vocab(kind="char", symbols=tuple(range(0x4E00, 0x4E00 + 400)), start=0)
    ids = random_ids(N, 400, dtype="uint16")
    labels = Labels(ids, vocab, [Feature(name="low", description="", is_graded=False, label=lambda text: ids < 200)])
    assert from_context(labels, HALVES)[0] > 0.9
    octets = Vocab(kind="byte", symbols=tuple(range(256)), start=10)
    some = random_ids(N, 128)  # ASCII, so that each is a character
    assert from_context(Labels(some, octets, [given("low", some < 50)]), HALVES)[0] > 0.9


def test_only_the_last_of_each_half_is_read(monkeypatch):
    """`shortened` keeps an end; what is before it plays no part."""
    assert shortened((10, 50), 100) == (10, 50)
    assert shortened((10, 50), 15) == (35, 50)
    monkeypatch.setattr(baselines, "CONTEXT_CHARACTERS", 500)
    ids = random_ids(N)
    label = back(ids, 3) == 4
    other = label.copy()
    other[: N // 2 - 500] = other[N // 2 : N - 500] = True
    assert effect(ids, label) == effect(ids, other)


@pytest.mark.parametrize("cell", CELLS)
def test_what_an_untrained_model_has_is_no_news(cell):
    """A label made of a unit of one of the five models is found there with effect 1; a coin's tosses are not found."""
    config = ModelConfig(cell=cell, embedding_size=5, hidden_size=7, num_layers=1)
    ids = random_ids(2000)
    model = LanguageModel.initialised(config, 13, generator=torch.Generator().manual_seed(3))
    found = traced(read(model, ids))
    group = groups(model)[0]
    row = binned(group, found[0, group.signal].t())[2].numpy()
    features = [
        given("its own", row > np.median(row)),
        given("its opposite", row.max() - row, is_graded=True),
        given("a coin", np.random.default_rng(9).integers(0, 2, 2000)),
    ]
    effects = untrained(read(model, ids), Labels(ids, letters(13), features), ((0, 1000), (1000, 2000)))
    np.testing.assert_allclose(effects[:2], 1, atol=0.01)
    assert 0 <= effects[2] < 0.15


def test_the_untrained_best_is_found_in_the_first_half_and_scored_in_the_second(monkeypatch):
    """With one model it is the effect there of the unit that was best here, with the sign it had; 0 where that turns."""
    monkeypatch.setattr(baselines, "UNTRAINED", 1)
    model = new_model("gru", 1)
    ids = random_ids(2000)
    halves = (0, 1000), (1000, 2000)
    rng = np.random.default_rng(5)
    features = [given(str(n), rng.integers(0, 2 + n, 2000), is_graded=n > 0) for n in range(6)]
    features.append(given("turns", np.where(np.arange(2000) < 1000, ids > 6, ids < 6)))
    labels = Labels(ids, letters(13), features)
    found = untrained(read(model, ids), labels, halves)
    here = rank(read(model, ids[:1000]), labels)
    after = [given(each.name, each.label(" " * 2000)[1000:], is_graded=each.is_graded) for each in features]
    later = Labels(ids[1000:], letters(13), after)
    there = rank(read(model, ids[1000:]), later)
    best = here.best()
    pairs = best, np.arange(len(features))
    expected = np.maximum(there.effects[pairs] * np.sign(here.effects[pairs]), 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)  # ranking multiplies in float32
    assert found[-1] == 0
