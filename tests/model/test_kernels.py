"""What is written by hand, against the plain path."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.model.cells import CELLS, Cell
from charlm.model.devices import CPU, autocast
from charlm.model.kernels import Product
from tests.conftest import NEEDS_BF16

OWN = [name for name, cell in CELLS.items() if getattr(cell, "own_kernel", None)]
SHAPES = [(6, 3, 5, 7), (1, 2, 4, 3), (9, 1, 1, 8), (40, 8, 64, 48)]  # T, B, E, H

each_own = pytest.mark.parametrize("name", OWN)


def gradients(cell: Cell, inputs: Tensor, h: Tensor, towards: tuple[Tensor, Tensor], *, plain: bool) -> list[Tensor]:
    """What a window gives, and the gradients of the inputs, the state before and every weight."""
    wanted = [inputs, h, *cell.parameters()]
    outputs, (last,) = (cell.through_torch if plain else cell)(inputs, (h,))
    return [outputs, last, *torch.autograd.grad([outputs, last], wanted, towards)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@each_own
def test_a_window_of_ours_is_torchs(name, shape, dtype):
    """Outputs, the last state and every gradient agree, whatever flows back to the outputs and to the last state."""
    steps, streams, inputs, hidden = shape
    draw = torch.Generator().manual_seed(1)
    cell = CELLS[name](inputs, hidden)
    cell.initialise(draw)
    cell = cell.to(dtype)
    x, h, to_outputs, to_last = (
        torch.randn(*size, generator=draw, dtype=dtype)
        for size in ((steps, streams, inputs), (streams, hidden), (steps, streams, hidden), (streams, hidden))
    )
    leaves = x.requires_grad_(), h.requires_grad_()
    ours, theirs = (gradients(cell, *leaves, (to_outputs, to_last), plain=plain) for plain in (False, True))
    tolerance = 2e-5 if dtype == torch.float32 else 1e-12
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


@each_own
def test_a_window_of_ours_is_for_learning_in_full_precision(name, monkeypatch):
    """It is what a cell learns by; without gradients torch's runs."""
    taken: list[int] = []
    own = CELLS[name].own_kernel
    monkeypatch.setattr(own, "apply", lambda *given: (taken.append(1), (given[0][..., :4], given[1]))[1])
    cell = CELLS[name](4, 4)
    window, state = torch.zeros(3, 2, 4), (torch.zeros(2, 4),)
    cell(window, state)
    assert len(taken) == 1
    with torch.no_grad():
        cell(window, state)
    assert len(taken) == 1


@NEEDS_BF16
@each_own
def test_low_precision_takes_torchs_window(name, monkeypatch):
    """In bfloat16 torch's runs, whose products are oneDNN's."""
    monkeypatch.setattr(CELLS[name].own_kernel, "apply", None)  # to call it would fail
    with autocast("bf16", CPU):
        CELLS[name](4, 4)(torch.zeros(3, 2, 4), (torch.zeros(2, 4),))


@pytest.mark.parametrize("rows", [1, 2, 65])
def test_a_product_leaves_what_it_was_given_alone(rows):
    """A second call gives the same, and neither the rows nor the weights are touched."""
    draw = torch.Generator().manual_seed(2)
    weight, bias, x = (torch.randn(*size, generator=draw) for size in ((6, 5), (6,), (rows, 5)))
    copies = [each.clone() for each in (weight, bias, x)]
    product = Product(weight, bias)
    first = product(x).clone()
    assert torch.equal(product(x), first)
    assert all(torch.equal(one, other) for one, other in zip((weight, bias, x), copies, strict=True))


def test_one_row_may_be_a_view():
    """A row that lies anywhere, with any stride, gives what a copy of it gives."""
    draw = torch.Generator().manual_seed(3)
    weight, bias, wide = (torch.randn(*size, generator=draw) for size in ((6, 5), (6,), (10, 3)))
    row = wide[::2, 1].unsqueeze(0)
    torch.testing.assert_close(Product(weight, bias)(row), F.linear(row, weight, bias), atol=1e-6, rtol=1e-6)


def test_weights_are_laid_out_for_what_is_asked_only():
    """One stream never pays for the form that many need, nor many for that of one."""
    product = Product(torch.ones(6, 5), torch.ones(6))
    product(torch.ones(1, 5))
    assert "_packed" not in vars(product)
    other = Product(torch.ones(6, 5), torch.ones(6))
    other(torch.ones(4, 5))
    assert "_columns" not in vars(other)
