"""Ids -> B parallel streams -> windows for truncated backpropagation through time.

An epoch has W windows of T steps. Epoch e of streams seeded with s draws an offset o in [0, N-1-B*W*T] from a generator seeded
by (s, e); stream b covers ids[o + b*W*T : o + (b+1)*W*T + 1]. So the two numbers (epoch, window) name a window completely.
Knows nothing of models or of the state that is carried from window to window.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.errors import TextError, counted
from charlm.text.vocab import Ids

PIECE = 1 << 22  # characters that are moved to the device at a time, at most


def as_tensor(ids: npt.NDArray[np.integer], device: torch.device) -> Tensor:
    """Ids of any shape as models take them: int64, on `device`."""
    return torch.from_numpy(ids.astype(np.int64)).to(device)


class Window(NamedTuple):
    """T steps of B streams: `inputs` and `targets`, int64 `(T, B)`; a target is the character after its input."""

    inputs: Tensor
    targets: Tensor

    @property
    def num_characters(self) -> int:
        """T * B, as many as are predicted."""
        return self.targets.numel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """B streams over `ids` `(N,)`, cut into windows of T steps."""

    ids: Ids
    batch_size: int
    seq_len: int
    seed: int

    @classmethod
    def fitted(cls, ids: Ids, batch_size: int, seq_len: int, seed: int) -> "Streams":
        """At most `batch_size` streams, fewer where the text is too short for B*T.

        Raises `TextError` when the text is too short for even one stream of two windows.
        """
        fitting = len(ids) // seq_len - 1
        if fitting < 1:
            has = counted(len(ids), "symbol")
            what = f"the training part has {has}, and --seq-len {seq_len} needs {2 * seq_len:,} of them"
            raise TextError(what, "give a longer text, or a smaller --seq-len")
        return cls(ids=ids, batch_size=min(batch_size, fitting), seq_len=seq_len, seed=seed)

    @property
    def windows_per_epoch(self) -> int:
        """W = floor((N - T) / (B*T)): T characters are left over for the offset to move in."""
        return (len(self.ids) - self.seq_len) // (self.batch_size * self.seq_len)

    def offset(self, epoch: int) -> int:
        """Where the first stream of `epoch` starts."""
        lane = self.windows_per_epoch * self.seq_len
        last = len(self.ids) - 1 - self.batch_size * lane
        return int(np.random.default_rng((self.seed, epoch)).integers(0, last + 1))

    def windows(self, epoch: int, start: int = 0, device: torch.device | str = "cpu") -> Iterator[Window]:
        """The windows of `epoch` from number `start` on, in order; each continues the one before it, stream by stream.

        The text goes to `device` in long pieces, in the small integers of its file, so that windows do not wait for it.
        """
        steps, lane = self.seq_len, self.windows_per_epoch * self.seq_len
        firsts = self.offset(epoch) + lane * np.arange(self.batch_size)
        at_once = max(1, PIECE // (self.batch_size * steps))
        for piece in range(start, self.windows_per_epoch, at_once):
            end = min(piece + at_once, self.windows_per_epoch)
            lanes = np.stack([self.ids[first + piece * steps : first + end * steps + 1] for first in firsts])
            there = torch.from_numpy(lanes).to(device)  # (B, windows*T + 1)
            for begin in range(0, (end - piece) * steps, steps):
                ids = there[:, begin : begin + steps + 1].t().to(torch.int64, memory_format=torch.contiguous_format)
                yield Window(ids[:-1], ids[1:])  # (T, B)
