"""Every name and number a user may set, with its default and its bounds. Standard library only: no torch here.

The command line reads its defaults from these classes, so that each is written once. A value out of bounds raises a
`UsageError` that names the option.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from charlm.errors import UsageError, brief, counted

T = TypeVar("T")

DEVICE_NAMES = ("auto", "cpu", "cuda", "mps")
PRECISION_NAMES = ("auto", "fp32", "bf16", "fp16")
SYMBOL_KINDS = ("char", "byte", "word")
RESTORABLE = ("spaces", "case", "punctuation")
NORMAL_FORMS = ("NFC", "NFD", "NFKC")
PRESET_NAMES = ("auto", "small", "medium", "large")
END_OPTIONS = {"steps": "--max-steps", "epochs": "--epochs", "seconds": "--max-time"}  # by unit


MOST = 1e12  # steps, epochs, seconds or characters: more than anyone can wait for, and still exact as a float


def later(default: Any) -> Any:  # noqa: ANN401 (as `dataclasses.field`, it stands for a value of any type)
    """A field that files of earlier commits lack. While it has its default it is left out, so that files stay as they were."""
    return field(default=default, metadata={"later": True})


def _check(holds: bool, option: str, value: object, rule: str) -> None:
    if not holds:
        raise UsageError(f"{option} is {brief(str(value))}, and must be {rule}", "see charlm COMMAND --help")


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    _check(value in choices, option, repr(value), "one of " + ", ".join(choices))


def chosen(option: str, name: str, registry: Mapping[str, T]) -> T:
    """The entry `name` of a registry, such as CELLS. Raises a `UsageError` that names the option and the choices.

    The names of cells, optimisers and the like are not repeated here: each registry has its own, next to what they name.
    """
    _check_choice(option, name, tuple(registry))
    return registry[name]


def _check_range(option: str, value: float, low: float, high: float) -> None:
    least, most = (f"{bound:,}" if isinstance(bound, int) else f"{bound:g}" for bound in (low, high))
    _check(low <= value <= high, option, value, f"from {least} to {most}")  # NaN fails both comparisons


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The shape of a model; together with the numbers of symbols and of labels it fixes the shape of every tensor.

    `charlm train` takes the numbers that the user does not set from `recipe.py`, here and in `TrainConfig`. Models that give
    labels have a `pooling`, the states a text's label is read from, and may be `bidirectional`: a second stack reads backward.
    """

    cell: str = "lstm"
    embedding_size: int = 64
    hidden_size: int = 320
    num_layers: int = 1
    dropout: float = 0.1
    pooling: str = later("last")
    bidirectional: bool = later(False)

    def __post_init__(self) -> None:
        _check_range("--embedding-size", self.embedding_size, 1, 65_536)
        _check_range("--hidden-size", self.hidden_size, 1, 65_536)
        _check_range("--num-layers", self.num_layers, 1, 64)
        _check(0 <= self.dropout < 1, "--dropout", self.dropout, "at least 0 and below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    """How files become a sequence of symbols, and how the sequence is split: train, validation, test, in that order.

    Files match `glob` or one of `more_globs`. Between several stands `separator`, or, where that is None, a newline where one
    does not end in one. `normalize` is a text's normal form of Unicode, empty for its own. Characters and words that occur
    fewer than `min_count` times are spelt. `documents` is empty, "file", "line" or what stands between texts told apart.

    Where a model gives labels, they become labelled texts: `columns` says where a row has its text and its label, and `restore`
    what is taken out of a text to be put back.
    """

    symbols: str = "char"
    encoding: str = "utf-8"
    glob: str = "*.txt"
    validation_fraction: float = 0.1
    test_fraction: float = 0.0
    columns: str = later("")
    restore: str = later("")
    normalize: str = later("")
    more_globs: tuple[str, ...] = later(())
    separator: str | None = later(None)
    min_count: int = later(1)
    documents: str = later("")

    @property
    def globs(self) -> tuple[str, ...]:
        """The patterns, one of which the name of a file in a folder must match."""
        return (self.glob, *self.more_globs)

    def __post_init__(self) -> None:
        _check_choice("--symbols", self.symbols, SYMBOL_KINDS)
        _check_choice("--normalize", self.normalize or NORMAL_FORMS[0], NORMAL_FORMS)
        given = {"--normalize": self.normalize, "--separator": "" if self.separator is None else repr(self.separator)}
        for option, value in given.items() if self.symbols == "byte" else ():
            if value:
                raise UsageError(f"{option} {value} was given with --symbols byte, which keeps all bytes", "leave it out")
        for option, value in (("--separator", self.separator or ""), ("--documents", self.documents)):
            _check(not re.search("[\ud800-\udfff]", value), option, repr(value), "UTF-8")
        _check_range("--min-count", self.min_count, 1, MOST)
        _check_choice("--restore", self.restore or RESTORABLE[0], RESTORABLE)
        _check(0 <= self.validation_fraction < 1, "--validation-fraction", self.validation_fraction, "in [0, 1)")
        _check(0 <= self.test_fraction < 1, "--test-fraction", self.test_fraction, "in [0, 1)")
        together = self.validation_fraction + self.test_fraction
        _check(together < 1, "--validation-fraction plus --test-fraction", together, "below 1")


@dataclass(frozen=True, slots=True)
class End:
    """When a run is over: after `amount` steps (a whole number), epochs or seconds of training, from its first step."""

    unit: str
    amount: float

    def __post_init__(self) -> None:
        _check_choice("the unit of an end", self.unit, tuple(END_OPTIONS))
        option = END_OPTIONS[self.unit]
        _check(0 < self.amount <= MOST, option, self.amount, f"more than 0 and at most {MOST:g}")
        _check(self.unit != "steps" or isinstance(self.amount, int), option, self.amount, "a whole number")

    @classmethod
    def of(cls, *, steps: int | None = None, epochs: float | None = None, seconds: float | None = None) -> "End | None":
        """The end that was given, or None. Raises `UsageError` for more than one."""
        given = [each for each in (("steps", steps), ("epochs", epochs), ("seconds", seconds)) if each[1] is not None]
        if len(given) > 1:
            raise UsageError("more than one of --max-steps, --epochs and --max-time was given", "give one of them")
        return cls(*given[0]) if given else None

    def resolve(self, steps_per_epoch: int) -> "End":
        """The same end in steps or seconds."""
        return self if self.unit != "epochs" else End("steps", min(int(MOST), max(1, round(self.amount * steps_per_epoch))))

    def so_far(self, steps: int, seconds: float) -> float:
        """How far a run has come, in the unit of this end, which must be steps or seconds."""
        return steps if self.unit == "steps" else seconds

    def __str__(self) -> str:
        """As people read it: "1 step", "2.5 epochs", "300 s"."""
        if self.unit == "seconds":
            return f"{self.amount:g} s"
        return counted(self.amount, "step") if isinstance(self.amount, int) else f"{self.amount:g} {self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How a model is trained. `eval_every` and `sample_every` are in steps; None lets the run's length decide.

    The run ends early once `patience` evaluations in a row have found nothing better; 0 waits for its end.
    """

    task: str = "language"
    batch_size: int = 32
    seq_len: int = 64
    optimiser: str = "muon"
    learning_rate: float = 0.03
    clip_norm: float = 1.0
    seed: int = 1
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    eval_every: int | None = None
    sample_every: int | None = None
    patience: int = later(0)

    def __post_init__(self) -> None:
        _check_range("--batch-size", self.batch_size, 1, 1 << 20)
        _check_range("--seq-len", self.seq_len, 1, 1 << 20)
        _check(0 < self.learning_rate < math.inf, "--learning-rate", self.learning_rate, "more than 0, and finite")
        _check(0 <= self.clip_norm < math.inf, "--clip-norm", self.clip_norm, "0 (clip nothing) or more, and finite")
        check_seed(self.seed)
        check_device(self.device)
        _check_choice("--precision", self.precision, PRECISION_NAMES)
        check_threads(self.threads)
        _check_range("--patience", self.patience, 0, MOST)
        _check(self.eval_every is None or 0 < self.eval_every <= MOST, "--eval-every", self.eval_every, "at least 1")
        _check(self.sample_every is None or 0 < self.sample_every <= MOST, "--sample-every", self.sample_every, "at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleConfig:
    """How characters are drawn. `temperature` 0 is argmax; `top_k` 0 and `top_p` 1 leave the distribution whole."""

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    length: int = 500
    num_samples: int = 1

    def __post_init__(self) -> None:
        _check(0 <= self.temperature < math.inf, "--temperature", self.temperature, "0 (argmax) or more, and finite")
        _check_range("--top-k", self.top_k, 0, MOST)
        _check(0 < self.top_p <= 1, "--top-p", self.top_p, "more than 0 and at most 1")
        _check_range("--length", self.length, 0, MOST)
        _check_range("--num-samples", self.num_samples, 1, 65_536)


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectConfig:
    """What `inspect-cells` reads and shows. `max_characters` 0 means the whole text."""

    top: int = 3
    length: int = 700
    max_characters: int = 200_000
    seed: int = 1
    theme: str = "auto"

    def __post_init__(self) -> None:
        _check_range("--top", self.top, 0, MOST)
        _check_range("--length", self.length, 1, MOST)
        _check_range("--max-characters", self.max_characters, 0, MOST)
        check_seed(self.seed)
        _check_choice("--theme", self.theme, ("auto", "dark", "light"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUnit:
    """A unit of a layer that is held at a value, in the `part` h or c of the state; None means c where there is one, else h."""

    layer: int
    unit: int
    part: str | None
    value: float


def check_unit(option: str, layer: int, unit: int, model: ModelConfig) -> None:
    """Raise `UsageError` unless a model of this shape has the layer and the unit."""
    _check_range(f"{option}: the layer", layer, 0, model.num_layers - 1)
    _check_range(f"{option}: the unit", unit, 0, model.hidden_size - 1)


def check_preset(name: str) -> None:
    """Raise `UsageError` unless `name` is the name of a size, or auto."""
    _check_choice("--preset", name, PRESET_NAMES)


def check_speed(speed: float | None, end: End | None) -> None:
    """Raise `UsageError` for a `speed` that no machine has, or one that changes nothing because `end` is counted."""
    _check(speed is None or 1 <= speed <= MOST, "--speed", speed, f"from 1 to {MOST:g} characters a second")
    if speed is not None and end is not None and end.unit != "seconds":
        what = f"--speed was given with {END_OPTIONS[end.unit]}, where the speed changes nothing"
        raise UsageError(what, "leave it out")


def check_device(name: str) -> None:
    """Raise `UsageError` unless `name` is a device's name, such as auto, cpu, cuda or cuda:1."""
    _check_choice("--device", re.sub(r"^cuda:\d+$", "cuda", name), DEVICE_NAMES)


def check_seed(seed: int) -> None:
    """Raise `UsageError` unless torch's generators take `seed`."""
    _check_range("--seed", seed, 0, 2**63 - 1)


def check_unknown(unknown: str) -> None:
    """Raise `UsageError` unless `unknown` is error or skip: what to do with a symbol that the model has never seen."""
    _check_choice("--unknown", unknown, ("error", "skip"))


def check_threads(threads: int) -> None:
    """Raise `UsageError` unless `threads` is a number of threads; 0 means one for each core."""
    _check_range("--threads", threads, 0, 1024)
