"""Every unit's signals at every character, by the model's own equations: a `Trace`. Knows nothing of features.

A text is read in chapters. Each is cut into lanes that are read side by side, so that the weights are fetched once for many
characters, a block of a few steps at a time. Lanes are exact: each begins with the state that the model carries there. Where
several texts follow one another, each is read from a zero state, and a chapter is whole texts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.inspection.findings import UnitId
from charlm.inspection.texts import Starts, anew, between, states_at, whole_chapters
from charlm.model.cells import Signal
from charlm.model.network import Network
from charlm.model.relay import guessed, relay
from charlm.model.stack import ModelState, streams
from charlm.model.stepper import Stepper
from charlm.text.vocab import Ids

CHAPTER = 1 << 18  # characters
LANES = 64
JOINED = 4  # lanes that are read as one to find the states that they begin with: fewer, longer lanes are read again less
FORGOTTEN = 128  # characters: an untrained model keeps about 0.75 of a cell's state from one to the next
BLOCK = 16  # steps of all lanes
WINDOW = 256  # steps of the last lane through the fused kernel


@dataclass(frozen=True, slots=True)
class Group:
    """One signal of the H units of a layer, such as the forget gates of layer 0."""

    layer: int
    kind: Signal
    size: int

    @property
    def signal(self) -> str:
        """Its name."""
        return self.kind.name

    @property
    def low(self) -> float:
        """The least value it takes; the greatest is 1."""
        return self.kind.low

    def ranged(self, values: Tensor) -> Tensor:
        """`values` as they are ranked and shown, from `low` to 1."""
        return torch.tanh(values) if self.kind.is_squashed else values


def groups(model: Network) -> tuple[Group, ...]:
    """All signals of all layers, in the order of a block's `values`: the lowest layer first."""
    return tuple(Group(layer, signal, cell.hidden_size) for layer, cell in enumerate(model.layers) for signal in cell.signals)


def unit_of(all_groups: Sequence[Group], index: int) -> UnitId:
    """The unit and signal of row `index` among all groups' rows, one group after the other."""
    for group in all_groups:
        if index < group.size:
            return UnitId(layer=group.layer, unit=index, signal=group.signal)
        index -= group.size
    raise IndexError("there are fewer units than that")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A stretch of text cut into B lanes of T characters: `ids` `(T, B)`, the last lane filled up with any ids, and `entries`,
    the model's state before the first character of each lane. `begins` `(T, B)` says where a text begins, None that none does.
    """

    start: int
    stop: int
    ids: Tensor
    entries: ModelState
    begins: Tensor | None = None

    def positions(self, step: int, num_steps: int) -> Tensor:
        """The place in the text of `num_steps` characters from `step` on in every lane: `(num_steps, B)`."""
        length, lanes = self.ids.shape
        return self.start + torch.arange(step, step + num_steps)[:, None] + length * torch.arange(lanes)

    def shares(self) -> "list[Chapter]":
        """The same as chapters of fewer lanes, one for a thread. Their number does not depend on the machine, so that no result
        does.
        """
        _, lanes = self.ids.shape
        return [self._lanes(group, self.stop) for group in lane_groups(lanes)]

    def some(self, lane: int, number: int) -> "Chapter":
        """The first `number` characters from the beginning of a lane on, which may end in a later lane."""
        length, _ = self.ids.shape
        return self._lanes(slice(lane, lane - -number // length), self.start + lane * length + number)

    def _lanes(self, which: slice, stop: int) -> "Chapter":
        length, _ = self.ids.shape
        return Chapter(
            start=self.start + which.start * length,
            stop=min(stop, self.start + which.stop * length),
            ids=self.ids[:, which],
            entries=streams(self.entries, which),
            begins=None if self.begins is None else self.begins[:, which],
        )


def lane_groups(lanes: int) -> list[slice]:
    """The lanes in two groups, or in one where there are few."""
    middle = (lanes + 1) // 2
    return [slice(0, middle), slice(middle, lanes)] if lanes > LANES // 2 else [slice(0, lanes)]


@dataclass(frozen=True, slots=True)
class Block:
    """n characters at `positions` `(n,)`, in no order; for each group, `values` `(H, n)`."""

    positions: npt.NDArray[np.int64]
    values: tuple[Tensor, ...]


@torch.inference_mode()
def chapters(
    model: Network, ids: Ids, bounds: tuple[int, int], state: ModelState | None = None, workers: int = 1
) -> Iterator[tuple[Chapter, ModelState]]:
    """`ids` between two bounds as chapters, each with the state after it. `state`, of one stream, is that before the first;
    None is zero. `workers` threads read lanes at a time.

    A chapter of 22 characters would be cut into lanes of 3 (the last has 1), of which four are joined to find the entries:

        abc def ghi jkl|mno pqr stu v    relay reads abcdefghijkl and mnopqrstuv, and notes the state before each lane
    """
    state = model.initial_state(1) if state is None else state
    start, end = bounds
    while start < end:
        stop = min(end, start + CHAPTER)
        length = -(-(stop - start) // LANES)
        joined = _cut(ids, start, stop, JOINED * length).to(model.device)
        entries, _ = relay(model, joined, state, groups=2, workers=workers, parts=JOINED)
        lanes = -(-(stop - start) // length)
        entries = streams(entries, slice(0, lanes))
        block = joined.t().reshape(-1, length)[:lanes].t().contiguous()  # (T, B)
        last = (stop - start) - length * (lanes - 1)  # characters that the last lane really has
        state = _read(model, block[:last, -1:], streams(entries, slice(lanes - 1, lanes)))
        yield Chapter(start=start, stop=stop, ids=block, entries=entries), state
        start = stop


def _cut(ids: Ids, start: int, stop: int, length: int) -> Tensor:
    """The ids between two bounds in lanes `(length, B)`, the last filled up with zeros."""
    flat = np.zeros((-(-(stop - start) // length), length), dtype=ids.dtype)
    flat.reshape(-1)[: stop - start] = ids[start:stop]
    return torch.from_numpy(flat.T.copy())


def _read(model: Network, ids: Tensor, state: ModelState) -> ModelState:
    for window in torch.split(ids, WINDOW):
        _, state = model.outputs(window.long(), state)
    return state


def chapters_of(model: Network, ids: Ids, bounds: tuple[int, int], starts: Starts) -> Iterator[Chapter]:
    """`ids` between two bounds as chapters of whole texts, which begin at `starts`. The first text may have begun before."""
    for start, stop in whole_chapters(starts, bounds, CHAPTER):
        length = -(-(stop - start) // LANES)
        block = _cut(ids, start, stop, length).to(model.device)
        begins = torch.zeros(block.numel(), dtype=torch.bool)
        begins[torch.from_numpy(between(starts, (start, stop)))] = True
        yield Chapter(
            start=start,
            stop=stop,
            ids=block,
            entries=states_at(model, ids, starts, np.arange(start, stop, length)),
            begins=begins.view(-1, length).t().to(model.device),
        )


@torch.inference_mode()
def blocks(model: Network, chapter: Chapter) -> Iterator[Block]:
    """Every unit's signals at every character of `chapter`, a few steps of all lanes at a time."""
    stepper, state = Stepper(model), chapter.entries
    for start in range(0, len(chapter.ids), BLOCK):
        window = chapter.ids[start : start + BLOCK].long()
        steps = []
        for step, ids in enumerate(window, start):
            if chapter.begins is not None:
                state = anew(state, chapter.begins[step])
            state, all_gates = stepper.advance(ids, state)
            layers = zip(stepper.cells, state, all_gates, strict=True)
            steps.append([values for cell, parts, gates in layers for values in cell.seen(parts, gates)])
        positions = chapter.positions(start, len(window)).flatten()
        is_text = positions < chapter.stop
        columns = (torch.cat(list(group)) for group in zip(*steps, strict=True))  # (n, H) each
        values = tuple((column if is_text.all() else column[is_text.to(column.device)]).t() for column in columns)
        yield Block(positions[is_text].numpy(), values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A model's signals over a text, computed again at each request, because all of them are too many to keep.

    `chapters` follow one another and know the states that their lanes begin with. `workers` threads compute at a time; no
    result depends on their number.
    """

    model: Network
    chapters: tuple[Chapter, ...]
    workers: int = 1

    @classmethod
    def over(
        cls,
        model: Network,
        ids: Ids,
        bounds: tuple[int, int],
        state: ModelState | None = None,
        workers: int = 1,
        starts: Starts | None = None,
    ) -> "tuple[Trace, ModelState]":
        """The trace of `ids` between two bounds, read from `state`, of one stream (None is zero), and the state after it.

        Texts that begin at `starts` are read from a zero state each, and no state is carried beyond them.
        """
        state = model.initial_state(1) if state is None else state
        if starts is not None:
            return cls(model=model, chapters=tuple(chapters_of(model, ids, bounds, starts)), workers=workers), state
        read = []
        for chapter, after in chapters(model, ids, bounds, state, workers):
            read.append(chapter)
            state = after
        return cls(model=model, chapters=tuple(read), workers=workers), state

    @classmethod
    @torch.inference_mode()
    def untrained(cls, model: Network, ids: Ids, bounds: tuple[int, int]) -> "Trace":
        """The same for an untrained model, in one chapter and from a zero state. Such a model forgets so soon that the last 128
        characters before a lane determine the state there.
        """
        start, stop = bounds
        block = _cut(ids, start, stop, max(FORGOTTEN, -(-(stop - start) // LANES))).to(model.device)
        entries = guessed(model, block, model.initial_state(1), FORGOTTEN)
        return cls(model=model, chapters=(Chapter(start=start, stop=stop, ids=block, entries=entries),))

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups of a block's `values`, in their order."""
        return groups(self.model)

    @property
    def num_units(self) -> int:
        """U, the number of rows of all groups together."""
        return sum(group.size for group in self.groups)

    @property
    def size(self) -> int:
        """The number of characters N."""
        return sum(chapter.stop - chapter.start for chapter in self.chapters)

    def shares(self) -> list[Chapter]:
        """The parts of all chapters, in order; each is work for a thread."""
        return [part for chapter in self.chapters for part in chapter.shares()]

    def blocks(self, part: Chapter) -> Iterator[Block]:
        """Every unit's signals at every character of a chapter or a part of one."""
        return blocks(self.model, part)
