"""A model file made by a hand that knows the hash: what it may say, and that nothing but a CheckpointError comes of it."""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from charlm.checkpoint.card import read_card
from charlm.checkpoint.model import load_model, save_model
from charlm.errors import CheckpointError
from charlm.model.language_model import LanguageModel
from charlm.tensorfile import METADATA_KEY, NO_DIGEST
from charlm.text.vocab import Vocab
from tests.checkpoint.test_format import CARD, CPU
from tests.conftest import CELLS, LAYERS, new_model

BYTES = Vocab(kind="byte", symbols=tuple(range(256)), start=10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    model = LanguageModel.initialised(CARD.model, len(CARD.vocab), generator=torch.Generator().manual_seed(0))
    save_model(file, model, CARD)
    return file


def parts(path: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The head, the header without it, and the tensors' bytes."""
    contents = path.read_bytes()
    length = int.from_bytes(contents[:8], "little")
    header = json.loads(contents[8 : 8 + length])
    return json.loads(header.pop("__metadata__")[METADATA_KEY]), header, contents[8 + length :]


def forge(path: Path, head: str, header: dict[str, Any], data: bytes) -> None:
    """Write a file whose hash is right, whatever its head and header say."""
    text = json.dumps({"__metadata__": {METADATA_KEY: head}, **header}).encode()
    contents = len(text).to_bytes(8, "little") + text + data
    assert contents.count(NO_DIGEST.encode()) == 1
    path.write_bytes(contents.replace(NO_DIGEST.encode(), hashlib.sha256(contents).hexdigest().encode()))


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_shape_of_model_comes_back(tmp_path, cell, layers):
    """Whatever the cell and the depth, for characters and for bytes, weights and card come back bit for bit."""
    for vocab in (CARD.vocab, BYTES):
        model = new_model(cell, layers, len(vocab))
        card = type(CARD)(**{name: getattr(CARD, name) for name in CARD.__slots__} | {"model": model.config, "vocab": vocab})
        save_model(tmp_path / "m", model, card)
        found, found_card = load_model(tmp_path / "m", CPU)
        assert found_card == card
        assert [name for name, _ in found.named_parameters()] == [name for name, _ in model.named_parameters()]
        assert all(torch.equal(a, b) for a, b in zip(found.parameters(), model.parameters(), strict=True))


def test_a_model_stored_as_bfloat16_comes_back_rounded(tmp_path):
    """Half the bytes; every weight is the nearest bfloat16, in float32 again, and storing it once more changes nothing."""
    model = LanguageModel.initialised(CARD.model, len(CARD.vocab), generator=torch.Generator().manual_seed(0))
    save_model(tmp_path / "m", model, CARD, torch.bfloat16)
    found, card = load_model(tmp_path / "m", CPU)
    assert card == CARD
    for ours, theirs in zip(found.parameters(), model.parameters(), strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, theirs.bfloat16().float())
    save_model(tmp_path / "again", found, card, torch.bfloat16)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()
    size = sum(p.numel() for p in model.parameters())
    save_model(tmp_path / "whole", model, CARD)
    assert (tmp_path / "whole").stat().st_size - (tmp_path / "m").stat().st_size == pytest.approx(2 * size, abs=64)


def test_a_forged_file_that_is_sane_is_read(path):
    """The forger of these tests makes nothing wrong by itself."""
    head, header, data = parts(path)
    forge(path, json.dumps(head | {"sha256": NO_DIGEST}), header, data)
    assert load_model(path, CPU)[1] == CARD


@pytest.mark.parametrize(
    "entry",
    [
        [],
        None,
        5,
        "x",
        {},
        {"dtype": "F32"},
        {"dtype": [], "shape": [6], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": 6, "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": None, "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [6.0], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [6], "data_offsets": [0, 10**30]},
        {"dtype": "F32", "shape": [6], "data_offsets": [4, 28]},
        {"dtype": "F32", "shape": [6]},
        {"dtype": "F32", "shape": [0, 10**30], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [2**62, 2**62, 0], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [6], "data_offsets": [-24, 0]},
    ],
    ids=str,
)
def test_a_forged_entry_of_the_header_is_refused(path, entry):
    """A tensor whose entry is no entry, or points elsewhere, is a CheckpointError and nothing else."""
    head, header, data = parts(path)
    forge(path, json.dumps(head | {"sha256": NO_DIGEST}), header | {"head.bias": entry}, data)
    with pytest.raises(CheckpointError):
        load_model(path, CPU)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocab", {"kind": "char", "start": 0, "symbols": "abcde\ud800"}),
        ("vocab", {"kind": "byte", "start": 0, "symbols": "abcdef"}),
        ("vocab", {"kind": "byte", "start": 256, "symbols": ""}),
        ("scores", {"validation_nats": int("9" * 400), "exact": True}),
        ("scores", {"validation_nats": float("nan"), "exact": True}),
        ("scores", {"validation_nats": float("inf"), "exact": True}),
        ("scores", {"validation_nats": 1.0, "exact": 1}),
        ("corpus_sha256", 7),
        ("corpus_sha256", None),
        ("setting", {}),
        ("step", 10.0),
        ("step", True),
        ("format", None),
        ("format", "1"),
        ("format", 2),
        ("kind", []),
        ("model", None),
        ("splits", {"train": 1, "validation": 2}),
    ],
)
def test_a_forged_field_is_refused(path, field, value):
    """Numbers that are none, surrogates, and values of other types are a CheckpointError and nothing else."""
    head, header, data = parts(path)
    forge(path, json.dumps(head | {"sha256": NO_DIGEST, field: value}), header, data)
    with pytest.raises(CheckpointError):
        load_model(path, CPU)


@pytest.mark.parametrize(
    ("task", "normalize", "restore", "labels", "is_sound"),
    [
        ("tag", "NFC", "", ["a", "b"], False),
        ("tag", "", "", ["a", "b"], True),
        ("classify", "NFC", "", ["a", "b"], True),
        ("tag", "NFC", "spaces", ["none", "1 space"], True),
    ],
)
def test_labels_of_characters_go_with_no_normal_form(path, task, normalize, restore, labels, is_sound):
    """In another form a character would have no place for its label; what is restored is labelled after it has its form."""
    head, header, data = parts(path)
    text = head["text"] | {"normalize": normalize, "restore": restore}
    changed = {"training": head["training"] | {"task": task}, "text": text, "labels": labels, "sha256": NO_DIGEST}
    forge(path, json.dumps(head | changed), header, data)
    with contextlib.nullcontext() if is_sound else pytest.raises(CheckpointError, match="normalize"):
        assert read_card(path)[0].text.normalize == normalize


@pytest.mark.parametrize("more", [b"\0", b"PK\x03\x04", bytes(24)])
def test_nothing_may_follow_the_tensors(path, more):
    """A file that is also something else, with a hash over all of it, is refused."""
    head, header, data = parts(path)
    forge(path, json.dumps(head | {"sha256": NO_DIGEST}), header, data + more)
    with pytest.raises(CheckpointError, match="its tensors end at"):
        load_model(path, CPU)


def test_a_model_that_does_not_fit_the_memory_is_refused_before_it_is_read(path, monkeypatch):
    """Stored as bfloat16, a model takes three times its file to open."""
    monkeypatch.setattr("charlm.checkpoint.model.free_memory", lambda _device: 10.0)
    with pytest.raises(CheckpointError, match="free memory"):
        load_model(path, CPU)


@pytest.mark.parametrize("head", ["\ud800", "[]", "{", "[" * 50_000, "{}", '{"format": 1}', '{"format": 1, "sha256": "%s"}'])
def test_a_forged_head_is_refused(path, head):
    """A head that is no JSON, or says nothing, is a CheckpointError and nothing else."""
    _, header, data = parts(path)
    digest = NO_DIGEST if "%s" in head else ""
    text = json.dumps({"__metadata__": {METADATA_KEY: head % digest if digest else head}, **header}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    with pytest.raises(CheckpointError):
        load_model(path, CPU)
