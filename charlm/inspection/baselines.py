"""How well a feature can be predicted without the model: from the last 8 characters, and from untrained models.

Each baseline is fitted on one half of the text and scored on the other, as an effect from -1 to 1, like a unit.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from charlm.features.labels import Bounds, Labels
from charlm.inspection.confirmation import confirm
from charlm.inspection.parallel import side_by_side
from charlm.inspection.ranking import MOST_KEPT, rank
from charlm.inspection.statistics import Counts, Floats, effects, mid_ranks
from charlm.inspection.telling import TellMore, tell_nobody
from charlm.inspection.texts import Starts, begun
from charlm.inspection.trace import Trace
from charlm.model.language_model import LanguageModel
from charlm.model.network import Network
from charlm.text.vocab import Ids

CONTEXT = 8
UNTRAINED = 5  # models
UNTRAINED_CHARACTERS = 1 << 14  # of each half that untrained models read
CONTEXT_CHARACTERS = 1 << 17  # of each half that the predictors from context read
PRIOR = 1.0  # weight of the shorter context, in characters
COMMONEST = 64  # symbols that the linear predictor distinguishes
RIDGE = 1e-4


def untrained(trained: Trace, labels: Labels, halves: tuple[Bounds, Bounds], tell: TellMore = tell_nobody) -> Floats:
    """For each feature the effect `(F,)` in the second half of the unit that was best in the first half, among all units of 5
    untrained models of the trained one's shape; 0 where the effect changes its sign.
    """
    works = [partial(_untrained, trained.model, seed, labels, halves) for seed in range(UNTRAINED)]
    results = side_by_side(works, trained.workers, tell)
    found, held = np.array(results).swapaxes(0, 1)  # (UNTRAINED, F) each
    best_of_all: Floats = np.maximum(held[found.argmax(axis=0), np.arange(found.shape[1])], 0.0)
    return best_of_all


def _untrained(
    like: Network, seed: int, labels: Labels, halves: tuple[Bounds, Bounds], tell: TellMore
) -> tuple[Floats, Floats]:
    """For each feature's best unit the size of its effect in the first half, and the effect in the second half, positive where
    the sign is the same: `(F,)` each.
    """
    first, second = (shortened(bounds, UNTRAINED_CHARACTERS) for bounds in halves)
    model = LanguageModel.initialised(like.config, len(labels.vocab), generator=torch.Generator().manual_seed(seed)).to(
        like.device
    )
    here, there = (_untrained_trace(model, labels, bounds) for bounds in (first, second))
    ranking = rank(here, labels, tell, most_kept=MOST_KEPT // UNTRAINED)  # all may run at once
    best = ranking.best()
    effects_here = ranking.effects[best, np.arange(len(best))]
    signs = np.sign(effects_here)
    confirmed = confirm(there, labels, best.tolist(), signs, np.random.default_rng(0), tell, draws=0)
    return np.abs(effects_here), confirmed.effects * signs


def _untrained_trace(model: LanguageModel, labels: Labels, bounds: Bounds) -> Trace:
    if labels.starts is None:
        return Trace.untrained(model, labels.ids, bounds)
    return Trace.over(model, labels.ids, bounds, starts=labels.starts)[0]


def shortened(bounds: Bounds, most: int) -> Bounds:
    """The last `most` characters between two bounds."""
    start, stop = bounds
    return max(start, stop - most), stop


def from_context(labels: Labels, halves: tuple[Bounds, Bounds]) -> Floats:
    """For each feature the effect `(F,)` in the second half of its best predictor from the last 8 characters.

    The predictors are fitted on the first half: for each number of characters from 1 to 8 a table that backs off to shorter
    contexts, and a linear one on which symbol stands at each of the 8 places. The best is chosen on the second half itself,
    which makes this baseline harder to beat.
    """
    first, second = (shortened(bounds, CONTEXT_CHARACTERS) for bounds in halves)
    ids = labels.ids
    graded = [feature.is_graded for feature in labels.features]
    targets, _ = _ranked(labels, first)
    truth, counts = _ranked(labels, second)
    best = np.zeros(len(graded))
    starts, size = labels.starts, len(labels.vocab)
    for prediction in (*tables(ids, first, second, targets, starts), linear(ids, first, second, targets, size, starts)):
        for number, column in enumerate(prediction.T):
            _, places, sizes = np.unique(column, return_inverse=True, return_counts=True)
            total = float(mid_ranks(sizes)[places] @ truth[:, number])
            best[number] = max(best[number], float(effects(total, sizes, counts[number], is_graded=graded[number])))
    return best


def _ranked(labels: Labels, bounds: Bounds) -> tuple[Floats, Counts]:
    """The labels' ranks `(n, F)`, and their counts."""
    levels = labels.between(*bounds)
    counts = Labels.counts(levels)
    return np.stack([mid_ranks(count)[level] for count, level in zip(counts, levels, strict=True)], axis=1), counts


def tables(ids: Ids, first: Bounds, second: Bounds, targets: Floats, starts: Starts | None = None) -> Iterator[Floats]:
    """Predictions `(n, F)` between the `second` bounds from 1, 2, ... 8 characters, fitted between the `first`."""
    keys, new_keys = np.zeros(first[1] - first[0], dtype=np.uint64), np.zeros(second[1] - second[0], dtype=np.uint64)
    fitted: Floats = np.broadcast_to(targets.mean(axis=0), targets.shape)
    predicted: Floats = np.broadcast_to(targets.mean(axis=0), (len(new_keys), targets.shape[1]))
    for back in range(CONTEXT):
        weight = np.uint64(pow(0x9E3779B97F4A7C15, back + 1, 1 << 64))  # odd, so that no symbol is lost
        keys = keys + _shifted(ids, first, back, starts) * weight
        new_keys = new_keys + _shifted(ids, second, back, starts) * weight
        contexts, at, places, sizes = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        sums = np.stack([np.bincount(places, weights=column) for column in targets.T], axis=1)  # (C, F)
        table = (sums + PRIOR * fitted[at]) / (sizes[:, None] + PRIOR)
        fitted = table[places]
        found = np.minimum(np.searchsorted(contexts, new_keys), len(contexts) - 1)
        is_known = contexts[found] == new_keys
        predicted = np.where(is_known[:, None], table[found], predicted)
        yield predicted


def _shifted(ids: Ids, bounds: Bounds, back: int, starts: Starts | None) -> npt.NDArray[np.uint64]:
    """The symbols `back` places before those between `bounds`, counted from 1; 0 before the text's start."""
    here = np.arange(*bounds)
    places = here - back
    return np.where(
        places >= (0 if starts is None else begun(starts, here)),
        ids[np.maximum(places, 0)].astype(np.uint64) + np.uint64(1),
        np.uint64(0),
    )


def linear(ids: Ids, first: Bounds, second: Bounds, targets: Floats, vocab_size: int, starts: Starts | None = None) -> Floats:
    """Predictions `(n, F)` between the `second` bounds, by ridge regression on the symbols at the 8 places."""
    commonest = np.argsort(-np.bincount(ids[slice(*first)], minlength=vocab_size), kind="stable")[:COMMONEST]
    column = np.full(vocab_size + 1, len(commonest))  # all other symbols, and places before the text, share the last
    column[commonest + 1] = np.arange(len(commonest))
    width = len(commonest) + 1
    product = np.zeros((CONTEXT * width, CONTEXT * width))
    towards = np.zeros((CONTEXT * width, targets.shape[1]))
    for start in range(*first, 8192):
        x = _one_hot(ids, (start, min(start + 8192, first[1])), column, width, starts)
        product += x.T @ x
        towards += x.T @ targets[start - first[0] : start - first[0] + len(x)]
    number = first[1] - first[0]
    weights = np.linalg.solve(product + RIDGE * number * np.eye(len(product)), towards)
    pieces = range(*second, 8192)
    return np.concatenate([_one_hot(ids, (s, min(s + 8192, second[1])), column, width, starts) @ weights for s in pieces])


def _one_hot(
    ids: Ids, bounds: Bounds, column: npt.NDArray[np.int64], width: int, starts: Starts | None
) -> npt.NDArray[np.float32]:
    x = np.zeros((bounds[1] - bounds[0], CONTEXT * width), dtype=np.float32)
    for back in range(CONTEXT):
        x[np.arange(len(x)), back * width + column[_shifted(ids, bounds, back, starts).astype(np.int64)]] = 1
    return x
