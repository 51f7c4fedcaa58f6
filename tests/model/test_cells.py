"""Cells against independent ways of computing the same thing."""

import numpy as np
import pytest
import torch
from torch import Tensor

from charlm.model.cells import CELLS, Cell, State
from charlm.model.devices import autocast
from tests.conftest import CELLS as NAMES
from tests.conftest import NEEDS_BF16
from tests.model.reference import REFERENCES

T, B, E, H = 6, 3, 5, 7


def new_cell(name: str, dtype: torch.dtype = torch.float64) -> Cell:
    cell = CELLS[name](E, H)
    cell.initialise(torch.Generator().manual_seed(1))
    return cell.to(dtype)


def random(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def start(cell: Cell, seed: int = 3) -> State:
    return tuple(torch.tanh(random(B, H, seed=seed + part)) for part in range(len(cell.parts)))


def numpy_cell(name: str, cell: Cell, inputs: np.ndarray, state: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The recurrence as the textbook has it."""
    (w, b_input), (u, b_past) = ([each.detach().numpy() for each in pair] for pair in (cell.input_weights, cell.past_weights))
    outputs = np.zeros((T, B, H))
    state = [piece.copy() for piece in state]
    for b in range(B):
        for t in range(T):
            now = {part: values[b] for part, values in zip(cell.parts, state, strict=True)}
            x, past = np.split(w @ inputs[t, b] + b_input, len(w) // H), np.split(u @ now["h"] + b_past, len(w) // H)
            after = REFERENCES[name](x, past, now)
            for part, values in zip(cell.parts, state, strict=True):
                values[b] = after[part]
            outputs[t, b] = after["h"]
    return outputs, state


def by_steps(cell: Cell, inputs: Tensor, state: State) -> tuple[Tensor, State]:
    outputs = []
    for x in inputs:
        state, _ = cell.step(x, state)
        outputs.append(state[0])
    return torch.stack(outputs), state


class Stepwise(torch.nn.Module):
    """A cell whose windows are its steps."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return by_steps(self.cell, inputs, state)


@pytest.mark.parametrize("name", NAMES)
def test_what_can_be_seen_of_a_unit_is_its_state_and_its_gates(name):
    """As many signals as there are parts and gates with names; each within its bounds, whatever goes in."""
    cell = new_cell(name)
    with torch.no_grad():
        state, gates = cell.step(10 * random(B, E), start(cell))
    assert len(cell.signals) == len({signal.name for signal in cell.signals}) == len(cell.seen(state, gates))
    assert set(cell.parts) <= {signal.name for signal in cell.signals}
    for signal, values in zip(cell.signals, cell.seen(state, gates), strict=True):
        assert signal.is_squashed or signal.low <= float(values.min()) <= float(values.max()) <= 1.0
    for name, part in zip(cell.parts, state, strict=True):
        assert cell.seen(state, gates)[[signal.name for signal in cell.signals].index(name)] is part


def test_the_signals_have_the_names_of_the_equations():
    """The state first, c before h, then the gates as the papers name them."""
    names = {name: "".join(signal.name for signal in CELLS[name].signals) for name in ("lstm", "gru", "rnn")}
    assert names == {"lstm": "chifog", "gru": "hrzn", "rnn": "h"}
    assert {signal.name for cell in CELLS.values() for signal in cell.signals if signal.is_squashed} == {"c"}


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_its_gates_and_then_its_advance(name):
    """From the same products, both give the same state, and gradients flow through both."""
    cell, x, state = new_cell(name), random(B, E).requires_grad_(), start(cell := new_cell(name))
    after, gates = cell.step(x, state)
    (w, b), (u, b_past) = cell.input_weights, cell.past_weights
    by_hand = cell.gates(x @ w.T + b, state[0] @ u.T + b_past)
    torch.testing.assert_close(gates, by_hand, atol=1e-12, rtol=0)
    assert all(torch.equal(one, other) for one, other in zip(after, cell.advance(gates, state), strict=True))
    assert torch.autograd.grad(after[0].sum(), x)[0].any()


@pytest.mark.parametrize("how", [Cell.__call__, by_steps], ids=["fused", "steps"])
@pytest.mark.parametrize("name", NAMES)
def test_a_cell_equals_a_plain_numpy_implementation(name, how):
    """The fused window and the steps both give what the textbook's equations give."""
    cell, inputs = new_cell(name), random(T, B, E)
    state = start(cell)
    outputs, last = how(cell, inputs, state)
    expected, expected_last = numpy_cell(name, cell, inputs.numpy(), [piece.numpy() for piece in state])
    np.testing.assert_allclose(outputs.detach().numpy(), expected, atol=1e-12)
    assert len(last) == len(cell.parts)
    for piece, expected_piece in zip(last, expected_last, strict=True):
        np.testing.assert_allclose(piece.detach().numpy(), expected_piece, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_step_equals_the_fused_forward_in_float32(name):
    """What sampling computes and what training computes agree to 1e-5."""
    cell, inputs = new_cell(name, torch.float32), random(T, B, E).float()
    state = tuple(piece.float() for piece in start(cell))
    fused, stepped = cell(inputs, state), by_steps(cell, inputs, state)
    torch.testing.assert_close(fused, stepped, atol=1e-5, rtol=0)


@pytest.mark.parametrize("how", [Cell.__call__, by_steps], ids=["fused", "steps"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name, how):
    """Float64 gradients to the inputs, the state and every weight pass gradcheck."""
    cell = new_cell(name)
    inputs = random(T, B, E).requires_grad_()
    state = tuple(piece.requires_grad_() for piece in start(cell))
    names = [key for key, _ in cell.named_parameters()]

    def run(inputs: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        given, weights = rest[: len(cell.parts)], dict(zip(names, rest[len(cell.parts) :], strict=True))
        if how is Cell.__call__:
            outputs, last = torch.func.functional_call(cell, weights, (inputs, given))
            return outputs, *last
        outputs, last = torch.func.functional_call(
            Stepwise(cell), {f"cell.{k}": v for k, v in weights.items()}, (inputs, given)
        )
        return outputs, *last

    weights = [parameter.detach().clone().requires_grad_() for parameter in cell.parameters()]
    assert torch.autograd.gradcheck(run, (inputs, *state, *weights), fast_mode=True)


def outputs_and_gradients(cell: Cell, inputs: Tensor, state: State, precision: str) -> list[Tensor]:
    cell.zero_grad()
    inputs = inputs.detach().clone().requires_grad_()
    with autocast(precision, torch.device("cpu")):
        outputs, _ = cell(inputs, state)
    weight = random(*outputs.shape, seed=9).to(outputs.dtype)
    (outputs * weight).sum().backward()
    return [outputs.detach(), inputs.grad, *(parameter.grad for parameter in cell.parameters())]


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), pytest.param("bf16", 2e-2, marks=NEEDS_BF16)])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_gradients_in_low_precision_match_float64(name, precision, tolerance):
    """The relative error, by norm, of the fused outputs and of every gradient stays within what the format allows."""
    exact, low = new_cell(name), new_cell(name, torch.float32)
    state = start(exact)
    expected = outputs_and_gradients(exact, random(T, B, E), state, "fp32")
    found = outputs_and_gradients(low, random(T, B, E).float(), tuple(piece.float() for piece in state), precision)
    for one, other in zip(found, expected, strict=True):
        assert float((one.double() - other).norm() / other.norm()) < tolerance


def test_a_new_lstm_remembers():
    """The forget gate's two biases add up to 1 before training."""
    cell = new_cell("lstm")
    biases = cell.fused.bias_ih_l0 + cell.fused.bias_hh_l0
    assert torch.equal(biases[H : 2 * H], torch.ones(H, dtype=torch.float64))
