"""Models that give labels: what fills up changes nothing, two directions are two passes, gradients are exact."""

import pytest
import torch
from torch import Tensor

from charlm.config import ModelConfig
from charlm.errors import UsageError
from charlm.model.heads import POOLINGS, Classifier, Labeller, Tagger, turned
from tests.conftest import CELLS

V, C, T = 11, 4, 9
LENGTHS = (9, 1, 6, 2, 9)


def new_labeller(
    kind: type[Labeller], cell: str = "lstm", pooling: str = "last", *, bidirectional: bool = True, dropout: float = 0.0
) -> Labeller:
    """A small untrained model; V, C, E and H all differ."""
    config = ModelConfig(
        cell=cell, embedding_size=5, hidden_size=7, num_layers=2, dropout=dropout, pooling=pooling, bidirectional=bidirectional
    )
    return kind.initialised(config, V, C, generator=torch.Generator().manual_seed(0))


def texts(seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(V, (length,), generator=generator) for length in LENGTHS]


def padded(those: list[Tensor], filling: int, longest: int = T) -> Tensor:
    batch = torch.full((longest, len(those)), filling)
    for place, text in enumerate(those):
        batch[: len(text), place] = text
    return batch


def own(logits: Tensor, model: Labeller) -> list[Tensor]:
    """What a batch's logits say of each text, without what lies beyond its end."""
    if model.by_character:
        return [logits[:length, place] for place, length in enumerate(LENGTHS)]
    return list(logits)


KINDS = [(Classifier, pooling) for pooling in POOLINGS] + [(Tagger, "last")]
each_kind = pytest.mark.parametrize(("kind", "pooling"), KINDS, ids=lambda each: getattr(each, "__name__", each))
each_way = pytest.mark.parametrize("bidirectional", [False, True])


@each_kind
@each_way
@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_of_unequal_lengths_equals_one_text_at_a_time(kind, pooling, bidirectional, cell):
    """Each text's logits are those it has alone, within 1e-5."""
    model = new_labeller(kind, cell, pooling, bidirectional=bidirectional)
    together = own(model(padded(texts(), 0), torch.tensor(LENGTHS)), model)
    for text, logits in zip(texts(), together, strict=True):
        alone = model(text[:, None], torch.tensor([len(text)]))
        torch.testing.assert_close(logits, alone.squeeze(1) if model.by_character else alone.squeeze(0), atol=1e-5, rtol=0)


@each_kind
@each_way
def test_what_fills_up_changes_nothing(kind, pooling, bidirectional):
    """Another symbol and more of it give the same logits, and the same gradients."""
    model, lengths = new_labeller(kind, pooling=pooling, bidirectional=bidirectional), torch.tensor(LENGTHS)
    results = []
    for filling, longest in ((0, T), (V - 1, T + 5)):
        logits = torch.cat(own(model(padded(texts(), filling, longest), lengths), model), dim=0)
        results.append((logits, torch.autograd.grad(logits.square().sum(), list(model.parameters()))))
    (first, first_gradients), (second, second_gradients) = results
    torch.testing.assert_close(first, second, atol=1e-6, rtol=0)
    for one, other in zip(first_gradients, second_gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def joined(model: Labeller, there: Tensor, back: Tensor) -> Tensor:
    """The head by hand: W tanh(J [there; back] + j) + b."""
    known = torch.tanh(torch.cat([there, back], dim=-1) @ model.join.weight.t() + model.join.bias)
    return known @ model.head.weight.t() + model.head.bias


def test_two_directions_are_two_passes_by_hand():
    """A tagger's logits are its head over what a pass from the left and one from the right know of a character."""
    model, text = new_labeller(Tagger), texts()[0]
    there, _ = model.cells(model.embedding(text[:, None]), model.cells.initial_state(1))
    back, _ = model.backwards(model.embedding(text.flip(0)[:, None]), model.backwards.initial_state(1))
    by_hand = joined(model, there, back.flip(0))
    torch.testing.assert_close(model(text[:, None], torch.tensor([len(text)])), by_hand)


def test_the_last_states_are_those_at_either_end():
    """A classifier reads what the forward pass knows at the end, and the backward pass at the beginning."""
    model, text = new_labeller(Classifier), texts()[2]
    _, there = model.cells(model.embedding(text[:, None]), model.cells.initial_state(1))
    _, back = model.backwards(model.embedding(text.flip(0)[:, None]), model.backwards.initial_state(1))
    place = model.layers[-1].parts.index("h")
    by_hand = joined(model, there[-1][place], back[-1][place])
    torch.testing.assert_close(model(text[:, None], torch.tensor([len(text)])), by_hand)


@each_kind
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_those_of_finite_differences(kind, pooling, cell):
    """In float64, of every parameter, through padding, both directions and the pooling."""
    model, lengths = new_labeller(kind, cell, pooling).double(), torch.tensor([4, 2, 3])
    batch = padded([text[:length] for text, length in zip(texts(3)[:1] * 3, lengths, strict=True)], 0, 4)
    generator = torch.Generator().manual_seed(1)

    def loss() -> Tensor:
        logits = model(batch, lengths)
        parts = [logits[:n, b] for b, n in enumerate(lengths)] if model.by_character else list(logits)
        return torch.cat(parts).square().mean()

    parameters = list(model.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss(), parameters), strict=True):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                parameter.add_(direction, alpha=sign * 1e-6)
                values.append(loss().item())
                parameter.sub_(direction, alpha=sign * 1e-6)
        assert (gradient * direction).sum().item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-9)


def test_a_text_is_turned_round_within_its_own_length():
    """The characters of each text come in the opposite order, the rest stays, and to turn twice changes nothing."""
    x = torch.arange(12).view(4, 3)
    lengths = torch.tensor([4, 1, 3])
    assert turned(x, lengths).t().tolist() == [[9, 6, 3, 0], [1, 4, 7, 10], [8, 5, 2, 11]]
    assert torch.equal(turned(turned(x, lengths), lengths), x)
    deep = torch.stack([x, -x], dim=-1)
    assert torch.equal(turned(deep, lengths)[..., 1], -turned(x, lengths))


def test_dropout_comes_from_the_generator_alone():
    """The same seed gives the same logits, and none the same each time."""
    model, batch, lengths = new_labeller(Classifier, dropout=0.5), padded(texts(), 0), torch.tensor(LENGTHS)
    one, other = (model(batch, lengths, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one, model(batch, lengths))


def test_a_pooling_that_does_not_exist_is_named():
    """The refusal has the option, the value and the choices."""
    with pytest.raises(UsageError, match="--pooling is 'median', and must be one of last, mean, max"):
        new_labeller(Classifier, pooling="median")


@each_kind
def test_what_is_decided_so_far_is_what_a_text_that_ends_there_gets(kind, pooling):
    """At each character, reading forward only, the logits are those of the text up to it."""
    model = new_labeller(kind, pooling=pooling, bidirectional=False)
    ids, lengths = padded(texts(), 0), torch.tensor(LENGTHS)
    so_far = model.decide_so_far(model.directions(ids, lengths), lengths)
    for end in range(1, T + 1):
        upto = torch.minimum(lengths, torch.tensor(end))
        logits = model(ids[:end], upto)
        expected = logits[-1] if model.by_character else logits
        here = lengths >= end
        torch.testing.assert_close(so_far[end - 1][here], expected[here], atol=1e-5, rtol=0)


@each_kind
@each_way
def test_what_is_decided_at_the_end_is_what_is_decided(kind, pooling, bidirectional):
    """Once a text is read forward to its end, in whatever ways it is read, the logits are the model's own."""
    model = new_labeller(kind, pooling=pooling, bidirectional=bidirectional)
    ids, lengths = padded(texts(), 0), torch.tensor(LENGTHS)
    so_far = model.decide_so_far(model.directions(ids, lengths), lengths)
    for place, logits in enumerate(own(model(ids, lengths), model)):
        expected = logits[-1] if model.by_character else logits
        torch.testing.assert_close(so_far[LENGTHS[place] - 1, place], expected, atol=1e-5, rtol=0)
