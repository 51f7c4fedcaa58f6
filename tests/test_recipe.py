"""The recipe: what it chooses, and what it leaves alone."""

from dataclasses import asdict, replace

import pytest

from charlm.config import PRESET_NAMES, End, ModelConfig, TrainConfig
from charlm.errors import UsageError
from charlm.recipe import (
    COARSE,
    DEFAULT_SECONDS,
    GPU_SPEED,
    LARGE,
    MOST_PASSES,
    PRESETS,
    REFERENCE,
    ROUND,
    SHAPES,
    SMALL,
    SYMBOLS,
    Shape,
    Size,
    Wish,
    choose,
    coarse,
)

MEGABYTE = 1_000_000
ENDS = [None, End("seconds", 5.0), End("seconds", 3600.0), End("epochs", 3.0), End("steps", 50), End("steps", 10**6)]


SPEEDS = [1.0, 13e3, 65e3, 1.4e6, 1e9]


def wish(
    end: End | None = None, preset: str = "auto", by_hand: frozenset[str] = frozenset(), speed: float | None = None, **training
) -> Wish:
    return Wish(model=ModelConfig(), training=TrainConfig(**training), end=end, by_hand=by_hand, preset=preset, speed=speed)


@pytest.mark.parametrize("num_characters", [0, 2, 1000, MEGABYTE, 10**10])
@pytest.mark.parametrize("end", ENDS, ids=str)
@pytest.mark.parametrize("speed", [None, *SPEEDS])
def test_every_end_every_text_and_every_machine_has_a_recipe(end, num_characters, speed):
    """Whatever is asked for, what comes is valid, always the same, and has an end."""
    recipe = choose(wish(end), num_characters, speed=speed)
    assert recipe == choose(wish(end), num_characters, speed=speed)
    assert recipe.end == end if end is not None else recipe.end.unit == "epochs"
    assert f"{recipe.training.batch_size} x {recipe.training.seq_len}" in recipe.why


@pytest.mark.parametrize("end", ENDS, ids=str)
def test_what_is_set_by_hand_stays(end):
    """Each field that was set is as it was set, and the others are as they would have been."""
    odd = {"hidden_size": 33, "num_layers": 3, "embedding_size": 9, "dropout": 0.77, "batch_size": 5, "seq_len": 11}
    fields = {**odd, "learning_rate": 0.123, "clip_norm": 7.0}
    for name, value in fields.items():
        model = ModelConfig(**{name: value}) if hasattr(ModelConfig(), name) else ModelConfig()
        training = TrainConfig(**{name: value}) if hasattr(TrainConfig(), name) else TrainConfig()
        recipe = choose(Wish(model=model, training=training, end=end, by_hand=frozenset({name})), MEGABYTE)
        assert (asdict(recipe.model) | asdict(recipe.training))[name] == value


def test_a_run_that_sets_all_by_hand_is_left_alone():
    """Nothing is chosen but the end."""
    model, training = ModelConfig(), TrainConfig()
    names = frozenset(asdict(model) | asdict(training))
    recipe = choose(Wish(model=model, training=training, end=End("steps", 9), by_hand=names), MEGABYTE)
    assert (recipe.model, recipe.training, recipe.end) == (model, training, End("steps", 9))


def test_with_more_time_a_network_is_larger_and_with_more_passes_more_is_dropped():
    """Size never falls as time grows, where there is text enough; dropout never falls as it is read more often."""
    recipes = [choose(wish(End("seconds", float(seconds))), 10**9) for seconds in (1, 10, 60, 300, 1800, 36_000)]
    sizes = [recipe.model.num_layers * recipe.model.hidden_size for recipe in recipes]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 3
    dropouts = [choose(wish(End("epochs", float(epochs))), MEGABYTE).model.dropout for epochs in (1, 3, 10, 20, 50, 500)]
    assert dropouts == sorted(dropouts)
    assert len(set(dropouts)) > 3


def test_the_usual_run_takes_its_time_but_a_small_text_is_not_read_for_ever():
    """With no end given, a megabyte is read as in five minutes; a hundredth of it so many times and no more."""
    assert choose(wish(), MEGABYTE).model == choose(wish(End("seconds", DEFAULT_SECONDS)), MEGABYTE).model
    assert choose(wish(), MEGABYTE // 100).end == End("epochs", MOST_PASSES)


def test_of_a_smaller_text_more_is_dropped_for_as_many_passes():
    """It is known by heart sooner; beyond a third of a megabyte the size no longer matters."""
    dropouts = [choose(wish(End("epochs", 20.0)), size).model.dropout for size in (10**7, MEGABYTE, 100_000, 20_000)]
    assert dropouts[0] == dropouts[1] < dropouts[2] < dropouts[3]


def test_a_text_that_would_be_read_many_times_has_no_large_network():
    """With hours for a megabyte, the network is that of five minutes, and more is dropped."""
    usual, long = choose(wish(), MEGABYTE), choose(wish(End("seconds", 36_000.0)), MEGABYTE)
    assert (long.model.num_layers, long.model.hidden_size) == (usual.model.num_layers, usual.model.hidden_size)
    assert long.model.dropout > usual.model.dropout


def test_the_reason_is_given_in_plain_numbers():
    """However often the text is read."""
    assert "3,900 times the 5,000 that train" in choose(wish(End("seconds", 300.0)), 5000).why
    assert "0.195 times the 100,000,000 that train" in choose(wish(), 10**8).why


@pytest.mark.parametrize("name", PRESET_NAMES[1:])
def test_a_preset_names_a_size_and_nothing_else(name):
    """Layers, units and embedding are the preset's; the rest is that of a run that reads as much without it."""
    end = End("epochs", 20.0)
    plain, named = choose(wish(end), MEGABYTE), choose(wish(end, preset=name), MEGABYTE)
    size = PRESETS[name]
    assert (named.model.num_layers, named.model.hidden_size) == (size.num_layers, size.hidden_size)
    assert named.model.embedding_size == size.embedding_size
    assert named.training == plain.training
    assert named.model.dropout == plain.model.dropout


@pytest.mark.parametrize("end", [End("steps", 2000), End("epochs", 2.5)], ids=str)
def test_a_counted_end_gives_the_same_run_on_every_machine(end):
    """Size, batch, length, dropout and rate do not depend on the speed, and nothing needs to be measured."""
    assert not wish(end).depends_on_speed
    for size in (30_000, MEGABYTE, 20 * MEGABYTE):
        chosen = [(recipe.model, recipe.training, recipe.end) for recipe in (choose(wish(end), size, speed=s) for s in SPEEDS)]
        assert all(each == chosen[0] for each in chosen)


def test_a_speed_beside_a_counted_end_is_refused():
    """It would decide nothing."""
    for end in (End("steps", 5), End("epochs", 1.0)):
        with pytest.raises(UsageError, match="--speed"):
            wish(end, speed=13e3)


@pytest.mark.parametrize("speed", [0.0, -5.0, float("nan"), float("inf")])
def test_a_speed_that_no_machine_has_is_refused(speed):
    """The error names the option."""
    with pytest.raises(UsageError, match="--speed"):
        wish(speed=speed)


def test_a_slower_machine_gets_a_smaller_network_for_the_same_time():
    """A fifth of the speed is a fifth of the time, as far as the shape is concerned."""
    end = End("seconds", 60.0)
    slow, fast = choose(wish(end), MEGABYTE, speed=13e3), choose(wish(end), MEGABYTE, speed=65e3)
    assert slow.model.num_layers * slow.model.hidden_size < fast.model.num_layers * fast.model.hidden_size
    assert slow.model == choose(wish(End("seconds", 12.0)), MEGABYTE, speed=65e3).model


def test_the_speed_that_is_given_is_the_one_that_counts():
    """It comes before one that was measured, and the line names it."""
    recipe = choose(wish(End("seconds", 60.0), speed=13e3), MEGABYTE, speed=65e3)
    assert recipe.model == choose(wish(End("seconds", 60.0)), MEGABYTE, speed=13e3).model
    assert "13000 characters/s" in recipe.why


@pytest.mark.parametrize("speed", SPEEDS[1:4])
def test_with_no_end_a_run_takes_about_five_minutes_on_any_machine(speed):
    """What a text of many megabytes is read of is what the machine reads of it in that time, in the shape chosen."""
    recipe = choose(wish(), 50 * MEGABYTE, speed=speed)
    size = SMALL if recipe.model.hidden_size == SMALL.hidden_size else LARGE
    shape = Shape(size=size, batch_size=recipe.training.batch_size, seq_len=recipe.training.seq_len)
    reads = recipe.end.amount * 50 * MEGABYTE
    a_second = speed * REFERENCE.cost(SYMBOLS) / shape.cost(SYMBOLS)
    assert 1 <= reads / a_second / DEFAULT_SECONDS <= (1 if speed < GPU_SPEED else 3)


def test_the_machine_that_the_figures_are_from_gets_what_they_were_found_with():
    """On two cores with bfloat16, a megabyte: the runs of one and of five minutes are those of RESULTS.md."""
    minute, usual = choose(wish(End("seconds", 60.0)), MEGABYTE, speed=ROUND), choose(wish(), MEGABYTE, speed=ROUND)
    for recipe, dropout, rate in ((minute, 0.05, 0.04), (usual, 0.2, 0.03)):
        assert (recipe.model.num_layers, recipe.model.hidden_size, recipe.model.embedding_size) == (2, 256, 128)
        assert (recipe.training.batch_size, recipe.training.seq_len) == (32, 64)
        assert (recipe.model.dropout, recipe.training.learning_rate) == (dropout, rate)
    assert usual.end.amount == pytest.approx(19.5)


def test_a_small_network_needs_no_dropout_where_a_large_one_does():
    """For so few passes it learns no text by heart; for many both have dropout."""
    sizes = ModelConfig(num_layers=1, hidden_size=224, embedding_size=64), ModelConfig(num_layers=2, hidden_size=256)
    for epochs, expected in ((2.0, [0.0, 0.0]), (4.5, [0.0, 0.05]), (20.0, [0.2, 0.2])):
        asked = replace(wish(End("epochs", epochs)), by_hand=frozenset(Size.__slots__))
        assert [choose(replace(asked, model=model), MEGABYTE).model.dropout for model in sizes] == expected


def test_what_a_large_vocabulary_costs_is_counted():
    """With four thousand symbols the head is as large as the network, so that half as much is read in the same time."""
    few, many = (choose(wish(), 50 * MEGABYTE, num_symbols, ROUND).end.amount for num_symbols in (SYMBOLS, 4000))
    assert many / few == pytest.approx(0.48, abs=0.03)


def test_a_run_that_leaves_nothing_to_choose_needs_no_speed():
    """With a time limit and everything set by hand; what has a preset has its size."""
    rest = frozenset({"dropout", "batch_size", "seq_len", "learning_rate"})
    sizes = frozenset({"num_layers", "hidden_size", "embedding_size"})
    limit = End("seconds", 60.0)
    assert not wish(limit, by_hand=rest | sizes).depends_on_speed
    assert not wish(limit, by_hand=rest, preset="small").depends_on_speed
    assert wish(limit, by_hand=rest).depends_on_speed
    assert wish(by_hand=rest | sizes).depends_on_speed


def test_on_a_gpu_the_batch_grows_with_the_text():
    """From a megabyte to many; on a processor it does not."""
    sizes = [MEGABYTE, 3 * MEGABYTE, 40 * MEGABYTE]
    many, few = ([choose(wish(), size, speed=speed).training.batch_size for size in sizes] for speed in (1.4e6, 65e3))
    assert many[0] < many[1] < many[2]
    assert few[0] == few[1] == few[2]


def test_shapes_are_in_order_of_what_they_cost():
    """Each bound is above the one before it, and what more can be read with is larger."""
    bounds, costs = [most for most, _ in SHAPES], [shape.cost(SYMBOLS) for _, shape in SHAPES[:-1]]
    assert bounds == sorted(bounds)
    assert costs == sorted(costs)


@pytest.mark.parametrize("speed", [359.0, 10_300.0, 13_068.0, 54_654.1, 65e3, 1.36e6])
def test_a_speed_is_rounded_and_stays_what_it_was_called(speed):
    """Rounding moves it by a fifth at the most and is repeatable; what it was called before is kept while it may be right."""
    called = coarse(speed)
    assert 1 / COARSE**0.51 < called / speed < COARSE**0.51
    assert coarse(called) == called == float(f"{called:.0f}")
    for change in (0.5, 0.85, 1.05, 1.25):
        assert coarse(called * change, before=called) == called
    assert coarse(speed, before=10 * speed) == coarse(speed, before=speed / 2) == called


def test_the_speed_of_the_figures_is_a_coarse_one():
    """So that a machine like theirs gets just what they were found with."""
    assert coarse(57e3) == coarse(74e3) == ROUND


def test_a_small_network_learns_faster_in_a_short_run_and_only_there():
    """The less is read the higher is the rate; the highest is for networks that were found to bear it."""
    rates = [choose(wish(End("seconds", float(t))), 10**8, speed=ROUND).training.learning_rate for t in (1, 10, 60, 300)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 4
    assert choose(wish(End("seconds", 1.0), preset="small"), 10**8, speed=ROUND).training.learning_rate == rates[1]


def test_a_preset_that_does_not_exist_is_refused():
    """The error names the option."""
    with pytest.raises(UsageError, match="--preset"):
        wish(preset="huge")


def test_adamw_has_a_rate_of_its_own():
    """Muon's would be far too high for it."""
    assert choose(wish(optimiser="adamw"), MEGABYTE, own_rate=6e-3).training.learning_rate == 6e-3
