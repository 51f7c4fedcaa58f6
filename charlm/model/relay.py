"""One stream of text read as lanes side by side, exactly. Knows nothing of what the outputs are for.

The lanes follow one another in the text, so each must begin in the state in which the one before it ends: its head. Each head
is guessed first, from the last few hundred characters before the lane, and all lanes are read at once. A lane whose guess was
wrong is read again, until its states are those of the reading before: a model soon forgets most of what it began with. What it
never forgets, such as a count, moves the end of a lane about as far as its head. How far shows when a lane is read again, and
is then allowed for (a secant step for each number of the state).

Shapes: T characters a lane, B lanes, H hidden units, D numbers in a state.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from charlm.model.network import Network
from charlm.model.stack import ModelState, flat

WINDOW = 128  # characters of a lane between two comparisons of its state with the reading before
WARM_UP = 512  # characters from which a head is guessed
ROUNDS = 4  # of reading again side by side; lanes that are still wrong are then read one after the other

Visit = Callable[[int, Tensor, Tensor], Any]


def ignore(start: int, lanes: Tensor, outputs: Tensor) -> None:
    """Do nothing with what was read."""


@torch.inference_mode()
def relay(
    model: Network,
    ids: Tensor,
    state: ModelState,
    visit: Visit = ignore,
    groups: int = 1,
    workers: int = 1,
    parts: int = 1,
) -> tuple[ModelState, ModelState]:
    """Read the lanes `ids` `(T, B)`, which follow one another after `state`. Gives the states that the lanes begin with (their
    entries), of B streams, and the state after the last lane, of one stream. With `parts`, each lane counts as that many equal
    parts, which follow one another too, and the first result holds the states before all parts, of B * parts streams.

    `visit(start, lanes, outputs)` gets the top layer's h `(n, b, H)` for n characters, from `start` on, of the b `lanes`. It
    may get a character again; the last time is right. Where many lanes are read, they are cut into `groups`, which `workers`
    threads read; the numbers depend on `groups`, not on `workers`.
    """
    reading = _Reading(model, ids, _joined(guessed(model, ids, state, WARM_UP)), visit, parts)
    lanes = ids.shape[1]
    everyone = torch.arange(lanes, device=ids.device)
    with ThreadPoolExecutor(workers) as pool:

        def read(which: Tensor) -> None:
            if groups == 1 or len(which) <= lanes // 2:
                reading.read(which)  # in this thread, which has torch's own threads to help
            else:
                list(pool.map(reading.read, which.chunk(groups)))

        read(everyone)
        kept = torch.zeros_like(reading.entries)
        for _ in range(ROUNDS):
            began, ended = reading.entries.clone(), reading.ends.clone()
            entries = foreseen(began, ended, kept)
            moved = _far(entries, began).nonzero().flatten()
            if not len(moved):
                break
            reading.entries[moved] = entries[moved]
            read(moved)
            shift = entries[moved] - began[moved]
            share = (reading.ends[moved] - ended[moved]) / shift
            kept[moved] = torch.where(shift == 0, kept[moved], share).clamp(0, 1)
    for lane in range(1, lanes):  # only lanes that never settled are still wrong
        if _far(reading.ends[lane - 1 : lane], reading.entries[lane : lane + 1]):
            reading.entries[lane] = reading.ends[lane - 1]
            reading.read(everyone[lane : lane + 1])
    return _parted(model, reading.entries_of_parts()), _parted(model, reading.ends[-1:])


def guessed(model: Network, ids: Tensor, state: ModelState, warm_up: int) -> ModelState:
    """Guesses of the entries of the lanes `ids` `(T, B)`, a state of B streams. The first is `state` itself; every other one is
    the state after the last `warm_up` characters of the lane before, read from a zero state.
    """
    if ids.shape[1] == 1:
        return state
    _, ends = model.outputs(ids[-warm_up:, :-1].long(), model.initial_state(ids.shape[1] - 1))
    return _parted(model, torch.cat([_joined(state), _joined(ends)]))


def foreseen(began: Tensor, ended: Tensor, kept: Tensor) -> Tensor:
    """Better entries `(B, D)`, given the entries that the lanes `began` with, the states where they `ended`, and the share of a
    move of its head that is `kept` up to the end of each: lane l begins where lane l - 1, itself moved, would end,

        head[l] = ended[l - 1] + kept[l - 1] * (head[l - 1] - began[l - 1]).
    """
    entries = began.clone()
    for lane in range(1, len(entries)):
        entries[lane] = ended[lane - 1] + kept[lane - 1] * (entries[lane - 1] - began[lane - 1])
    return entries


class _Reading:
    """Lanes and the states they passed: `passed` `(W + 1, B, D)` is their state before each of W windows and after the last.

    No window crosses from one of a lane's `parts` into the next.
    """

    def __init__(self, model: Network, ids: Tensor, entries: Tensor, visit: Visit, parts: int) -> None:
        self.model, self.ids, self.visit, self.parts = model, ids, visit, parts
        length = len(ids) // parts
        self.starts = [part * length + start for part in range(parts) for start in range(0, length, WINDOW)]
        self.passed = entries.new_full((len(self.starts) + 1, *entries.shape), torch.nan)
        self.passed[0] = entries

    @property
    def entries(self) -> Tensor:
        """The states `(B, D)` that the lanes begin with."""
        return self.passed[0]

    @property
    def ends(self) -> Tensor:
        """The states `(B, D)` after their last characters."""
        return self.passed[-1]

    def entries_of_parts(self) -> Tensor:
        """The states that all parts of the lanes begin with: `(B * parts, D)`."""
        first = self.passed[:: max(1, len(self.starts) // self.parts)][: self.parts]  # (parts, B, D)
        return first.transpose(0, 1).flatten(0, 1)

    @torch.inference_mode()  # here too: the mode holds in one thread only
    def read(self, which: Tensor) -> None:
        """Read some lanes from their entries on, each to its end or until its state is that of the reading before."""
        current = self.entries[which]
        for before, (start, stop) in enumerate(itertools.pairwise([*self.starts, len(self.ids)])):
            window = self.ids[start:stop, which].long()
            outputs, state = self.model.outputs(window, _parted(self.model, current))
            self.visit(start, which, outputs)
            current = _joined(state)
            is_apart = _far(current, self.passed[before + 1, which])
            self.passed[before + 1, which] = current
            which, current = which[is_apart], current[is_apart]
            if not len(which):
                return


def _joined(state: ModelState) -> Tensor:
    """All the numbers of B streams' states: `(B, D)`."""
    return torch.cat(flat(state), dim=1)


def _parted(model: Network, joined: Tensor) -> ModelState:
    parts = iter(torch.split(joined, [cell.hidden_size for cell in model.layers for _ in cell.parts], dim=1))
    return tuple(tuple(next(parts) for _ in cell.parts) for cell in model.layers)


def _far(states: Tensor, others: Tensor) -> Tensor:
    """Which of the states `(B, D)` differ by more than rounding, or are NaN, which stands for unknown: `(B,)`."""
    tolerance = 64 * torch.finfo(states.dtype).eps
    return ~((states - others).abs() <= tolerance * (1 + others.abs())).all(dim=1)
