"""Every unit against every feature, all at once: which unit follows which feature best. Knows nothing of chance.

The work is long, and tells how many characters it has gone through.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

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
    bins_of,
    effects,
    mid_ranks,
)
from charlm.inspection.telling import TellMore, tell_nobody
from charlm.inspection.trace import Chapter, Group, Trace

MOST_KEPT = 1 << 29  # bytes of bins that are kept, instead of tracing the text twice
BIN_BYTES = 2  # of a bin: int16


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The effect of each of U units for each of F features, `(U, F)`, and the units' counts, `(U, BINS)`."""

    effects: Floats
    counts: Counts

    def best(self) -> npt.NDArray[np.int64]:
        """Each feature's best unit, `(F,)`."""
        best: npt.NDArray[np.int64] = np.abs(self.effects).argmax(axis=0)
        return best


def rank(trace: Trace, labels: Labels, tell: TellMore = tell_nobody, most_kept: int = MOST_KEPT) -> Ranking:
    """Rank every unit against every feature over a text, in two passes: to count, and to sum.

    If all bins fit into `most_kept` bytes, they are kept in between; else the text is traced twice.
    """
    is_kept = trace.size * trace.num_units * BIN_BYTES <= most_kept
    counting = [partial(_count, trace, part, is_kept=is_kept) for part in trace.shares()]
    counted = side_by_side(counting, trace.workers, tell)
    counts = _total([count for count, _ in counted])
    kept = iter([bins for _, bins in counted])
    label_counts = count_labels(trace, labels)
    tables = [torch.from_numpy(mid_ranks(count)).float().to(trace.model.device) for count in counts]
    label_tables = [mid_ranks(count) for count in label_counts]
    sums = [np.zeros((len(table), len(label_tables))) for table in tables]
    for chapter in trace.chapters:
        ranks = label_ranks(labels, chapter, label_tables)
        sources = [next(kept) if is_kept else binned_blocks(trace, part) for part in chapter.shares()]
        summing = [partial(_sum_products, source, tables, ranks, chapter.start) for source in sources]
        for some in side_by_side(summing, trace.workers, tell):
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


def binned_blocks(trace: Trace, part: Chapter) -> Iterator[BinnedBlock]:
    """The bins of every unit's signals at every character of `part`, some at a time."""
    for block in trace.blocks(part):
        pairs = zip(trace.groups, block.values, strict=True)
        yield BinnedBlock(block.positions, tuple(binned(group, values) for group, values in pairs))


def _sum_products(
    part: Iterable[BinnedBlock], tables: Sequence[Tensor], ranks: Floats, start: int, tell: TellMore
) -> list[Floats]:
    """For each group the sums `(H, F)` of its ranks times the labels' `ranks`, over a part of the chapter from `start` on."""
    sums = [np.zeros((len(table), len(ranks))) for table in tables]
    for block in part:
        here = torch.from_numpy(ranks[:, block.positions - start].T.copy()).float().to(tables[0].device)  # (n, F)
        for number, (table, bins) in enumerate(zip(tables, block.bins, strict=True)):
            sums[number] += (table.gather(1, bins.long()) @ here).cpu().numpy()
        tell(len(block.positions))
    return sums


def count_units(trace: Trace, tell: TellMore = tell_nobody) -> list[Counts]:
    """How often each unit of each group is in each bin: `(H, BINS)` for each group."""
    works = [partial(_count, trace, part, is_kept=False) for part in trace.shares()]
    return _total([counts for counts, _ in side_by_side(works, trace.workers, tell)])


def _total(some: Sequence[list[Counts]]) -> list[Counts]:
    """The sums of several parts' counts."""
    return [np.sum(same, axis=0, dtype=np.int64) for same in zip(*some, strict=True)]


def _count(trace: Trace, part: Chapter, tell: TellMore, *, is_kept: bool) -> tuple[list[Counts], list[BinnedBlock]]:
    """The counts of a part, and its bins, if they are to be kept."""
    counts = [torch.zeros(group.size, BINS, dtype=torch.int32, device=trace.model.device) for group in trace.groups]
    kept = []
    for block in binned_blocks(trace, part):
        for count, bins in zip(counts, block.bins, strict=True):
            count.scatter_add_(1, bins.long(), count.new_ones(1).expand(bins.shape))
        if is_kept:
            kept.append(block)
        tell(len(block.positions))
    return [count.cpu().numpy() for count in counts], kept


def count_labels(trace: Trace, labels: Labels) -> list[Counts]:
    """How often each label is at each level, `(MOST_LEVELS,)` each."""
    totals = np.zeros((len(labels.features), MOST_LEVELS), dtype=np.int64)
    for chapter in trace.chapters:
        totals += Labels.counts(labels.between(chapter.start, chapter.stop))
    return list(totals)


def label_ranks(labels: Labels, chapter: Chapter, tables: Sequence[Floats]) -> Floats:
    """The ranks `(F, n)` of the labels at the n characters of `chapter`, given `tables` of each level's rank."""
    levels = labels.between(chapter.start, chapter.stop)
    return np.stack([table[level] for table, level in zip(tables, levels, strict=True)])
