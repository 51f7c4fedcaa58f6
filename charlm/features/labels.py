"""A text's features as levels, from which ranks are made. Knows no model.

What a text is, and what its marks do, is decided in each volume by itself, from what stands in it and around it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from charlm.features.registry import Feature, missing
from charlm.text.vocab import Ids, Vocab, code_points

MOST_LEVELS = 4096  # of a graded label; higher numbers count as the highest level
VOLUME = 1 << 22  # characters that are labelled at a time; a shorter text is labelled whole
BEFORE = 1 << 16  # characters read before a volume, for what began in them
AFTER = 1 << 10  # characters read after a volume, for the rules that look ahead
GAP = "\n\n"  # what stands after each of several texts when they are labelled: a blank line ends whatever a feature follows

Levels = list[npt.NDArray[np.int64]]
Bounds = tuple[int, int]


def characters(vocab: Vocab, ids: Ids) -> tuple[str, npt.NDArray[np.int64]]:
    """The text of `ids` `(N,)`, and how many of its characters are complete after each id: `(N,)`.

    Bytes are read as UTF-8; a byte that belongs to no UTF-8 character is a character of its own. A word is complete at once.
    """
    if vocab.kind == "char" and not vocab.is_spelt:
        return vocab.decode(ids), np.arange(1, len(ids) + 1)
    text = vocab.symbols_for(ids).decode("utf-8", "surrogateescape")
    codes = code_points(text)
    is_stray = (codes >= 0xDC80) & (codes <= 0xDCFF)
    sizes = np.where(is_stray, 1, 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000))
    return text, np.searchsorted(sizes.cumsum(), vocab.sizes(ids).cumsum(), side="right")


def joined(vocab: Vocab, ids: Ids, starts: npt.NDArray[np.int64]) -> tuple[str, npt.NDArray[np.int64]]:
    """As `characters`, for texts that begin at `starts`, with a blank line after each. The first may have begun before."""
    read = [characters(vocab, part) for part in np.split(ids, starts[starts > 0])]
    sizes = np.array([len(text) + len(GAP) for text, _ in read])
    before = sizes.cumsum() - sizes
    num_read = [number + start for (_, number), start in zip(read, before.tolist(), strict=True)]
    return "".join(text + GAP for text, _ in read), np.concatenate(num_read)


class Labels:
    """The labels of a text `ids` `(N,)` for some features, or of several texts, joined, that begin at `starts`, by themselves.

    `volumes` keeps the labels of two volumes, by number, at most.
    """

    def __init__(
        self, ids: Ids, vocab: Vocab, features: Sequence[Feature], starts: npt.NDArray[np.int64] | None = None
    ) -> None:
        self.ids, self.vocab, self.features, self.starts = ids, vocab, tuple(features), starts
        self.volumes: dict[int, list[npt.NDArray[np.uint16]]] = {}

    @property
    def num_characters(self) -> int:
        """How many characters the text has (or bytes, where those are symbols)."""
        return self.vocab.num_characters(self.ids)

    def between(self, start: int, stop: int) -> Levels:
        """For each feature its labels at characters `start` to `stop`: levels from 0 on, int64 `(stop - start,)`."""
        volumes = range(start // VOLUME, (max(start, stop - 1)) // VOLUME + 1)
        parts = [
            [label[max(0, start - number * VOLUME) : stop - number * VOLUME] for label in self._volume(number)]
            for number in volumes
        ]
        return [np.concatenate(same).astype(np.int64) for same in zip(*parts, strict=True)]

    def _volume(self, number: int) -> list[npt.NDArray[np.uint16]]:
        if number not in self.volumes:
            if len(self.volumes) > 1:
                del self.volumes[next(iter(self.volumes))]
            start = number * VOLUME
            first = max(0, start - BEFORE)
            text, num_read = self._characters(first, start + VOLUME + AFTER)
            last = num_read[start - first : start - first + VOLUME]  # 0 before the first is complete
            self.volumes[number] = [
                np.concatenate([[0], feature.label(text).clip(0, MOST_LEVELS - 1)])[last].astype(np.uint16)
                if feature.known is None
                else feature.known[start : start + VOLUME].astype(np.uint16)
                for feature in self.features
            ]
        return self.volumes[number]

    def _characters(self, first: int, stop: int) -> tuple[str, npt.NDArray[np.int64]]:
        ids = self.ids[first:stop]
        if self.starts is None:
            return characters(self.vocab, ids)
        return joined(self.vocab, ids, self.starts[(self.starts >= first) & (self.starts < first + len(ids))] - first)

    def only(self, which: Sequence[int]) -> "Labels":
        """The same text's labels for some of the features."""
        some = Labels(self.ids, self.vocab, [self.features[number] for number in which], self.starts)
        some.volumes = {number: [labels[n] for n in which] for number, labels in self.volumes.items()}
        return some

    def missing(self, first: Bounds, second: Bounds) -> list[str | None]:
        """For each feature, why it cannot be found between the first bounds and tested between the second; None if it can.

        Only the beginning of a long stretch, one volume, is looked at.
        """
        halves = [self.between(start, min(stop, start + VOLUME)) for start, stop in (first, second)]
        kinds = [np.int32 if feature.is_graded else np.bool_ for feature in self.features]
        pairs = zip(self.features, kinds, *halves, strict=True)
        return [missing(feature, one.astype(kind), other.astype(kind)) for feature, kind, one, other in pairs]

    @staticmethod
    def counts(levels: Levels) -> npt.NDArray[np.int64]:
        """How often each level of each label occurs: `(F, MOST_LEVELS)`."""
        return np.stack([np.bincount(level, minlength=MOST_LEVELS) for level in levels])
