"""Embedding -> stack of cells -> head, for whole windows. Knows ids but no characters, and no single steps (stepper.py).

B streams   T steps   V vocabulary   E embedding   H hidden   L layers   G gates of a cell
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.config import ModelConfig
from charlm.model.cells import Cell
from charlm.model.stack import ModelState, Stack, Uninitialised, dropout


class LanguageModel(nn.Module):
    """A stack of one-layer cells that predicts the next of V symbols from all that came before it."""

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocab_size, config.embedding_size)
        self.cells = Stack(config)
        self.head = nn.Linear(config.hidden_size, vocab_size)

    @classmethod
    def empty(cls, config: ModelConfig, vocab_size: int) -> "LanguageModel":
        """A model whose parameters are allocated but not initialised, to load weights into."""
        with torch.device("cpu"), Uninitialised():
            return cls(config, vocab_size)

    @classmethod
    def shapes(cls, config: ModelConfig, vocab_size: int) -> "LanguageModel":
        """A model whose parameters have shapes but no memory, so that its size costs nothing."""
        with torch.device("meta"), Uninitialised():
            return cls(config, vocab_size)

    @classmethod
    def initialised(cls, config: ModelConfig, vocab_size: int, generator: torch.Generator) -> "LanguageModel":
        """A new model on the CPU, its parameters drawn from `generator`."""
        model = cls.empty(config, vocab_size)
        nn.init.normal_(model.embedding.weight, std=0.3, generator=generator)
        model.cells.initialise(generator)
        bound = 1 / math.sqrt(config.hidden_size)
        nn.init.uniform_(model.head.weight, -bound, bound, generator=generator)
        nn.init.zeros_(model.head.bias)
        return model

    @property
    def layers(self) -> list[Cell]:
        """The L cells, lowest first."""
        return self.cells.layers

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.head.weight.device

    @property
    def vocab_size(self) -> int:
        """V, the number of symbols."""
        return self.head.out_features

    def initial_state(self, batch_size: int) -> ModelState:
        """The zero state of B streams."""
        return self.cells.initial_state(batch_size)

    def forward(self, ids: Tensor, state: ModelState, generator: torch.Generator | None = None) -> tuple[Tensor, ModelState]:
        """A whole window: int64 ids `(T, B)` and a state -> logits `(T, B, V)` and the state after the last step.

        With a generator, dropout is applied to what enters each cell and the head.
        """
        x, new_state = self.outputs(ids, state, generator)  # (T, B, H)
        return self.head(dropout(x, self.config.dropout, generator)), new_state

    def outputs(self, ids: Tensor, state: ModelState, generator: torch.Generator | None = None) -> tuple[Tensor, ModelState]:
        """The same without the head: the top layer's h, `(T, B, H)`, and the state after the last step."""
        outputs: tuple[Tensor, ModelState] = self.cells(self.embedding(ids), state, generator)
        return outputs


def next_symbol_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits `(T, B, V)` at targets `(T, B)`: nats for each prediction, float32 `(T, B)`."""
    flat = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    return flat.view(targets.shape)


def num_parameters(module: nn.Module) -> int:
    """How many numbers `module` learns."""
    return sum(parameter.numel() for parameter in module.parameters())
