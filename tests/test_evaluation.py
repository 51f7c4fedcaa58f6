"""The exact loss, and the approximate one beside it."""

import math

import numpy as np
import pytest
import torch

from charlm import evaluation
from charlm.evaluation import DYNAMIC_WINDOW, Score, approximate_score, dynamic_surprisals, surprisals, total
from charlm.model import relay
from charlm.model.language_model import next_symbol_nats
from charlm.model.stepper import Stepper
from tests.conftest import CELLS, LAYERS, new_model

V = 13
TEXT = np.random.default_rng(0).integers(0, V, 301).astype(np.uint8)


def by_steps(model, ids) -> float:
    """The loss of all predictions, one character at a time, in float64."""
    model, nats = model.double(), 0.0
    state, stepper = model.initial_state(1), Stepper(model)
    for symbol, following in zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True):
        logits, state = stepper.step(torch.tensor([symbol]), state)
        nats -= logits.log_softmax(dim=-1)[0, following].item()
    return nats


CUTS = [{}, {"LANES": 1}, {"CHAPTER": 7}, {"LANES": 3, "LEAST_LANE": 1, "CHAPTER": 100}, {"LANES": 60, "LEAST_LANE": 5}]


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("cell", CELLS)
def test_the_exact_score_does_not_depend_on_how_the_text_is_cut(cell, layers, monkeypatch):
    """In whatever lanes and chapters, every prediction counts once and costs what it costs character by character."""
    model = new_model(cell, layers)
    expected = by_steps(new_model(cell, layers), TEXT)
    for cut in CUTS:
        with monkeypatch.context() as only:
            for name, size in cut.items():
                only.setattr(evaluation, name, size)
            score = total(surprisals(model, TEXT, at_a_time=cut.get("CHAPTER", evaluation.CHAPTER)))
        assert score.num_characters == len(TEXT) - 1
        assert score.nats == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("window", [4, 128])
def test_lanes_score_each_character_as_one_stream_does(cell, window, monkeypatch):
    """To a millionth of a nat, on a text of several chapters with a remainder, by a model that remembers for long."""
    monkeypatch.setattr(relay, "WINDOW", window)
    monkeypatch.setattr(relay, "WARM_UP", 3)
    model = new_model(cell, 2).double()
    with torch.no_grad():
        for layer in model.layers:
            layer.past_weights[0].mul_(2)
    text = np.tile(TEXT, 12)
    monkeypatch.setattr(evaluation, "LEAST_LANE", 20)
    lanes = torch.cat(list(surprisals(model, text, at_a_time=1500)))
    monkeypatch.setattr(evaluation, "LANES", 1)
    torch.testing.assert_close(lanes, torch.cat(list(surprisals(model, text))), atol=1e-6, rtol=0)


@pytest.mark.parametrize("read", [surprisals, dynamic_surprisals])
def test_how_much_was_read_is_told_up_to_the_end(read, monkeypatch):
    """Never less than before, and all of it at last, whatever the lanes and chapters."""
    for cut in CUTS:
        told: list[int] = []
        with monkeypatch.context() as only:
            for name, size in cut.items():
                only.setattr(evaluation, name, size)
            total(read(new_model("lstm", 2), TEXT, told.append))
        assert told == sorted(told)
        assert told[-1] == len(TEXT) - 1


def test_a_model_that_knows_nothing_scores_the_logarithm_of_its_vocabulary():
    """Equal logits cost log V each, which is a perplexity of V."""
    model = new_model("gru", 1)
    torch.nn.init.zeros_(model.head.weight)
    score = total(surprisals(model, TEXT))
    assert score.nats_per_character == pytest.approx(math.log(V), rel=1e-6)
    assert score.perplexity == pytest.approx(V, rel=1e-6)
    assert score.bits_per_character == pytest.approx(math.log2(V), rel=1e-6)


@pytest.mark.parametrize("num_characters", [2, 3, 63, 64, 65, 66, 130, 255])
def test_a_short_text_is_scored_exactly_even_by_the_approximation(num_characters):
    """One lane from the start is the exact score."""
    model, text = new_model("lstm", 2), TEXT[:num_characters]
    about, exact = approximate_score(model, text), total(surprisals(model, text))
    assert about.num_characters == exact.num_characters == num_characters - 1
    assert about.nats == pytest.approx(exact.nats, rel=1e-6)


@pytest.mark.parametrize("num_characters", [256, 257, 511, 1000, 4097, 30_000])
def test_lanes_are_about_right(num_characters):
    """Many lanes count nearly every character once, and after their warm-up differ little from one stream."""
    model = new_model("lstm", 1)
    text = np.random.default_rng(3).integers(0, V, num_characters).astype(np.uint8)
    about, exact = approximate_score(model, text), total(surprisals(model, text))
    assert exact.num_characters - 64 <= about.num_characters <= exact.num_characters
    assert about.nats_per_character == pytest.approx(exact.nats_per_character, abs=0.02)


def test_a_long_text_is_scored_in_part(monkeypatch):
    """The approximation stops at its bound, however long the text is."""
    monkeypatch.setattr("charlm.evaluation.MOST_CHARACTERS", 1000)
    text = np.tile(TEXT, 20)
    assert 900 < approximate_score(new_model("rnn", 1), text).num_characters <= 1000


def test_a_hopeless_score_still_has_a_perplexity():
    """Losses beyond what a float's exponent holds do not overflow."""
    assert math.isfinite(Score(nats=1e9, num_characters=1).perplexity)


@pytest.mark.parametrize(("num_characters", "lanes"), [(513, 2), (769, 3), (1025, 4), (2050, 8)])
def test_lanes_tile_the_text(num_characters, lanes):
    """For a model without memory, lanes that share out all predictions add up to the exact score: none is counted twice."""
    model = new_model("rnn", 1)
    torch.nn.init.zeros_(model.layers[0].past_weights[0])
    text = np.random.default_rng(4).integers(0, V, num_characters - (num_characters - 1) % lanes).astype(np.uint8)
    about, exact = approximate_score(model, text), total(surprisals(model, text))
    assert about.num_characters == exact.num_characters == len(text) - 1
    assert about.nats == pytest.approx(exact.nats, rel=1e-6)


def test_the_approximation_counts_what_it_says():
    """Of a text of any length, lanes * floor((N - 1) / lanes) predictions count, each costing log V to a model without wits."""
    model = new_model("gru", 1)
    torch.nn.init.zeros_(model.head.weight)
    for num_characters in (2, 3, *range(4, 2001, 83), *range(507, 518)):
        score = approximate_score(model, np.zeros(num_characters, dtype=np.uint8))
        lanes = max(1, num_characters // 256)
        assert score.num_characters == (num_characters - 1) // lanes * lanes
        assert score.nats == pytest.approx(score.num_characters * math.log(V), rel=1e-6)


@pytest.mark.parametrize("num_symbols", [2, 255, 513, 2049])
def test_the_approximation_counts_the_characters_that_symbols_stand_for(num_symbols):
    """Its loss is shared among them, and not among the symbols: all that are predicted, and not the first, which is read."""
    model = new_model("gru", 1)
    text = np.random.default_rng(6).integers(0, V, num_symbols).astype(np.uint8)
    widths = np.arange(V) // 2
    about = approximate_score(model, text, widths)
    assert about.nats == approximate_score(model, text).nats
    lanes = max(1, num_symbols // 256)
    assert (num_symbols - 1) % lanes == 0  # so that lanes leave nothing out
    assert about.num_characters == max(1, int(widths[text[1:]].sum())) != num_symbols - 1


def test_lanes_know_what_came_before_them():
    """For a model that remembers seven characters, lanes that share out all predictions add up to the exact score."""
    model = new_model("rnn", 1)
    past = model.layers[0].past_weights[0]
    past.data = past.data.mul(3).tril(-1)  # each unit hears from those before it only, so that after seven steps all is gone
    text = np.random.default_rng(4).integers(0, V, 2049).astype(np.uint8)
    about, exact = approximate_score(model, text), total(surprisals(model, text))
    assert about.num_characters == exact.num_characters == 2048
    assert about.nats == pytest.approx(exact.nats, rel=1e-6)


@pytest.mark.parametrize("most", [1, 200, 1000, 1 << 24])
def test_no_more_logits_are_held_than_may_be(most, monkeypatch):
    """Whatever the vocabulary, a window of all lanes keeps to the bound, one step at the least, and the score is the same."""
    model, text = new_model("lstm", 1), np.tile(TEXT, 10)
    expected, sizes, forward = approximate_score(model, text), [], model.forward

    def counted(ids, state):
        logits, state = forward(ids, state)
        sizes.append(logits.numel())
        return logits, state

    monkeypatch.setattr(model, "forward", counted)
    monkeypatch.setattr("charlm.evaluation.MOST_LOGITS", most)
    score = approximate_score(model, text)
    lanes = len(text) // 256
    assert max(sizes) <= max(most, lanes * V)
    assert max(sizes) > min(most, 1000) / 2
    assert score.num_characters == expected.num_characters
    assert score.nats == pytest.approx(expected.nats, rel=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_dynamic_evaluation_that_does_not_learn_is_the_exact_score(cell):
    """At a rate of zero every character costs what it costs statically."""
    model = new_model(cell, 2)
    static, dynamic = torch.cat(list(surprisals(model, TEXT))), torch.cat(list(dynamic_surprisals(model, TEXT, rate=0.0)))
    torch.testing.assert_close(dynamic, static, atol=1e-5, rtol=1e-5)


def test_dynamic_evaluation_learns_from_the_text_and_leaves_the_model_alone():
    """A text that repeats itself costs less and less; the model handed in has the weights it had."""
    model = new_model("lstm", 1)
    before = [p.detach().clone() for p in model.parameters()]
    text = np.tile(TEXT[:32], 150)
    losses = torch.cat(list(dynamic_surprisals(model, text, rate=1e-2)))
    assert losses[-320:].mean() < 0.5 * losses[:320].mean()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_dynamic_evaluation_predicts_nothing_with_knowledge_of_itself():
    """What comes later changes no earlier loss, and the window in which a text changes is scored before it is learned."""
    model, cut = new_model("gru", 1), 3 * DYNAMIC_WINDOW
    other = TEXT.copy()
    other[cut + 1 :] = (other[cut + 1 :] + 1) % V
    ours, theirs = (torch.cat(list(dynamic_surprisals(model, text))) for text in (TEXT, other))
    assert torch.equal(ours[:cut], theirs[:cut])
    assert not torch.equal(ours[cut:], theirs[cut:])


def test_dynamic_evaluation_steps_as_its_formula_says():
    """Window by window: a little back to the trained weights, then the rate against the gradient over its root mean square."""
    model, twin = new_model("rnn", 1), new_model("rnn", 1)
    losses = list(dynamic_surprisals(model, TEXT, rate=1e-2, decay=0.1))
    squares = [torch.zeros_like(p) for p in twin.parameters()]
    ids, state = torch.from_numpy(TEXT.astype(np.int64)).unsqueeze(1), twin.initial_state(1)
    for number in range(4):
        window = ids[number * DYNAMIC_WINDOW : (number + 1) * DYNAMIC_WINDOW + 1]
        logits, state = twin(window[:-1], tuple(tuple(part.detach() for part in parts) for parts in state))
        expected = next_symbol_nats(logits, window[1:]).squeeze(1)
        torch.testing.assert_close(losses[number], expected.detach(), atol=1e-4, rtol=1e-4)
        twin.zero_grad()
        expected.mean().backward()
        with torch.no_grad():
            for p, trained, square in zip(twin.parameters(), model.parameters(), squares, strict=True):
                square.add_(p.grad**2)
                p.copy_(0.9 * p + 0.1 * trained - 1e-2 * p.grad / ((square / (number + 1)).sqrt() + 1e-8))
