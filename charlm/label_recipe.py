"""Chooses what the user does not set where labels are learned: as `recipe.py`, from the number of texts and of characters.

A text is read as a whole, so the batch is so many texts that a step reads about as much as it does of a running text. The
figures come from experiments (benchmarks/RESULTS.md). Standard library only.
"""

from dataclasses import dataclass, replace
from typing import Any

from charlm.config import End
from charlm.recipe import DEFAULT_SECONDS, REFERENCE, ROUND, SYMBOLS, Recipe, Shape, Size, Wish, as_set

LONGEST = 1000  # characters: texts are read so far, or in pieces of this size
STEP_CHARACTERS = 2048  # of a step, about
FEWEST, MOST = 8, 128  # texts in a step
MOST_PASSES = {False: 60.0, True: 20.0}  # through the texts, from nothing and with what a language model has learned
PATIENCE = 6  # evaluations, of at most 20
SMALL, MEDIUM = Size(num_layers=1, hidden_size=128, embedding_size=64), Size(num_layers=1, hidden_size=256, embedding_size=64)
ENOUGH = 10.0  # passes that a larger network must be able to make
RATE = {False: 0.03, True: 0.02}  # likewise
DROPOUT = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The training part: how many texts, of how many characters in all and at most."""

    number: int
    characters: int
    longest: int


def choose_for_labels(wish: Wish, texts: Texts, speed: float | None = None, own_rate: float | None = None) -> Recipe:
    """The recipe for labelled `texts` on a machine of this `speed`, in characters a second of the reference shape."""
    known = (wish.speed or speed) if wish.depends_on_speed else None
    mean = max(1.0, texts.characters / max(1, texts.number))
    batch_size = min(MOST, max(FEWEST, 1 << max(1, round(STEP_CHARACTERS / mean)).bit_length() - 1))
    shapes = [as_set(Shape(size=size, batch_size=batch_size, seq_len=max(1, round(mean))), wish) for size in (MEDIUM, SMALL)]
    passes = [_passes(wish, texts, shape, known or ROUND) for shape in shapes]
    place = 0 if passes[0] >= ENOUGH else 1
    size, rate = shapes[place].size, RATE[wish.continues]
    chosen: dict[str, Any] = {
        "num_layers": size.num_layers,
        "hidden_size": size.hidden_size,
        "embedding_size": size.embedding_size,
        "dropout": DROPOUT,
        "batch_size": batch_size,
        "seq_len": min(LONGEST, max(1, texts.longest)),
        "learning_rate": rate if own_rate is None else own_rate * rate / RATE[False],
        "patience": PATIENCE,
    }
    left = {name: value for name, value in chosen.items() if name not in wish.fixed}
    model = replace(wish.model, **{name: value for name, value in left.items() if hasattr(wish.model, name)})
    training = replace(wish.training, **{name: value for name, value in left.items() if hasattr(wish.training, name)})
    here = f"at {known:.0f} characters/s (of a 2 x 256 network), " if known else ""
    why = (
        f"recipe: {here}{passes[place]:.3g} times the {texts.number:,} texts that train, of {mean:.0f} characters; "
        f"{model.num_layers} x {model.hidden_size}, dropout {model.dropout:g}, {training.batch_size} texts a step, "
        f"rate {training.learning_rate:g}"
    )
    return Recipe(model=model, training=training, end=wish.end or End("epochs", passes[place]), why=why)


def _passes(wish: Wish, texts: Texts, shape: Shape, speed: float) -> float:
    """About how many times a run of this shape reads all texts up to its end."""
    if wish.end is not None and wish.end.unit == "epochs":
        return wish.end.amount
    if wish.end is not None and wish.end.unit == "steps":
        return wish.end.amount * shape.batch_size / max(1, texts.number)
    directions = 2 if wish.model.bidirectional else 1
    a_second = speed * REFERENCE.cost(SYMBOLS) / (shape.cost(1) * directions)
    passes = (wish.seconds or DEFAULT_SECONDS) * a_second / max(1, texts.characters)
    return min(passes, MOST_PASSES[wish.continues]) if wish.end is None else passes
