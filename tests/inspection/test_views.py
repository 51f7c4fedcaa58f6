"""What is shown of units, against the model's own forward and plain loops."""

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.inspection import views
from charlm.inspection.findings import Finding, UnitId
from charlm.inspection.views import (
    AFTER,
    APART,
    BEFORE,
    EXPECTED,
    HISTOGRAM_BINS,
    MOST_UNITS,
    SNIPPETS,
    Viewer,
    best_units,
    closeups,
    pieces,
    units_of_page,
)
from charlm.model.language_model import LanguageModel
from charlm.model.stack import ModelState
from charlm.text.vocab import Ids, Vocab
from tests.conftest import CELLS, new_model
from tests.inspection.reference import SIGNALS, Walk, random_ids, walk

VOCAB = Vocab(kind="char", symbols=(10, *range(ord("a"), ord("a") + 12)), start=0)  # 13 symbols, one a newline
PREFIX, N = 30, 297  # characters before what is viewed, and viewed; 59 lanes of 5, and one of 2
IDS = random_ids(PREFIX + N, seed=3)
SHORT, LONG = 100, 5000

each_cell = pytest.mark.parametrize("cell", CELLS)


def exact_model(cell: str = "lstm") -> LanguageModel:
    return new_model(cell, 2).double()


@torch.inference_mode()
def viewed(model: LanguageModel) -> tuple[Viewer, Walk]:
    """A view of what follows the prefix, and the recurrence by hand over it."""
    _, state = model(torch.from_numpy(IDS[:PREFIX].astype(np.int64)).unsqueeze(1), model.initial_state(1))
    whole = walk(model, IDS)
    after = Walk({key: values[PREFIX:] for key, values in whole.signals.items()}, whole.logits[PREFIX:])
    return Viewer(model, VOCAB, IDS[PREFIX:], state, start=PREFIX), after


def view_of(model: LanguageModel, ids: Ids, state: ModelState | None = None) -> Viewer:
    return Viewer(model, VOCAB, ids, state)


@each_cell
def test_values_are_those_of_the_recurrence_by_hand(cell):
    """All signals of any units, one of them twice, in the order that is asked, from a state in mid-text; c as tanh(c)."""
    viewer, by_hand = viewed(exact_model(cell))
    units = [(1, 6), (0, 0), (1, 2), (1, 6)]
    for (layer, unit), (seen, values) in zip(units, viewer.values(units), strict=True):
        signals = tuple(signal.name for signal in seen)
        assert signals == SIGNALS[cell]
        expected = [by_hand.signals[layer, signal][:, unit] for signal in signals]
        expected = [np.tanh(row) if signal == "c" else row for signal, row in zip(signals, expected, strict=True)]
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)  # shown in float32


@pytest.mark.parametrize(("start", "length"), [(0, N), (0, 1), (1, 9), (57, 43), (293, 4), (294, 99), (296, 1)])
@each_cell
def test_a_passage_is_what_the_models_own_forward_expected_and_paid(cell, start, length):
    """Wherever it begins: the characters, what each cost, and the likeliest next ones with their probabilities."""
    viewer, by_hand = viewed(exact_model(cell))
    passage, stop = viewer.passage(start, length), min(start + length, N)
    assert passage.start == PREFIX + start
    assert "".join(passage.pieces) == VOCAB.decode(IDS[PREFIX:])[start:stop]
    surprise = np.concatenate([[np.nan], by_hand.nats(IDS[PREFIX:])])[start:stop]
    np.testing.assert_allclose(passage.surprise, surprise, rtol=0, atol=1e-5)
    probabilities = np.exp(by_hand.logits) / np.exp(by_hand.logits).sum(axis=1, keepdims=True)
    order = np.argsort(-probabilities, axis=1)[start:stop, :EXPECTED]
    np.testing.assert_array_equal(passage.expected, order)
    likeliest = np.take_along_axis(probabilities[start:stop], order, axis=1)
    np.testing.assert_allclose(passage.probabilities, likeliest, rtol=0, atol=1e-6)
    assert passage.symbols == tuple(map(chr, VOCAB.symbols))


def test_every_character_but_the_first_has_a_price_wherever_a_passage_begins():
    """The one character with no known price is the first that was read, wherever the lanes of the trace begin."""
    viewer = view_of(exact_model(), IDS)
    whole = viewer.passage(0, len(IDS)).surprise
    assert np.flatnonzero(np.isnan(whole)).tolist() == [0]
    found = [viewer.passage(start, 1).surprise[0] for start in range(1, len(IDS))]
    np.testing.assert_allclose(found, whole[1:], rtol=0, atol=1e-5)


def test_fewer_symbols_than_are_shown_are_all_expected():
    """Of a vocabulary of 3 the model expects 3, and their probabilities sum to 1."""
    vocab = Vocab(kind="char", symbols=tuple(b"abc"), start=0)
    passage = Viewer(new_model("gru", 1, vocab_size=3), vocab, random_ids(40, 3)).passage(0, 40)
    assert (np.sort(passage.expected) == [0, 1, 2]).all()
    np.testing.assert_allclose(passage.probabilities.sum(axis=1), 1, atol=1e-6)


def test_only_the_first_characters_are_viewed(monkeypatch):
    """What is beyond them changes nothing."""
    monkeypatch.setattr(views, "VIEWED", SHORT)
    long, short = (view_of(exact_model(), ids) for ids in (IDS, IDS[:SHORT]))
    assert len(long.ids) == len(long.pieces) == SHORT
    np.testing.assert_array_equal(long.values([(0, 1)])[0][1], short.values([(0, 1)])[0][1])
    assert long.passage(90, 50).pieces == short.pieces[90:]


@pytest.mark.parametrize("number", [1, SHORT, LONG])
def test_snippets_are_where_a_unit_is_highest(number):
    """The highest first, each the highest of all that is not near an earlier one, with the text and the values around it."""
    ids = random_ids(number, seed=4)
    viewer = view_of(exact_model("rnn"), ids)
    values = np.random.default_rng(5).permutation(number).astype(np.float32)
    peaks: list[int] = []
    for place in np.argsort(-values).tolist():
        if all(abs(place - peak) > APART for peak in peaks):
            peaks.append(place)
    assert len(peaks) > SNIPPETS or number < LONG
    found = viewer.snippets(values)
    assert [snippet.values.max() for snippet in found] == [values[peak] for peak in peaks[:SNIPPETS]]
    assert all(snippet.values[snippet.peak] == snippet.values.max() for snippet in found)
    assert [snippet.start for snippet in viewer.snippets(-values, -1)] == [snippet.start for snippet in found]
    for snippet, peak in zip(found, peaks, strict=False):
        span = slice(max(0, peak - BEFORE), peak + AFTER)
        np.testing.assert_array_equal(snippet.values, values[span])
        assert snippet.start == span.start
        assert "".join(snippet.pieces) == VOCAB.decode(ids[span])


@each_cell
def test_a_units_view_is_of_all_its_signals_in_the_whole(cell):
    """Values between the bounds only; histogram, time on and snippets of all; the findings that are the unit's own."""
    viewer, _ = viewed(exact_model(cell))
    units, bounds = [(1, 4), (0, 4)], (20, 50)
    names = [UnitId(layer=layer, unit=unit, signal="h") for layer, unit in ((0, 4), (1, 4), (1, 3), (1, 4))]
    rest = {"statistic": "auroc", "score": 1.0, "confirmed_score": 1.0, "p_value": 0.1, "baseline_gain": 0.0}
    findings = [
        Finding(unit=name, feature=str(n), delta_nats=None, verdict="correlated", **rest) for n, name in enumerate(names)
    ]
    first, second = (
        viewer.unit_view(unit, *traced, findings, bounds) for unit, traced in zip(units, viewer.values(units), strict=True)
    )
    assert [found.feature for found in first.findings] == ["1", "3"]
    assert [found.feature for found in second.findings] == ["0"]
    for view, unit in zip((first, second), units, strict=True):
        assert (view.layer, view.unit) == unit
        ((signals, values),) = viewer.values([unit])
        assert view.signals == signals
        np.testing.assert_array_equal(view.values, values[:, 20:50])
        for number, (signal, row) in enumerate(zip(signals, values, strict=True)):
            least = 0.0 if signal.name in "iforz" else -1.0
            counts = np.bincount(((row - least) / (1 - least) * HISTOGRAM_BINS).astype(int), minlength=HISTOGRAM_BINS)
            np.testing.assert_array_equal(view.histogram[number], counts)
            assert view.share_on[number] == sum(row > (least + 1) / 2) / N
            expected = (*viewer.snippets(row), *viewer.snippets(row, -1))
            assert [snippet.start for snippet in view.snippets[number]] == [snippet.start for snippet in expected]
            assert max(view.snippets[number][0].values) == max(row)
            assert view.snippets[number][0].start >= PREFIX


@pytest.mark.parametrize("has_lines", [True, False])
@pytest.mark.parametrize("length", [1, 40, N, 10 * N])
def test_the_liveliest_passage_is_the_one_of_greatest_variance(length, has_lines):
    """Of those that begin at a line's start, or anywhere in a text of one line, that are as long as is asked and there is."""
    ids = IDS[:N] if has_lines else IDS[:N].clip(1)
    values = np.random.default_rng(6).random(N).astype(np.float32) ** 3
    length = min(length, N)
    starts = [start for start in range(N - length + 1) if not has_lines or start == 0 or ids[start - 1] == 0]
    variances = [values[start : start + length].var(dtype=np.float64) for start in starts]
    found = view_of(exact_model(), ids).liveliest(values, length)
    assert found in starts
    assert variances[starts.index(found)] == pytest.approx(max(variances), abs=1e-9)


def test_the_pieces_of_bytes_are_whole_characters_where_they_end():
    """There is one piece a byte, empty until a character is whole; by itself each byte is shown by its number."""
    text = "né 가!😀\n"
    octets = Vocab(kind="byte", symbols=tuple(range(256)), start=10)
    ids = octets.encode(text)
    found = pieces(octets, ids)
    assert found == ("n", "", "é", " ", "", "", "가", "!", "", "", "", "😀", "\n")
    assert pieces(octets, ids[:3], each=True) == ("n", "\\xc3", "\\xa9")
    assert len(set(pieces(octets, np.arange(256, dtype=octets.dtype), each=True))) == 256
    assert pieces(VOCAB, IDS) == tuple(VOCAB.decode(IDS))


def finding(name: str, score: float = 1.0) -> Finding:
    """A finding about the unit LAYER:UNIT:SIGNAL."""
    layer, unit, signal = name.split(":")
    return Finding(
        unit=UnitId(layer=int(layer), unit=int(unit), signal=signal),
        feature=name,
        statistic="auroc",
        score=score,
        confirmed_score=score,
        p_value=0.1,
        baseline_gain=0.0,
        delta_nats=None,
        verdict="correlated",
    )


FOUND = [finding("0:4:h"), finding("1:6:i"), finding("0:4:f"), finding("0:1:c"), finding("1:6:i", 0.9)]


@pytest.mark.parametrize("most", [0, 1, 2, 3, 9])
def test_the_best_units_come_once_each(most):
    """In the order of the findings, each by the signal of its best one, as many as are asked for and there are."""
    assert [str(unit) for unit in best_units(FOUND, most)] == ["0:4:h", "1:6:i", "0:1:c"][:most]
    assert best_units([], most) == []


@pytest.mark.parametrize("hidden_size", [7, 200])
def test_a_page_has_the_units_wanted_then_those_found_then_the_first_others(hidden_size):
    """Each once, of all layers alike, and no more than 64."""
    config = ModelConfig(cell="lstm", embedding_size=5, hidden_size=hidden_size, num_layers=2)
    units = units_of_page(config, [(1, 3), (0, 4), (1, 3)], FOUND)
    first = [(1, 3), (0, 4), (1, 6), (0, 1)]
    assert units[:4] == first
    others = [(layer, unit) for unit in range(hidden_size) for layer in (0, 1) if (layer, unit) not in first]
    assert units[4:] == others[: MOST_UNITS - 4]
    assert len(units) == min(MOST_UNITS, 2 * hidden_size)


def test_a_closeup_is_where_the_units_own_signal_is_liveliest():
    """Its view and its passage are of that stretch, and its finding is the first about that signal, or none."""
    viewer, length = view_of(exact_model(), IDS), 40
    chosen = [UnitId(layer=1, unit=6, signal="i"), UnitId(layer=0, unit=2, signal="c")]
    values = viewer.values([(1, 6), (0, 2)])
    some = list(closeups(viewer, chosen, values, FOUND, length))
    assert [each.unit for each in some] == chosen
    assert [each.finding for each in some] == [FOUND[1], None]
    for each, (signals, rows) in zip(some, values, strict=True):
        row = [signal.name for signal in signals].index(each.unit.signal)
        start = viewer.liveliest(rows[row], length)
        assert each.passage.start == start
        assert each.passage.pieces == viewer.pieces[start : start + length]
        np.testing.assert_array_equal(each.view.values, rows[:, start : start + length])
        assert (each.view.layer, each.view.unit) == (each.unit.layer, each.unit.unit)
