"""Embedding -> stack of cells -> head, for whole windows. Knows ids but no characters, and no single steps (stepper.py).

B streams   T steps   V vocabulary   E embedding   H hidden   L layers   G gates of a cell
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.config import ModelConfig
from charlm.model.network import Network
from charlm.model.stack import ModelState, Stack, dropout


class LanguageModel(Network):
    """A stack of one-layer cells that predicts the next of V symbols from all that came before it."""

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocab_size, config.embedding_size)
        self.cells = Stack(config)
        self.head = nn.Linear(config.hidden_size, vocab_size)

    def forward(self, ids: Tensor, state: ModelState, generator: torch.Generator | None = None) -> tuple[Tensor, ModelState]:
        """A whole window: int64 ids `(T, B)` and a state -> logits `(T, B, V)` and the state after the last step.

        With a generator, dropout is applied to what enters each cell and the head.
        """
        x, new_state = self.outputs(ids, state, generator)  # (T, B, H)
        return self.head(dropout(x, self.config.dropout, generator)), new_state


def next_symbol_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits `(T, B, V)` at targets `(T, B)`: nats for each, float32 `(T, B)`; 0 at a target of -1."""
    flat = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-1, reduction="none")
    return flat.view(targets.shape)
