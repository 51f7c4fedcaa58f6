"""Saved activations are what torch's own layers compute, to the last character."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from charlm.inspection import trace
from charlm.inspection.activations import save_activations
from charlm.model.language_model import LanguageModel
from tests.conftest import CELLS, new_model
from tests.inspection.reference import SIGNALS, random_ids, walk


def saved(model: LanguageModel, ids: np.ndarray) -> dict[str, np.ndarray]:
    size = save_activations(Path("a.safetensors"), model, ids)
    assert size == Path("a.safetensors").stat().st_size
    return load_file("a.safetensors")


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_h_is_what_torchs_own_layers_compute(cell):
    """Each layer's h over the whole text is that of torch's nn.LSTM, nn.GRU or nn.RNN with these weights, fed in one piece."""
    model, ids = new_model(cell, 2), random_ids(1000)
    tensors = saved(model, ids)
    kernel = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell]
    x = model.embedding(torch.from_numpy(ids.astype(np.int64)))
    for layer, mine in enumerate(model.layers):
        theirs = kernel(x.shape[1], 7)
        theirs.load_state_dict(mine.fused.state_dict())
        x, _ = theirs(x)
        np.testing.assert_allclose(tensors[f"layer{layer}.h"], x.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("number", [1, 2, 63, 65, 700])
@pytest.mark.parametrize("cell", CELLS)
def test_every_signal_is_that_of_a_walk_by_hand(cell, number, monkeypatch):
    """Of a text of any length, in one chapter or several, every unit's c itself, h and gates are there in float32."""
    monkeypatch.setattr(trace, "CHAPTER", 300)
    model, ids = new_model(cell, 2), random_ids(number)
    tensors, expected = saved(model, ids), walk(model, ids).signals
    assert tensors.keys() == {"ids"} | {f"layer{layer}.{signal}" for layer in range(2) for signal in SIGNALS[cell]}
    np.testing.assert_array_equal(tensors["ids"], ids)
    assert tensors["ids"].dtype == np.int64
    for (layer, signal), values in expected.items():
        array = tensors[f"layer{layer}.{signal}"]
        assert (array.dtype, array.shape) == (np.float32, (number, 7))
        np.testing.assert_allclose(array, values, atol=1e-4)


def test_of_several_texts_each_is_read_by_itself_and_numbered():
    """Beside the ids stands which text each is of; every signal is that of a walk by hand over this text alone."""
    model, ids, starts = new_model("gru", 2), random_ids(90), np.array([0, 1, 40, 77])
    save_activations(Path("a.safetensors"), model, ids, starts=starts)
    tensors = load_file("a.safetensors")
    assert tensors["texts"].dtype == np.int64
    assert tensors["texts"].tolist() == [0] + [1] * 39 + [2] * 37 + [3] * 13
    np.testing.assert_array_equal(tensors["ids"], ids)
    for number, text in enumerate(np.split(ids, starts[1:])):
        for (layer, signal), values in walk(model, text).signals.items():
            found = tensors[f"layer{layer}.{signal}"][tensors["texts"] == number]
            np.testing.assert_allclose(found, values, atol=1e-4)


def test_the_file_is_as_the_format_says():
    """The head is aligned to eight bytes, and tensors follow each other in its order without a gap."""
    saved(new_model("gru", 1), random_ids(5, vocab_size=13, dtype="uint16"))
    raw = Path("a.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    head = json.loads(raw[8 : 8 + length])
    assert length % 8 == 0
    ends = [0] + [entry["data_offsets"][1] for entry in head.values()]
    assert [entry["data_offsets"][0] for entry in head.values()] == ends[:-1]
    assert len(raw) == 8 + length + ends[-1]


def test_a_file_that_is_not_finished_is_not_there(tmp_path: Path):
    """Left half way, the old file stays and nothing beside it."""
    (tmp_path / "a.safetensors").write_text("old")

    def leave(stage: str, fraction: float) -> None:
        if fraction > 0:
            raise KeyboardInterrupt(stage)

    with pytest.raises(KeyboardInterrupt, match="writing activations"):
        save_activations(Path("a.safetensors"), new_model("rnn", 1), random_ids(3000), leave)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.safetensors", "old")]
