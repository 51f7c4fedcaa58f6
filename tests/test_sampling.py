"""What is drawn is what the distribution says."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from charlm.config import SampleConfig
from charlm.model.stepper import Stepper
from charlm.sampling import cut_at, draw, generate, prime, probabilities
from tests.conftest import CELLS, new_model

LOGITS = torch.tensor([[2.0, -1.0, 0.5, 0.5, 3.0, -30.0, 0.0]])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numpy_probabilities(logits: np.ndarray, temperature: float, top_k: int, top_p: float) -> np.ndarray:
    """One row, the long way round."""
    p = np.exp((logits - logits.max()) / temperature)
    order = sorted(range(len(p)), key=lambda symbol: -p[symbol])  # stable: of equals, the lower id first
    kept = order[: top_k or len(p)]
    p /= p[kept].sum()
    reached, chosen = 0.0, []
    for symbol in kept:
        if reached < top_p or top_p == 1:
            chosen.append(symbol)
        reached += p[symbol]
    result = np.zeros(len(p))
    result[chosen] = p[chosen] / p[chosen].sum()
    return result


SETTINGS = [
    (1.0, 0, 1.0),
    (0.8, 0, 1.0),
    (2.5, 0, 1.0),
    (0.3, 0, 1.0),
    (1.0, 3, 1.0),
    (1.0, 0, 0.7),
    (1.3, 5, 0.95),
    (1.0, 1, 1.0),
]


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), SETTINGS)
def test_a_million_draws_agree_with_the_distribution(temperature, top_k, top_p):
    """Chi-square finds no difference from the softmax, cut as asked; and what has no probability is never drawn."""
    config = SampleConfig(temperature=temperature, top_k=top_k, top_p=top_p)
    expected = numpy_probabilities(LOGITS[0].double().numpy(), temperature, top_k, top_p)
    np.testing.assert_allclose(probabilities(LOGITS, config)[0].numpy(), expected, atol=1e-12)
    generator = seeded(7)
    drawn = torch.cat([draw(LOGITS.expand(100_000, -1), config, generator) for _ in range(10)])
    counts = np.bincount(drawn.numpy(), minlength=LOGITS.shape[1])
    assert counts[expected == 0].sum() == 0
    enough = expected * 1e6 > 5
    assert counts[~enough].sum() <= 20
    if enough.sum() > 1:
        share = expected[enough] / expected[enough].sum()
        assert stats.chisquare(counts[enough], share * counts[enough].sum()).pvalue > 1e-4


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), SETTINGS)
def test_a_draw_is_the_librarys(temperature, top_k, top_p):
    """One seed gives what `torch.multinomial` gives for the same probabilities, for one stream or many."""
    config = SampleConfig(temperature=temperature, top_k=top_k, top_p=top_p)
    for streams in (1, 50):
        logits = torch.randn(streams, 30, generator=seeded()) * 3
        expected = torch.multinomial(probabilities(logits, config), 1, generator=seeded(5)).squeeze(1)
        assert torch.equal(draw(logits, config, seeded(5)), expected)


@pytest.mark.parametrize("temperature", [1e-2, 1e-30, 1e-300, 5e-324])
def test_argmax_is_the_limit_of_small_temperatures(temperature):
    """Temperature 0 takes the most probable, and so, in the end, do small ones."""
    logits = torch.randn(200, 30, generator=seeded()) * 5
    cold = draw(logits, SampleConfig(temperature=temperature), seeded(1))
    argmax = draw(logits, SampleConfig(temperature=0), seeded(2))
    clear = logits.topk(2).values.diff().abs().squeeze(1) > 0.5
    assert torch.equal(argmax, logits.argmax(dim=-1))
    assert torch.equal(cold[clear], argmax[clear])
    assert clear.sum() > 100


@pytest.mark.parametrize("scale", [1e4, 1e30, -1e30])
@pytest.mark.parametrize("temperature", [1e-6, 1.0, 1e308])
def test_no_logit_overflows(scale, temperature):
    """Probabilities are finite and sum to one, however large the logits and whatever the temperature."""
    p = probabilities(LOGITS * scale, SampleConfig(temperature=temperature, top_k=4, top_p=0.9))
    assert p.isfinite().all()
    assert float(p.sum()) == pytest.approx(1)


def test_the_same_seed_gives_the_same_text_and_another_seed_another():
    """Drawing depends on the generator alone."""
    model, prompt = new_model("lstm", 2), np.array([3, 1], dtype=np.uint8)
    texts = [torch.cat(list(generate(model, prompt, SampleConfig(length=40), seeded(seed)))).tolist() for seed in (5, 5, 6)]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 40
    assert set(texts[0]) <= set(range(13))


@pytest.mark.parametrize("cell", CELLS)
def test_a_prompt_read_in_windows_is_the_prompt_read_step_by_step(cell, monkeypatch):
    """Priming ends where the characters, one after the other, end."""
    monkeypatch.setattr("charlm.sampling.PRIME_WINDOW", 4)
    model, prompt = new_model(cell, 2).double(), np.array([3, 1, 4, 1, 5, 9, 2, 6, 5], dtype=np.uint8)
    logits, state = prime(model, prompt, 3)
    expected, stepper = model.initial_state(1), Stepper(model)
    for symbol in prompt.tolist():
        expected_logits, expected = stepper.step(torch.tensor([symbol]), expected)
    torch.testing.assert_close(logits, expected_logits.expand(3, -1))
    for part, one in zip(chain(*state), chain(*expected), strict=True):
        torch.testing.assert_close(part, one.expand(3, -1))


@pytest.mark.parametrize("cell", CELLS)
def test_argmax_of_many_samples_is_the_argmax_of_one(cell):
    """Streams drawn side by side do not mix."""
    model, prompt = new_model(cell, 2).double(), np.array([3], dtype=np.uint8)
    one = list(generate(model, prompt, SampleConfig(length=30, temperature=0), seeded()))
    three = list(generate(model, prompt, SampleConfig(length=30, temperature=0, num_samples=3), seeded()))
    assert [ids.tolist() * 3 for ids in one] == [ids.tolist() for ids in three]


@given(st.text("ab", max_size=30), st.lists(st.text("ab", max_size=4), max_size=3))
def test_cutting_a_stream_is_cutting_the_text(text, stops):
    """What comes out is the text before the stop that ends first, and before the longest of those; all of it without one."""
    ends = [text.index(stop) + len(stop) for stop in stops if stop and stop in text]
    end = min(ends, default=len(text))
    cut = max((len(stop) for stop in stops if stop and ends and text[:end].endswith(stop)), default=0)
    found = cut_at(map(ord, text), [list(map(ord, stop)) for stop in stops])
    assert "".join(map(chr, found)) == text[: end - cut]


@pytest.mark.parametrize(
    ("stops", "when"),
    [([], [1, 2, 3, 4, 5]), ([[1, 2, 3]], [3, 3, 5, 5, 5]), ([[1, 2, 3], [2, 1, 2, 9, 8]], [3, 5, 5, 5, 5])],
)
def test_cutting_waits_no_longer_than_it_must(stops, when):
    """Each symbol is passed on as soon as it cannot be the beginning of a stop: how many were read by then."""
    read = []
    assert [len(read) for _ in cut_at((read.append(n) or n for n in [1, 2, 1, 2, 9]), stops)] == when


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=9),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.integers(0, 10),
    st.sampled_from([0.07, 0.33, 0.61, 0.97, 1.0]),
)
def test_cuts_agree_with_the_long_way_round_when_symbols_tie(logits, temperature, top_k, top_p):
    """Top-k and top-p keep, of equally probable symbols, those with the lower ids."""
    found = probabilities(torch.tensor([logits]).float(), SampleConfig(temperature=temperature, top_k=top_k, top_p=top_p))
    expected = numpy_probabilities(np.array(logits, dtype=float), temperature, top_k, top_p)
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_any_precision_can_be_drawn_from(dtype):
    """The greatest logits of half precision overflow nothing, at any temperature."""
    logits = torch.tensor([[60000.0, -60000.0, 0.0]], dtype=dtype)
    for temperature in (0, 0.01, 1.0, 1e9):
        assert draw(logits, SampleConfig(temperature=temperature, top_k=1), seeded()).tolist() == [0]


@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
def test_documents_are_drawn_until_each_has_ended(temperature):
    """No longer than that or than asked for, and a shorter length draws the same; no start is ever drawn."""
    model = new_model("gru", 1)
    start, end = 3, 5
    config = SampleConfig(length=400, num_samples=13, temperature=temperature)
    prompt = np.array([start])
    rows = torch.stack(list(generate(model, prompt, config, seeded(4), marks=(start, end)))).t().tolist()
    assert not any(start in row for row in rows)
    ends = [row.index(end) if end in row else len(row) for row in rows]
    assert len(rows[0]) == min(400, max(ends) + 1)
    assert len(set(ends)) > 1 or temperature == 0
    short = SampleConfig(length=7, num_samples=13, temperature=temperature)
    some = torch.stack(list(generate(model, prompt, short, seeded(4), marks=(start, end)))).t().tolist()
    assert [row[:7] for row in rows] == some
