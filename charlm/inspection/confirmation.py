"""Each feature's best unit on a second text: does it follow the feature more closely than by chance?

The work is long, and tells how many characters it has gone through.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from torch import Tensor

from charlm.features.labels import Labels
from charlm.inspection.parallel import side_by_side
from charlm.inspection.ranking import BIN_BYTES, MOST_KEPT, binned, count_labels, label_ranks
from charlm.inspection.statistics import (
    BINS,
    Counts,
    Floats,
    autocorrelation,
    correlation_time,
    effects,
    exchanged,
    mid_ranks,
    rotated,
    spread,
)
from charlm.inspection.telling import TellMore, tell_nobody
from charlm.inspection.texts import Starts, between
from charlm.inspection.trace import Chapter, Group, Trace

Bins = npt.NDArray[np.int16]

DRAWS = 999  # of rotations: the least p-value is 1 in 1,000
LEAST_BLOCKS = 20  # in a text; each is rotated by itself
LONGEST_BLOCK = 1 << 16  # characters
TIMES_AS_LONG = 10  # a block must be this many times as long as a label's autocorrelation time
LEAST_WITHIN = 0.01  # of a label's variance, within blocks: else no rotation changes anything
LEAST_EXCHANGED = 10  # texts in a group, among which labels are exchanged, where there are as many


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """P pairs of a unit and a feature on a second text: effects, p-values, and which labels change too seldom to be tested,
    `(P,)` each.
    """

    effects: Floats
    p_values: Floats
    changes_too_seldom: npt.NDArray[np.bool_]


def unit_bins(trace: Trace, chapter: Chapter, units: Sequence[int], tell: TellMore = tell_nobody) -> Bins:
    """The bins `(P, n)` of P units at the n characters of a chapter; a unit is its row among all groups' rows."""
    works = [partial(_bins_of, trace, part, units) for part in chapter.shares()]
    return np.concatenate(side_by_side(works, trace.workers, tell), axis=1)


def _bins_of(trace: Trace, part: Chapter, units: Sequence[int], tell: TellMore) -> Bins:
    bins = np.zeros((len(units), part.stop - part.start), dtype=np.int16)
    for block in trace.blocks(part):
        bins[:, block.positions - part.start] = _rows(trace.groups, block.values, units)
        tell(len(block.positions))
    return bins


def _rows(groups: Sequence[Group], values: Sequence[Tensor], units: Sequence[int]) -> Bins:
    """The bins `(P, n)` of P rows among all groups' rows, from each group's `values` `(H, n)`."""
    result = np.zeros((len(units), values[0].shape[1]), dtype=np.int16)
    first = 0
    for group, rows in zip(groups, values, strict=True):
        mine = [(place, unit - first) for place, unit in enumerate(units) if first <= unit < first + group.size]
        if mine:
            result[[place for place, _ in mine]] = binned(group, rows[[row for _, row in mine]]).cpu().numpy()
        first += group.size
    return result


def confirm(
    trace: Trace,
    labels: Labels,
    units: Sequence[int],
    signs: Floats,
    rng: np.random.Generator,
    tell: TellMore = tell_nobody,
    draws: int = DRAWS,
) -> Confirmation:
    """Test on a second text whether unit `units[j]` follows feature j, with its former sign, more closely than by chance.

    Chance is measured by rotating the labels by independent random offsets within each of 20 blocks or more, which keeps the
    way in which a text repeats itself. The p-values are family-wise: each pair is compared with the greatest of all pairs under
    rotation, standardised by each pair's own mean and deviation (Westfall and Young 1993). Without draws they are all 1.

    Of several texts, each read by itself, it is the texts that are independent, and not their characters. There each text gets
    the labels of another one of about its length instead, from its beginning on.

    If the units' bins fit into memory, they are kept after they are counted; else the text is traced twice.
    """
    is_kept = trace.size * len(units) * BIN_BYTES <= MOST_KEPT
    counts, kept = _count_some(trace, units, tell, is_kept=is_kept)
    table = mid_ranks(counts)
    label_counts = count_labels(trace, labels)
    label_tables = [mid_ranks(count) for count in label_counts]
    longest = max(1, min(LONGEST_BLOCK, trace.size // LEAST_BLOCKS))
    observed, null = np.zeros(len(units)), np.zeros((draws, len(units)))
    itself = np.zeros((len(units), longest))
    for number, chapter in enumerate(trace.chapters):
        if is_kept:
            bins = kept[number]
            tell(chapter.stop - chapter.start)
        else:
            bins = unit_bins(trace, chapter, units, tell)
        mine = np.take_along_axis(table, bins, axis=1)
        theirs = label_ranks(labels, chapter, label_tables)
        observed += (mine * theirs).sum(axis=1)
        if labels.starts is not None:
            null += _of_other_texts(mine, theirs, between(labels.starts, (chapter.start, chapter.stop)), rng, draws)
            continue
        edges = np.linspace(0, mine.shape[1], -(-mine.shape[1] // longest) + 1).astype(int)
        for start, stop in itertools.pairwise(edges) if draws else ():
            offsets = rng.integers(0, stop - start, draws)
            itself += autocorrelation(theirs[:, start:stop], longest)
            null += rotated(mine[:, start:stop], theirs[:, start:stop], offsets)
    is_rotated = draws > 0 and labels.starts is None
    is_slow = np.array([correlation_time(sums) * TIMES_AS_LONG > longest for sums in itself])
    is_constant = itself[:, 0] <= LEAST_WITHIN * np.array([spread(count) for count in label_counts])
    changes_too_seldom = (is_slow | is_constant) & is_rotated
    return Confirmation(
        effects=_paired(observed, counts, label_counts, labels),
        p_values=_p_values(observed, null, signs, ~changes_too_seldom),
        changes_too_seldom=changes_too_seldom,
    )


def _of_other_texts(mine: Floats, theirs: Floats, starts: Starts, rng: np.random.Generator, draws: int) -> Floats:
    """The sums of products `(draws, P)` of ranks `(P, n)`, the labels of each text being another's of about its length.

    The texts, which begin at `starts`, are in no order. In order of their lengths, they fall into 20 groups or, for long texts,
    more, each of 10 texts or more; within each, the labels move on by a random number of texts.
    """
    sums = np.zeros((draws, len(mine)))
    lengths = np.diff(np.append(starts, mine.shape[1]))
    order = np.argsort(lengths, kind="stable")
    wanted = max(LEAST_BLOCKS, mine.shape[1] // LONGEST_BLOCK)
    for group in np.array_split(order, max(1, min(wanted, len(order) // LEAST_EXCHANGED))) if draws else ():
        steps = np.arange(lengths[group].max())
        is_text = steps < lengths[group, None]  # (B, T)
        places = np.where(is_text, starts[group, None] + steps, 0)
        offsets = rng.integers(0, len(group), draws)
        sums += exchanged(mine[:, places] * is_text, theirs[:, places] * is_text, offsets)
    return sums


def _count_some(trace: Trace, units: Sequence[int], tell: TellMore, *, is_kept: bool) -> tuple[Counts, list[Bins]]:
    """The counts `(P, BINS)`, and the bins of each chapter, if they are to be kept."""
    counts, kept = np.zeros((len(units), BINS), dtype=np.int64), []
    for chapter in trace.chapters:
        bins = unit_bins(trace, chapter, units, tell)
        counts += np.stack([np.bincount(row, minlength=BINS) for row in bins])
        if is_kept:
            kept.append(bins)
    return counts, kept


def _paired(sums: Floats, counts: Counts, label_counts: list[Counts], labels: Labels) -> Floats:
    """The effect of unit j for feature j, from sums of products of their ranks: `(P,)`."""
    pairs = zip(sums, counts, label_counts, labels.features, strict=True)
    return np.array([effects(total, unit, label, is_graded=feature.is_graded) for total, unit, label, feature in pairs])


def _p_values(observed: Floats, null: Floats, signs: Floats, testable: npt.NDArray[np.bool_]) -> Floats:
    """Family-wise p-values `(P,)` of observed sums `(P,)`, given D draws under the null `(D, P)`; 1 for untestable pairs."""
    deviation = null.std(axis=0) if len(null) else np.zeros(len(observed))
    usable = testable & (deviation > 0)
    if not usable.any():
        return np.ones(len(observed))
    scale = np.where(usable, signs / np.where(deviation > 0, deviation, 1), 0)
    z, null_z = (observed - null.mean(axis=0)) * scale, (null - null.mean(axis=0)) * scale
    greatest = null_z[:, usable].max(axis=1)
    reached = (greatest[:, None] >= z).sum(axis=0)
    return np.where(usable, (1 + reached) / (1 + len(null)), 1.0)
