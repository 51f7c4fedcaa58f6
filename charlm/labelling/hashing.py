"""Sequences of ids as numbers of 64 bits, so that a table of them is a sorted array. Knows no texts."""

from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]

PLACES = 64  # the most ids of a sequence


def mixed(ids: npt.NDArray[np.integer[Any]], places: Indices | int) -> Hashes:
    """A number for each id at its place in a sequence: the sum of a sequence's numbers, which wraps around, is its hash.

    The numbers are those of splitmix64 (Steele et al. 2014), and so the same on every machine.
    """
    z = ids.astype(np.uint64) * np.uint64(PLACES) + np.asarray(places + 1, dtype=np.uint64)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z.view(np.int64)


def rows_of(table: Hashes, hashes: Hashes) -> Indices:
    """The row of each hash `(M,)` in a sorted `table` `(F,)`, -1 for those that are not in it."""
    rows = np.minimum(np.searchsorted(table, hashes), len(table) - 1)
    return np.where(table[rows] == hashes, rows, -1)
