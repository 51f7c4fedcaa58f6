"""The file of what a model is measured beside: round trips, and everything that can be wrong with one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from charlm.checkpoint.baselines import baselines_bytes, load_baselines
from charlm.checkpoint.card import ModelCard
from charlm.checkpoint.format import to_bytes
from charlm.errors import CheckpointError
from charlm.labelling.baselines import baselines_for_characters, baselines_for_texts, tensors_of
from charlm.tensorfile import TensorFile
from tests.checkpoint.test_format import CARD
from tests.labelling.examples import random_tagged

LABELS = CARD.labels or tuple("pqr")
V, C = len(CARD.vocab), len(LABELS)


def fitted(kind: str) -> tuple:
    """Baselines of random texts, of every kind there is."""
    rng = np.random.default_rng(5)
    tagged = random_tagged(rng, 40, C)
    tagged = replace(tagged, ids=(tagged.ids % V).astype(np.uint8))
    if kind == "text":
        nothing = np.zeros(0, np.uint8)
        texts = replace(tagged, labels=rng.integers(0, C, len(tagged)).astype(np.uint16), places=nothing)
        return baselines_for_texts(texts.part(0, 30), texts.part(30, 40), C)
    return baselines_for_characters(tagged, V, words_are_seen=kind == "words")


@pytest.fixture(params=["text", "words", "spaces"])
def baselines(request) -> tuple:
    return fitted(request.param)


@pytest.fixture
def path(tmp_path: Path, baselines) -> Path:
    file = tmp_path / "baselines.safetensors"
    file.write_bytes(baselines_bytes(baselines, CARD.corpus_sha256))
    return file


@pytest.fixture
def card(baselines) -> ModelCard:
    """Of a model that has labels, of the same things as the baselines."""
    task = "tag" if baselines[0].by_character else "classify"
    return replace(CARD, labels=LABELS, training=replace(CARD.training, task=task))


def test_baselines_come_back_as_they_were(path, baselines, card):
    """Each kind, in order, every number bit for bit; writing them again gives the same file."""
    found = load_baselines(path, card)
    assert [type(each) for each in found] == [type(each) for each in baselines]
    assert len(found) == 2
    was, now = tensors_of(baselines), tensors_of(found)
    assert was.keys() == now.keys()
    for name, array in was.items():
        assert array.dtype == now[name].dtype
        np.testing.assert_array_equal(array, now[name])
    assert baselines_bytes(found, CARD.corpus_sha256) == path.read_bytes()


def test_another_runs_file_is_refused(path, card):
    """Baselines stand beside a model of the same texts only, with as many labels and symbols, and labels of the same things."""
    other_task = "classify" if card.training.task == "tag" else "tag"
    for other in (
        replace(card, corpus_sha256="cd" * 32),
        replace(card, labels=LABELS[:1]),
        replace(card, training=replace(card.training, task=other_task)),
    ):
        with pytest.raises(CheckpointError) as error:
            load_baselines(path, other)
        assert str(path) in error.value.message
        assert error.value.hint


def test_a_flipped_bit_or_a_missing_end_is_found(path, card):
    """A damaged file is never taken for a whole one."""
    contents = bytearray(path.read_bytes())
    for position in range(0, len(contents), 31):
        contents[position] ^= 16
        path.write_bytes(contents)
        with pytest.raises(CheckpointError):
            load_baselines(path, card)
        contents[position] ^= 16
    path.write_bytes(contents[:-1])
    with pytest.raises(CheckpointError):
        load_baselines(path, card)


def test_a_forged_file_is_refused(path, card):
    """Whatever tensors a hand that knows the hash puts in, or takes out, a CheckpointError that names the file comes of it."""
    with TensorFile(path, "baselines") as file:
        head = file.head
    tensors = safetensors.torch.load(path.read_bytes())
    name = max(tensors)  # of a baseline with several tensors: one that lost its only tensor is one baseline less
    tensor = tensors[name]
    base, _, kind = name.rpartition(".")
    another = "uint16" if kind == "int64" else "int64"
    wrong: list[dict[str, torch.Tensor]] = [
        {**tensors, "x": torch.zeros(2, 8, dtype=torch.uint8)},
        {**tensors, "x.y.int64": torch.zeros(2, 8, dtype=torch.uint8)},
        {**tensors, f"{base.split('.')[0]}.zzz.int64": torch.zeros(2, 8, dtype=torch.uint8)},
        {**tensors, name: tensor[..., :1]},
        {**tensors, name: tensor.float()},
        {**tensors, name: torch.full_like(tensor, 255)},
        {**tensors, name: tensor.flatten()},
        {key: value for key, value in tensors.items() if key != name},
        {(f"{base}.float64" if key == name else key): value for key, value in tensors.items()},
        {(f"{base}.{another}" if key == name else key): value for key, value in tensors.items()},
    ]
    for contents in wrong:
        path.write_bytes(to_bytes(contents, head))
        with pytest.raises(CheckpointError) as error:
            load_baselines(path, card)
        assert str(path) in error.value.message
    for other in ({"kind": "model"}, {"corpus_sha256": 7}, {"more": 1}):
        path.write_bytes(to_bytes(tensors, head | other))
        with pytest.raises(CheckpointError):
            load_baselines(path, card)
    path.write_bytes(to_bytes({}, head))
    assert load_baselines(path, card) == ()
