"""Labelled texts: as a source gives them, joined as ids, and what a run learns from. Knows nothing of files."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.text.parts import Splits
from charlm.text.vocab import Ids, Vocab

UNLABELLED = 0xFFFF  # a character without a label (the blank between two words of a treebank): not learned, not scored
OUTSIDE, INSIDE, BEGINS = 0, 1, 2  # a character's place in a word: in none, within one, its first
REPLACEMENT = 0xFFFD  # the character that stands for all that a vocabulary lacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A labelled text as a source gives it, before anything is encoded.

    `labels` has one name for the whole `text`, or one for each of its characters, None for a character without. With those,
    `places` says for each character whether it is OUTSIDE of words, INSIDE one or BEGINS one. Texts of one `group`, where it is
    not empty, fall into one part of the split. `line`, counted from 1, is where it begins in its `file`, as people call that.
    """

    text: str
    labels: tuple[str | None, ...]
    places: bytes = b""
    group: str = ""
    line: int = 0
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """n labelled texts of N characters, joined: text e is `ids[bounds[e] : bounds[e + 1]]`.

    `ids` `(N,)`; `bounds` int64 `(n + 1,)`, from 0 to N; `labels` uint16, the ids of labels, `(n,)` for texts, or `(N,)` for
    characters, where they may be UNLABELLED; `places` uint8 `(N,)` for characters, and empty for texts.
    """

    ids: Ids
    bounds: npt.NDArray[np.int64]
    labels: npt.NDArray[np.uint16]
    places: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def by_character(self) -> bool:
        """Whether each character has a label, and not each text; False where there is no text."""
        return self.places.size > 0

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of characters of each text, int64 `(n,)`."""
        return np.diff(self.bounds)

    @property
    def num_characters(self) -> int:
        """N."""
        return len(self.ids)

    def part(self, start: int, stop: int) -> "Examples":
        """The texts from number `start` to before number `stop`. Arrays are views, but for the bounds, which begin at 0."""
        first, last = self.bounds[start], self.bounds[stop]
        labels = self.labels[first:last] if self.by_character else self.labels[start:stop]
        bounds = self.bounds[start : stop + 1] - first
        return Examples(ids=self.ids[first:last], bounds=bounds, labels=labels, places=self.places[first:last])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a run learns from: `examples` in the order train, validation, test; within a part as they came.

    `labels` are the names of the labels by id, sorted. `splits` counts examples, not characters. `sha256` is the hash of the
    source's bytes, `ids_sha256` that of the file of encoded examples.
    """

    examples: Examples
    vocab: Vocab
    labels: tuple[str, ...]
    splits: Splits
    sha256: str
    ids_sha256: str

    @property
    def train(self) -> Examples:
        """The examples that the model learns from."""
        return self.examples.part(0, self.splits.train)

    @property
    def validation(self) -> Examples:
        """The examples on which the best model is chosen."""
        return self.examples.part(self.splits.train, self.splits.validation)

    @property
    def test(self) -> Examples:
        """The examples that are scored once, at the end."""
        return self.examples.part(self.splits.validation, self.splits.test)


def stand_in(vocab: Vocab) -> int:
    """The id of what stands for a symbol that the vocabulary lacks: U+FFFD, or else `vocab.start`."""
    place = bisect_left(vocab.symbols, REPLACEMENT)
    return place if vocab.symbols[place : place + 1] == (REPLACEMENT,) else vocab.start


def ids_of(vocab: Vocab, text: str) -> Ids:
    """The ids of every character (or byte) of `text`: what the vocabulary lacks is read as U+FFFD, or as `vocab.start`."""
    symbols, known = vocab.symbols_of(text), np.array(vocab.symbols)
    ids = np.minimum(np.searchsorted(known, symbols), len(known) - 1)
    found: Ids = np.where(known[ids] == symbols, ids, stand_in(vocab)).astype(vocab.dtype)
    return found
