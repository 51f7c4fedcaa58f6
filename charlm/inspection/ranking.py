"""Every unit against every feature; then, on text not seen so far, each feature's best unit against chance.

The work is long, so it is done by generators that yield the number of characters they have gone through, and return.
"""

import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.features.labels import MOST_LEVELS, Labels
from charlm.inspection.parallel import side_by_side
from charlm.inspection.statistics import (
    BINS,
    Counts,
    Floats,
    autocorrelation,
    bins_of,
    correlation_time,
    effects,
    mid_ranks,
    rotated,
)
from charlm.inspection.trace import Chapter, Group, blocks, groups
from charlm.model.language_model import LanguageModel

Bins = npt.NDArray[np.int16]

DRAWS = 999
LEAST_BLOCKS = 20
LONGEST_BLOCK = 1 << 16
MOST_KEPT, BIN_BYTES = 1 << 29, 2  # bytes of bins that need not be traced twice
TIMES_AS_LONG = 10  # a block, at least, as a label's autocorrelation time


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Each of the U units' effect for each of the F features, `(U, F)`, and the counts `(U, BINS)` behind it."""

    effects: Floats
    counts: Counts

    def best(self) -> npt.NDArray[np.int64]:
        """Each feature's best unit, `(F,)`."""
        best: npt.NDArray[np.int64] = np.abs(self.effects).argmax(axis=0)
        return best


def rank(
    model: LanguageModel, chapters: Sequence[Chapter], labels: Labels, workers: int = 1, most_kept: int = MOST_KEPT
) -> Generator[int, None, Ranking]:
    """Rank every unit against every feature over `chapters`, which are gone through twice: to count, and to sum.

    Where all bins fit into `most_kept` bytes they are kept in between, else the chapters are traced twice.
    """
    is_kept = _size(chapters) * sum(group.size for group in groups(model)) * BIN_BYTES <= most_kept
    counting = [_count(model, part, is_kept=is_kept) for chapter in chapters for part in chapter.parts()]
    counted = yield from side_by_side(counting, workers)
    counts = _total([count for count, _ in counted])
    kept = iter([bins for _, bins in counted])
    label_counts = count_labels(chapters, labels)
    tables = [torch.from_numpy(mid_ranks(count)).float().to(model.device) for count in counts]
    label_tables = [mid_ranks(count) for count in label_counts]
    sums = [np.zeros((len(table), len(label_tables))) for table in tables]
    for chapter in chapters:
        ranks = _label_ranks(labels, chapter, label_tables)  # (F, n)
        sources = [next(kept) if is_kept else binned_blocks(model, part) for part in chapter.parts()]
        summing = [_sum_products(source, tables, ranks, chapter.start) for source in sources]
        for some in (yield from side_by_side(summing, workers)):
            sums = [total + more for total, more in zip(sums, some, strict=True)]
    all_sums, all_counts = np.concatenate(sums), np.concatenate(counts)
    columns = [
        effects(all_sums[:, number], all_counts, count, is_graded=feature.is_graded)
        for number, (feature, count) in enumerate(zip(labels.features, label_counts, strict=True))
    ]
    return Ranking(effects=np.stack(columns, axis=1), counts=all_counts)


def binned(group: Group, values: Tensor) -> Tensor:
    """The bins of a group's `values` `(H, n)`: int16."""
    return bins_of(group.ranged(values), group.low).contiguous()  # the lookups that follow go along rows


@dataclass(frozen=True, slots=True)
class BinnedBlock:
    """n characters at `positions` `(n,)`, in no order; for each group, the `bins` `(H, n)` of its units."""

    positions: npt.NDArray[np.int64]
    bins: tuple[Tensor, ...]


def binned_blocks(model: LanguageModel, part: Chapter) -> Iterator[BinnedBlock]:
    """The bins of every unit's signals at every character of `part`, some at a time."""
    for block in blocks(model, part):
        pairs = zip(groups(model), block.values, strict=True)
        yield BinnedBlock(block.positions, tuple(binned(group, values) for group, values in pairs))


def _sum_products(
    part: Iterable[BinnedBlock], tables: Sequence[Tensor], label_ranks: Floats, start: int
) -> Generator[int, None, list[Floats]]:
    """Over a part of the chapter that begins at `start`, the sums `(H, F)` of each group's ranks times the labels'."""
    sums = [np.zeros((len(table), len(label_ranks))) for table in tables]
    for block in part:
        here = torch.from_numpy(label_ranks[:, block.positions - start].T.copy()).float().to(tables[0].device)  # (n, F)
        for number, (table, bins) in enumerate(zip(tables, block.bins, strict=True)):
            sums[number] += (table.gather(1, bins.long()) @ here).cpu().numpy()
        yield len(block.positions)
    return sums


def count_units(model: LanguageModel, chapters: Sequence[Chapter], workers: int = 1) -> Generator[int, None, list[Counts]]:
    """How often each unit of each group is in each bin: `(H, BINS)` each."""
    works = [_count(model, part, is_kept=False) for chapter in chapters for part in chapter.parts()]
    some = yield from side_by_side(works, workers)
    return _total([counts for counts, _ in some])


def _total(some: Sequence[list[Counts]]) -> list[Counts]:
    """The sums of several parts' counts."""
    return [np.sum(same, axis=0, dtype=np.int64) for same in zip(*some, strict=True)]


def _count(
    model: LanguageModel, part: Chapter, *, is_kept: bool
) -> Generator[int, None, tuple[list[Counts], list[BinnedBlock]]]:
    """The counts, and what was counted if it is to be kept."""
    counts = [torch.zeros(group.size, BINS, dtype=torch.int32, device=model.device) for group in groups(model)]
    kept = []
    for block in binned_blocks(model, part):
        for count, bins in zip(counts, block.bins, strict=True):
            count.scatter_add_(1, bins.long(), count.new_ones(1).expand(bins.shape))
        if is_kept:
            kept.append(block)
        yield len(block.positions)
    return [count.cpu().numpy() for count in counts], kept


def _size(chapters: Sequence[Chapter]) -> int:
    return sum(chapter.stop - chapter.start for chapter in chapters)


def count_labels(chapters: Sequence[Chapter], labels: Labels) -> list[Counts]:
    """How often each label is at each level, `(MOST_LEVELS,)` each."""
    totals = np.zeros((len(labels.features), MOST_LEVELS), dtype=np.int64)
    for chapter in chapters:
        totals += Labels.counts(labels.between(chapter.start, chapter.stop))
    return list(totals)


def _label_ranks(labels: Labels, chapter: Chapter, tables: list[Floats]) -> Floats:
    levels = labels.between(chapter.start, chapter.stop)
    return np.stack([table[level] for table, level in zip(tables, levels, strict=True)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What a second text says of P pairs: effects and p-values `(P,)`, and which labels move slowly enough to be untestable."""

    effects: Floats
    p_values: Floats
    is_too_slow: npt.NDArray[np.bool_]


def unit_bins(model: LanguageModel, chapter: Chapter, units: Sequence[int], workers: int = 1) -> Generator[int, None, Bins]:
    """The bins of P units, as rows of all groups, at the n characters of `chapter`: `(P, n)`."""
    works = [_bins_of(model, part, units) for part in chapter.parts()]
    return np.concatenate((yield from side_by_side(works, workers)), axis=1)


def _bins_of(model: LanguageModel, part: Chapter, units: Sequence[int]) -> Generator[int, None, Bins]:
    bins = np.zeros((len(units), part.stop - part.start), dtype=np.int16)
    for block in blocks(model, part):
        bins[:, block.positions - part.start] = _rows(model, block.values, units)
        yield len(block.positions)
    return bins


def _rows(model: LanguageModel, values: Sequence[Tensor], units: Sequence[int]) -> Bins:
    result = np.zeros((len(units), values[0].shape[1]), dtype=np.int16)
    first = 0
    for group, rows in zip(groups(model), values, strict=True):
        mine = [(place, unit - first) for place, unit in enumerate(units) if first <= unit < first + group.size]
        if mine:
            result[[place for place, _ in mine]] = binned(group, rows[[row for _, row in mine]]).cpu().numpy()
        first += group.size
    return result


def confirm(
    model: LanguageModel,
    chapters: Sequence[Chapter],
    labels: Labels,
    units: Sequence[int],
    signs: Floats,
    rng: np.random.Generator,
    draws: int = DRAWS,
    workers: int = 1,
) -> Generator[int, None, Confirmation]:
    """Test on `chapters` whether unit `units[j]` follows feature j, with the sign it had, more than chance lets it.

    Chance is what remains when the labels are rotated within each of 20 blocks or more by independent random offsets, which
    leaves alone how a text repeats itself; the p-values are those of the greatest of all pairs, each against its own mean
    and deviation (Westfall and Young 1993). Without draws they are all 1.

    The units' bins are kept after they are counted where they fit into memory, else the chapters are traced twice.
    """
    total = _size(chapters)
    is_kept = total * len(units) * BIN_BYTES <= MOST_KEPT
    counts, kept = yield from _count_some(model, chapters, units, workers, is_kept=is_kept)
    table = mid_ranks(counts)
    label_counts = count_labels(chapters, labels)
    label_tables = [mid_ranks(count) for count in label_counts]
    longest = max(1, min(LONGEST_BLOCK, total // LEAST_BLOCKS))
    observed, null = np.zeros(len(units)), np.zeros((draws, len(units)))
    itself = np.zeros((len(units), longest))
    for number, chapter in enumerate(chapters):
        if is_kept:
            bins = kept[number]
            yield chapter.stop - chapter.start
        else:
            bins = yield from unit_bins(model, chapter, units, workers)
        mine = np.take_along_axis(table, bins, axis=1)
        theirs = _label_ranks(labels, chapter, label_tables)
        observed += (mine * theirs).sum(axis=1)
        edges = np.linspace(0, mine.shape[1], -(-mine.shape[1] // longest) + 1).astype(int)
        for start, stop in itertools.pairwise(edges) if draws else ():
            offsets = rng.integers(0, stop - start, draws)
            itself += autocorrelation(theirs[:, start:stop], longest)
            null += rotated(mine[:, start:stop], theirs[:, start:stop], offsets)
    is_too_slow = np.array([correlation_time(sums) * TIMES_AS_LONG > longest for sums in itself]) & (draws > 0)
    return Confirmation(
        effects=_paired(observed, counts, label_counts, labels),
        p_values=_p_values(observed, null, signs, ~is_too_slow),
        is_too_slow=is_too_slow,
    )


def _count_some(
    model: LanguageModel, chapters: Sequence[Chapter], units: Sequence[int], workers: int, *, is_kept: bool
) -> Generator[int, None, tuple[Counts, list[Bins]]]:
    """The counts `(P, BINS)`, and what was counted, of each chapter, if it is to be kept."""
    counts, kept = np.zeros((len(units), BINS), dtype=np.int64), []
    for chapter in chapters:
        bins = yield from unit_bins(model, chapter, units, workers)
        counts += np.stack([np.bincount(row, minlength=BINS) for row in bins])
        if is_kept:
            kept.append(bins)
    return counts, kept


def _paired(sums: Floats, counts: Counts, label_counts: list[Counts], labels: Labels) -> Floats:
    """The effect of each unit for the feature of the same number, from sums of products of their ranks."""
    pairs = zip(sums, counts, label_counts, labels.features, strict=True)
    return np.array([effects(total, unit, label, is_graded=feature.is_graded) for total, unit, label, feature in pairs])


def _p_values(observed: Floats, null: Floats, signs: Floats, testable: npt.NDArray[np.bool_]) -> Floats:
    """Family-wise p-values `(P,)` of observed sums `(P,)` given sums under the null `(D, P)`; 1 for what cannot be tested."""
    deviation = null.std(axis=0) if len(null) else np.zeros(len(observed))
    usable = testable & (deviation > 0)
    if not usable.any():
        return np.ones(len(observed))
    scale = np.where(usable, signs / np.where(deviation > 0, deviation, 1), 0)
    z, null_z = (observed - null.mean(axis=0)) * scale, (null - null.mean(axis=0)) * scale
    greatest = null_z[:, usable].max(axis=1)
    reached = (greatest[:, None] >= z).sum(axis=0)
    return np.where(usable, (1 + reached) / (1 + len(null)), 1.0)
