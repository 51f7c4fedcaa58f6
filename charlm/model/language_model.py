"""Embed -> stack of cells -> head, for whole windows. Knows nothing of characters' names, nor of single steps (stepper.py).

    B streams   T steps   V vocabulary   E embedding   H hidden   L layers   G gates of a cell

There is no training mode: dropout acts where a generator is handed in, and nowhere else.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from charlm.config import ModelConfig
from charlm.model.cells import CELLS, Cell, State

ModelState = tuple[State, ...]  # one cell's state per layer
MOST_WEIGHT = 1e12  # beyond it, sums of products may overflow; no model that has learned anything comes near


class LanguageModel(nn.Module):
    """A stack of one-layer cells that predicts the next of V symbols from all that came before it."""

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        cell = CELLS[config.cell]
        sizes = [config.embedding_size] + [config.hidden_size] * (config.num_layers - 1)
        self.embedding = nn.Embedding(vocab_size, config.embedding_size)
        self.cells = nn.ModuleList(cell(size, config.hidden_size) for size in sizes)
        self.head = nn.Linear(config.hidden_size, vocab_size)

    @classmethod
    def empty(cls, config: ModelConfig, vocab_size: int) -> "LanguageModel":
        """A model whose parameters are allocated in fresh memory and hold anything: for loading into."""
        with torch.device("cpu"), _Uninitialised():
            return cls(config, vocab_size)

    @classmethod
    def shapes(cls, config: ModelConfig, vocab_size: int) -> "LanguageModel":
        """A model whose parameters have shapes, and no memory: however large it is, it costs nothing."""
        with torch.device("meta"), _Uninitialised():
            return cls(config, vocab_size)

    @classmethod
    def initialised(cls, config: ModelConfig, vocab_size: int, generator: torch.Generator) -> "LanguageModel":
        """A new model on the CPU, its parameters drawn from `generator`."""
        model = cls.empty(config, vocab_size)
        nn.init.normal_(model.embedding.weight, std=0.3, generator=generator)
        for cell in model.layers:
            cell.initialise(generator)
        bound = 1 / math.sqrt(config.hidden_size)
        nn.init.uniform_(model.head.weight, -bound, bound, generator=generator)
        nn.init.zeros_(model.head.bias)
        return model

    @property
    def layers(self) -> list[Cell]:
        """The L cells, lowest first."""
        return list(self.cells)  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.head.weight.device

    @property
    def vocab_size(self) -> int:
        """V, the number of symbols."""
        return self.head.out_features

    def initial_state(self, batch_size: int) -> ModelState:
        """The zero state of B streams."""
        return tuple(cell.initial_state(batch_size) for cell in self.layers)

    def forward(
        self, ids: Tensor, state: ModelState, dropout_generator: torch.Generator | None = None
    ) -> tuple[Tensor, ModelState]:
        """A whole window: int64 ids `(T, B)` and a state -> logits `(T, B, V)` and the state after the last step.

        With a generator, dropout is applied to what enters each cell and the head.
        """
        x, new_state = self.outputs(ids, state, dropout_generator)  # (T, B, H)
        return self.head(dropout(x, self.config.dropout, dropout_generator)), new_state

    def outputs(
        self, ids: Tensor, state: ModelState, dropout_generator: torch.Generator | None = None
    ) -> tuple[Tensor, ModelState]:
        """The same without the head: what the top layer gives, `(T, B, H)`, and the state after the last step."""
        x = self.embedding(ids)  # (T, B, E)
        new_state = []
        for cell, cell_state in zip(self.layers, state, strict=True):
            x, last = cell(dropout(x, self.config.dropout, dropout_generator), cell_state)  # (T, B, H)
            new_state.append(last)
        return x, tuple(new_state)


class _Uninitialised(TorchFunctionMode):
    """Layers that are made within are left as they were allocated: torch would draw them from its global random state.

    (On the meta device torch would also load a second's worth of modules, to find out what drawing does to a shape.)
    """

    def __torch_function__(
        self, func: Callable[..., object], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))


def dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """`x` `(T, B, F)` with features zeroed with probability `rate`, the rest scaled by 1/(1 - rate); `x` without a generator.

    Each stream drops the same features at all T steps, as Gal and Ghahramani (2016) do for recurrent networks; next to a new
    choice at every step it costs next to nothing. Written out because torch's own draws from the global random state.
    """
    if generator is None or rate == 0:
        return x
    keep = x.new_empty(1, *x.shape[1:]).bernoulli_(1 - rate, generator=generator)
    return x * keep.div_(1 - rate)


def detach(state: ModelState) -> ModelState:
    """The same state as float32 constants: memory goes on into the next window, gradients do not."""
    return tuple(tuple(part.detach().float() for part in cell_state) for cell_state in state)


def flat(state: ModelState) -> tuple[Tensor, ...]:
    """The parts of a state, layer after layer."""
    return tuple(part for cell_state in state for part in cell_state)


def unflat(parts: Sequence[Tensor], num_layers: int) -> ModelState:
    """The state whose parts these are: the other way of `flat`."""
    each = len(parts) // num_layers
    return tuple(tuple(parts[first : first + each]) for first in range(0, len(parts), each))


def next_symbol_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits `(T, B, V)` at targets `(T, B)`: nats for each prediction, float32 `(T, B)`."""
    flat = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    return flat.view(targets.shape)
