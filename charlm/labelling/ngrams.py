"""Texts as bags of character n-grams, weighted by tf-idf: rows of a sparse matrix. Knows no labels.

n texts, N characters, F n-grams, K numbers of the matrix that are not zero.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.labelling.hashing import Hashes, Indices, mixed, rows_of
from charlm.text.examples import Examples

LONGEST = 5  # characters of an n-gram
FEWEST_TEXTS = 2  # that have an n-gram of the table
PIECE = 1 << 18  # characters whose n-grams are in memory at a time
START, END, MARKS = 0, 1, 2  # what is before and after a text, and how many such there are


@dataclass(frozen=True, slots=True)
class Rows:
    """A sparse matrix `(n, width)`: row e is `values[i]` in column `columns[i]` for i from `bounds[e]` to `bounds[e + 1]`.

    `columns` int32 `(K,)`, `values` float32 `(K,)`, `bounds` int32 `(n + 1,)`.
    """

    columns: Tensor
    values: Tensor
    bounds: Tensor
    width: int

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def times(self, weights: Tensor) -> Tensor:
        """The product with float32 `(width, C)`: `(n, C)`."""
        return F.embedding_bag(
            self.columns, weights, self.bounds, mode="sum", per_sample_weights=self.values, include_last_offset=True
        )

    def transposed(self) -> "Rows":
        """The same numbers by column: `(width, n)`."""
        rows = torch.repeat_interleave(torch.arange(len(self), dtype=torch.int32), self.bounds.diff())
        order = torch.argsort(self.columns, stable=True)
        counts = torch.bincount(self.columns, minlength=self.width)
        return Rows(rows[order], self.values[order], _bounds(counts), len(self))


@dataclass(frozen=True, slots=True)
class NGrams:
    """A table of n-grams: their `hashes`, sorted, int64 `(F,)`, and how much each counts, `rarities` float32 `(F,)`."""

    hashes: Hashes
    rarities: npt.NDArray[np.float32]

    def rows(self, examples: Examples) -> Rows:
        """The bag of each text: (1 + ln count) times rarity, divided by the row's length. Unknown n-grams do not count."""
        parts = [self._counts(piece) for piece in _pieces(examples)]
        columns, counts = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        sizes = np.concatenate([part[2] for part in parts])
        values = (1 + np.log(counts, dtype=np.float32)) * self.rarities[columns]
        squares = np.bincount(np.repeat(np.arange(len(sizes)), sizes), values**2, minlength=len(sizes))
        values /= np.repeat(np.sqrt(squares), sizes)
        tensors = torch.from_numpy(columns), torch.from_numpy(values.astype(np.float32)), _bounds(torch.from_numpy(sizes))
        return Rows(*tensors, len(self.hashes))

    def _counts(self, examples: Examples) -> tuple[npt.NDArray[np.int32], Indices, Indices]:
        """By text: its n-grams' rows in the table, how often each occurs, and how many there are."""
        keys = []
        for hashes, texts in _ngrams(examples):
            rows = rows_of(self.hashes, hashes)
            known = rows >= 0
            keys.append(texts[known] * len(self.hashes) + rows[known])
        unique, counts = np.unique(np.concatenate(keys), return_counts=True)
        texts, rows = np.divmod(unique, len(self.hashes))
        return rows.astype(np.int32), counts, np.bincount(texts, minlength=len(examples))


def common_ngrams(examples: Examples, most: int) -> NGrams:
    """The n-grams of 1 to 5 characters, ends of texts included, that at least two texts have: the `most` commonest of them.

    An n-gram that `df` of n texts have counts ln((1 + n) / (1 + df)) + 1, as in scikit-learn.
    """
    found = [_text_counts(hashes, texts) for hashes, texts in _ngrams(examples)]
    hashes, counts = (np.concatenate([part[i] for part in found]) for i in (0, 1))
    chosen = np.lexsort((hashes, -counts))[:most]
    chosen = chosen[np.argsort(hashes[chosen])]
    rarities = np.log((1 + len(examples)) / (1 + counts[chosen])) + 1
    return NGrams(hashes[chosen], rarities.astype(np.float32))


def _text_counts(hashes: Hashes, texts: Indices) -> tuple[Hashes, Indices]:
    """The hashes that enough texts have, and how many texts have them."""
    order = np.argsort(hashes, kind="stable")  # texts stay in order
    hashes, texts = hashes[order], texts[order]
    is_new = np.ones(len(hashes), dtype=bool)
    is_new[1:] = hashes[1:] != hashes[:-1]
    is_counted = is_new.copy()
    is_counted[1:] |= texts[1:] != texts[:-1]
    starts = np.flatnonzero(is_new)
    counts = np.add.reduceat(is_counted, starts, dtype=np.int64) if len(starts) else starts
    enough = counts >= FEWEST_TEXTS
    return hashes[starts[enough]], counts[enough]


def _ngrams(examples: Examples) -> Iterator[tuple[Hashes, Indices]]:
    """The hashes of all n-grams, and the texts that they are in: for each length from 1 to LONGEST."""
    lengths = examples.lengths
    texts = np.repeat(np.arange(len(examples)), lengths + 2)  # each with a mark before and behind
    ends = examples.bounds[1:] + 2 * np.arange(1, len(examples) + 1)
    symbols = np.zeros(len(texts), dtype=np.int64)
    symbols[np.arange(len(examples.ids)) + 2 * np.repeat(np.arange(len(examples)), lengths) + 1] = examples.ids
    symbols += MARKS
    symbols[ends - 1] = END
    symbols[ends - lengths - 2] = START
    left = ends[texts] - np.arange(len(texts))
    hashes = np.zeros_like(symbols)
    for length in range(1, LONGEST + 1):
        size = max(0, len(symbols) - length + 1)
        hashes = hashes[:size] + mixed(symbols[length - 1 :], length - 1)
        whole = left[:size] >= length if length > 1 else symbols >= MARKS  # a mark alone says nothing
        yield hashes[whole], texts[:size][whole]


def _pieces(examples: Examples) -> Iterator[Examples]:
    """The texts in parts of about PIECE characters, or of one text."""
    start = 0
    if not len(examples):
        yield examples
    while start < len(examples):
        stop = int(np.searchsorted(examples.bounds, examples.bounds[start] + PIECE, side="right")) - 1
        stop = max(start + 1, stop)
        yield examples.part(start, stop)
        start = stop


def _bounds(sizes: Tensor) -> Tensor:
    bounds = torch.zeros(len(sizes) + 1, dtype=torch.int32)
    bounds[1:] = sizes.cumsum(0)
    return bounds
