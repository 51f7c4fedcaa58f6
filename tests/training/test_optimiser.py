"""The optimisers: Muon against a singular value decomposition, and who moves what."""

import math
import subprocess
import sys

import pytest
import torch

from charlm.config import TrainConfig
from charlm.errors import UsageError
from charlm.model.language_model import next_symbol_nats
from charlm.training.optimiser import (
    BETAS,
    EVERY,
    ITERATIONS,
    MOMENTUM,
    NEWTON_SCHULZ,
    OPTIMISERS,
    REST,
    WEIGHT_DECAY,
    Muon,
    make_optimiser,
    orthogonalised,
)
from tests.conftest import CELLS, new_model

V = 11


def is_matrix_of_a_cell(name: str, p: torch.Tensor) -> bool:
    return name.startswith("cells.") and p.ndim > 1


def started(blocks: torch.Tensor) -> torch.Tensor:
    """`blocks` with each row of the shorter side divided by the root of what it shares with all rows, row by row."""
    if blocks.shape[1] > blocks.shape[2]:
        return started(blocks.mT).mT
    scales = [[1 / math.sqrt(sum(abs(float(row @ other)) for other in block)) for row in block] for block in blocks]
    return blocks * torch.tensor(scales, dtype=blocks.dtype).unsqueeze(2)


SHAPES = pytest.mark.parametrize("shape", [(3, 8, 5), (4, 5, 8), (1, 6, 6)], ids=str)


@SHAPES
def test_orthogonalising_moves_singular_values_and_nothing_else(shape):
    """From its start U S V' it goes to U p(p(S)) V', with the polynomial p of Newton and Schulz, whichever side is longer."""
    blocks = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    u, s, v = torch.linalg.svd(started(blocks), full_matrices=False)
    a, b, c = NEWTON_SCHULZ
    for _ in range(ITERATIONS):
        s = a * s + b * s**3 + c * s**5
    torch.testing.assert_close(orthogonalised(blocks), u @ torch.diag_embed(s) @ v, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("spread", [0, 2, 6])
@SHAPES
def test_no_singular_value_starts_above_one(shape, spread):
    """Else the polynomial would take it away from 1, and the step would be far too long; however unlike rows are in size."""
    generator = torch.Generator().manual_seed(3)
    sizes = 10 ** (spread * torch.rand(shape[0], shape[1], 1, generator=generator, dtype=torch.float64))
    blocks = torch.randn(shape, dtype=torch.float64, generator=generator) * sizes
    assert torch.linalg.svdvals(started(blocks)).max() <= 1 + 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_to_learn_moves_nothing(dtype):
    """Where all is zero, or a row is, what comes out is finite, and zero there."""
    blocks = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(4)).to(dtype)
    blocks[0], blocks[1, 2] = 0, 0
    moved = orthogonalised(blocks)
    assert moved.isfinite().all()
    assert not moved[0].any()
    assert not moved[1, 2].any()


def test_orthogonalising_evens_singular_values_out():
    """A spread of a hundred between the greatest and a tenth of the least becomes less than three between most of them."""
    blocks = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(1))
    before, after = (torch.linalg.svdvals(x) for x in (blocks, orthogonalised(blocks)))
    middle = slice(0, 48)  # the least of a square random matrix are next to nothing, and stay small
    assert (before[:, 0] / before[:, 47]).min() > 3
    assert (after[:, middle].amax(1) / after[:, middle].amin(1)).max() < 3


@pytest.mark.parametrize("cell", CELLS)
def test_steps_of_muon_equal_those_written_out(cell):
    """Momentum as Nesterov has it, matrices by turns, one a gate, the scale of tall ones, decay: by formula, gate by gate."""
    model, twin = new_model(cell, 2, V), new_model(cell, 2, V)
    optimiser = make_optimiser(model, TrainConfig(optimiser="muon", learning_rate=0.5), "fp32")
    momenta: dict[str, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(2)
    names = [name for name, p in model.named_parameters() if is_matrix_of_a_cell(name, p)]
    for step in range(3):
        for (name, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            if name not in names:
                continue
            momenta[name] = MOMENTUM * momenta.get(name, torch.zeros_like(p)) + (1 - MOMENTUM) * p.grad
            if (step + names.index(name)) % EVERY:
                continue
            update = (1 - MOMENTUM) * p.grad + MOMENTUM * momenta[name]
            hidden = model.config.hidden_size
            for gate in range(len(p) // hidden):
                rows = slice(gate * hidden, (gate + 1) * hidden)
                scale = math.sqrt(max(1.0, hidden / p.shape[1]))
                with torch.no_grad():
                    q[rows] *= 1 - EVERY * 0.5 * WEIGHT_DECAY
                    q[rows] -= EVERY * 0.5 * scale * orthogonalised(update[rows].unsqueeze(0))[0]
        optimiser.step()
    for (name, p), q in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        if name in names:
            torch.testing.assert_close(p, q[1], atol=1e-5, rtol=1e-5)


def test_muon_moves_the_cells_matrices_and_adamw_the_rest():
    """Each parameter has the state of one of the two and no other, and the rest's rate is two fifths."""
    model = new_model("lstm", 2, V)
    optimiser = make_optimiser(model, TrainConfig(optimiser="muon", learning_rate=0.05), "fp32")
    assert isinstance(optimiser, Muon)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    for name, p in model.named_parameters():
        by_muon = is_matrix_of_a_cell(name, p)
        assert set(optimiser.state[p]) == ({"momentum"} if by_muon else {"step", "exp_avg", "exp_avg_sq"})
        assert rates[id(p)] == pytest.approx(0.05 * (1 if by_muon else REST))


def test_a_step_that_overflowed_moves_nothing():
    """Under loss scaling a gradient that is not finite leaves every weight and every momentum where it was."""
    model = new_model("lstm", 1, V)
    optimiser = make_optimiser(model, TrainConfig(optimiser="muon"), "fp32")
    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.full_like(p, math.inf)
    optimiser.found_inf, optimiser.grad_scale = torch.ones(()), None
    optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not any(state["momentum"].any() for state in optimiser.state.values() if "momentum" in state)


each_optimiser = pytest.mark.parametrize("name", OPTIMISERS)


@each_optimiser
def test_every_optimiser_goes_downhill(name):
    """At the rate it has where nobody says, 100 steps on one batch lower its loss by a fifth or more."""
    model, kind = new_model("lstm", 1, V), OPTIMISERS[name]
    ids = torch.randint(V, (9, 4), generator=torch.Generator().manual_seed(0))
    rate = kind.rate or TrainConfig().learning_rate
    optimiser = make_optimiser(model, TrainConfig(optimiser=name, learning_rate=rate), "fp32")
    losses = []
    for _ in range(100):
        logits, _ = model(ids[:-1], model.initial_state(4))
        loss = next_symbol_nats(logits, ids[1:]).mean()
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]


@each_optimiser
def test_all_that_an_optimiser_knows_is_there_from_the_start(name):
    """So that a state can be loaded into it; and no step adds to it, or changes what shape it has."""
    model = new_model("gru", 2, V)
    optimiser = make_optimiser(model, TrainConfig(optimiser=name), "fp32")
    shapes = {p: {key: value.shape for key, value in known.items()} for p, known in optimiser.state.items()}
    assert set(shapes) == set(model.parameters())
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimiser.step()
    assert shapes == {p: {key: value.shape for key, value in known.items()} for p, known in optimiser.state.items()}


@each_optimiser
def test_its_moments_are_as_many_as_it_says(name):
    """What a run's memory is reckoned from: numbers kept for each of a cell's weights."""
    model = new_model("gru", 2, V)
    optimiser = make_optimiser(model, TrainConfig(optimiser=name), "fp32")
    for cell in model.layers:
        for p in cell.parameters():
            kept = sum(value.numel() for value in optimiser.state[p].values() if value.ndim)
            assert p.ndim == 1 or kept == OPTIMISERS[name].moments * p.numel()


@each_optimiser
def test_where_there_is_no_gradient_nothing_moves(name):
    """Neither by a step nor by the decay."""
    model = new_model("gru", 2, V)
    before = [p.detach().clone() for p in model.parameters()]
    optimiser = make_optimiser(model, TrainConfig(optimiser=name), "fp32")
    optimiser.zero_grad()
    optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_name_that_no_optimiser_has_is_an_error_that_lists_them():
    """One line with the option, the name and the choices."""
    with pytest.raises(UsageError, match="--optimiser is 'sgd', and must be one of muon, adamw"):
        make_optimiser(new_model("rnn", 1, V), TrainConfig(optimiser="sgd"), "fp32")


@pytest.mark.parametrize("overflowed", [False, True])
def test_adamw_is_torchs_own_to_the_last_bit(overflowed):
    """Two steps of our AdamW and of torch's, on the same gradients: the same weights, moments and counts."""
    model, twin = new_model("lstm", 2, V), new_model("lstm", 2, V)
    ours = make_optimiser(model, TrainConfig(optimiser="adamw", learning_rate=0.01), "fp32")
    matrices, vectors = ([p for p in twin.parameters() if (p.ndim > 1) == is_matrix] for is_matrix in (True, False))
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    theirs = torch.optim.AdamW(groups, lr=0.01, betas=BETAS, fused=True)
    generator = torch.Generator().manual_seed(4)
    for _ in range(2):
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
        for optimiser in (ours, theirs):
            if overflowed:
                optimiser.found_inf, optimiser.grad_scale = torch.ones(()), None
            optimiser.step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)
        assert all(torch.equal(ours.state[p][name], theirs.state[q][name]) for name in ("step", "exp_avg", "exp_avg_sq"))


def test_making_an_optimiser_does_not_load_torchs_compiler():
    """It takes a second, and nothing here is compiled."""
    code = """
import sys, torch
from charlm.config import ModelConfig, TrainConfig
from charlm.model.language_model import LanguageModel
from charlm.training.optimiser import make_optimiser
model = LanguageModel.initialised(ModelConfig(hidden_size=4), 5, generator=torch.Generator())
for name in ("muon", "adamw"):
    optimiser = make_optimiser(model, TrainConfig(optimiser=name), "fp32")
    optimiser.zero_grad()
    optimiser.step()
sys.exit("torch._dynamo" in sys.modules or "sympy" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
