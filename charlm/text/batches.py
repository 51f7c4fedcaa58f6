"""Labelled texts -> batches of about equal length, padded. Knows nothing of models.

An epoch reads every text once, in an order from a generator seeded by (seed, epoch): texts are shuffled, then sorted by their
length, give or take an eighth, so that little is padded and no two epochs have the same batches; the batches are shuffled.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.text.examples import UNLABELLED, Examples
from charlm.text.streams import as_tensor

SPREAD = 0.125  # of a text's length: by as much, at most, it may be sorted as if longer
ROUNDED_BITS = 4  # of a number of steps that differ; the rest are 0
NO_LABEL = -1  # in a batch, for a character without a label and for what fills up

Places = npt.NDArray[np.int64]


def some(examples: Examples, which: Places) -> Examples:
    """The texts with the numbers `which`, in this order."""
    return _taken(examples, examples.bounds[which], examples.lengths[which], which)


def beginnings(examples: Examples, most_characters: int) -> Examples:
    """The same texts, each up to `most_characters`."""
    if examples.lengths.max(initial=0) <= most_characters:
        return examples
    lengths = np.minimum(examples.lengths, most_characters)
    return _taken(examples, examples.bounds[:-1], lengths, np.arange(len(examples)))


def pieces(examples: Examples, most_characters: int) -> Examples:
    """The same characters with their labels, a text longer than `most_characters` cut into pieces, each a text of its own."""
    starts, lengths = examples.bounds[:-1], examples.lengths
    number = np.maximum(-(-lengths // most_characters), 1)
    within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)  # which piece of its text each is
    bounds = np.append(np.repeat(starts, number) + within * most_characters, examples.num_characters)
    return replace(examples, bounds=bounds)


def with_labels(examples: Examples) -> Examples:
    """The texts that have a label, or a character with one: from the others there is nothing to learn, and no mean loss."""
    if not examples.by_character:
        return examples
    has_label = np.logical_or.reduceat(examples.labels != UNLABELLED, examples.bounds[:-1])
    return examples if has_label.all() else some(examples, np.flatnonzero(has_label))


def _taken(examples: Examples, starts: Places, lengths: Places, which: Places) -> Examples:
    """The stretches that begin at `starts` and are `lengths` long; `which` are their texts."""
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], lengths)
    if examples.by_character:
        labels, inside = examples.labels[places], examples.places[places]
    else:
        labels, inside = examples.labels[which], examples.places
    return Examples(ids=examples.ids[places], bounds=bounds, labels=labels, places=inside)


class LabelledBatch(NamedTuple):
    """B texts, int64: `ids` `(T, B)`, filled up with 0; `lengths` `(B,)`; `labels` `(B,)` or, of characters, `(T, B)`."""

    ids: Tensor
    lengths: Tensor
    labels: Tensor

    @property
    def num_characters(self) -> int:
        """T * B, with what fills up: as much as is read."""
        return self.ids.numel()


def rounded(length: int) -> int:
    """`length`, or a little more: at most an eighth, so that batches have few different shapes.

    Memory that the C library keeps for the next step would otherwise fall into pieces of every size.
    """
    step = 1 << max(0, length.bit_length() - ROUNDED_BITS)
    return -(-length // step) * step


def batch_of(examples: Examples, which: Places, device: torch.device) -> LabelledBatch:
    """The texts with the numbers `which` `(B,)`, in this order."""
    starts, lengths = examples.bounds[which], examples.lengths[which]
    steps = np.arange(rounded(int(lengths.max())))[:, None]  # (T, 1)
    is_text = steps < lengths  # (T, B)
    places = np.where(is_text, starts + steps, starts)
    ids = np.where(is_text, examples.ids[places], 0)
    if examples.by_character:
        raw = examples.labels[places].astype(np.int64)
        labels = np.where(is_text & (raw != UNLABELLED), raw, NO_LABEL)
    else:
        labels = examples.labels[which]
    return LabelledBatch(*(as_tensor(each, device) for each in (ids, lengths, labels)))


def ordered(lengths: Places, classes: Places, batch_size: int, generator: np.random.Generator) -> list[Places]:
    """The numbers of the texts of each batch of an epoch, for texts of these `lengths` `(n,)`.

    They are sorted by their `classes` `(n,)` first, so that these are the same in the same places, whatever is drawn.
    """
    shuffled = generator.permutation(len(lengths))
    key = lengths[shuffled] * (1 + SPREAD * generator.random(len(lengths)))
    texts = shuffled[np.lexsort((key, classes[shuffled]))]
    starts = generator.permutation(-(-len(texts) // batch_size)) * batch_size
    return [texts[start : start + batch_size] for start in starts]


def by_length(all_lengths: Places, most_characters: int) -> Iterator[Places]:
    """All texts, the shortest first, in batches of at most `most_characters`, padded, or of one text: their numbers."""
    order = np.argsort(all_lengths, kind="stable")
    lengths, start = all_lengths[order], 0
    for place in range(1, len(order) + 1):
        if place == len(order) or (place + 1 - start) * lengths[place] > most_characters:
            yield order[start:place]
            start = place


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """`examples` in batches of B texts; the last of an epoch's order may have fewer.

    So that little can be learned by heart, what is read of a text may be a random stretch of it, at least the share `shortest`,
    and of that the share `num_unread` of its characters, at random, may be read as the symbol `unread`.
    """

    examples: Examples
    batch_size: int
    seed: int
    shortest: float = 1.0
    num_unread: float = 0.0
    unread: int = 0

    @property
    def batches_per_epoch(self) -> int:
        """ceil(n / B)."""
        return -(-len(self.examples) // self.batch_size)

    def order(self, epoch: int) -> list[Places]:
        """The numbers of the texts of each batch of an epoch."""
        lengths = self.examples.lengths
        return ordered(lengths, np.zeros_like(lengths), self.batch_size, np.random.default_rng((self.seed, epoch)))

    def batches(self, epoch: int, start: int, device: torch.device) -> Iterator[LabelledBatch]:
        """The batches of an epoch from number `start` on."""
        for number, which in enumerate(self.order(epoch)[start:], start):
            texts, place = self.examples, which
            if self.shortest < 1 or self.num_unread > 0:
                generator = np.random.default_rng((self.seed, epoch, 1 + number))  # (seed, epoch, 0) is (seed, epoch)
                texts, place = self._blurred(which, generator), np.arange(len(which))
            yield batch_of(texts, place, device)

    def _blurred(self, which: Places, generator: np.random.Generator) -> Examples:
        """Random stretches of the texts, some of their characters unread."""
        whole = self.examples.lengths[which]
        lengths = np.ceil(whole * generator.uniform(self.shortest, 1, len(which))).astype(np.int64)
        starts = self.examples.bounds[which] + generator.integers(0, whole - lengths + 1)
        found = _taken(self.examples, starts, lengths, which)
        is_unread = generator.random(found.num_characters) < self.num_unread
        return replace(found, ids=np.where(is_unread, self.unread, found.ids))
