"""Chooses what the user does not set: the size, dropout, batch and rate of a run, from its length, the amount of text and the
speed of the machine.

The speed comes in as a number: nothing here measures, so that the same numbers give the same run anywhere. The figures come
from experiments (benchmarks/RESULTS.md); those that were never measured say so. Standard library only.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from charlm.config import PRESET_NAMES, End, ModelConfig, TrainConfig, check_preset, check_speed

DEFAULT_SECONDS = 300.0  # of training, where the user gives no end...
MOST_PASSES = 60.0  # ...but no more passes through a small text than this: more would only overfit
STEP = 600  # characters: reading them takes as long as a step's fixed cost, mostly the optimiser


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The shape of a network: `num_layers` of `hidden_size` units, over `embedding_size` numbers a character."""

    num_layers: int
    hidden_size: int
    embedding_size: int

    @property
    def weights(self) -> int:
        """The number of weights in an LSTM's matrices; each is used once a character."""
        below = self.embedding_size + (self.num_layers - 1) * self.hidden_size
        return 4 * self.hidden_size * (below + self.num_layers * self.hidden_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A network, and the batch of streams and steps that it is trained with."""

    size: Size
    batch_size: int
    seq_len: int

    def cost(self, num_symbols: int) -> float:
        """The cost of reading a character, in weights used, the head's among them, with its share of a step's fixed cost."""
        return (self.size.weights + self.size.hidden_size * num_symbols) * (1 + STEP / (self.batch_size * self.seq_len))


SMALL, MEDIUM, LARGE = (
    Size(num_layers=2, hidden_size=256, embedding_size=128),
    Size(num_layers=2, hidden_size=384, embedding_size=128),
    Size(num_layers=2, hidden_size=512, embedding_size=128),
)
PRESETS = dict(zip(PRESET_NAMES[1:], (SMALL, MEDIUM, LARGE), strict=True))  # the first name is "auto"
REFERENCE = Shape(size=SMALL, batch_size=32, seq_len=64)  # a machine's speed is how many characters a second this reads...
SYMBOLS = 64  # ...of a text with this number of different symbols


def narrow(hidden_size: int, batch_size: int, seq_len: int) -> Shape:
    """A shape with one layer, for runs that are too short for more."""
    return Shape(size=Size(num_layers=1, hidden_size=hidden_size, embedding_size=64), batch_size=batch_size, seq_len=seq_len)


CHOSEN = {*Size.__slots__, "dropout", "batch_size", "seq_len", "learning_rate"}
# (the most characters that a run would read with the reference shape, the shape for it)
SHAPES = (
    (60e3, narrow(96, batch_size=16, seq_len=32)),
    (250e3, narrow(128, batch_size=32, seq_len=32)),
    (500e3, narrow(192, batch_size=32, seq_len=64)),
    (1.5e6, narrow(224, batch_size=32, seq_len=64)),
    (39e6, REFERENCE),
    (117e6, Shape(size=MEDIUM, batch_size=32, seq_len=64)),  # this and the next only for a text with at least as many
    (math.inf, Shape(size=LARGE, batch_size=64, seq_len=64)),  # characters as the network has weights; both are guesses
    (math.inf, REFERENCE),
)
# (the most characters read, the most weights, the rate for both)
RATES = ((1e6, 100e3, 0.07), (3.2e6, math.inf, 0.05), (7.8e6, math.inf, 0.04), (math.inf, math.inf, 0.03))
# (the most passes through the text, the most weights, the dropout for both)
DROPOUTS = (
    (3, math.inf, 0.0),
    (6, 300e3, 0.0),
    (5, math.inf, 0.05),
    (10, math.inf, 0.1),
    (25, math.inf, 0.2),
    (50, math.inf, 0.3),
    (250, math.inf, 0.4),
    (math.inf, math.inf, 0.5),
)
GENTLER = 1 / 3  # of the lowest rate: that of a run which goes on with what a model has learned, and has less to change
SMALL_TEXT = 450e3  # characters: a shorter text is learned by heart sooner, so each of its passes counts for more
# A machine faster than any processor measured is taken for a GPU, where streams side by side cost little. MORE_STREAMS has the
# least characters of a text, and how many times the streams it then gets. From figures of one H200, never tried in a recipe.
GPU_SPEED = 300e3
MORE_STREAMS = ((8e6, 4), (2e6, 2), (0, 1))
MOST_STREAMS = 128  # with more, cuDNN takes another, slower kernel
GAIN = 0.73  # on a GPU characters a second grow as this power of the streams: 2.75 times for 4 times the streams

COARSE = math.sqrt(2)  # speeds are rounded to ROUND times a power of this
ROUND = 65e3  # characters a second of the machine that most figures are from
SLOWER, FASTER = 0.45, 1.3  # between these ratios to the speed before, a measured speed counts as the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user asked for: the fields of `model` and `training` named in `by_hand` were set; the others may be chosen.

    `speed` is the machine's, in characters a second with the reference shape, or None where the user did not give it. A run
    that `continues` begins with what another model has learned.
    """

    model: ModelConfig
    training: TrainConfig
    end: End | None = None
    by_hand: frozenset[str] = frozenset()
    preset: str = "auto"
    speed: float | None = None
    continues: bool = False

    def __post_init__(self) -> None:
        check_preset(self.preset)
        check_speed(self.speed, self.end)

    @property
    def fixed(self) -> frozenset[str]:
        """The fields that are not the recipe's to choose: those set by hand, and the sizes of a model that is gone on with."""
        return self.by_hand | set(Size.__slots__) if self.continues else self.by_hand

    @property
    def seconds(self) -> float | None:
        """How long the run may take, or None where the user did not say."""
        return self.end.amount if self.end is not None and self.end.unit == "seconds" else None

    @property
    def depends_on_speed(self) -> bool:
        """Whether another speed could change the run: always without an end; with seconds, if something is left to choose."""
        if self.end is None:
            return True
        sizes = set() if self.preset == "auto" else set(Size.__slots__)
        return self.end.unit == "seconds" and not self.fixed | sizes >= CHOSEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The run that was chosen, with its `end`, and `why` in one line."""

    model: ModelConfig
    training: TrainConfig
    end: End
    why: str


@dataclass(frozen=True, slots=True)
class _Reading:
    """The training part's size, its number of different symbols, and the machine's speed."""

    num_characters: int
    num_symbols: int
    speed: float


def coarse(speed: float, before: float | None = None) -> float:
    """A measured speed, rounded so that the next measurement gives the same; `before` is the result of an earlier one.

    That result is kept unless the new speed clearly contradicts it. Disturbances make a measurement slower and never faster, so
    a slower one must be further away to count.
    """
    if before is not None and SLOWER < speed / before < FASTER:
        return before
    return float(f"{ROUND * COARSE ** round(math.log(max(speed, 1.0) / ROUND, COARSE)):.3g}")  # 3 digits, easy to type


def choose(
    wish: Wish,
    num_characters: int,
    num_symbols: int = SYMBOLS,
    speed: float | None = None,
    own_rate: float | None = None,
    unit: str = "characters",
) -> Recipe:
    """The recipe for a training part of `num_characters` with `num_symbols` different ones, on a machine of this `speed`.

    With an end in steps or epochs the speed changes nothing. An optimiser's `own_rate` replaces the recipe's rate, which was
    found for Muon. What is read is called `unit`, for people.
    """
    known = (wish.speed or speed) if wish.depends_on_speed else None
    reading = _Reading(max(1, num_characters), num_symbols, known or ROUND)  # an empty part becomes an error later
    num_characters = reading.num_characters
    shape = as_set(_shape(wish, reading), wish)
    characters = _characters(wish, shape, reading)
    passes, wear = characters / num_characters, 1.0 if wish.continues else max(1.0, SMALL_TEXT / num_characters)
    dropout = next(rate for most, weights, rate in DROPOUTS if passes * wear <= most and shape.size.weights <= weights)
    rate = next(rate for most, weights, rate in RATES if characters <= most and shape.size.weights <= weights)
    rate = rate if own_rate is None else own_rate
    if wish.continues:
        rate = min(rate, GENTLER * (RATES[-1][-1] if own_rate is None else own_rate))
    chosen: dict[str, Any] = {
        "num_layers": shape.size.num_layers,
        "hidden_size": shape.size.hidden_size,
        "embedding_size": shape.size.embedding_size,
        "dropout": dropout,
        "batch_size": shape.batch_size,
        "seq_len": shape.seq_len,
        "learning_rate": rate,
    }
    left = {name: value for name, value in chosen.items() if name not in wish.fixed}
    model = replace(wish.model, **{name: value for name, value in left.items() if hasattr(wish.model, name)})
    training = replace(wish.training, **{name: value for name, value in left.items() if hasattr(wish.training, name)})
    times = f"{passes:,.0f}" if passes >= 100 else f"{passes:.3g}"
    here = f"at {known:.0f} characters/s (of a 2 x 256 network), " if known else ""
    why = (
        f"recipe: {here}about {characters:,.0f} {unit} to read, {times} times the {num_characters:,} that train; "
        f"{model.num_layers} x {model.hidden_size}, dropout {model.dropout:g}, batch {training.batch_size} x "
        f"{training.seq_len}, rate {training.learning_rate:g}"
    )
    return Recipe(model=model, training=training, end=wish.end or End("epochs", passes), why=why)


def as_set(shape: Shape, wish: Wish) -> Shape:
    """`shape` with the numbers that the user set."""
    size = shape.size if wish.preset == "auto" else PRESETS[wish.preset]
    set_sizes = {name: getattr(wish.model, name) for name in Size.__slots__ if name in wish.fixed}
    set_rest = {name: getattr(wish.training, name) for name in ("batch_size", "seq_len") if name in wish.fixed}
    return replace(shape, size=replace(size, **set_sizes), **set_rest)


def _shape(wish: Wish, reading: _Reading) -> Shape:
    """The shape for the number of characters that the run can read."""
    is_parallel, streams = reading.speed >= GPU_SPEED, 1
    if is_parallel:
        streams = next(times for least, times in MORE_STREAMS if reading.num_characters >= least)
    for most, shape in SHAPES:
        if wish.depends_on_speed:
            affordable = (wish.seconds or DEFAULT_SECONDS) * reading.speed
        else:
            affordable = _characters(wish, as_set(shape, wish), reading) * shape.cost(SYMBOLS) / REFERENCE.cost(SYMBOLS)
        is_for_text = shape.size.weights <= max(reading.num_characters, REFERENCE.size.weights)
        if affordable <= most and is_for_text:
            break
    return replace(shape, batch_size=min(shape.batch_size * streams, max(MOST_STREAMS, shape.batch_size)))


def _characters(wish: Wish, shape: Shape, reading: _Reading) -> float:
    """About how many characters a run with this shape reads up to its end."""
    if wish.end is not None and wish.end.unit == "steps":
        return float(wish.end.amount * shape.batch_size * shape.seq_len)
    if wish.end is not None and wish.end.unit == "epochs":
        return wish.end.amount * reading.num_characters
    gain = (shape.batch_size / REFERENCE.batch_size) ** GAIN if reading.speed >= GPU_SPEED else 1.0
    a_second = reading.speed * gain * REFERENCE.cost(SYMBOLS) / shape.cost(reading.num_symbols)
    characters = (wish.seconds or DEFAULT_SECONDS) * a_second
    return min(characters, MOST_PASSES * reading.num_characters) if wish.end is None else characters
