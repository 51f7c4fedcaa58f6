"""Sequences of symbols as numbers of 64 bits, so that tables of them are sorted arrays. Knows no texts."""

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.int64]

PLACES = 64  # the most symbols of a sequence whose order counts


def mixes(num_symbols: int, num_places: int) -> Hashes:
    """A number for each symbol at each place of a sequence `(num_symbols, num_places)`; a sequence's hash is their sum.

    The numbers are splitmix64's (Steele et al. 2014), so they are the same on every machine. Sums wrap around.
    """
    keys = np.arange(1, num_symbols * PLACES + 1, dtype=np.uint64).reshape(num_symbols, PLACES)[:, :num_places]
    z: npt.NDArray[np.uint64] = keys * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z.view(np.int64)


def rows_of(table: Hashes, hashes: Hashes) -> npt.NDArray[np.int64]:
    """The row of each hash `(M,)` in a sorted `table` `(F,)`, -1 for those that are not in it."""
    rows = np.searchsorted(table, hashes)
    rows[rows == len(table)] = 0
    return np.where(table[rows] == hashes, rows, -1)
