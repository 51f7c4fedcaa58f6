"""Documents in one flat file of ids: START, its characters and END, one document after the other. Knows nothing of models."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.errors import TextError
from charlm.text.batches import NO_LABEL, Places, ordered
from charlm.text.streams import as_tensor
from charlm.text.vocab import Ids, Vocab

AT_ONCE = 1 << 22  # ids that are looked through at a time


class DocumentWindow(NamedTuple):
    """T steps of the k documents of a batch that reach so far: `inputs` and `targets`, int64 `(T, k)`, on the device.

    A target that fills up is NO_LABEL. On the CPU, so that no step waits for the device: whether the batch `begins` here, bool
    `()`, and how many symbols are predicted, `number`, int64 `()`.
    """

    inputs: Tensor
    targets: Tensor
    begins: Tensor
    number: Tensor

    @property
    def num_characters(self) -> int:
        """How many symbols are predicted."""
        return int(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """n documents in `ids`: document d is `ids[starts[d] : ends[d]]`, from its START to its END.

    `widths` `(V,)` are the characters that each id stands for, where that is not one.
    """

    ids: Ids
    starts: Places
    ends: Places
    widths: npt.NDArray[np.int64] | None = None

    @classmethod
    def of(cls, ids: Ids, vocab: Vocab) -> "Documents":
        """The documents of a file, or of a part of one. Raises `TextError` where START and END do not come by turns."""
        start, end = vocab.marks or (-1, -1)
        starts, ends = _places(ids, start), _places(ids, end) + 1
        is_sound = len(starts) == len(ends) and (starts < ends).all() and np.append(starts, len(ids))[0] == 0
        if not is_sound or not np.array_equal(np.append(starts[1:], len(ids))[: len(ends)], ends):
            raise TextError("the documents do not begin and end by turns", "restore their file from a copy")
        return cls(ids=ids, starts=starts, ends=ends, widths=vocab.widths)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> Places:
        """How many symbols of each are predicted, int64 `(n,)`: all characters and END, for START is only read."""
        return self.lengths_of(slice(None))

    def lengths_of(self, which: Places | slice) -> Places:
        """The same of those with the numbers `which`, without a look at the others."""
        return self.ends[which] - self.starts[which] - 1

    @property
    def num_predicted(self) -> int:
        """How many symbols of all of them are predicted."""
        return int(self.lengths.sum())

    @property
    def num_characters(self) -> int:
        """How many characters of the text these are, with one for the end of each document."""
        if self.widths is None:
            return self.num_predicted
        pairs = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return sum(int(self.widths[self.ids[start + 1 : end]].sum()) for start, end in pairs)

    def some(self, which: Places | slice) -> "Documents":
        """Those with the numbers `which`, in this order."""
        return replace(self, starts=self.starts[which], ends=self.ends[which])

    def beginnings(self, most: int) -> "Documents":
        """The same documents, each up to its first `most` predictions."""
        return replace(self, ends=np.minimum(self.ends, self.starts + most + 1))

    def longest_first(self, which: Places) -> Places:
        """The same numbers, those of longer documents before those of shorter ones."""
        return which[np.argsort(-self.lengths_of(which), kind="stable")]

    def window(self, which: Places, first: int, stop: int, device: torch.device) -> DocumentWindow:
        """Predictions `first` to `stop` of the documents `which`, longest first: T steps of the k that reach so far.

        What fills up a document that ends before has the target NO_LABEL.
        """
        lengths = self.lengths_of(which)
        reach = lengths > first
        steps = np.arange(first, stop)[:, None]  # (T, 1)
        is_read = steps < lengths[reach]  # (T, k)
        places = self.starts[which][reach] + np.where(is_read, steps, 0)
        targets = np.where(is_read, self.ids[places + 1].astype(np.int64), NO_LABEL)
        begins, number = torch.tensor(first == 0), torch.tensor(int(is_read.sum()))
        return DocumentWindow(as_tensor(self.ids[places], device), as_tensor(targets, device), begins, number)


def _places(ids: Ids, symbol: int) -> npt.NDArray[np.int64]:
    """Where a symbol is, looked for piece by piece."""
    pieces = (np.flatnonzero(ids[start : start + AT_ONCE] == symbol) + start for start in range(0, len(ids), AT_ONCE))
    return np.concatenate([np.zeros(0, dtype=np.int64), *pieces])


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentBatches:
    """`documents` in batches of about equal length, each read in windows of at most T steps.

    The batches are as few as have at most B documents, and each has about as many.

    The windows of a batch are of about equal length, and as many as its longest document needs. How many windows each document
    needs decides its place in an epoch's order, and its length within that; so every epoch has as many windows, though other
    batches where more than B documents need as many.
    """

    documents: Documents
    batch_size: int
    seq_len: int
    seed: int

    @property
    def size(self) -> int:
        """How many documents a batch has; the last of an epoch's order may have fewer."""
        return -(-len(self.documents) // -(-len(self.documents) // self.batch_size))

    @property
    def classes(self) -> Places:
        """How many windows each document needs, int64 `(n,)`."""
        return -(-self.documents.lengths // self.seq_len)

    @property
    def windows_per_epoch(self) -> int:
        """How many windows go through all documents once."""
        lasts = np.append(np.arange(self.size, len(self.documents), self.size), len(self.documents)) - 1  # of each batch
        return int(np.sort(self.classes)[lasts].sum())

    def order(self, epoch: int) -> list[Places]:
        """The numbers of the documents of each batch of an epoch, longest first."""
        generator = np.random.default_rng((self.seed, epoch))
        batches = ordered(self.documents.lengths, self.classes, self.size, generator)
        return [self.documents.longest_first(which) for which in batches]

    def bounds(self, which: Places) -> list[tuple[int, int]]:
        """The first step of each window of a batch, and that after its last."""
        longest = int(self.documents.lengths_of(which).max())
        number = -(-longest // self.seq_len)
        edges = [place * longest // number for place in range(number + 1)]
        return list(pairwise(edges))

    def windows(self, epoch: int, start: int, device: torch.device) -> Iterator[DocumentWindow]:
        """The windows of an epoch from number `start` on, in order, batch by batch."""
        number = 0
        for which in self.order(epoch):
            bounds = self.bounds(which)
            for place in range(max(0, start - number), len(bounds)):
                yield self.documents.window(which, *bounds[place], device)
            number += len(bounds)
