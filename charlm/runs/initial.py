"""What a new model takes over from one that was trained on other text: its cells, and what it knows of each symbol.

Weights go over by symbol and not by number. A symbol that the old model lacks keeps its fresh weights.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from charlm.checkpoint.card import ModelCard
from charlm.model.language_model import LanguageModel
from charlm.model.network import Network
from charlm.text.vocab import Vocab


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The symbols that two vocabularies share: their ids in the new one and in the old one, int64 `(n,)` each."""

    new: Tensor
    old: Tensor

    @classmethod
    def by(cls, new: Vocab, old: Vocab) -> "Shared":
        """Matched by their characters, or bytes."""
        _, here, there = np.intersect1d(new.symbols, old.symbols, assume_unique=True, return_indices=True)
        return cls(new=torch.from_numpy(here), old=torch.from_numpy(there))


@torch.no_grad()
def take_over(model: Network, vocab: Vocab, old: Network, card: ModelCard) -> None:
    """Give `model` the cells of `old`, and for each symbol that both know its embedding and, in a language model, its output.

    Cells that read backward, and a head that gives labels, keep their fresh weights.
    """
    shared = Shared.by(vocab, card.vocab)
    model.embedding.weight[shared.new] = old.embedding.weight[shared.old]
    model.cells.load_state_dict(old.cells.state_dict())
    if isinstance(model, LanguageModel) and isinstance(old, LanguageModel):
        model.head.weight[shared.new] = old.head.weight[shared.old]
        model.head.bias[shared.new] = old.head.bias[shared.old]
