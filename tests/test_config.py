"""Bounds and names of everything a user may set."""

import codecs
import math
from dataclasses import MISSING, fields, is_dataclass

import pytest

from charlm import config
from charlm.cli.options import parse_duration
from charlm.config import (
    CorpusConfig,
    End,
    InspectConfig,
    ModelConfig,
    SampleConfig,
    TrainConfig,
    check_device,
    check_seed,
    check_threads,
    check_unknown,
    chosen,
)
from charlm.errors import UsageError, brief
from charlm.model.cells import CELLS
from charlm.training.optimiser import OPTIMISERS

NAN, INF = math.nan, math.inf
BAD = [
    (ModelConfig, "embedding_size", [0, -1, 10**9]),
    (ModelConfig, "hidden_size", [0, -1, 10**9]),
    (ModelConfig, "num_layers", [0, -1, 65]),
    (ModelConfig, "dropout", [-0.1, 1, 1.5, NAN]),
    (CorpusConfig, "symbols", ["words"]),
    (CorpusConfig, "validation_fraction", [-0.1, 1, NAN]),
    (CorpusConfig, "test_fraction", [-0.1, 1, NAN]),
    (TrainConfig, "batch_size", [0, 1 << 21]),
    (TrainConfig, "seq_len", [0, 1 << 21]),
    (TrainConfig, "learning_rate", [0, -1, NAN, INF]),
    (TrainConfig, "clip_norm", [-1, NAN, INF]),
    (TrainConfig, "seed", [-1, 2**63]),
    (TrainConfig, "device", ["gpu", "cuda:", "cpu:0", "cuda:x"]),
    (TrainConfig, "precision", ["fp8"]),
    (TrainConfig, "threads", [-1, 5000]),
    (TrainConfig, "eval_every", [0, -1, 10**400]),
    (TrainConfig, "sample_every", [0, -1]),
    (SampleConfig, "temperature", [-1e-9, NAN, INF]),
    (SampleConfig, "top_k", [-1, 10**400]),
    (SampleConfig, "top_p", [0, 1.01, NAN]),
    (SampleConfig, "length", [-1, 10**400]),
    (CorpusConfig, "min_count", [0, -1, 10**400]),
    (CorpusConfig, "restore", ["vowels"]),
    (CorpusConfig, "normalize", ["nfc", "NFKD", "yes"]),
    (TrainConfig, "patience", [-1, 10**400]),
    (SampleConfig, "num_samples", [0]),
    (InspectConfig, "top", [-1, 10**400]),
    (InspectConfig, "length", [0, 10**400]),
    (InspectConfig, "max_characters", [-1, 10**400]),
    (InspectConfig, "seed", [-1, 2**63]),
    (InspectConfig, "theme", ["", "blue"]),
]
# Any string: what it does not fit is said when files are read, or by the registry that has such names.
FREE = {(CorpusConfig, name) for name in ("encoding", "glob", "more_globs", "separator", "documents")}
FREE |= {(CorpusConfig, "columns"), (ModelConfig, "pooling"), (ModelConfig, "bidirectional")}
FREE |= {(ModelConfig, "cell"), (TrainConfig, "optimiser"), (TrainConfig, "task")}
CLASSES = [each for each in vars(config).values() if is_dataclass(each)]
DEFAULTS = [(cls, field.name, field.default) for cls in CLASSES for field in fields(cls) if field.default is not MISSING]


@pytest.mark.parametrize(("cls", "field", "value"), [(cls, field, value) for cls, field, values in BAD for value in values])
def test_a_value_out_of_bounds_names_its_option(cls, field, value):
    """Each refusal has the option as it is typed, and the value seen."""
    with pytest.raises(UsageError, match="--" + field.replace("_", "-")) as error:
        cls(**{field: value})
    assert brief(str(value)) in error.value.message
    assert len(error.value.message) < 400


@pytest.mark.parametrize("field", ["separator", "documents"])
def test_what_stands_between_texts_is_utf_8(field):
    """A byte that is none, of an argument or of a stranger's file, is refused, and named as it can be shown."""
    with pytest.raises(UsageError, match=rf"^--{field} is 'a\\udcff', and must be UTF-8$"):
        CorpusConfig(**{field: "a\udcff"})


def test_the_training_part_is_never_empty():
    """Validation and test together leave something."""
    with pytest.raises(UsageError, match=r"plus --test-fraction is 1\.1"):
        CorpusConfig(validation_fraction=0.5, test_fraction=0.6)


@pytest.mark.parametrize(("cls", "field", "value"), DEFAULTS)
def test_defaults_are_within_their_own_bounds(cls, field, value):
    """Whoever sets nothing gets what whoever types the default gets; and it was looked at, for the field has bounds."""
    assert getattr(cls(**{field: value}), field) == value == getattr(cls(), field)
    assert (cls, field) in FREE | {(cls, field) for cls, field, _ in BAD}


@pytest.mark.parametrize(("epochs", "steps"), [(1.0, 7), (2, 14), (0.5, 4), (0.2, 1), (1e-9, 1), (1.94, 14)])
def test_an_end_in_epochs_is_the_nearest_number_of_steps(epochs, steps):
    """At least one; an end in steps or seconds stays what it is."""
    assert End("epochs", epochs).resolve(7) == End("steps", steps)
    for end in (End("steps", 3), End("seconds", 2.5)):
        assert end.resolve(7) is end


def test_defaults_name_what_there_is():
    """The registries have the default cell and the default optimiser, and Python has the default encoding."""
    assert chosen("--cell", ModelConfig().cell, CELLS) in CELLS.values()
    assert chosen("--optimiser", TrainConfig().optimiser, OPTIMISERS) in OPTIMISERS.values()
    assert codecs.lookup(CorpusConfig().encoding)


@pytest.mark.parametrize(("option", "registry"), [("--cell", CELLS), ("--optimiser", OPTIMISERS)])
def test_a_name_that_a_registry_lacks_names_its_option_and_the_choices(option, registry):
    """A name may be well formed, and of nothing."""
    with pytest.raises(UsageError, match=option) as error:
        chosen(option, "transformer", registry)
    assert all(name in error.value.message for name in ["'transformer'", *registry])


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices_have_their_usual_names(name):
    """A device's name, with a number for CUDA, is taken."""
    check_device(name)


def test_a_run_has_one_end():
    """Two limits together are refused."""
    with pytest.raises(UsageError, match="more than one of"):
        End.of(steps=1, epochs=1.0)


def test_an_end_is_a_number_of_steps_or_of_seconds():
    """Epochs become steps, one at the least."""
    assert End("seconds", 5.0).resolve(90) == End("seconds", 5.0)
    assert End("steps", 7).resolve(90) == End("steps", 7)
    assert End("epochs", 2.5).resolve(90) == End("steps", 225)
    assert End("epochs", 0.001).resolve(90) == End("steps", 1)


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("5m", 300), ("2h", 7200), ("90", 90), ("1h30m", 5400), ("1.5m", 90), (" 2H ", 7200)]
)
def test_durations_are_read_as_people_write_them(text, seconds):
    """Hours, minutes, seconds, or a plain number of seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5x", "-3s", "nan", "inf", "s", "1m1h", "1 2", "1e3"])
def test_what_is_no_duration_is_refused(text):
    """The error names the option and the value."""
    with pytest.raises(UsageError, match="--max-time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("check", "values", "option"),
    [
        (lambda value: End("steps", value), [0, -5, 10**13, 10**400, 2.5], "--max-steps"),
        (lambda value: End("epochs", value), [0, -1, NAN, INF, 1e300], "--epochs"),
        (lambda value: End("seconds", value), [0, -1.0, NAN, INF], "--max-time"),
        (check_seed, [-1, 2**63], "--seed"),
        (check_threads, [-1, 1025], "--threads"),
        (check_unknown, ["", "drop"], "--unknown"),
        (check_device, ["", "CUDA", "cuda:-1", "cuda:1\n"], "--device"),
        (parse_duration, ["h", "1h2h", "1.s", "--5", "5 m"], "--max-time"),
    ],
)
def test_what_is_checked_by_itself_names_its_option(check, values, option):
    """Checks outside the classes refuse as the classes do."""
    for value in values:
        with pytest.raises(UsageError, match=option):
            check(value)


@pytest.mark.parametrize(
    "given",
    [
        {"steps": 1, "seconds": 1.0},
        {"epochs": 1.0, "seconds": 1.0},
        {"steps": 1, "epochs": 1.0, "seconds": 1.0},
    ],
)
def test_any_two_ends_are_one_too_many(given):
    """Steps, epochs and time exclude each other, whichever two are given."""
    with pytest.raises(UsageError, match="more than one of"):
        End.of(**given)


def test_no_end_is_none():
    """Nothing that is given is no third kind of end."""
    assert End.of() is None
    assert End.of(epochs=2.0) == End("epochs", 2.0)
