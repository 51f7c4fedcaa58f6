"""Where words are among the characters of tagged texts, and their labels. Knows no models.

N characters, W words, C labels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.text.examples import BEGINS, OUTSIDE, UNLABELLED, Examples

Places = npt.NDArray[np.int64]
Labels = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """W words: word w is the `lengths[w]` characters from `starts[w]`, in text `texts[w]`; all `(W,)`."""

    starts: Places
    lengths: Places
    texts: Places

    def __len__(self) -> int:
        return len(self.starts)


def words_of(examples: Examples) -> Words:
    """The words that `examples.places` marks; no word goes beyond its text."""
    inside = examples.places != OUTSIDE
    follows = np.zeros_like(inside)
    follows[1:] = inside[:-1]
    firsts = examples.bounds[:-1]
    follows[firsts[firsts < len(follows)]] = False
    starts = np.flatnonzero((examples.places == BEGINS) | (inside & ~follows))
    texts = np.searchsorted(examples.bounds, starts, side="right") - 1
    # Up to the next word's start only what is in no word follows, so that sums between starts are sums over words.
    return Words(starts=starts, lengths=_sums(inside, starts), texts=texts)


def one_label_a_word(examples: Examples) -> bool:
    """Whether all characters of a word always have one label, as in a treebank, and there are words."""
    starts, labels = words_of(examples).starts, examples.labels
    counted = _counted(examples)
    least = np.minimum.reduceat(np.where(counted, labels, UNLABELLED), starts) if len(starts) else labels[:0]
    most = np.maximum.reduceat(np.where(counted, labels, 0), starts) if len(starts) else labels[:0]
    return len(starts) > 0 and bool((least >= most).all())  # greater where nothing has a label


def words_right(examples: Examples, words: Words, predicted: Labels) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which words have a labelled character, and which of those have all of them right, given labels `(N,)`: both `(W,)`."""
    counted = _counted(examples)
    scored = _sums(counted, words.starts) > 0
    wrong = _sums(counted & (predicted != examples.labels), words.starts) > 0
    return scored, scored & ~wrong


def word_labels_right(
    examples: Examples, words: Words, votes: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """As `words_right`, where a word has one label: that with the highest sum of `votes` `(N, C)` over its characters."""
    counted = _counted(examples)
    scored = _sums(counted, words.starts) > 0
    true = _over_words(np.maximum, np.where(counted, examples.labels, 0), words)
    return scored, scored & (word_labels(examples, words, votes) == true)


def word_labels(examples: Examples, words: Words, votes: npt.NDArray[np.floating]) -> Labels:
    """The label `(W,)` of each word: that with the highest sum of `votes` `(N, C)`, such as log probabilities."""
    best: Labels = word_votes(examples, words, votes).argmax(axis=1).astype(np.uint16)
    return best


def word_votes(examples: Examples, words: Words, votes: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The sum `(W, C)` of `votes` `(N, C)` over the characters of each word."""
    inside = (examples.places != OUTSIDE)[:, None]
    return _over_words(np.add, np.where(inside, votes, 0), words)


def votes_for(predicted: Labels, num_labels: int) -> npt.NDArray[np.float32]:
    """One vote `(N, C)` of each character for its label `(N,)`."""
    votes = np.zeros((len(predicted), num_labels), dtype=np.float32)
    votes[np.arange(len(predicted)), predicted] = 1
    return votes


def _counted(examples: Examples) -> npt.NDArray[np.bool_]:
    """Which characters `(N,)` are in a word and have a label."""
    counted: npt.NDArray[np.bool_] = (examples.places != OUTSIDE) & (examples.labels != UNLABELLED)
    return counted


def _sums(flags: npt.NDArray[np.bool_], starts: Places) -> Places:
    sums: Places = np.add.reduceat(flags, starts, dtype=np.int64) if len(starts) else starts
    return sums


def _over_words(operation: np.ufunc, values: npt.NDArray[Any], words: Words) -> npt.NDArray[Any]:
    reduced: npt.NDArray[Any] = operation.reduceat(values, words.starts, axis=0) if len(words) else values[:0]
    return reduced
