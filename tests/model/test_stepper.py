"""One character at a time, against whole windows and against the recurrence written out by hand."""

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.config import HeldUnit, SampleConfig
from charlm.errors import UsageError
from charlm.model import kernels
from charlm.model.capture import CAPTURE_AFTER
from charlm.model.cells import CELLS, Clamp
from charlm.model.kernels import Product
from charlm.model.language_model import LanguageModel
from charlm.model.stack import ModelState, flat
from charlm.model.stepper import CapturedStepper, Stepper, layer_clamps
from charlm.sampling import generate, prime
from tests.conftest import CELLS as NAMES
from tests.conftest import LAYERS, Replayed, new_model
from tests.inspection.reference import SIGNALS, random_ids, walk

T, B, H = 6, 3, 7
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}

each_cell = pytest.mark.parametrize("cell", NAMES)
each_depth = pytest.mark.parametrize("layers", LAYERS)
each_part = pytest.mark.parametrize(("cell", "part"), [(name, part) for name in NAMES for part in CELLS[name].parts])


@pytest.fixture(params=[True, False], ids=["packed", "plain"])
def packing(request, monkeypatch):
    """Runs a test as it is, and once more as where torch cannot pack weights."""
    if not request.param:
        monkeypatch.setattr(kernels, "_can_pack", lambda: False)


def some_state(model: LanguageModel, seed: int = 3) -> ModelState:
    generator = torch.Generator().manual_seed(seed)
    return tuple(tuple(part.uniform_(-1, 1, generator=generator) for part in parts) for parts in model.initial_state(B))


def window(seed: int = 4) -> Tensor:
    return torch.from_numpy(random_ids(T * B, seed=seed).astype(np.int64).reshape(T, B))


def close(one: object, other: object, dtype: torch.dtype) -> None:
    torch.testing.assert_close(one, other, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("dtype", TOLERANCE)
@each_depth
@each_cell
def test_steps_over_a_window_are_the_forward_over_it(cell, layers, dtype, packing):
    """Logits at every step and the state after the last one are the whole window's, whatever the state before."""
    model = new_model(cell, layers).to(dtype)
    ids, state = window(), some_state(model)
    with torch.inference_mode():
        expected, last = model(ids, state)
        stepper, found = Stepper(model), []
        for row in ids:
            logits, state = stepper.step(row, state)
            found.append(logits)
    close(torch.stack(found), expected, dtype)
    close(state, last, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_packed_product_is_the_plain_one(dtype, packing):
    """For one row or many, a product laid out once is `F.linear`."""
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(*shape, generator=generator, dtype=dtype, requires_grad=True) for shape in ((11, 5), (11,)))
    product = Product(weight, bias)
    for rows in (1, 2, 63, 64, 65, 130):
        x = torch.randn(rows, 5, generator=generator, dtype=dtype)
        with torch.inference_mode():
            close(product(x), F.linear(x, weight, bias), dtype)


def _fails(*arguments: object) -> Tensor:
    raise RuntimeError("there is no such kernel")


@pytest.mark.parametrize("absent", ["missing", "failing", "wrong"])
def test_a_torch_that_cannot_pack_is_found_out(absent, monkeypatch):
    """Where the packed product is missing, fails or gives something else, the plain one is used."""
    other = {"_linear_pointwise": lambda x, weight, *rest: x @ weight.t(), "_reorder_linear_weight": lambda weight: weight}
    if absent == "failing":
        other["_linear_pointwise"] = _fails
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(**({} if absent == "missing" else other)))
    assert not kernels._can_pack.__wrapped__()


@each_depth
@each_cell
def test_advance_gives_gates_that_make_the_state(cell, layers):
    """Every layer's gates are the textbook's, and the state that comes with them is what the equations make of them."""
    model = new_model(cell, layers).double()
    ids, state = random_ids(T, seed=5), model.initial_state(1)
    expected = walk(model, ids)
    stepper = Stepper(model)
    for t, symbol in enumerate(ids.tolist()):
        before = state
        with torch.inference_mode():
            state, all_gates = stepper.advance(torch.tensor([symbol]), before)
        assert len(all_gates) == layers
        for layer, (gates, parts) in enumerate(zip(all_gates, state, strict=True)):
            found = zip(CELLS[cell].signals, stepper.cells[layer].seen(parts, gates), strict=True)
            for signal, values in found:
                np.testing.assert_allclose(values[0].numpy(), expected.signals[layer, signal.name][t], atol=1e-12)
            close(parts, stepper.cells[layer].advance(gates, before[layer]), torch.float64)


def courses(model: LanguageModel, ids: Tensor) -> list[ModelState]:
    """The state after each character of one stream."""
    stepper, state, found = Stepper(model), model.initial_state(1), []
    with torch.inference_mode():
        for symbol in ids:
            _, state = stepper.step(symbol.view(1), state)
            found.append(state)
    return found


@pytest.mark.parametrize("layers", [1, 3])
@each_part
def test_a_clamp_to_a_units_own_course_changes_nothing(cell, part, layers):
    """Held at what it is anyway, alone or with all others of its layer, a unit leaves every bit as it was."""
    model, ids = new_model(cell, layers), window()[:, 0]
    place = CELLS[cell].parts.index(part)
    own, stepper = courses(model, ids), Stepper(model)
    for layer in range(layers):
        for units in (torch.tensor([0]), torch.tensor([6, 2]), torch.arange(H)):
            state = model.initial_state(1)
            for symbol, after in zip(ids, own, strict=True):
                clamps = [()] * layers
                clamps[layer] = [Clamp(part, slice(None), units, after[layer][place][0, units])]
                with torch.inference_mode():
                    _, state = stepper.step(symbol.view(1), state, clamps)
                assert all(torch.equal(a, b) for a, b in zip(sum(state, ()), sum(after, ()), strict=True))


@each_depth
@each_part
def test_clamps_in_lanes_are_one_lane_after_the_other(cell, part, layers):
    """Units held side by side, each at its own changing values, do what the recurrence by hand does with each of them alone."""
    model, ids = new_model(cell, layers).double(), random_ids(T, seed=6)
    stepper = Stepper(model)
    units = torch.tensor([0, 4, 4, 6, 0])
    values = torch.randn(T, len(units), generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    values[:, 0] = 0.0
    lanes = torch.arange(len(units))
    for layer in range(layers):
        held = [{(layer, part, int(unit)): values[:, lane].numpy()} for lane, unit in enumerate(units)]
        slow = [walk(model, ids, one) for one in held]
        state = model.initial_state(len(units))
        for t, symbol in enumerate(ids.tolist()):
            clamps = [()] * layers
            clamps[layer] = [Clamp(part, lanes, units, values[t])]
            with torch.inference_mode():
                logits, state = stepper.step(torch.full((len(units),), symbol), state, clamps)
            for lane, expected in enumerate(slow):
                np.testing.assert_allclose(logits[lane].numpy(), expected.logits[t], atol=1e-12)
                for number, parts in enumerate(state):
                    for name, value in zip(CELLS[cell].parts, parts, strict=True):
                        np.testing.assert_allclose(value[lane].numpy(), expected.signals[number, name][t], atol=1e-12)


@pytest.mark.parametrize("first", [1, 2])
@each_cell
def test_steps_from_a_layer_on_are_steps_of_the_whole(cell, first):
    """Given what enters a layer, of all streams or once for all, it and those above do as they do in a step of all layers."""
    model, ids = new_model(cell, 3).double(), torch.tensor([4]).expand(B)
    stepper, state = Stepper(model), some_state(model)
    below = [tuple(part[:1].expand(B, -1) for part in parts) for parts in state[:first]]  # the same in all streams
    with torch.inference_mode():
        whole, whole_gates = stepper.advance(ids, (*below, *state[first:]))
        from_input = F.linear(whole[first - 1][0], *model.layers[first].input_weights)
        for given in (from_input, from_input[:1]):
            upper, gates = stepper.advance_from(first, given, state[first:])
            for found, expected in zip(flat(upper), flat(whole[first:]), strict=True):
                close(found, expected, torch.float64)
            for found, expected in zip(flat(gates), flat(whole_gates[first:]), strict=True):
                close(found, expected, torch.float64)


def test_what_is_held_reaches_all_that_comes_after_it():
    """A held c acts before h = o tanh(c); a held h reaches the head, the layer above and the next step, and no cell's c now."""
    model, ids = new_model("lstm", 2).double(), torch.tensor([3])
    stepper, state, unit = Stepper(model), model.initial_state(1), torch.tensor([0])
    with torch.inference_mode():
        free, free_gates = stepper.advance(ids, state)
        held_c, _ = stepper.advance(ids, state, [[Clamp("c", slice(None), unit, torch.tensor([2.0]).double())], ()])
        clamps = [[Clamp("h", slice(None), unit, torch.tensor([0.5]).double())], ()]
        logits, held_h = stepper.step(ids, state, clamps)
        after, after_free = (stepper.advance(ids, one)[0] for one in (held_h, free))
    o = free_gates[0][2]
    assert held_c[0][1][0, 0] == 2
    close(held_c[0][0][0, 0], o[0, 0] * np.tanh(2.0), torch.float64)
    assert held_h[0][0][0, 0] == 0.5
    assert torch.equal(held_h[0][1], free[0][1])
    assert not torch.equal(held_h[1][0], free[1][0])
    assert not torch.equal(after[0][0][0, 1:], after_free[0][0][0, 1:])
    top = [(), [Clamp("h", slice(None), unit, torch.tensor([0.5]).double())]]
    logits, state = stepper.step(ids, state, top)
    with torch.inference_mode():
        close(logits, model.head(state[1][0]), torch.float64)
    assert state[1][0][0, 0] == 0.5


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("layers", [1, 2])
@each_cell
def test_sampling_with_units_held_is_the_slow_loop(cell, layers, dtype):
    """The prompt and all that is drawn are read with the units held; the most probable symbols are those found by hand."""
    model, prompt = new_model(cell, layers).to(dtype), random_ids(4, seed=8)
    held = [HeldUnit(layer=layers - 1, unit=0, part=None, value=0.0), HeldUnit(layer=0, unit=5, part="h", value=-0.75)]
    clamps = layer_clamps(model, held)
    by_hand = {(layers - 1, CELLS[cell].parts[-1], 0): 0.0, (0, "h", 5): -0.75}
    logits, state = prime(model, prompt, B, clamps)
    expected = walk(model, prompt, by_hand)
    np.testing.assert_allclose(logits.detach().numpy(), np.tile(expected.logits[-1], (B, 1)), atol=TOLERANCE[dtype])
    for layer, parts in enumerate(state):
        last = expected.signals[layer, SIGNALS[cell][0]][-1]  # c of an LSTM, h of others
        np.testing.assert_allclose(parts[-1].detach().numpy(), np.tile(last, (B, 1)), atol=TOLERANCE[dtype])
    drawn = prompt.tolist()
    config = SampleConfig(length=9, temperature=0, num_samples=B)
    for ids in islice(generate(model, prompt, config, torch.Generator(), clamps), 9):
        drawn.append(int(walk(model, drawn, by_hand).logits[-1].argmax()))
        assert ids.tolist() == [drawn[-1]] * B


class Uncapturable(Replayed):
    """Fails when it is made."""

    def __init__(self, *_):
        raise RuntimeError("operation not permitted when stream is capturing")


@pytest.mark.parametrize("capture", [Replayed, Uncapturable])
@each_cell
def test_captured_steps_are_the_plain_steps(cell, capture):
    """With a unit held, before and after the capture, and where there can be none: the same logits and states."""
    model, ids = new_model(cell, 2), torch.from_numpy(random_ids(12 * B).astype(np.int64).reshape(12, B))
    clamps = layer_clamps(model, [HeldUnit(layer=1, unit=2, part=None, value=0.5)])
    plain, captured = Stepper(model), CapturedStepper(model, capture)
    ours = theirs = some_state(model)
    with torch.inference_mode():
        for number, each in enumerate(ids):
            expected, theirs = plain.step(each, theirs, clamps)
            logits, ours = captured.step(each, ours, clamps)
            assert torch.equal(logits, expected)
            assert all(torch.equal(a, b) for a, b in zip(flat(ours), flat(theirs), strict=True))
            assert (captured.captured is not None) == (capture is Replayed and number >= CAPTURE_AFTER)


@pytest.mark.cuda
@each_cell
def test_on_a_gpu_sampling_takes_captured_steps(cell):
    """The most probable text is the one that plain steps on the same device give."""
    model, prompt = new_model(cell, 2).to("cuda"), random_ids(4)
    logits, state = prime(model, prompt, B)
    stepper, expected = Stepper(model), []
    with torch.inference_mode():
        for _ in range(30):
            expected.append(logits.argmax(-1))
            logits, state = stepper.step(expected[-1], state)
    drawn = generate(model, prompt, SampleConfig(length=30, temperature=0, num_samples=B), torch.Generator())
    assert torch.equal(torch.stack(list(drawn)), torch.stack(expected).cpu())


def test_sampling_with_nothing_held_is_sampling():
    """No clamps, empty clamps and a clamp to where a unit is anyway draw the same text."""
    model, prompt = new_model("gru", 2), random_ids(5)
    with torch.no_grad():
        for parameter in (*model.layers[1].input_weights, *model.layers[1].past_weights):
            parameter[2 * H] = 0  # unit 0 is always 0
    held = layer_clamps(model, [HeldUnit(layer=1, unit=0, part="h", value=0.0)])
    config = SampleConfig(length=30)
    texts = [
        torch.cat(list(generate(model, prompt, config, torch.Generator().manual_seed(1), clamps))).tolist()
        for clamps in (None, layer_clamps(model, []), held)
    ]
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize(
    ("cell", "layer", "unit", "part", "says"),
    [
        ("lstm", 2, 0, None, "layer"),
        ("lstm", 0, 7, None, "unit"),
        ("lstm", 0, -1, "h", "unit"),
        ("gru", 0, 0, "c", "GRU has no c"),
        ("rnn", 1, 0, "c", "RNN has no c"),
    ],
)
def test_a_unit_that_the_model_has_not_is_wrong_usage(cell, layer, unit, part, says):
    """A layer, unit or part beyond the model's is a `UsageError` that names it."""
    with pytest.raises(UsageError, match=says):
        layer_clamps(new_model(cell, 2), [HeldUnit(layer=layer, unit=unit, part=part, value=1.0)])


def test_a_clamp_with_no_part_holds_what_remembers():
    """It is c of an LSTM and h of the others; every clamp comes to its own layer."""
    parts = {}
    for cell in NAMES:
        clamps = layer_clamps(new_model(cell, 3), [HeldUnit(layer=1, unit=6, part=None, value=0.25)])
        assert [len(each) for each in clamps] == [0, 1, 0]
        parts[cell] = clamps[1][0].part
        assert clamps[1][0].units.tolist() == [6]
        assert clamps[1][0].values.tolist() == [0.25]
    assert parts == {"lstm": "c", "gru": "h", "rnn": "h"}
