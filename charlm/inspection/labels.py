"""A text's features as numbers. Knows nothing of models."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from charlm.inspection.features import Feature, missing
from charlm.inspection.statistics import MOST_LEVELS
from charlm.text.vocab import Ids, Vocab

VOLUME = 1 << 22  # characters that are labelled at a time: a shorter text is labelled whole
BEFORE, AFTER = 1 << 16, 1 << 10  # characters read around a volume, so that what began before it is known

Levels = list[npt.NDArray[np.int64]]
Bounds = tuple[int, int]


def characters(vocab: Vocab, ids: Ids) -> str:
    """`ids` `(N,)` as N characters: those of a byte vocabulary are the bytes' own numbers."""
    return bytes(ids.tolist()).decode("latin-1") if vocab.kind == "byte" else vocab.decode(ids)


class Labels:
    """The labels of a text `ids` `(N,)` for some features; at most two volumes' are kept at a time."""

    def __init__(self, ids: Ids, vocab: Vocab, features: Sequence[Feature]) -> None:
        self.ids, self.vocab, self.features = ids, vocab, tuple(features)
        self._volumes: dict[int, list[npt.NDArray[np.uint16]]] = {}

    def between(self, start: int, stop: int) -> Levels:
        """For each feature its label at characters `start` to `stop`: levels from 0 on, int64 `(stop - start,)`."""
        volumes = range(start // VOLUME, (max(start, stop - 1)) // VOLUME + 1)
        parts = [
            [label[max(0, start - number * VOLUME) : stop - number * VOLUME] for label in self._volume(number)]
            for number in volumes
        ]
        return [np.concatenate(same).astype(np.int64) for same in zip(*parts, strict=True)]

    def _volume(self, number: int) -> list[npt.NDArray[np.uint16]]:
        if number not in self._volumes:
            if len(self._volumes) > 1:
                del self._volumes[next(iter(self._volumes))]
            start = number * VOLUME
            first = max(0, start - BEFORE)
            text = characters(self.vocab, self.ids[first : start + VOLUME + AFTER])
            part = slice(start - first, start - first + VOLUME)
            self._volumes[number] = [
                feature.label(text)[part].clip(0, MOST_LEVELS - 1).astype(np.uint16) for feature in self.features
            ]
        return self._volumes[number]

    def only(self, which: Sequence[int]) -> "Labels":
        """The same text's labels for some of the features."""
        some = Labels(self.ids, self.vocab, [self.features[number] for number in which])
        some._volumes = {number: [labels[n] for n in which] for number, labels in self._volumes.items()}
        return some

    def missing(self, first: Bounds, second: Bounds) -> list[str | None]:
        """For each feature, why it cannot be found between the first bounds and tested between the second; None if it can.

        Of long stretches the beginning is asked.
        """
        halves = [self.between(start, min(stop, start + VOLUME)) for start, stop in (first, second)]
        kinds = [np.int32 if feature.is_graded else np.bool_ for feature in self.features]
        pairs = zip(self.features, kinds, *halves, strict=True)
        return [missing(feature, one.astype(kind), other.astype(kind)) for feature, kind, one, other in pairs]

    @staticmethod
    def counts(levels: Levels) -> npt.NDArray[np.int64]:
        """How often each level of each label occurs: `(F, MOST_LEVELS)`."""
        return np.stack([np.bincount(level, minlength=MOST_LEVELS) for level in levels])
