"""Every unit against every feature, one by one; and p-values that are what they claim to be."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from charlm.features.labels import Labels
from charlm.inspection import confirmation, trace
from charlm.inspection.confirmation import Confirmation, confirm, unit_bins
from charlm.inspection.ranking import binned, count_units, rank
from charlm.inspection.statistics import BINS
from charlm.inspection.trace import groups
from charlm.model.language_model import LanguageModel
from tests.conftest import CELLS, new_model
from tests.inspection.reference import given, letters, random_ids, read, traced

N = 4000
VOCAB = letters(13)
ROUNDING = 1e-6  # of products in float32, which ranking adds up in float64


def all_bins(model: LanguageModel, ids: np.ndarray) -> np.ndarray:
    """The bins `(U, N)` of every row, from a full trace."""
    found = traced(read(model, ids))
    return np.concatenate([binned(group, found[group.layer, group.signal].t()).numpy() for group in groups(model)])


def persistent(number: int, stay: float, seed: int, levels: int = 2) -> np.ndarray:
    """Labels that know nothing of any text: drawn anew with probability 1 - stay."""
    rng = np.random.default_rng(seed)
    latest = np.maximum.accumulate(np.where(rng.random(number) < stay, 0, np.arange(number)))
    return rng.integers(0, levels, number)[latest]


def confirmed(model: LanguageModel, ids: np.ndarray, features: list, units: list, signs: list, **options: int) -> Confirmation:
    rng = np.random.default_rng(options.pop("seed", 0))
    labels = Labels(ids, VOCAB, features)
    return confirm(read(model, ids), labels, units, np.array(signs, float), rng, **options)


@pytest.mark.parametrize("cell", CELLS)
def test_all_at_once_is_one_by_one(cell):
    """Each unit's effect for each feature is scikit-learn's AUROC, or SciPy's rho, of the unit's bins from a full trace."""
    model, ids = new_model(cell, 2), random_ids(600)
    bins = all_bins(model, ids)
    yes_no, graded = persistent(600, 0.8, 1), persistent(600, 0.7, 2, levels=9)
    labels = Labels(ids, VOCAB, [given("a", yes_no), given("b", graded, is_graded=True), given("c", ids == 4)])
    ranking = rank(read(model, ids), labels)
    assert ranking.effects.shape == (len(bins), 3)
    np.testing.assert_array_equal(ranking.counts, [np.bincount(row, minlength=BINS) for row in bins])
    for number, row in enumerate(bins):
        rho = stats.spearmanr(row, graded).statistic
        expected = [2 * roc_auc_score(yes_no, row) - 1, rho, 2 * roc_auc_score(ids == 4, row) - 1]
        np.testing.assert_allclose(ranking.effects[number], expected, rtol=0, atol=ROUNDING)
    best = [max(range(len(bins)), key=lambda unit: abs(ranking.effects[unit, feature])) for feature in range(3)]
    assert ranking.best().tolist() == best


CUTS = [{"CHAPTER": 50, "LANES": 4, "BLOCK": 3}, {"LANES": 1, "BLOCK": 100}, {"CHAPTER": 777}]


@pytest.mark.parametrize("sizes", CUTS, ids=str)
def test_how_the_text_is_cut_changes_no_effect(sizes, monkeypatch):
    """Chapters, lanes and blocks of any size give the same ranking, and the same effects on the second text."""
    model, ids = new_model("gru", 2).double(), random_ids(1000)
    features = [given("a", persistent(1000, 0.8, 1)), given("b", persistent(1000, 0.7, 2, levels=9), is_graded=True)]
    labels = Labels(ids, VOCAB, features)
    whole = rank(read(model, ids), labels)
    units = whole.best().tolist()
    one = confirmed(model, ids, features, units, [1, 1], draws=9)
    for name, size in sizes.items():
        monkeypatch.setattr(trace, name, size)
    pieces = rank(read(model, ids), labels)
    np.testing.assert_allclose(pieces.effects, whole.effects, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(pieces.counts, whole.counts)
    np.testing.assert_allclose(confirmed(model, ids, features, units, [1, 1], draws=9).effects, one.effects, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_confirming_on_the_same_text_gives_the_ranks_own_effects(cell):
    """Any unit of any layer and signal, in any order and more than once, has the effect that the ranking gave it."""
    model, ids = new_model(cell, 2), random_ids(1000)
    features = [given(str(n), persistent(1000, 0.8, n, levels=2 + n), is_graded=n > 0) for n in range(5)]
    ranking = rank(read(model, ids), Labels(ids, VOCAB, features))
    total = len(ranking.effects)
    units = [total - 1, 0, total // 2, 3, 3]
    found = confirmed(model, ids, features, units, [1] * 5, draws=0)
    np.testing.assert_allclose(found.effects, ranking.effects[units, range(5)], rtol=0, atol=ROUNDING)
    assert found.p_values.tolist() == [1] * 5
    assert not found.changes_too_seldom.any()


def test_bins_that_are_kept_are_bins_traced_again(monkeypatch):
    """Where there is no memory for them, a text is traced twice, and every number is the same."""
    monkeypatch.setattr(trace, "CHAPTER", 400)
    model, ids = new_model("lstm", 2), random_ids(1000)
    features = [given("a", persistent(1000, 0.8, 1)), given("b", persistent(1000, 0.7, 2, levels=9), is_graded=True)]
    labels = Labels(ids, VOCAB, features)
    kept = rank(read(model, ids), labels), confirmed(model, ids, features, [3, 50], [1, 1], draws=9)
    monkeypatch.setattr(confirmation, "MOST_KEPT", 0)
    again = (
        rank(read(model, ids), labels, most_kept=0),
        confirmed(model, ids, features, [3, 50], [1, 1], draws=9),
    )
    np.testing.assert_array_equal(kept[0].effects, again[0].effects)
    np.testing.assert_array_equal(kept[0].counts, again[0].counts)
    np.testing.assert_array_equal([kept[1].effects, kept[1].p_values], [again[1].effects, again[1].p_values])


def test_bins_are_kept_only_where_they_fit(monkeypatch):
    """A text whose bins would take too much memory is traced twice, by `rank` and by `confirm`, and else once."""
    model, ids, count = new_model("lstm", 1), random_ids(600), []
    features = [given("c", ids == 4)]
    labels, text = Labels(ids, VOCAB, features), read(model, ids)
    real = trace.blocks
    monkeypatch.setattr(trace, "blocks", lambda *of: (count.append(1), real(*of))[1])

    def traces(most: int) -> tuple[int, int]:
        count.clear()
        rank(text, labels, most_kept=most)
        ranked = len(count)
        monkeypatch.setattr(confirmation, "MOST_KEPT", most)
        confirmed(model, ids, features, [3], [1])
        return ranked, len(count) - ranked

    once, twice = traces(1 << 20), traces(1000)
    assert twice == (2 * once[0], 2 * once[1])


def test_some_units_bins_are_those_among_all():
    """`unit_bins` picks rows of all groups' rows; counting them counts them all."""
    model, ids = new_model("lstm", 2), random_ids(500)
    text, bins = read(model, ids), all_bins(model, ids)
    units = [83, 0, 14, 7, 7, 41]
    np.testing.assert_array_equal(unit_bins(text, text.chapters[0], units), bins[units])
    counts = np.concatenate(count_units(text))
    np.testing.assert_array_equal(counts.sum(axis=1), [500] * 84)


def test_a_planted_relation_is_found_and_its_opposite_is_not():
    """A label made of a unit's own values has effect 1 and p 0.001; asked for with the other sign, it has p 1."""
    model, ids = new_model("lstm", 1), random_ids(N)
    bins = all_bins(model, ids)
    unit = 9
    high, graded = bins[unit] > np.median(bins[unit]), bins[unit] - bins[unit].min()
    for feature in (given("high", high), given("graded", graded, is_graded=True)):
        found = confirmed(model, ids, [feature] * 2, [unit] * 2, [1, -1])
        np.testing.assert_allclose(found.effects, 1, atol=1e-9)
        assert found.p_values.tolist() == [0.001, 1]
    low = confirmed(model, ids, [given("low", ~high)], [unit], [-1])
    np.testing.assert_allclose(low.effects, -1, atol=1e-9)
    assert low.p_values.tolist() == [0.001]


def test_a_relation_in_chapters_is_found_too(monkeypatch):
    """The null is made over all chapters: what is planted in a text of many is no less certain."""
    monkeypatch.setattr(trace, "CHAPTER", 900)
    model, ids = new_model("lstm", 1), random_ids(N)
    bins = all_bins(model, ids)
    features = [given("planted", bins[3] > np.median(bins[3])), given("nothing", persistent(N, 0.8, 1))]
    found = confirmed(model, ids, features, [3, 3], [1, 1])
    assert found.effects[0] > 0.99
    assert found.p_values[0] == 0.001
    assert found.p_values[1] > 0.01


def test_labels_that_know_nothing_of_the_model_have_uniform_p_values():
    """Over many labels, each tested by itself, p is uniform, and never below 1 in as many as were drawn and one."""
    model, ids = new_model("lstm", 1), random_ids(2000)
    signs = np.random.default_rng(0).choice([-1, 1], 80)
    p = []
    for number, sign in enumerate(signs):
        label = persistent(2000, 0.5 + 0.3 * (number % 2), number, levels=2 + number % 3)
        feature = given("nothing", label, is_graded=number % 3 > 0)
        p += confirmed(model, ids, [feature], [number % 42], [sign], draws=199, seed=number).p_values.tolist()
    assert min(p) >= 1 / 200
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert sum(value <= 0.1 for value in p) <= 15


def test_a_periodic_label_is_no_relation_with_a_periodic_unit():
    """Text and label that repeat every 20 characters, with phases that wander apart, are not taken for each other."""
    rng = np.random.default_rng(3)
    p = []
    for seed in range(12):
        ids, label = (
            np.concatenate([np.roll(np.arange(20), rng.integers(20))[: rng.integers(15, 20)] for _ in range(300)])[:N]
            for _ in range(2)
        )
        ids = np.minimum(ids, 12).astype(np.uint8)
        feature = given("column", label, is_graded=True)
        p += confirmed(new_model("gru", 1, seed=seed), ids, [feature], [seed % 7], [1], draws=99).p_values.tolist()
    assert sum(value <= 0.05 for value in p) <= 2


def test_carrying_more_pairs_makes_no_p_value_smaller():
    """The p-values are those of the greatest of all pairs; among many pairs of nothing, few texts have one that is low."""
    model, ids = new_model("lstm", 1), random_ids(1000)
    low = 0
    for seed in range(25):
        features = [given("n", persistent(1000, 0.7, 100 * seed + n)) for n in range(8)]
        units, signs = list(range(0, 40, 5)), [1, -1] * 4
        before = np.zeros(8)
        for many in (1, 3, 8):
            found = confirmed(model, ids, features[:many], units[:many], signs[:many], draws=99, seed=seed)
            assert (found.p_values >= before[:many]).all()
            before[:many] = found.p_values
        low += found.p_values.min() <= 0.1
    assert low <= 7


def test_a_label_that_never_changes_proves_nothing():
    """All no, or all yes, it has effect 0 and p 1, and spoils no other pair's p."""
    model, ids = new_model("rnn", 1), random_ids(2000)
    bins = all_bins(model, ids)
    features = [given("planted", bins[2] > 500), given("none", np.zeros(2000)), given("all", np.ones(2000), is_graded=True)]
    alone = confirmed(model, ids, features[:1], [2], [1])
    found = confirmed(model, ids, features, [2, 2, 3], [1, 1, -1])
    assert found.effects.tolist() == [alone.effects[0], 0, 0]
    assert found.p_values.tolist() == [alone.p_values[0], 1, 1] == [0.001, 1, 1]


@pytest.mark.parametrize("run", [1, 90, 100, N // 8, 2000])
def test_a_label_slower_than_the_blocks_is_said_to_be(run):
    """Where a block is not 10 of the label's autocorrelation times long, p is 1, and the pair takes no part in others'."""
    model, ids = new_model("rnn", 1), random_ids(N)
    bins = all_bins(model, ids)
    slow, planted = given("slow", np.arange(N) // run % 2), given("planted", bins[2] > 500)
    found = confirmed(model, ids, [slow, planted], [0, 2], [1, 1], draws=199)
    assert found.changes_too_seldom.tolist() == [run > 1, False]
    assert found.p_values[1] == 1 / 200
    if run > 1:
        assert found.p_values[0] == 1
        alone = confirmed(model, ids, [planted], [2], [1], draws=199)
        assert alone.p_values[0] == found.p_values[1]
