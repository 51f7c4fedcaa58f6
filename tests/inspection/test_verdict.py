"""What is made of the losses under clamps, against SciPy and plain loops."""

import numpy as np
import pytest
from scipy import stats

from charlm.inspection import verdict
from charlm.inspection.verdict import LEAST_CONTROLS, Effect, is_settled, judge, lowest, resampled


def judged(own: np.ndarray, others: np.ndarray, is_present: np.ndarray) -> Effect:
    """The judgement on a unit's rises in loss `(n, 2 clamps)` and those of others, the same at each character, `(2, K - 1)`."""
    rises = np.concatenate([own[:, :, None], np.broadcast_to(others, (len(own), *others.shape))], axis=2)
    return judge(rises, is_present, np.random.default_rng(7))


def test_both_sides_count_half_and_the_lesser_clamp_is_reported():
    """However rare the feature, the rises where it is present and where it is absent weigh the same."""
    is_present = np.arange(400) % 10 == 0
    own = np.where(is_present[:, None], [0.4, 0.5], [0.1, -0.4])  # half the sum: 0.25, 0.05
    effect = judged(own, np.zeros((2, 30)), is_present)
    assert (effect.delta.present, effect.delta.absent) == pytest.approx((0.5, -0.4))
    assert effect.is_used
    assert not judged(own, np.full((2, 30), 0.06), is_present).is_used
    assert not judged(own - [0, 0.06], np.full((2, 30), -1.0), is_present).is_used


@pytest.mark.parametrize("clamp", [0, 1])
@pytest.mark.parametrize(("number", "stronger", "is_used"), [(20, 1, True), (20, 2, False), (50, 2, True), (50, 3, False)])
def test_used_is_more_than_95_percent_of_the_others_under_both_clamps(number, stronger, is_used, clamp):
    """Where there are 20 others or more, too many stronger ones under either clamp are enough to say no."""
    others = np.full((2, number), 0.5)
    others[clamp, :stronger] = 2.0
    is_present = np.arange(100) % 2 == 0
    assert judged(np.ones((100, 2)), others, is_present).is_used == is_used
    assert not judged(-np.ones((100, 2)), others - 5, is_present).is_used


@pytest.mark.parametrize(("mean", "is_used"), [(0.2, True), (0.02, False), (-0.2, False)])
def test_with_fewer_than_20_others_the_interval_of_the_rise_decides(mean, is_used):
    """Under both clamps the lower end is above 0, or not; with 20 others, all of them stronger, it never is."""
    noise = np.random.default_rng(8).standard_normal((2000, 1))
    own, is_present = np.hstack([noise + mean, 1 + 0 * noise]), np.arange(2000) % 3 == 0
    strong = np.full((2, LEAST_CONTROLS), 9.0)
    assert judged(own, strong[:, 1:], is_present).is_used == is_used
    assert judged(own[:, ::-1], strong[:, 1:], is_present).is_used == is_used
    assert not judged(own, strong, is_present).is_used


def test_the_interval_is_scipys_of_whole_blocks():
    """Its lower end is that of SciPy's 99 % percentile bootstrap over the means of 20 blocks, when the sides are as long."""
    rises = np.repeat(np.random.default_rng(9).standard_normal(20), 100) + 0.3
    found = lowest(rises, np.arange(2000) % 2 == 0, np.random.default_rng(10))
    blocks = rises.reshape(20, 100).mean(axis=1)
    interval = stats.bootstrap((blocks,), np.mean, confidence_level=0.99, method="percentile", n_resamples=20_000, rng=11)
    assert found == pytest.approx(interval.confidence_interval.low, abs=0.05)


def noisy(means: list[float], seed: int, number: int = 1000) -> np.ndarray:
    """Rises in loss `(number, 2 clamps, K)` about K means, independent."""
    noise = np.random.default_rng([seed, 12]).standard_normal((number, 2, len(means)))
    return noise + np.array(means)


def settled(rises: np.ndarray, is_present: np.ndarray, seed: int = 1) -> bool:
    return is_settled(rises, is_present, np.random.default_rng(seed))


HALF = np.arange(1000) % 7 < 3


@pytest.mark.parametrize(("number", "holds"), [(0, True), (2, True), (3, False), (4, False), (8, True)])
def test_a_verdict_is_settled_where_no_resample_has_another(number, holds):
    """Of 40 others 2 may be above the unit: 2 that are like it turn nothing, 3 or 4 may, and 8 far above are too many."""
    means = [1.0, *[0.0] * (40 - number), *[1.0 if number < 8 else 3.0] * number]
    assert settled(noisy(means, seed=number), HALF) == holds


def test_a_unit_like_all_others_is_hardly_ever_settled_to_be_used():
    """Of 100 units that are no different from 40 others, none is said to be used before its stretch has ended."""
    for seed in range(100):
        rises = noisy([0.2] * 41, seed)
        assert not (settled(rises, HALF, seed) and judged_used(rises, HALF))


def test_nothing_is_settled_by_short_blocks():
    """20 blocks of 50 characters, 1,000 in all, are enough, one character less is not."""
    rises = noisy([9.0, *[0.0] * 40], seed=1)
    assert settled(rises, HALF)
    assert not settled(rises[1:], HALF[1:])


@pytest.mark.parametrize(("run", "holds"), [(30, True), (50, True), (300, False)])
def test_nothing_is_settled_by_blocks_shorter_than_the_features_own_time(run, holds):
    """Of 2,000 characters blocks have 100: a feature that lasts for long stretches is followed further."""
    rises = noisy([9.0, *[0.0] * 40], seed=1, number=2000)
    assert settled(rises, np.arange(2000) // run % 2 == 0) == holds


def judged_used(rises: np.ndarray, is_present: np.ndarray) -> bool:
    return judge(rises, is_present, np.random.default_rng(7)).is_used


@pytest.mark.parametrize("is_present", [np.arange(1000) < 150, np.arange(1000) >= 150, np.arange(1000) % 250 == 0], ids=str)
def test_nothing_is_settled_before_both_sides_of_the_feature_were_seen(is_present):
    """In a quarter of the blocks each: rises that settle the verdict elsewhere do not where one side is in a few."""
    rises = noisy([9.0, *[0.0] * 40], seed=1)
    assert settled(rises, HALF)
    assert not settled(rises, is_present)


def test_resamples_are_means_over_the_blocks_drawn(monkeypatch):
    """Each is the mean of the two sides' means over blocks drawn with replacement, joined end to end."""
    monkeypatch.setattr(verdict, "RESAMPLES", 30)
    rises, is_present = noisy([0.0, 1.0, 2.0], seed=3, number=130), np.arange(130) % 4 == 0
    found = resampled(rises, is_present, np.random.default_rng(13))
    blocks = np.array_split(np.arange(130), 20)
    for row, drawn in zip(found, np.random.default_rng(13).integers(0, 20, (30, 20)), strict=True):
        places = np.concatenate([blocks[block] for block in drawn])
        sides = is_present[places]
        expected = (rises[places][sides].mean(axis=0) + rises[places][~sides].mean(axis=0)) / 2
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-12)
