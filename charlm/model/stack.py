"""L cells, one above the other, with dropout between. Knows nothing of its input's meaning or of what its output is for.

The state of a stack is one cell's state a layer; it goes in and comes out. There is no training mode: dropout acts only where
the caller passes a generator.

Shapes: B streams, T steps, E inputs, H hidden units, L layers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from charlm.config import ModelConfig, chosen
from charlm.model.cells import CELLS, Cell, State

ModelState = tuple[State, ...]  # one cell's state per layer
MOST_WEIGHT = 1e12  # a greater weight may make sums of products overflow; no model that has learned anything comes near


class Stack(nn.ModuleList):
    """The cells that `config` describes, over inputs of its `embedding_size`; dropout acts on the input of each."""

    def __init__(self, config: ModelConfig) -> None:
        cell = chosen("--cell", config.cell, CELLS)
        sizes = [config.embedding_size] + [config.hidden_size] * (config.num_layers - 1)
        super().__init__(cell(size, config.hidden_size) for size in sizes)
        self.dropout = config.dropout

    @property
    def layers(self) -> list[Cell]:
        """The L cells, lowest first."""
        return list(self)  # type: ignore[arg-type]

    def initialise(self, generator: torch.Generator) -> None:
        """Draw every parameter, from the lowest layer to the highest."""
        for cell in self.layers:
            cell.initialise(generator)

    def initial_state(self, batch_size: int) -> ModelState:
        """The zero state of B streams."""
        return tuple(cell.initial_state(batch_size) for cell in self.layers)

    def forward(self, x: Tensor, state: ModelState, generator: torch.Generator | None = None) -> tuple[Tensor, ModelState]:
        """A whole window: `(T, B, E)` and a state -> the top layer's h, `(T, B, H)`, and the state after the last step."""
        new_state = []
        for cell, cell_state in zip(self.layers, state, strict=True):
            x, last = cell(dropout(x, self.dropout, generator), cell_state)  # (T, B, H)
            new_state.append(last)
        return x, tuple(new_state)


def dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """`x` `(T, B, F)`, each feature zeroed with probability `rate`, the rest scaled by 1/(1 - rate); `x` without a generator.

    Each stream drops the same features at all T steps, as Gal and Ghahramani (2016) do for recurrent networks; that is also
    much cheaper than a new choice at every step. Written out because torch's own dropout draws from the global random state.
    """
    if generator is None or rate == 0:
        return x
    keep = x.new_empty(1, *x.shape[1:]).bernoulli_(1 - rate, generator=generator)
    return x * keep.div_(1 - rate)


def detach(state: ModelState) -> ModelState:
    """The same state as float32 constants: the next window gets the memory, and no gradients flow back."""
    return tuple(tuple(part.detach().float() for part in cell_state) for cell_state in state)


def flat(state: ModelState) -> tuple[Tensor, ...]:
    """The parts of a state, layer after layer."""
    return tuple(part for cell_state in state for part in cell_state)


def unflat(parts: Sequence[Tensor], num_layers: int) -> ModelState:
    """The state whose parts these are: the inverse of `flat`."""
    each = len(parts) // num_layers if num_layers else 1
    return tuple(tuple(parts[first : first + each]) for first in range(0, len(parts), each))


def streams(state: ModelState, which: slice | Tensor) -> ModelState:
    """Some of the streams of a state."""
    return tuple(tuple(part[which] for part in cell_state) for cell_state in state)


class Uninitialised(TorchFunctionMode):
    """In this context new layers keep their memory as allocated: torch would draw weights from its global random state.

    (On the meta device torch would also spend a second loading modules that tell it the shapes of drawn weights.)
    """

    def __torch_function__(
        self, func: Callable[..., object], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))
