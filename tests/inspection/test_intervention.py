"""Clamps side by side against the recurrence by hand, one clamp at a time."""

import numpy as np
import pytest
import torch
from torch import Tensor

from charlm.config import ModelConfig
from charlm.inspection import intervention
from charlm.inspection.findings import UnitId
from charlm.inspection.intervention import MOST_CONTROLS, Held, clamped_nats, comparable, intervene
from charlm.inspection.stretch import Stretch
from charlm.inspection.trace import Trace
from charlm.inspection.verdict import Effect, judge
from charlm.model.cells import CELLS
from charlm.model.language_model import LanguageModel
from charlm.model.stack import ModelState
from tests.conftest import CELLS as NAMES
from tests.conftest import new_model
from tests.inspection.reference import LATCH, MODES, MUTE, SIGNALS, latch_model, mode_text, random_ids, read, walk
from tests.inspection.test_verdict import judged

H = 7  # hidden units of `new_model`
BEFORE, N = 9, 41  # characters before the stretch, and in it
IDS = random_ids(BEFORE + N + 1, seed=1)
STRETCH = torch.from_numpy(IDS[BEFORE:].astype(np.int64))
IS_PRESENT = np.random.default_rng(2).random(N) < 0.3

each_signal = pytest.mark.parametrize(("cell", "signal"), [(cell, signal) for cell in NAMES for signal in SIGNALS[cell]])
each_part = pytest.mark.parametrize(("cell", "part"), [(cell, part) for cell in NAMES for part in CELLS[cell].parts])


def exact_model(cell: str) -> LanguageModel:
    """Two layers in float64, with weights large enough that a clamp is felt."""
    model = new_model(cell, 2).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model.requires_grad_(False)


@torch.inference_mode()
def state_before(model: LanguageModel) -> ModelState:
    """The state of one stream where the stretch begins."""
    return model(torch.from_numpy(IDS[:BEFORE].astype(np.int64)).unsqueeze(1), model.initial_state(1))[1]


def from_below(model: LanguageModel, layer: int) -> tuple[Tensor, ModelState]:
    """What enters a layer over the stretch, `(N, E)` or `(N, H)`, by hand, and the state from this layer on where it begins."""
    below = walk(model, IDS).signals[layer - 1, "h"][BEFORE:-1] if layer else model.embedding.weight[STRETCH[:-1]].numpy()
    return torch.from_numpy(below), state_before(model)[layer:]


def one_by_one(model: LanguageModel, layer: int, part: str, units: list[int], values: np.ndarray) -> np.ndarray:
    """The loss `(N, K)` over the stretch, each unit held from its beginning on in a walk of its own."""
    courses = walk(model, IDS).signals[layer, part]
    losses = []
    for unit, column in zip(units, values.T, strict=True):
        held = np.concatenate([courses[:BEFORE, unit], column, [0]])
        losses.append(walk(model, IDS, {(layer, part, unit): held}).nats(IDS)[BEFORE:])
    return np.stack(losses, axis=1)


@pytest.mark.parametrize("layer", [0, 1])
@each_part
def test_a_clamp_to_the_units_own_course_changes_nothing(cell, part, layer):
    """Held at what it does anyway, every unit leaves the loss at every character as it was."""
    model = exact_model(cell)
    free = walk(model, IDS)
    course = torch.from_numpy(free.signals[layer, part][BEFORE:-1])
    entering, state = from_below(model, layer)
    found, _ = clamped_nats(model, STRETCH, entering, state, Held(layer=layer, part=part, units=torch.arange(H), values=course))
    np.testing.assert_allclose(found, np.tile(free.nats(IDS)[BEFORE:, None], H), rtol=0, atol=1e-6)  # losses are float32


@pytest.mark.parametrize("layer", [0, 1])
@each_part
def test_clamps_in_lanes_are_one_clamp_at_a_time(cell, part, layer):
    """Any units, one of them twice, at changing values from a state in mid-text: each lane's loss is that by hand."""
    model, units = exact_model(cell), [2, 6, 2, 0]
    values = np.random.default_rng(3).uniform(-1.5, 1.5, (N, len(units)))
    entering, state = from_below(model, layer)
    held = Held(layer=layer, part=part, units=torch.tensor(units), values=torch.from_numpy(values))
    found, _ = clamped_nats(model, STRETCH, entering, state, held)
    expected = one_by_one(model, layer, part, units, values)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert np.abs(expected[:, 0] - expected[:, 2]).max() > 0.01


@pytest.fixture
def clamped(monkeypatch) -> list[Held]:
    """What `intervene` clamps."""
    seen: list[Held] = []

    def spy(model, ids, entering, state, held, tell):
        seen.append(held)
        return clamped_nats(model, ids, entering, state, held, tell)

    monkeypatch.setattr(intervention, "clamped_nats", spy)
    return seen


@pytest.mark.parametrize("layer", [0, 1])
@each_signal
def test_a_unit_is_held_at_its_mean_and_at_its_own_course_from_elsewhere(cell, signal, layer, clamped):
    """Gates through what remembers. What is reported is the rise in loss under the clamp that does less, as found by hand."""
    model, unit = exact_model(cell), UnitId(layer=layer, unit=3, signal=signal)
    trace, _ = Trace.over(model, IDS, (BEFORE, len(IDS)), state_before(model))
    effect = intervene(trace, unit, Stretch(text=trace.chapters[0], is_present=IS_PRESENT), np.random.default_rng(4))
    (held,) = clamped
    part, units, values = held.part, held.units, held.values
    assert held.layer == layer
    assert part == (signal if signal in CELLS[cell].parts else CELLS[cell].parts[-1])
    assert units[0] == 3
    assert sorted(units[:H].tolist()) == list(range(H))
    assert torch.equal(units[:H], units[H:])
    free = walk(model, IDS)
    course = free.signals[layer, part][BEFORE:-1, units[:H]]
    np.testing.assert_allclose(values[:, :H], np.tile(course.mean(axis=0), (N, 1)), atol=1e-12)
    rolled = [offset for offset in range(N) if np.allclose(values[:, H:], np.roll(course, offset, axis=0), atol=1e-12)]
    assert len(rolled) == 1
    assert N // 4 <= rolled[0] <= 3 * N // 4
    by_hand = one_by_one(model, layer, part, [3, 3], values[:, [0, H]].numpy()) - free.nats(IDS)[BEFORE:, None]
    sides = np.array([by_hand[IS_PRESENT].mean(axis=0), by_hand[~IS_PRESENT].mean(axis=0)])  # (2 sides, 2 clamps)
    lesser = sides[:, sides.sum(axis=0).argmin()]
    np.testing.assert_allclose([effect.delta.present, effect.delta.absent], lesser, rtol=0, atol=1e-5)


@pytest.mark.parametrize("hidden_size", [8, 40], ids=["few to compare with", "many to compare with"])
def test_what_the_model_reads_is_used_and_what_it_does_not_read_is_not(hidden_size):
    """Clamping the latch of a model by hand costs much; clamping a unit that reaches nothing costs exactly nothing."""
    model, text = latch_model(hidden_size), mode_text(1500)
    trace = read(model, MODES.encode(text))
    inside = np.array([text.rfind("[", 0, t + 1) > text.rfind("]", 0, t + 1) for t in range(len(text) - 1)])
    effects = {}
    for unit in (LATCH, MUTE):
        name = UnitId(layer=0, unit=unit, signal="c")
        effects[unit] = intervene(trace, name, Stretch(text=trace.chapters[0], is_present=inside), np.random.default_rng(5))
    assert effects[LATCH].is_used
    assert effects[LATCH].delta.present + effects[LATCH].delta.absent > 0.05
    assert not effects[MUTE].is_used
    assert max(abs(effects[MUTE].delta.present), abs(effects[MUTE].delta.absent)) < 1e-6


@pytest.mark.parametrize("layer", [0, 1])
def test_units_to_compare_with_are_alike_in_variance_and_in_what_they_add_above(layer):
    """The nearest are those alike in both, not in one of the two; of many there are 50, of few all, never the unit itself."""
    config = ModelConfig(cell="gru", embedding_size=5, hidden_size=60, num_layers=2)
    model = LanguageModel.initialised(config, 13, generator=torch.Generator().manual_seed(0))
    kind = np.random.default_rng(6).permutation(60) % 4  # 15 units of each
    loud, strong = torch.from_numpy(kind % 2), torch.from_numpy(kind // 2)
    noise = torch.randn(200, 60, generator=torch.Generator().manual_seed(1))
    course = noise * (0.1 + loud) + torch.arange(60)  # a mean is no variance
    above = model.layers[1].input_weights[0] if layer == 0 else model.head.weight
    with torch.no_grad():
        above.div_(above.norm(dim=0)).mul_(0.1 + strong)
    for unit in (0, 1, 17, 59):
        found = comparable(model, UnitId(layer=layer, unit=unit, signal="h"), course)
        assert len(set(found)) == len(found) == MOST_CONTROLS == 50
        assert unit not in found
        assert sorted(found[:14]) == [other for other in np.flatnonzero(kind == kind[unit]) if other != unit]
    few = comparable(new_model("gru", 2), UnitId(layer=layer, unit=2, signal="h"), course[:, :H])
    assert sorted(few) == [0, 1, 3, 4, 5, 6]


def early_and_late(unit: int, looks: int) -> tuple[Effect, list[np.ndarray], np.ndarray]:
    """The effect of clamping a unit of the latch's model; the rises that the verdict was taken from; where the feature is."""
    model, text = latch_model(40), mode_text(3000)
    trace = read(model, MODES.encode(text))
    inside = np.array([text.rfind("[", 0, t + 1) > text.rfind("]", 0, t + 1) for t in range(len(text) - 1)])
    judged_on: list[np.ndarray] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervention, "judge", lambda rises, *rest: judged_on.append(rises) or judge(rises, *rest))
        name = UnitId(layer=0, unit=unit, signal="c")
        stretch = Stretch(text=trace.chapters[0], is_present=inside)
        effect = intervene(trace, name, stretch, np.random.default_rng(5), looks=looks)
    return effect, judged_on, inside


@pytest.mark.parametrize("unit", [LATCH, MUTE])
def test_a_settled_clamp_gives_what_one_that_reads_on_had_so_far(unit):
    """The verdict of the whole stretch, at the first look after 1,000 characters; the rises are those of the whole so far."""
    early, (some,), is_present = early_and_late(unit, looks=8)
    late, (every,), _ = early_and_late(unit, looks=1)
    assert late.num_characters == len(every) == 2999
    assert early.num_characters == len(some) == 3 * 2999 // 8
    assert early.is_used == late.is_used == (unit == LATCH)
    np.testing.assert_allclose(some, every[: len(some)], rtol=0, atol=1e-6)
    expected = judged(some[:, :, 0], np.zeros((2, 30)), is_present[: len(some)]).delta
    assert (early.delta.present, early.delta.absent) == pytest.approx((expected.present, expected.absent))


def test_few_others_are_read_to_the_end():
    """With fewer than 20 to compare with, an interval decides, over the whole stretch."""
    model, text = latch_model(8), mode_text(1500)
    trace = read(model, MODES.encode(text))
    inside = np.arange(1499) % 90 < 45
    name = UnitId(layer=0, unit=LATCH, signal="c")
    stretch = Stretch(text=trace.chapters[0], is_present=inside)
    assert intervene(trace, name, stretch, np.random.default_rng(5)).num_characters == 1499


def test_a_stretch_shorter_than_its_looks_is_read():
    """Three characters in eight parts are three characters."""
    model = latch_model(40)
    trace = read(model, MODES.encode("[aab"))
    stretch = Stretch(text=trace.chapters[0], is_present=np.arange(3) > 0)
    effect = intervene(trace, UnitId(layer=0, unit=LATCH, signal="c"), stretch, np.random.default_rng(5))
    assert effect.num_characters == 3
