"""Cells against independent ways of computing the same thing."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.config import CELL_NAMES
from charlm.model.cells import CELLS, Cell, State
from charlm.model.devices import autocast
from tests.conftest import CELLS as NAMES
from tests.conftest import NEEDS_BF16

T, B, E, H = 6, 3, 5, 7


def new_cell(name: str, dtype: torch.dtype = torch.float64) -> Cell:
    cell = CELLS[name](E, H)
    cell.initialise(torch.Generator().manual_seed(1))
    return cell.to(dtype)


def random(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def start(cell: Cell, seed: int = 3) -> State:
    return tuple(torch.tanh(random(B, H, seed=seed + part)) for part in range(len(cell.parts)))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def numpy_cell(name: str, cell: Cell, inputs: np.ndarray, state: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The recurrence as the textbook has it: one stream, one step, one gate at a time."""
    weights = {key: value.detach().numpy() for key, value in cell.fused.named_parameters()}
    gates = {"lstm": "ifgo", "gru": "rzn", "rnn": "h"}[name]
    part = {gate: slice(number * H, (number + 1) * H) for number, gate in enumerate(gates)}
    outputs = np.zeros((T, B, H))
    state = [piece.copy() for piece in state]
    for b in range(B):
        for t in range(T):
            h = state[0][b]
            wx = weights["weight_ih_l0"] @ inputs[t, b] + weights["bias_ih_l0"]
            uh = weights["weight_hh_l0"] @ h + weights["bias_hh_l0"]
            if name == "rnn":
                h = np.tanh(wx + uh)
            elif name == "gru":
                r = sigmoid(wx[part["r"]] + uh[part["r"]])
                z = sigmoid(wx[part["z"]] + uh[part["z"]])
                n = np.tanh(wx[part["n"]] + r * uh[part["n"]])
                h = (1 - z) * n + z * h
            else:
                i, f, o = (sigmoid((wx + uh)[part[gate]]) for gate in "ifo")
                state[1][b] = f * state[1][b] + i * np.tanh((wx + uh)[part["g"]])
                h = o * np.tanh(state[1][b])
            outputs[t, b] = state[0][b] = h
    return outputs, state


def by_steps(cell: Cell, inputs: Tensor, state: State) -> tuple[Tensor, State]:
    outputs = []
    for x in inputs:
        state = cell.advance(cell.gates(F.linear(x, *cell.input_weights), F.linear(state[0], *cell.past_weights)), state)
        outputs.append(state[0])
    return torch.stack(outputs), state


def test_the_registry_has_the_cells_that_can_be_asked_for():
    """CELLS names exactly what --cell takes."""
    assert tuple(CELLS) == CELL_NAMES == NAMES


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
        saved = dict(cell.fused._parameters)
        try:
            for key, value in weights.items():
                cell.fused._parameters[key.split(".")[1]] = value
            outputs, last = by_steps(cell, inputs, given)
            return outputs, *last
        finally:
            cell.fused._parameters.update(saved)

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
