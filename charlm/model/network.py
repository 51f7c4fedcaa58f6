"""What every model has: an embedding, a stack of cells, a head. Knows nothing of what the head's numbers mean."""

import math
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from charlm.config import ModelConfig
from charlm.model.cells import Cell
from charlm.model.stack import ModelState, Stack, Uninitialised

N = TypeVar("N", bound="Network")


class Network(nn.Module):
    """A model of V symbols. A class of models is made from its own sizes: a `ModelConfig`, V, and for labels their number."""

    config: ModelConfig
    embedding: nn.Embedding
    cells: Stack
    head: nn.Linear

    @classmethod
    def empty(cls: type[N], *sizes: Any) -> N:  # noqa: ANN401 (each class has sizes of its own)
        """A model whose parameters are allocated but not initialised, to load weights into."""
        with torch.device("cpu"), Uninitialised():
            return cls(*sizes)

    @classmethod
    def shapes(cls: type[N], *sizes: Any) -> N:  # noqa: ANN401 (likewise)
        """A model whose parameters have shapes but no memory, so that its size costs nothing."""
        with torch.device("meta"), Uninitialised():
            return cls(*sizes)

    @classmethod
    def initialised(cls: type[N], *sizes: Any, generator: torch.Generator) -> N:  # noqa: ANN401 (likewise)
        """A new model on the CPU, its parameters drawn from `generator`."""
        model = cls.empty(*sizes)
        for part in model.children():
            if isinstance(part, nn.Embedding):
                nn.init.normal_(part.weight, std=0.3, generator=generator)
            elif isinstance(part, Stack):
                part.initialise(generator)
            elif isinstance(part, nn.Linear):
                bound = 1 / math.sqrt(part.in_features)
                nn.init.uniform_(part.weight, -bound, bound, generator=generator)
                nn.init.zeros_(part.bias)
        return model

    @property
    def layers(self) -> list[Cell]:
        """The L cells that read forward, lowest first."""
        return self.cells.layers

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.head.weight.device

    @property
    def vocab_size(self) -> int:
        """V, the number of symbols."""
        return self.embedding.num_embeddings

    @property
    def outgoing(self) -> Tensor:
        """The weights `(·, H)` through which the top layer's units reach the output."""
        return self.head.weight

    def initial_state(self, batch_size: int) -> ModelState:
        """The zero state of B streams that are read forward."""
        return self.cells.initial_state(batch_size)

    def outputs(self, ids: Tensor, state: ModelState, generator: torch.Generator | None = None) -> tuple[Tensor, ModelState]:
        """A window read forward: ids `(T, B)` and a state -> the top layer's h, `(T, B, H)`, and the state after it."""
        outputs: tuple[Tensor, ModelState] = self.cells(self.embedding(ids), state, generator)
        return outputs


def sizes_of(config: ModelConfig, vocab_size: int, num_labels: int) -> tuple[Any, ...]:
    """What a model is made from; a language model has no labels."""
    return (config, vocab_size, num_labels) if num_labels else (config, vocab_size)


def num_parameters(module: nn.Module) -> int:
    """How many numbers `module` learns."""
    return sum(parameter.numel() for parameter in module.parameters())
