"""The whole stack: carried state, one step, causality, dropout, initialisation."""

import subprocess
import sys

import pytest
import torch

from charlm.config import ModelConfig
from charlm.model.language_model import LanguageModel
from charlm.model.stack import detach, dropout
from charlm.model.stepper import Stepper
from tests.conftest import CELLS, LAYERS, new_model

T, B, V = 11, 3, 13

each_model = pytest.mark.parametrize(("cell", "layers"), [(cell, layers) for cell in CELLS for layers in LAYERS])


def ids(seed: int = 0) -> torch.Tensor:
    return torch.randint(V, (T, B), generator=torch.Generator().manual_seed(seed))


@each_model
def test_carried_chunks_equal_the_whole(cell, layers):
    """A sequence in chunks, the state carried, gives the logits and the last state of the sequence read at once."""
    model = new_model(cell, layers).double()
    whole, last = model(ids(), model.initial_state(B))
    pieces, state = [], model.initial_state(B)
    for chunk in torch.split(ids(), [1, 4, 6]):
        logits, state = model(chunk, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(state, last, atol=1e-12, rtol=0)


@each_model
def test_the_step_of_sampling_equals_the_fused_forward(cell, layers):
    """Character by character through the table, or a whole window: the same within 1e-5 in float32."""
    model = new_model(cell, layers)
    whole, last = model(ids(), model.initial_state(B))
    stepper, state = Stepper(model), model.initial_state(B)
    for t, row in enumerate(ids()):
        logits, state = stepper.step(row, state)
        torch.testing.assert_close(logits, whole[t], atol=1e-5, rtol=0)
    torch.testing.assert_close(state, last, atol=1e-5, rtol=0)


@each_model
def test_the_future_cannot_be_seen(cell, layers):
    """Changing characters from some step on changes no logit before it, and those after it do change."""
    model = new_model(cell, layers).double()
    changed = ids().clone()
    changed[6:] = (changed[6:] + 1) % V
    before, _ = model(ids(), model.initial_state(B))
    after, _ = model(changed, model.initial_state(B))
    assert torch.equal(before[:6], after[:6])
    assert not torch.isclose(before[6:], after[6:]).all(dim=-1).any()


@each_model
def test_streams_do_not_see_each_other(cell, layers):
    """Streams in another order give the same results in that order."""
    model, order = new_model(cell, layers).double(), [2, 0, 1]
    one, _ = model(ids(), model.initial_state(B))
    other, _ = model(ids()[:, order], model.initial_state(B))
    torch.testing.assert_close(other, one[:, order], atol=1e-12, rtol=0)


def test_initialisation_depends_on_its_generator_alone():
    """The same seed gives the same weights, another seed others, and torch's global random state is left alone."""
    before = torch.random.get_rng_state()
    one, same, other = (dict(new_model("gru", 2, seed=seed).named_parameters()) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if name != "head.bias")


def test_dropout_acts_only_where_a_generator_is_handed_in():
    """No generator, no dropout; the same seed, the same dropout; and the global random state has no part in it."""
    model = new_model("lstm", 2, dropout=0.5)
    before = torch.random.get_rng_state()
    run = lambda generator: model(ids(), model.initial_state(B), generator)[0]  # noqa: E731
    assert torch.equal(run(None), run(None))
    assert torch.equal(run(torch.Generator().manual_seed(1)), run(torch.Generator().manual_seed(1)))
    assert not torch.equal(run(torch.Generator().manual_seed(1)), run(None))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("layers", LAYERS)
def test_dropout_falls_on_what_enters_each_cell_and_the_head(layers):
    """A window with a generator is its layers one after the other, each after the next mask that the generator draws."""
    model, generator = new_model("gru", layers, dropout=0.5).double(), torch.Generator().manual_seed(1)
    x = model.embedding(ids())
    for cell, state in zip(model.layers, model.initial_state(B), strict=True):
        x, _ = cell(dropout(x, 0.5, generator), state)
    expected = model.head(dropout(x, 0.5, generator))
    found, _ = model(ids(), model.initial_state(B), torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_dropout_keeps_the_mean_and_drops_the_same_features_at_every_step():
    """One mask a stream and window, zero or 1/(1 - rate), with the stated share of zeros."""
    x = torch.ones(T, 50, 400)
    dropped = dropout(x, 0.3, torch.Generator().manual_seed(0))
    assert torch.equal(dropped, dropped[:1].expand(T, -1, -1))
    assert set(dropped.unique().tolist()) == {0.0, float(torch.tensor(1.0) / 0.7)}
    assert abs(float(dropped.mean()) - 1) < 0.02  # three standard deviations are 0.014


def test_detach_keeps_values_and_cuts_gradients():
    """The state goes on into the next window, gradients do not."""
    model = new_model("lstm", 2)
    _, state = model(ids(), model.initial_state(B))
    cut = detach(state)
    torch.testing.assert_close(cut, state, atol=0, rtol=0)
    assert not any(part.requires_grad for cell_state in cut for part in cell_state)


LOADED = """
import sys
import torch
from charlm.config import ModelConfig
from charlm.model.language_model import LanguageModel
before = set(sys.modules)
LanguageModel.shapes(ModelConfig(hidden_size=65536, num_layers=64), 1000)
LanguageModel.empty(ModelConfig(), 9)
print(len(set(sys.modules) - before) < 10)
"""


def test_making_a_model_loads_no_library(tmp_path):
    """Neither a model without memory nor one without values brings torch's compiler in, which takes a second."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize("cell", CELLS)
def test_torchs_own_initialisation_never_runs(cell):
    """Making a model draws nothing from the global random state, and changes no memory that it was given."""
    before = torch.get_rng_state()
    for make in (LanguageModel.shapes, LanguageModel.empty):
        make(ModelConfig(cell=cell), 9)
    assert torch.equal(torch.get_rng_state(), before)
