"""The recipe: what it chooses, and what it leaves alone."""

from dataclasses import asdict

import pytest

from charlm.config import PRESET_NAMES, End, ModelConfig, TrainConfig
from charlm.errors import UsageError
from charlm.recipe import ADAMW_RATE, DEFAULT_SECONDS, MOST_PASSES, PRESETS, Wish, choose

MEGABYTE = 1_000_000
ENDS = [End(), End(max_seconds=5.0), End(max_seconds=3600.0), End(epochs=3.0), End(max_steps=50), End(max_steps=10**6)]


NO_END = End()


def wish(end: End = NO_END, preset: str = "auto", by_hand: frozenset[str] = frozenset(), **training) -> Wish:
    return Wish(model=ModelConfig(), training=TrainConfig(**training), end=end, by_hand=by_hand, preset=preset)


@pytest.mark.parametrize("num_characters", [0, 2, 1000, MEGABYTE, 10**10])
@pytest.mark.parametrize("end", ENDS, ids=str)
def test_every_end_and_every_text_has_a_recipe(end, num_characters):
    """Whatever is asked for, what comes is valid, always the same, and has an end."""
    recipe = choose(wish(end), num_characters)
    assert recipe == choose(wish(end), num_characters)
    assert recipe.end == end if end.is_given else recipe.end.epochs is not None
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
    recipe = choose(Wish(model=model, training=training, end=End(max_steps=9), by_hand=names), MEGABYTE)
    assert (recipe.model, recipe.training, recipe.end) == (model, training, End(max_steps=9))


def test_with_more_time_a_network_is_larger_and_with_more_passes_more_is_dropped():
    """Size never falls as time grows, where there is text enough; dropout never falls as it is read more often."""
    recipes = [choose(wish(End(max_seconds=float(seconds))), 10**9) for seconds in (1, 10, 60, 300, 1800, 36_000)]
    sizes = [recipe.model.num_layers * recipe.model.hidden_size for recipe in recipes]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 3
    dropouts = [choose(wish(End(epochs=float(epochs))), MEGABYTE).model.dropout for epochs in (1, 3, 10, 20, 50, 500)]
    assert dropouts == sorted(dropouts)
    assert len(set(dropouts)) > 3


def test_the_usual_run_takes_its_time_but_a_small_text_is_not_read_for_ever():
    """With no end given, a megabyte is read as in five minutes; a hundredth of it so many times and no more."""
    assert choose(wish(), MEGABYTE).model == choose(wish(End(max_seconds=DEFAULT_SECONDS)), MEGABYTE).model
    assert choose(wish(), MEGABYTE // 100).end == End(epochs=MOST_PASSES)


def test_of_a_smaller_text_more_is_dropped_for_as_many_passes():
    """It is known by heart sooner; beyond a third of a megabyte the size no longer matters."""
    dropouts = [choose(wish(End(epochs=20.0)), size).model.dropout for size in (10**7, MEGABYTE, 100_000, 20_000)]
    assert dropouts[0] == dropouts[1] < dropouts[2] < dropouts[3]


def test_a_text_that_would_be_read_many_times_has_no_large_network():
    """With hours for a megabyte, the network is that of five minutes, and more is dropped."""
    usual, long = choose(wish(), MEGABYTE), choose(wish(End(max_seconds=36_000.0)), MEGABYTE)
    assert (long.model.num_layers, long.model.hidden_size) == (usual.model.num_layers, usual.model.hidden_size)
    assert long.model.dropout > usual.model.dropout


def test_the_reason_is_given_in_plain_numbers():
    """However often the text is read."""
    assert "3,900 times the 5,000 that train" in choose(wish(End(max_seconds=300.0)), 5000).why
    assert "0.195 times the 100,000,000 that train" in choose(wish(), 10**8).why


@pytest.mark.parametrize("name", PRESET_NAMES[1:])
def test_a_preset_names_a_size_and_nothing_else(name):
    """Layers, units and embedding are the preset's; batch, rate and dropout are those of the same run without it."""
    plain, named = choose(wish(), MEGABYTE), choose(wish(preset=name), MEGABYTE)
    size = PRESETS[name]
    assert (named.model.num_layers, named.model.hidden_size) == (size.num_layers, size.hidden_size)
    assert named.model.embedding_size == size.embedding_size
    assert named.training == plain.training
    assert named.model.dropout == plain.model.dropout


def test_a_preset_that_does_not_exist_is_refused():
    """The error names the option."""
    with pytest.raises(UsageError, match="--preset"):
        wish(preset="huge")


def test_adamw_has_a_rate_of_its_own():
    """Muon's would be far too high for it."""
    assert choose(wish(optimiser="adamw"), MEGABYTE).training.learning_rate == ADAMW_RATE
