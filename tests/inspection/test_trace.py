"""The trace against the model itself and against the recurrence written out by hand, however the text is cut."""

import itertools

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.inspection import trace
from charlm.inspection.trace import Trace, chapters, groups, unit_of
from charlm.model.language_model import LanguageModel
from charlm.text.vocab import Ids
from tests.conftest import CELLS, LAYERS, new_model
from tests.inspection.reference import SIGNALS, group_of, random_ids, read, traced, walk

SMALL = {"CHAPTER": 50, "LANES": 4, "BLOCK": 3, "WINDOW": 5}
LENGTHS = (1, 3, 49, 50, 51, 137)  # shorter than the lanes, one chapter all but and just, no multiple of anything
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}

each_cell = pytest.mark.parametrize("cell", CELLS)


def cut(monkeypatch: pytest.MonkeyPatch, **sizes: int) -> None:
    for name, size in {**SMALL, **sizes}.items():
        monkeypatch.setattr(trace, name, size)


def forwards_own(model: LanguageModel, ids: Ids) -> list[torch.Tensor]:
    """Each layer's h `(N, H)`, through the fused kernels in one go."""
    x = model.embedding(torch.from_numpy(ids.astype(np.int64))).unsqueeze(1)
    found = []
    with torch.inference_mode():
        for cell in model.layers:
            x, _ = cell(x, cell.initial_state(1))
            found.append(x[:, 0])
    return found


@pytest.mark.parametrize("number", LENGTHS)
@pytest.mark.parametrize("layers", LAYERS)
@each_cell
def test_traced_h_is_the_forwards_own(cell, layers, number, monkeypatch):
    """Every layer's h, the state carried through the whole text, is what the model computes for its own logits."""
    cut(monkeypatch)
    model, ids = new_model(cell, layers), random_ids(number)
    found = traced(read(model, ids))
    for layer, expected in enumerate(forwards_own(model, ids)):
        torch.testing.assert_close(found[layer, "h"], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("layers", [1, 3])
@each_cell
def test_every_signal_is_that_of_the_recurrence_by_hand(cell, layers, dtype, monkeypatch):
    """c, h and all gates equal a step-by-step loop: within 1e-10 in float64, within 1e-4 in float32."""
    cut(monkeypatch)
    model, ids = new_model(cell, layers).to(dtype), random_ids(137, dtype="uint16")
    found, expected = traced(read(model, ids)), walk(model, ids).signals
    assert set(found) == set(expected)
    for key, values in found.items():
        np.testing.assert_allclose(values.numpy(), expected[key], atol=TOLERANCE[dtype], rtol=0)


CUTS = {"BLOCK": (1, 1000), "LANES": (1, 7, 50), "CHAPTER": (1, 1000), "WINDOW": (1,)}


@pytest.mark.parametrize("sizes", [{name: size} for name, sizes in CUTS.items() for size in sizes], ids=str)
def test_how_the_text_is_cut_changes_nothing(sizes, monkeypatch):
    """Blocks, lanes, chapters and windows of any size trace the same values."""
    model, ids = new_model("lstm", 2).double(), random_ids(137)
    expected = traced(read(model, ids))
    cut(monkeypatch, **sizes)
    torch.testing.assert_close(traced(read(model, ids)), expected, atol=1e-12, rtol=0)


@each_cell
def test_a_text_read_in_two_parts_is_the_text_read_whole(cell, monkeypatch):
    """What comes after a chapter is the state that the next part begins with, wherever the parts meet."""
    cut(monkeypatch)
    model, ids = new_model(cell, 2).double(), random_ids(137)
    whole = walk(model, ids).signals
    for middle in (1, 50, 77, 136):
        first, between = Trace.over(model, ids, (0, middle))
        second, after = Trace.over(model, ids, (middle, len(ids)), between)
        assert [chapter.start for chapter in second.chapters] == list(range(middle, len(ids), SMALL["CHAPTER"]))
        assert (first.size, second.size) == (middle, len(ids) - middle)
        for key, values in traced(second).items():
            np.testing.assert_allclose(values.numpy(), whole[key][middle:], atol=1e-12)
        pairs = [*chapters(model, ids, (0, middle)), *chapters(model, ids, (middle, len(ids)), between)]
        ends = [(chapter.stop, state) for chapter, state in pairs]
        for stop, state in (*ends, (middle, between), (len(ids), after)):
            for layer, parts in enumerate(state):
                np.testing.assert_allclose(parts[0][0], whole[layer, "h"][stop - 1], atol=1e-12)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_parts_of_a_trace_are_its_chapters(workers, monkeypatch):
    """Read part by part, in order, every place comes once, and the values are those of the chapters read whole."""
    cut(monkeypatch)
    trace = read(new_model("gru", 2).double(), random_ids(137), workers)
    parts = Trace(model=trace.model, chapters=tuple(trace.shares()))
    assert len(parts.chapters) > len(trace.chapters) > 1
    assert parts.size == trace.size == 137
    assert trace.num_units == 2 * len(SIGNALS["gru"]) * 7
    torch.testing.assert_close(traced(parts), traced(trace), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("lane", "number"), [(0, 1), (1, 13), (2, 14), (3, 11)])
def test_some_of_a_chapter_is_read_as_all_of_it(lane, number, monkeypatch):
    """From a lane's beginning on, so many characters: within the lane, to its end, beyond it, to the end of the chapter."""
    cut(monkeypatch)
    model, ids = new_model("lstm", 2).double(), random_ids(50)
    (chapter,) = read(model, ids).chapters
    some = chapter.some(lane, number)
    start = lane * len(chapter.ids)
    assert (some.start, some.stop) == (start, start + number)
    np.testing.assert_array_equal(some.ids.t().flatten()[:number], ids[start : start + number])
    expected = walk(model, ids).signals
    for key, values in traced(Trace(model=model, chapters=(some,))).items():
        np.testing.assert_allclose(values.numpy(), expected[key][start : start + number], atol=1e-12)


@pytest.mark.parametrize("number", [1, 127, 500, 9000])
@pytest.mark.parametrize("layers", [1, 2])
@each_cell
def test_a_model_that_was_never_trained_is_read_as_any_other(cell, layers, number):
    """What 128 characters tell of the state before a lane is all that there is to it."""
    config = ModelConfig(cell=cell, embedding_size=5, hidden_size=7, num_layers=layers)
    model, ids = LanguageModel.initialised(config, 13, generator=torch.Generator().manual_seed(0)), random_ids(9100)
    found = traced(Trace.untrained(model, ids, (100, 100 + number)))
    torch.testing.assert_close(found, traced(read(model, ids[100 : 100 + number])), atol=1e-5, rtol=0)


@each_cell
def test_signals_keep_to_their_ranges(cell):
    """Gates lie between 0 and 1, all else (c as tanh(c)) between -1 and 1, also where weights are large; `low` says which."""
    model, ids = new_model(cell, 2), random_ids(200)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(20)
    found = traced(read(model, ids))
    for group in groups(model):
        values = group.ranged(found[group.layer, group.signal])
        assert group.low == (0 if group.signal in "iforz" else -1)
        assert group.low <= values.min() <= values.max() <= 1
        is_c = group.signal == "c"
        assert torch.equal(values, found[group.layer, group.signal].tanh() if is_c else found[group.layer, group.signal])


@pytest.mark.parametrize("layers", LAYERS)
@each_cell
def test_rows_and_units_name_each_other(cell, layers):
    """Every row of all groups' rows is one unit, every unit one row; there are none beyond."""
    all_groups = groups(new_model(cell, layers))
    assert [(group.layer, group.signal) for group in all_groups] == list(itertools.product(range(layers), SIGNALS[cell]))
    total = sum(group.size for group in all_groups)
    units = [unit_of(all_groups, row) for row in range(total)]
    assert len(set(units)) == total
    for row, unit in enumerate(units):
        assert sum(group.size for group in all_groups[: group_of(all_groups, unit)]) + unit.unit == row
    with pytest.raises(IndexError):
        unit_of(all_groups, total)


def test_a_large_vocabulary_is_traced_as_a_small_one():
    """Ids of two and of four bytes are read as they are."""
    config = ModelConfig(cell="gru", embedding_size=5, hidden_size=7, num_layers=1)
    model = LanguageModel.initialised(config, 300, generator=torch.Generator().manual_seed(0)).double()
    ids = random_ids(80, 300, dtype="uint16")
    expected = walk(model, ids).signals[0, "h"]
    for dtype in ("uint16", "uint32", "int64"):
        found = traced(read(model, ids.astype(dtype)))[0, "h"]
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_no_text_is_no_chapter():
    """Nothing between the bounds gives nothing, and leaves the state as it was."""
    model = new_model("rnn", 1)
    state = tuple(tuple(part + 1 for part in parts) for parts in model.initial_state(1))
    assert list(chapters(model, random_ids(9), (4, 4))) == []
    trace, after = Trace.over(model, random_ids(9), (4, 4), state)
    assert (trace.chapters, trace.size) == ((), 0)
    assert after is state
