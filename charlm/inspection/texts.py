"""Several texts that are read one after the other, each from a zero state: which state is where. Knows no features.

`starts` `(n,)` are the places, in the ids of all texts joined, where each begins; the first is 0.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.model.network import Network
from charlm.model.stack import ModelState, flat, streams, unflat
from charlm.text.streams import as_tensor
from charlm.text.vocab import Ids

WINDOW = 256  # characters of all streams that are read at a time

Starts = npt.NDArray[np.int64]


def begun(starts: Starts, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where the text begins that each of `places` lies in."""
    own: npt.NDArray[np.int64] = starts[np.searchsorted(starts, places, side="right") - 1]
    return own


def between(starts: Starts, bounds: tuple[int, int]) -> npt.NDArray[np.int64]:
    """The places between two bounds where a text begins, counted from the first bound."""
    start, stop = bounds
    return starts[(starts >= start) & (starts < stop)] - start


def whole_chapters(starts: Starts, bounds: tuple[int, int], most: int) -> Iterator[tuple[int, int]]:
    """What lies between two bounds, in parts of whole texts of at most `most` characters, unless one text is longer."""
    start, end = bounds
    edges = np.append(starts[(starts > start) & (starts < end)], end)
    while start < end:
        last = np.searchsorted(edges, start + most, side="right") - 1
        stop = int(edges[max(last, np.searchsorted(edges, start, side="right"))])
        yield start, stop
        start = stop


def anew(state: ModelState, begins: Tensor) -> ModelState:
    """The state of B streams, zero for those where a text `begins` `(B,)`."""
    return tuple(tuple(part.masked_fill(begins.unsqueeze(1), 0) for part in parts) for parts in state)


@torch.inference_mode()
def states_at(model: Network, ids: Ids, starts: Starts, places: npt.NDArray[np.int64]) -> ModelState:
    """The state before each of `places` `(B,)`, read from where its text begins; a stream is left out where it is done."""
    lengths = places - begun(starts, places)
    order = np.argsort(lengths, kind="stable")
    ended = [torch.zeros_like(part) for part in flat(model.initial_state(len(places)))]
    state, read = model.initial_state(len(places)), 0
    for number, place in enumerate(order.tolist()):
        first = (places - lengths)[order[number:]]  # where the texts begin that are still read
        while read < lengths[place]:
            stop = min(read + WINDOW, int(lengths[place]))
            window = as_tensor(ids[first + np.arange(read, stop)[:, None]], model.device)  # (T, streams)
            _, state = model.outputs(window, state)
            read = stop
        for whole, part in zip(ended, flat(state), strict=True):
            whole[place] = part[0]
        state = streams(state, slice(1, None))
    return unflat(ended, len(model.layers))
