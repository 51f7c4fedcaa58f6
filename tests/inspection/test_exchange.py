"""Chance where texts are what is independent: each gets the labels of another of about its length."""

import numpy as np
import pytest

from charlm.features.labels import Labels
from charlm.features.registry import known
from charlm.inspection import confirmation
from charlm.inspection.confirmation import confirm
from charlm.inspection.trace import Trace
from charlm.model.language_model import LanguageModel
from tests.conftest import new_model
from tests.inspection.reference import letters, random_ids

P, DRAWS = 3, 7
LENGTHS = np.random.default_rng(1).integers(3, 30, 90)
STARTS = np.cumsum([0, *LENGTHS])[:-1]


def ranks(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((P, LENGTHS.sum()))


def test_each_text_gets_anothers_labels_from_their_beginning_on():
    """By hand: in order of length, in 9 groups of 10, the labels of the text so many further on, as far as both go."""
    mine, theirs = ranks(2), ranks(3)
    found = confirmation._of_other_texts(mine, theirs, STARTS, np.random.default_rng(4), DRAWS)
    rng, expected = np.random.default_rng(4), np.zeros((DRAWS, P))
    for group in np.array_split(np.argsort(LENGTHS, kind="stable"), 9):
        for draw, offset in enumerate(rng.integers(0, len(group), DRAWS)):
            for text, other in zip(group, np.roll(group, offset), strict=True):
                size = min(LENGTHS[text], LENGTHS[other])
                one, two = (slice(STARTS[each], STARTS[each] + size) for each in (text, other))
                expected[draw] += (mine[:, one] * theirs[:, two]).sum(axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(("texts", "groups"), [(1, 1), (19, 1), (20, 2), (90, 9)])
def test_groups_have_ten_texts_or_more(texts, groups, monkeypatch):
    """Few texts are one group; then there are as many as have ten each, up to twenty."""
    seen = []
    monkeypatch.setattr(confirmation, "exchanged", lambda mine, theirs, offsets: seen.append(mine.shape) or 0)
    stop = LENGTHS[:texts].sum()
    confirmation._of_other_texts(ranks(2)[:, :stop], ranks(3)[:, :stop], STARTS[:texts], np.random.default_rng(4), DRAWS)
    assert len(seen) == groups
    assert sum(shape[1] for shape in seen) == texts


def test_noise_of_texts_is_confirmed_as_often_as_chance_allows():
    """Units and labels that are noise from text to text, and constant within, have p <= 0.05 in about 5 % of 400 cases.

    Labels rotated character by character, which tears texts apart, would have 12 %.
    """
    rng, few = np.random.default_rng(5), 0
    for _ in range(400):
        unit, label = (np.repeat(rng.standard_normal(len(LENGTHS)), LENGTHS)[None] for _ in range(2))
        unit, label = unit - unit.mean(), (label > 0) - (label > 0).mean()
        null = confirmation._of_other_texts(unit, label, STARTS, rng, 199)
        observed = (unit * label).sum(axis=1)
        few += confirmation._p_values(observed, null, np.ones(1), np.array([True]))[0] <= 0.05
    assert 6 <= few <= 36  # 20, give or take 3.7 standard deviations


def confirmed(model: LanguageModel, label: np.ndarray, draws: int) -> confirmation.Confirmation:
    ids, starts = random_ids(len(label)), np.arange(0, len(label), 25)
    labels = Labels(ids, letters(13), [known("label=x", "", label)], starts)
    trace, _ = Trace.over(model, ids, (0, len(ids)), starts=starts)
    return confirm(trace, labels, [4], np.ones(1), np.random.default_rng(0), draws=draws)


def test_a_label_of_whole_texts_is_not_untested():
    """However long texts are, a label that never changes within one has its p-value; noise has a high one."""
    model = new_model("lstm", 1)
    label = np.repeat(np.random.default_rng(6).random(80) < 0.5, 25)
    found = confirmed(model, label, 99)
    assert not found.changes_too_seldom.any()
    assert 0.05 < found.p_values[0] < 1
    assert confirmed(model, label, 0).effects == found.effects
