"""What a tagger is measured beside: the commonest label of each character, and the commonest labels of each word seen.

Of a large training part they learn from a sample, of at most 3 million characters. Characters without a label do not count.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from charlm.errors import CheckpointError
from charlm.labelling.baseline import Sizes, Tensors, checked, checked_hashes, checked_labels, commonest
from charlm.labelling.hashing import PLACES, Hashes, Indices, mixed, rows_of
from charlm.labelling.words import Labels, words_of
from charlm.text.examples import UNLABELLED, Examples

MOST_CHARACTERS = 3_000_000  # that are learned from
LONGEST_WORD = 40  # characters, at most PLACES; a longer one counts as unseen


@dataclass(frozen=True, slots=True)
class CommonestOfCharacter:
    """A label for each id: `labels` uint16 `(V,)`, its commonest; the commonest of all for those that were not seen."""

    name: ClassVar[str] = "characters"
    about: ClassVar[str] = "the commonest label of each character"
    by_character: ClassVar[bool] = True
    labels: Labels

    @classmethod
    def fit(cls, train: Examples, vocab_size: int) -> "CommonestOfCharacter":
        """The commonest labels of what has labels."""
        labelled = train.labels != UNLABELLED
        ids, labels = train.ids[labelled], train.labels[labelled]
        overall = np.bincount(labels, minlength=1).argmax()
        table = np.full(vocab_size, overall, dtype=np.uint16)
        chosen = commonest(ids, labels)
        table[ids[chosen]] = labels[chosen]
        return cls(table)

    def predict(self, examples: Examples) -> Labels:
        """The label `(N,)` of each character."""
        return self.labels[examples.ids]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The labels."""
        return {"labels": self.labels}

    @classmethod
    def from_tensors(cls, tensors: Tensors, sizes: Sizes) -> "CommonestOfCharacter":
        """What has these labels."""
        return cls(checked_labels(tensors, "labels", (sizes.vocab_size,), sizes.num_labels))


@dataclass(frozen=True, slots=True)
class WordTable:
    """W words seen, by their sorted `hashes` int64 `(W,)`: word w has `labels[bounds[w] : bounds[w + 1]]`, uint16.

    `bounds` is int64 `(W + 1,)`.
    """

    hashes: Hashes
    bounds: Indices
    labels: Labels

    @classmethod
    def fit(cls, train: Examples) -> "WordTable | None":
        """The commonest labels of each word whose characters all have one; None where there is no such word."""
        words = words_of(train)
        starts, lengths = words.starts, words.lengths
        unlabelled = np.append(0, np.cumsum(train.labels == UNLABELLED))
        fit = (lengths <= LONGEST_WORD) & (unlabelled[starts + lengths] == unlabelled[starts])
        starts, lengths = starts[fit], lengths[fit]
        if not len(starts):
            return None
        hashes = _hashes(train.ids, starts, lengths)
        chosen = commonest(hashes, _hashes(train.labels, starts, lengths))
        starts, lengths = starts[chosen], lengths[chosen]
        return cls(hashes[chosen], np.append(0, np.cumsum(lengths)), train.labels[_within(starts, lengths)])

    @property
    def lengths(self) -> Indices:
        """The number of characters of each word `(W,)`."""
        return np.diff(self.bounds)

    def rows(self, hashes: Hashes, lengths: Indices | int) -> Indices:
        """The rows of words with these hashes `(M,)` and lengths; -1 for words unseen."""
        rows = rows_of(self.hashes, hashes)
        return np.where(self.lengths[rows] == lengths, rows, -1)

    def write(self, labels: Labels, starts: Indices, rows: Indices) -> None:
        """Give the characters `(N,)` of the words at `starts` `(M,)` their labels; nothing to those unseen."""
        starts, rows = starts[rows >= 0], rows[rows >= 0]
        lengths = self.lengths[rows]
        labels[_within(starts, lengths)] = self.labels[_within(self.bounds[rows], lengths)]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The table."""
        return {"hashes": self.hashes, "bounds": self.bounds, "word_labels": self.labels}

    @classmethod
    def from_tensors(cls, tensors: Tensors, sizes: Sizes) -> "WordTable":
        """What has these tensors; raises `CheckpointError` for those that no table has."""
        hashes = checked_hashes(tensors, "hashes")
        bounds = checked(tensors, "bounds", np.int64, (len(hashes) + 1,))
        labels = checked_labels(tensors, "word_labels", (None,), sizes.num_labels)
        if bounds[0] != 0 or bounds[-1] != len(labels) or not ((bounds[1:] > bounds[:-1]) & (bounds[1:] <= len(labels))).all():
            raise CheckpointError("a baseline's tensor bounds does not fit its labels")
        if (bounds[1:] - bounds[:-1]).max() > LONGEST_WORD:
            raise CheckpointError(f"a baseline has a word of more than {LONGEST_WORD} characters")
        return cls(hashes, bounds, labels)


@dataclass(frozen=True, slots=True)
class CommonestOfWord:
    """The commonest labels of each word as it stood in the training part; for other words those of each character."""

    name: ClassVar[str] = "words"
    about: ClassVar[str] = "the commonest labels of each word seen, else of each character"
    by_character: ClassVar[bool] = True
    table: WordTable
    characters: CommonestOfCharacter

    def predict(self, examples: Examples) -> Labels:
        """The label `(N,)` of each character."""
        labels = self.characters.predict(examples)
        words = words_of(examples)
        hashes = _hashes(examples.ids, words.starts, words.lengths)
        self.table.write(labels, words.starts, self.table.rows(hashes, words.lengths))
        return labels

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The tensors of both."""
        return self.table.tensors() | self.characters.tensors()

    @classmethod
    def from_tensors(cls, tensors: Tensors, sizes: Sizes) -> "CommonestOfWord":
        """What has these tensors."""
        return cls(WordTable.from_tensors(tensors, sizes), CommonestOfCharacter.from_tensors(tensors, sizes))


@dataclass(frozen=True, slots=True)
class LongestWord:
    """For texts without spaces: from left to right, the longest word that the training part has, and its commonest labels."""

    name: ClassVar[str] = "longest words"
    about: ClassVar[str] = "from left to right the longest word seen"
    by_character: ClassVar[bool] = True
    table: WordTable
    characters: CommonestOfCharacter

    def predict(self, examples: Examples) -> Labels:
        """The label `(N,)` of each character."""
        number = len(examples.ids)
        left = np.repeat(examples.bounds[1:], examples.lengths) - np.arange(number)  # characters to the end of the text
        hashes, rows = np.zeros(number, dtype=np.int64), np.full(number, -1)
        for length in range(1, int(self.table.lengths.max()) + 1):
            size = max(0, number - length + 1)
            hashes = hashes[:size] + mixed(examples.ids[length - 1 :], length - 1)
            found = self.table.rows(hashes, length)
            rows[:size] = np.where((found >= 0) & (left[:size] >= length), found, rows[:size])
        steps = np.where(rows >= 0, self.table.lengths[rows], 1).tolist()
        starts, at = [], 0
        while at < number:
            starts.append(at)
            at += steps[at]
        labels = self.characters.predict(examples)
        self.table.write(labels, np.array(starts, dtype=np.int64), rows[starts])
        return labels

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The tensors of both."""
        return self.table.tensors() | self.characters.tensors()

    @classmethod
    def from_tensors(cls, tensors: Tensors, sizes: Sizes) -> "LongestWord":
        """What has these tensors."""
        return cls(WordTable.from_tensors(tensors, sizes), CommonestOfCharacter.from_tensors(tensors, sizes))


def _hashes(symbols: npt.NDArray[np.integer[Any]], starts: Indices, lengths: Indices) -> Hashes:
    """The hash `(M,)` of each stretch of `symbols` `(N,)`, the first PLACES of it."""
    lengths = np.minimum(lengths, PLACES)
    where = _within(starts, lengths)
    each = mixed(symbols[where], where - np.repeat(starts, lengths))
    return np.add.reduceat(each, np.cumsum(lengths) - lengths) if len(starts) else starts


def _within(starts: Indices, lengths: Indices) -> Indices:
    """Where the characters are of M stretches, one after the other."""
    first = np.cumsum(lengths) - lengths
    where: Indices = np.arange(int(lengths.sum())) + np.repeat(starts - first, lengths)
    return where
