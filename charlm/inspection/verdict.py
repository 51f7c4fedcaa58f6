"""From losses under clamps to a verdict: whether a unit is used, and whether reading on could still change that.

Knows rises in loss and where the feature is present, and nothing of models or of how units are clamped.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.inspection.findings import Delta
from charlm.inspection.statistics import Floats, autocorrelation, correlation_time

LEAST_CONTROLS = 20  # comparable units; with fewer, an interval decides
BETTER_THAN = 0.95  # of the controls
RESAMPLES = 2000
RESAMPLED_BLOCKS = 20
LEAST_BLOCK = 50  # characters
SEEN = 0.25  # share of the blocks in which the feature must be present, and absent
LOWEST_PERCENT = 0.5  # the lower end of a 99 % interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What two clamps of a unit do: the lesser rise in loss; whether under both it rises more than for comparable units; and
    over how many characters.
    """

    delta: Delta
    is_used: bool
    num_characters: int


def is_settled(rises: Floats, is_present: npt.NDArray[np.bool_], rng: np.random.Generator) -> bool:
    """Whether reading on is unlikely to change the verdict on rises in loss `(n, 2 clamps, K)`.

    The characters read are resampled 2,000 times in 20 blocks; the verdict is settled if it is the same in all resamples. They
    spread about as far as the rest of the stretch would move the means. So if blocks were independent, fewer than 1 in 1,000
    verdicts settled at a look would change later; `python -m benchmarks.stopping` counts how many do. A verdict is not settled
    while blocks have fewer than 50 characters or are shorter than the feature's autocorrelation time, or before the feature has
    been present in a quarter of the blocks and absent in a quarter.
    """
    number, label = len(rises), is_present[None].astype(np.float64)
    least = max(LEAST_BLOCK, correlation_time(autocorrelation(label, max(1, number // 2))[0]))
    seen = np.array([[part.any(), not part.all()] for part in np.array_split(is_present, RESAMPLED_BLOCKS)])
    if number < least * RESAMPLED_BLOCKS or (seen.mean(axis=0) < SEEN).any():
        return False
    is_used = _beats(resampled(rises, is_present, rng))
    return bool(is_used.all() or not is_used.any())


def _beats(both: Floats) -> npt.NDArray[np.bool_]:
    """Whether the first of K units' rises `(..., 2 clamps, K)` is above 0 and above 95 % of the others, under both clamps."""
    own, others = both[..., :1], both[..., 1:]
    is_above = ((own > others).mean(axis=-1) >= BETTER_THAN) & (own[..., 0] > 0)
    return np.asarray(is_above.all(axis=-1))


def judge(rises: Floats, is_present: npt.NDArray[np.bool_], rng: np.random.Generator) -> Effect:
    """The verdict on rises in loss `(n, 2 clamps, K)`, the unit's own first.

    Present and absent count half each. The model may take a switch that is held at its mean for on or for off, so the loss may
    rise only where the feature is absent, or only where it is present.
    """
    present, absent = rises[is_present].mean(axis=0), rises[~is_present].mean(axis=0)  # (2, K) each
    both = (present + absent) / 2
    lesser = int(both[:, 0].argmin())
    if rises.shape[2] - 1 >= LEAST_CONTROLS:
        is_used = bool(_beats(both))
    else:
        is_used = all(lowest(rises[:, clamp, 0], is_present, rng) > 0 for clamp in range(2))
    delta = Delta(present=float(present[lesser, 0]), absent=float(absent[lesser, 0]))
    return Effect(delta=delta, is_used=is_used, num_characters=len(rises))


def lowest(rises: Floats, is_present: npt.NDArray[np.bool_], rng: np.random.Generator) -> float:
    """The lower end of a block-bootstrap 99 % interval of the mean of `rises` `(n,)`; present and absent count half each."""
    return float(np.percentile(resampled(rises, is_present, rng), LOWEST_PERCENT))


def resampled(rises: Floats, is_present: npt.NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    """Means of `rises` `(n, ...)` over 2,000 resamples of 20 blocks; present and absent count half each: `(2000, ...)`."""
    drawn = rng.integers(0, RESAMPLED_BLOCKS, (RESAMPLES, RESAMPLED_BLOCKS))
    times = (drawn[:, :, None] == np.arange(RESAMPLED_BLOCKS)).sum(axis=1)  # how often each block is in each resample
    halves = []
    for side in (is_present, ~is_present):
        blocks_of_side = zip(np.array_split(rises, RESAMPLED_BLOCKS), np.array_split(side, RESAMPLED_BLOCKS), strict=True)
        sums = np.array([part[mine].sum(axis=0) for part, mine in blocks_of_side])
        counts = times @ np.array([part.sum() for part in np.array_split(side, RESAMPLED_BLOCKS)])
        halves.append((np.tensordot(times, sums, 1).T / np.maximum(counts, 1)).T / 2)
    means: Floats = np.sum(halves, axis=0)
    return means
