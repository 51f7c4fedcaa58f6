"""How closely a unit follows a feature: AUROC and Spearman's rho from ranks, and what chance alone would give.

Values are sorted into fixed bins and ranked by them; ties share the middle rank. If ranks are counted from their middle, both
statistics are the same sum of products, sum_t rank(unit, t) * rank(label, t), with different scales. So all units against all
features are one matrix product, and all rotations of a label within a block are one circular correlation, as are all ways to
give each text the label of the text so many further on.

Ranks are divided by the number of characters N, and so lie in (-1/2, 1/2). U units, F features, K bins or label values.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

BINS = 1000  # so that 0.1 and 0.9, where gates count as saturated, are edges

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def bins_of(values: Tensor, low: float) -> Tensor:
    """The bins, 0 to BINS - 1, of values from `low` to 1: int16."""
    scale = BINS / (1 - low)
    return (values - low).mul_(scale).to(torch.int16).clamp_(0, BINS - 1)


def mid_ranks(counts: Counts) -> Floats:
    """The rank of each bin's members, from the middle rank and divided by N: counts `(..., K)` -> `(..., K)`."""
    number = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    below = counts.cumsum(axis=-1) - counts
    ranks: Floats = (below + counts / 2) / number - 0.5
    return ranks


def spread(counts: Counts) -> Floats:
    """The sum of squared ranks `(...)` of members with the counts `(..., K)`."""
    squares: Floats = (counts * mid_ranks(counts) ** 2).sum(axis=-1)
    return squares


def effects(sums: npt.ArrayLike, unit_counts: Counts, label_counts: Counts, *, is_graded: bool) -> Floats:
    """How closely units `(..., BINS)` follow one label, from -1 to 1, given sums of products of ranks `(...)`.

    Spearman's rho for a graded label, 2 AUROC - 1 for a label that is no (0) or yes (1); 0 where nothing varies.
    """
    sums = np.asarray(sums, dtype=np.float64)
    if is_graded:
        scale = np.sqrt(spread(unit_counts) * spread(label_counts))
    else:  # a yes has rank no / 2N, a no -yes / 2N; so the sum is (U - yes * no / 2) / 2N, with Mann and Whitney's U
        yes, no = float(label_counts[1:].sum()), float(label_counts[0])
        scale = np.broadcast_to(yes * no / (4 * max(yes + no, 1)), sums.shape)
    scaled: Floats = np.divide(sums, scale, out=np.zeros_like(sums), where=scale > 0)
    return scaled.clip(-1, 1)  # sums of products in float32 are right to a millionth or so


def rotated(unit_ranks: Floats, label_ranks: Floats, offsets: npt.NDArray[np.int64]) -> Floats:
    """Sums of products `(D, P)` of ranks `(P, n)` over a block of n characters, the labels rotated by each of D offsets."""
    n = unit_ranks.shape[-1]
    spectrum = np.fft.rfft(unit_ranks) * np.fft.rfft(label_ranks).conj()
    every: Floats = np.fft.irfft(spectrum, n)  # at s: the sum over t of unit(t + s) * label(t)
    return every[:, offsets].T


def exchanged(unit_ranks: Floats, label_ranks: Floats, offsets: npt.NDArray[np.int64]) -> Floats:
    """Sums of products `(D, P)` of ranks `(P, B, T)` of B texts, each with the labels of the text as many further on, round and
    round, as each of D offsets says. What fills up a text's T characters has rank 0.
    """
    texts = unit_ranks.shape[1]
    spectrum = (np.fft.rfft(unit_ranks, axis=1) * np.fft.rfft(label_ranks, axis=1).conj()).sum(axis=2)
    every: Floats = np.fft.irfft(spectrum, texts)  # at s: the sum over e of unit(e + s) * label(e)
    return every[:, offsets].T


def autocorrelation(label_ranks: Floats, length: int) -> Floats:
    """Sums of products `(F, length)` of labels `(F, n)` with themselves 0, 1, 2, ... later, less their mean in this block."""
    centred = label_ranks - label_ranks.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred, 2 * length)) ** 2
    sums: Floats = np.fft.irfft(power)[:, :length]
    return sums


def correlation_time(sums: Floats) -> float:
    """After how many characters a label's autocorrelation `(length,)` falls below 1/e of its beginning."""
    below = np.flatnonzero(sums < sums[0] / np.e)
    return float(below[0] if below.size else len(sums))
