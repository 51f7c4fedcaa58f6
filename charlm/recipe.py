"""What a run is when nobody says: its size, dropout, batch and rate, from how long it will run and how much text there is.

Each number was found by experiment; benchmarks/RESULTS.md has what was tried. Nothing here looks at how fast the machine is,
so that the same command gives the same model: the speeds below are what two processor cores once reached, and serve only to
compare an end in seconds with one in characters. Standard library only.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from charlm.config import PRESET_NAMES, End, ModelConfig, TrainConfig, check_preset

DEFAULT_SECONDS = 300.0  # what a run may take, on two cores, when nobody says...
MOST_PASSES = 60.0  # ...but it goes through a small text at most this often, where more would only overfit
ADAMW_RATE = 6e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The shape of a network: `num_layers` of `hidden_size` units, over `embedding_size` numbers a character."""

    num_layers: int
    hidden_size: int
    embedding_size: int


TINY, SMALL, MEDIUM, LARGE = (
    Size(num_layers=1, hidden_size=192, embedding_size=64),
    Size(num_layers=2, hidden_size=256, embedding_size=128),
    Size(num_layers=2, hidden_size=384, embedding_size=128),
    Size(num_layers=2, hidden_size=512, embedding_size=128),
)
PRESETS = dict(zip(PRESET_NAMES[1:], (SMALL, MEDIUM, LARGE), strict=True))  # the first name is "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How best to spend up to `seconds`, in which two cores read `speed` characters a second at `size`.

    Not for a run that would read the text more than `most_passes` times: a larger network only learns it by heart.
    """

    seconds: float
    speed: float
    size: Size
    batch_size: int
    seq_len: int
    learning_rate: float
    most_passes: float = math.inf


BUDGETS = (
    Budget(seconds=10, speed=100e3, size=TINY, batch_size=16, seq_len=32, learning_rate=0.05),
    Budget(seconds=30, speed=65e3, size=SMALL, batch_size=32, seq_len=64, learning_rate=0.05),
    Budget(seconds=120, speed=65e3, size=SMALL, batch_size=32, seq_len=64, learning_rate=0.04),
    Budget(seconds=600, speed=65e3, size=SMALL, batch_size=32, seq_len=64, learning_rate=0.03),
    Budget(seconds=1800, speed=32e3, size=MEDIUM, batch_size=32, seq_len=64, learning_rate=0.03, most_passes=8),
    Budget(seconds=math.inf, speed=22e3, size=LARGE, batch_size=64, seq_len=64, learning_rate=0.03, most_passes=8),
    Budget(seconds=math.inf, speed=65e3, size=SMALL, batch_size=32, seq_len=64, learning_rate=0.03),
)
# For up to so many passes over the text...
DROPOUTS = ((3, 0.0), (5, 0.05), (10, 0.1), (25, 0.2), (50, 0.3), (250, 0.4), (math.inf, 0.5))
SMALL_TEXT = 450e3  # ...but one of fewer characters is known by heart sooner: each of its passes counts for more


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user asked for: the fields of `model` and `training` named in `by_hand` were set, the others may be chosen."""

    model: ModelConfig
    training: TrainConfig
    end: End
    by_hand: frozenset[str] = frozenset()
    preset: str = "auto"

    def __post_init__(self) -> None:
        check_preset(self.preset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What was chosen, and `why` in one line; `end` always says when."""

    model: ModelConfig
    training: TrainConfig
    end: End
    why: str


def choose(wish: Wish, num_characters: int) -> Recipe:
    """The recipe for a training part of `num_characters`."""
    num_characters = max(1, num_characters)  # a text without any is an error later on, and not here
    budget, characters = _budget(wish, num_characters)
    passes, wear = characters / num_characters, max(1.0, SMALL_TEXT / num_characters)
    size = budget.size if wish.preset == "auto" else PRESETS[wish.preset]
    chosen: dict[str, Any] = {
        "num_layers": size.num_layers,
        "hidden_size": size.hidden_size,
        "embedding_size": size.embedding_size,
        "dropout": next(dropout for most, dropout in DROPOUTS if passes * wear <= most),
        "batch_size": budget.batch_size,
        "seq_len": budget.seq_len,
        "learning_rate": budget.learning_rate if wish.training.optimiser == "muon" else ADAMW_RATE,
    }
    left = {name: value for name, value in chosen.items() if name not in wish.by_hand}
    model = replace(wish.model, **{name: value for name, value in left.items() if hasattr(wish.model, name)})
    training = replace(wish.training, **{name: value for name, value in left.items() if hasattr(wish.training, name)})
    times = f"{passes:,.0f}" if passes >= 100 else f"{passes:.3g}"
    why = (
        f"recipe: about {characters:,.0f} characters to read, {times} times the {num_characters:,} that train: "
        f"dropout {model.dropout:g}, batch {training.batch_size} x {training.seq_len}, rate {training.learning_rate:g}"
    )
    return Recipe(model=model, training=training, end=wish.end if wish.end.is_given else End(epochs=passes), why=why)


def _budget(wish: Wish, num_characters: int) -> tuple[Budget, float]:
    """The line of the table that a run falls into, and about how many characters it will read."""
    end = wish.end if wish.end.is_given else End(max_seconds=DEFAULT_SECONDS)
    for budget in BUDGETS:
        characters = _characters(end, budget, wish, num_characters)
        if not wish.end.is_given:
            characters = min(characters, MOST_PASSES * num_characters)
        if characters <= min(budget.seconds * budget.speed, budget.most_passes * num_characters):
            break
    return budget, characters


def _characters(end: End, budget: Budget, wish: Wish, num_characters: int) -> float:
    """About how many characters a run reads up to its end, where it is trained as `budget` says."""
    if end.max_seconds is not None:
        return end.max_seconds * budget.speed
    if end.epochs is not None:
        return end.epochs * num_characters
    batch_size = wish.training.batch_size if "batch_size" in wish.by_hand else budget.batch_size
    seq_len = wish.training.seq_len if "seq_len" in wish.by_hand else budget.seq_len
    return float((end.max_steps or 0) * batch_size * seq_len)
