"""Chooses what the user does not set where documents are told apart: as `recipe.py`, but for the shape of a batch.

Short documents are read as a whole, so many side by side that a step reads as much as it would of a running text. A run has
patience, as one that learns labels. Standard library only.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from charlm.config import TrainConfig
from charlm.recipe import Recipe, Wish, choose

MOST_SIDE_BY_SIDE = 256  # documents in a step
PATIENCE = 6  # evaluations, of at most 20: a short list is soon learned by heart
WHOLE = 2  # times the steps of a running text's window: shorter documents are read in one


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """The training part: how many documents, of how many predicted symbols in all and at most."""

    number: int
    characters: int
    longest: int


def choose_for_documents(
    wish: Wish, lengths: Lengths, num_symbols: int, speed: float | None = None, own_rate: float | None = None
) -> Recipe:
    """The recipe for documents of these `lengths` on a machine of this `speed`, in characters a second (recipe.py)."""
    recipe = choose(wish, lengths.characters, num_symbols, speed, own_rate)
    was = recipe.training
    steps = lengths.longest if lengths.longest <= WHOLE * was.seq_len else was.seq_len
    read = min(lengths.characters / max(1, lengths.number), steps)  # of a document in a step, about
    number = 2 ** round(math.log2(max(1.0, was.batch_size * was.seq_len / max(1.0, read))))
    chosen: dict[str, Any] = {"batch_size": min(number, MOST_SIDE_BY_SIDE), "seq_len": steps, "patience": PATIENCE}
    left = {name: value for name, value in chosen.items() if name not in wish.fixed}
    training = replace(was, **left)
    why = recipe.why.replace(_batch(was), f"{training.batch_size} documents a step, up to {training.seq_len} steps at a time")
    return replace(recipe, training=training, why=why)


def _batch(training: TrainConfig) -> str:
    return f"batch {training.batch_size} x {training.seq_len}"
