"""Ranks and what is made of them, against scikit-learn, SciPy and plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from charlm.inspection.statistics import (
    BINS,
    autocorrelation,
    bins_of,
    correlation_time,
    effects,
    exchanged,
    mid_ranks,
    rotated,
    spread,
)

U, N, K = 6, 3000, 5
FINE = (0, 1, 3, 5)  # units that do not crowd within a thousandth of their range


def values(low: float, seed: int = 0) -> torch.Tensor:
    """U units `(U, N)`: broad, narrow, saturated at both ends, two-valued, skewed and never moving."""
    rng = np.random.default_rng(seed)
    rows = [
        rng.random(N),
        0.45 + 0.1 * rng.random(N),
        rng.beta(0.05, 0.05, N),
        rng.integers(0, 2, N),
        rng.random(N) ** 8,
        np.full(N, 0.3),
    ]
    return torch.from_numpy(low + (1 - low) * np.stack(rows)).float()


def counted(bins: np.ndarray, number: int = BINS) -> np.ndarray:
    return np.stack([np.bincount(row, minlength=number) for row in np.atleast_2d(bins)])


def followed(bins: np.ndarray, label: np.ndarray, *, is_graded: bool) -> np.ndarray:
    """The effects of units `(U, N)`, as ranking puts them together."""
    counts, label_counts = counted(bins), counted(label, max(K, label.max() + 1))[0]
    ranks = np.take_along_axis(mid_ranks(counts), bins, axis=1)
    return effects(ranks @ mid_ranks(label_counts)[label], counts, label_counts, is_graded=is_graded)


@pytest.mark.parametrize("low", [-1.0, 0.0])
@pytest.mark.parametrize("share", [0.5, 0.01, 0.97])
def test_auroc_is_scikit_learns(low, share):
    """Exactly on binned values, ties and all, and within 0.002 on the values themselves, where those fill many bins."""
    raw = values(low)
    noise = np.random.default_rng(1).random(N)
    for leaning in (0.0, 0.7, -0.7):
        label = (leaning * raw[0].numpy() + noise > np.quantile(leaning * raw[0].numpy() + noise, 1 - share)).astype(int)
        bins = bins_of(raw, low).numpy()
        found = (1 + followed(bins, label, is_graded=False)) / 2
        exact = [roc_auc_score(label, row) for row in bins]
        np.testing.assert_allclose(found, exact, atol=1e-9)
        for unit in FINE:
            assert found[unit] == pytest.approx(roc_auc_score(label, raw[unit].numpy()), abs=0.002)


@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_spearman_is_scipys(low):
    """With its sign, exactly on binned values, ties and all; 0, where SciPy has no number, for a unit that never moves."""
    raw = values(low, seed=2)
    label = (raw[0] * 3 + torch.randn(N, generator=torch.Generator().manual_seed(3))).round().clamp(0, K - 1).int().numpy()
    bins = bins_of(raw, low).numpy()
    found = followed(bins, K - 1 - label, is_graded=True)
    np.testing.assert_allclose(found[:-1], [stats.spearmanr(row, K - 1 - label).statistic for row in bins[:-1]], atol=1e-9)
    assert found[0] < -0.3
    assert found[-1] == 0


@pytest.mark.parametrize("is_graded", [False, True])
def test_a_unit_that_is_its_label_has_effect_1_and_its_opposite_minus_1(is_graded):
    """The scale's ends are reached, by either statistic."""
    label = np.random.default_rng(4).integers(0, K if is_graded else 2, N)
    bins = np.stack([label * 100, 900 - label * 100])
    np.testing.assert_allclose(followed(bins, label, is_graded=is_graded), [1, -1], atol=1e-12)


@pytest.mark.parametrize("is_graded", [False, True])
@pytest.mark.parametrize("level", [0, 1])
def test_a_label_that_never_changes_has_no_effect(level, is_graded):
    """All no, or all yes, is followed by nothing."""
    bins = bins_of(values(0.0), 0.0).numpy()
    assert not followed(bins, np.full(N, level), is_graded=is_graded).any()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_mid_ranks_are_scipys(numbers):
    """Ranks count from the middle, in shares of N, ties sharing the middle one; their squares sum to the spread."""
    row = np.array(numbers)
    counts = np.bincount(row, minlength=10)
    ranks = (stats.rankdata(row) - 0.5) / len(row) - 0.5
    np.testing.assert_allclose(mid_ranks(counts)[row], ranks, atol=1e-12)
    np.testing.assert_allclose(spread(counts), (ranks**2).sum(), atol=1e-12)


def test_nothing_counted_has_ranks_and_no_spread():
    """A bin count of zeros gives numbers, not NaN."""
    assert np.isfinite(mid_ranks(np.zeros((2, 4), dtype=np.int64))).all()
    assert not spread(np.zeros((2, 4), dtype=np.int64)).any()


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30))
def test_bins_are_a_thousandth_wide_and_hold_the_ends(numbers):
    """Each value is in the bin that its place in the range names, the greatest in the last; order is kept."""
    row = torch.tensor(numbers, dtype=torch.float32)
    for low, scaled in ((-1.0, row), (0.0, row.abs())):
        bins = bins_of(scaled, low)
        exact = (scaled.double() - low) / (1 - low) * BINS
        assert 0 <= bins.min() <= bins.max() <= BINS - 1
        assert ((exact - bins) > -1e-3).all()
        assert ((exact - bins < 1 + 1e-3) | (bins == BINS - 1)).all()
        assert torch.equal(bins[scaled.argsort()], bins.sort().values)


def test_a_tenth_and_nine_tenths_are_edges():
    """A gate is saturated below 0.1 and above 0.9: bins 0 to 99, and 900 to 999."""
    assert bins_of(torch.tensor([0.0, 0.0999, 0.1, 0.8999, 0.9, 1.0]), 0.0).tolist() == [0, 99, 100, 899, 900, 999]
    assert bins_of(torch.tensor([-1.0, -0.001, 0.0, 1.0]), -1.0).tolist() == [0, 499, 500, 999]


@pytest.mark.parametrize("number", [1, 2, 7, 64, 101])
def test_rotated_is_numpys_roll(number):
    """At every offset the sum of products is that with the label rolled by it."""
    rng = np.random.default_rng(number)
    unit, label = rng.standard_normal((2, 3, number))
    offsets = np.concatenate([np.arange(number), [0, number - 1]])
    expected = [[one @ np.roll(other, offset) for one, other in zip(unit, label, strict=True)] for offset in offsets]
    np.testing.assert_allclose(rotated(unit, label, offsets), expected, atol=1e-9)


@pytest.mark.parametrize(("texts", "length"), [(1, 4), (2, 1), (5, 3), (8, 6)])
def test_exchanged_is_numpys_roll_of_texts(texts, length):
    """At every offset the sum of products is that with whole texts' labels rolled by it, each from its beginning on."""
    rng = np.random.default_rng(texts)
    units, labels = rng.standard_normal((2, 3, texts, length))
    offsets = np.concatenate([np.arange(texts), [0, texts - 1]])
    expected = [
        [(unit * np.roll(label, offset, axis=0)).sum() for unit, label in zip(units, labels, strict=True)] for offset in offsets
    ]
    np.testing.assert_allclose(exchanged(units, labels, offsets), expected, atol=1e-9)


@pytest.mark.parametrize(("number", "length"), [(40, 40), (39, 40), (23, 40), (1, 5)])
def test_autocorrelation_is_a_plain_loop(number, length):
    """The sum of products of a label, from its mean, with itself later, with nothing beyond the block's end."""
    labels = np.random.default_rng(5).standard_normal((3, number))
    expected = np.zeros((3, length))
    for row, label in enumerate(labels):
        x = label - label.mean()
        for lag in range(length):
            expected[row, lag] = sum(x[t] * x[t + lag] for t in range(number - lag))
    np.testing.assert_allclose(autocorrelation(labels, length), expected, atol=1e-10)


def test_the_correlation_time_is_where_a_label_is_like_itself_by_less_than_1_over_e():
    """Of exp(-t / 12.5) it is 13; of white noise 1; of what stays as it is, or never changes, as long as one looks."""
    assert correlation_time(np.exp(-np.arange(50) / 12.5)) == 13
    assert correlation_time(np.array([1.0, 0.0, 0.0])) == 1
    assert correlation_time(np.ones(40)) == 40
    assert correlation_time(np.zeros(40)) == 40
