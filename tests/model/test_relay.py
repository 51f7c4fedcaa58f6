"""The relay against the same text read in one go and against the recurrence written out by hand."""

import numpy as np
import pytest
import torch

from charlm.model import relay as module
from charlm.model.language_model import LanguageModel
from charlm.model.relay import relay
from tests.conftest import CELLS, new_model
from tests.inspection.reference import random_ids, walk


def counter(cell: str) -> LanguageModel:
    """A model whose first units keep all they ever had and go on counting: no relay brings their entries to rest early."""
    model = new_model(cell, 2).double()
    keeper = {"lstm": slice(7, 10), "gru": slice(7, 10)}[cell]
    with torch.no_grad():
        for layer in model.layers:
            layer.input_weights[1][keeper] = 20.0
            if cell == "lstm":
                layer.past_weights[0].mul_(6)
                layer.input_weights[1][0:3] = layer.input_weights[1][14:17] = 5.0
    return model


@pytest.mark.parametrize("rounds", [0, 1, 2, 8])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_heads_of_lanes_are_what_the_model_carries_there(cell, rounds, monkeypatch):
    """Also of counters that never forget, and where the relay is given no time to settle."""
    monkeypatch.setattr(module, "ROUNDS", rounds)
    model, ids, lanes = counter(cell), random_ids(153), 9
    expected = walk(model, ids).signals
    block = torch.from_numpy(ids.reshape(lanes, -1).T.copy())
    with torch.inference_mode():
        entries, _ = relay(model, block, model.initial_state(1))
    for layer, parts in enumerate(entries):
        for name, part in zip("hc", parts, strict=False):
            before = expected[layer, name][len(block) - 1 : -1 : len(block)]
            np.testing.assert_allclose(part[1:].numpy(), before, rtol=1e-11, atol=1e-11)
            assert not part[0].any()
    if cell == "lstm":
        assert entries[0][1].max() > 20


@pytest.mark.parametrize(("parts", "window"), [(1, 4), (3, 4), (3, 128), (17, 5)])
@pytest.mark.parametrize("cell", CELLS)
def test_parts_of_lanes_have_their_heads(cell, parts, window, monkeypatch):
    """However the windows fall, the states before every part are those that one stream has there, in the order of the text."""
    monkeypatch.setattr(module, "WINDOW", window)
    model, ids, lanes = new_model(cell, 2).double(), random_ids(204), 4
    entries, end = relay(model, torch.from_numpy(ids.reshape(lanes, -1).T.copy()), model.initial_state(1), parts=parts)
    expected, each = walk(model, ids).signals, 204 // (lanes * parts)
    for layer, state in enumerate(entries):
        for name, part in zip("hc", state, strict=False):
            np.testing.assert_allclose(part[1:].numpy(), expected[layer, name][each - 1 : -1 : each], rtol=0, atol=1e-10)
            assert not part[0].any()
    np.testing.assert_allclose(end[-1][0][0].numpy(), expected[1, "h"][-1], rtol=0, atol=1e-10)


def test_the_relay_and_the_slow_way_agree_in_float32(monkeypatch):
    """Where the relay settles, its entries are those of lanes read one after the other."""
    model, block = new_model("lstm", 2), torch.from_numpy(random_ids(640).reshape(64, 10).T.copy())
    found = []
    for rounds in (module.ROUNDS, 0):
        monkeypatch.setattr(module, "ROUNDS", rounds)
        with torch.inference_mode():
            found.append(relay(model, block, model.initial_state(1))[0])
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("window", "warm_up"), [(4, 3), (4, 40), (7, 1), (128, 512)])
@pytest.mark.parametrize("cell", CELLS)
def test_what_is_seen_of_lanes_is_what_one_stream_gives(cell, window, warm_up, monkeypatch):
    """Of the top layer at every character, what was seen last; the entries, and the state at the end: to 1e-11, though many
    lanes were begun wrongly, and are left where they meet their former way."""
    monkeypatch.setattr(module, "WINDOW", window)
    monkeypatch.setattr(module, "WARM_UP", warm_up)
    model, lanes, length = new_model(cell, 2).double(), 6, 250
    ids = torch.from_numpy(random_ids(lanes * length).astype(np.int64))
    seen = torch.full((length, lanes, model.config.hidden_size), torch.nan, dtype=torch.float64)
    read = []

    def look(start: int, which: torch.Tensor, outputs: torch.Tensor) -> None:
        seen[start : start + len(outputs), which] = outputs
        read.append(outputs.shape[0] * outputs.shape[1])

    entries, end = relay(model, ids.view(lanes, -1).t(), model.initial_state(1), look)
    with torch.inference_mode():
        expected, last = model.outputs(ids[:, None], model.initial_state(1))
    torch.testing.assert_close(seen.transpose(0, 1).flatten(0, 1), expected[:, 0], atol=1e-11, rtol=0)
    torch.testing.assert_close(end, last, atol=1e-11, rtol=0)
    torch.testing.assert_close(entries[-1][0][1:], expected[length - 1 : -1 : length, 0], atol=1e-11, rtol=0)
    if window == 4 and warm_up == 3:
        assert len(ids) < sum(read) < 2 * len(ids)  # something was read again, and not all of it


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_what_is_never_forgotten_is_foreseen(cell):
    """Of a counter each round would settle one lane and no more; as its drift is foreseen, fewer are left to be read alone."""
    ids, read = torch.from_numpy(random_ids(640).astype(np.int64)).view(16, -1).t(), []
    relay(counter(cell), ids, counter(cell).initial_state(1), lambda _start, which, _outputs: read.append(len(which)))
    assert read.count(1) <= 15 - 2 * module.ROUNDS
