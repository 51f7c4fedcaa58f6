"""The training state: what comes back, and what is refused with the trainer as it was."""

import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from charlm.checkpoint.format import to_bytes
from charlm.checkpoint.training import load_trainer
from charlm.config import End, TrainConfig
from charlm.errors import CheckpointError
from charlm.tasks.language import LanguageTask
from charlm.tensorfile import TensorFile
from charlm.text.streams import Streams
from charlm.training.trainer import Trainer
from tests.conftest import CELLS, LAYERS, Philox, new_model, save_trainer

WINDOWS = 3  # an epoch, in the runs that these trainers are said to be of


def standing_at(left: int, following: int) -> torch.Tensor:
    """A generator's state that says it stands there among its 624 numbers."""
    raw = bytearray(torch.Generator().get_state().numpy().tobytes())
    struct.pack_into("=QiiQ", raw, 0, 7, left, 1, following)
    return torch.frombuffer(raw, dtype=torch.uint8)


def new_trainer(cell: str = "gru", layers: int = 1, seed: int = 0, batch_size: int = 4) -> Trainer:
    model = new_model(cell, layers, dropout=0.3, seed=seed)
    ids = np.zeros(1 + batch_size * WINDOWS * 64 + 64, dtype=np.uint8)
    streams = Streams(ids=ids, batch_size=batch_size, seq_len=64, seed=1)
    assert streams.windows_per_epoch == WINDOWS
    task = LanguageTask(streams=streams, validation_ids=ids[:0])
    return Trainer.fresh(model, task, TrainConfig(), End("steps", 40), "fp32")


def scrambled(trainer: Trainer) -> Trainer:
    """The same trainer with every tensor and number unlike that of a fresh one."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in tensors_of(trainer)[:-1]:
            tensor.copy_(torch.rand(tensor.shape, generator=generator))
    trainer.generator.manual_seed(77)
    trainer.step, trainer.epoch, trainer.batch, trainer.seconds, trainer.best_nats = 9, 2, 3, 4.5, 1.75
    return trainer


def tensors_of(trainer: Trainer) -> list[torch.Tensor]:
    moments = [value for state in trainer.optimiser.state.values() for value in state.values()]
    carried = [part for cell_state in trainer.state for part in cell_state]
    return [*(p.data for p in trainer.model.parameters()), *moments, *carried, trainer.generator.get_state()]


def numbers_of(trainer: Trainer) -> list[float]:
    return [trainer.step, trainer.epoch, trainer.batch, trainer.seconds, trainer.best_nats]


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("cell", CELLS)
def test_all_that_a_continuation_needs_comes_back(tmp_path, cell, layers):
    """Weights, moments, counts, carried state, random state and numbers are those that were saved."""
    saved, loaded = scrambled(new_trainer(cell, layers)), new_trainer(cell, layers, seed=1)
    save_trainer(tmp_path / "last", saved)
    assert load_trainer(tmp_path / "last", loaded) == []
    assert all(torch.equal(a, b) for a, b in zip(tensors_of(saved), tensors_of(loaded), strict=True))
    assert numbers_of(saved) == numbers_of(loaded)
    save_trainer(tmp_path / "again", loaded)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "last").read_bytes()


def test_a_run_that_was_never_evaluated_has_no_best(tmp_path):
    """An infinite best loss, which JSON has no number for, comes back as it was."""
    save_trainer(tmp_path / "last", new_trainer())
    loaded = scrambled(new_trainer())
    load_trainer(tmp_path / "last", loaded)
    assert loaded.best_nats == float("inf")


@pytest.mark.parametrize(
    "other", [{"cell": "lstm"}, {"cell": "rnn"}, {"layers": 2}, {"batch_size": 3}, {"batch_size": 1}], ids=str
)
def test_the_state_of_another_shape_is_refused(tmp_path, other):
    """A file of another cell, depth or number of streams is refused, with the trainer as it was."""
    save_trainer(tmp_path / "last", new_trainer(**other))
    assert_refused(tmp_path / "last")


def test_wherever_a_generator_stands_it_is_resumed(tmp_path):
    """However many numbers were drawn, a state that torch made is taken over."""
    trainer, loaded = new_trainer(), new_trainer()
    for drawn in (0, 1, 1, 621, 1, 1, 1, 622, 7):
        torch.rand(drawn, generator=trainer.generator)
        save_trainer(tmp_path / "last", trainer)
        assert load_trainer(tmp_path / "last", loaded) == []
        assert torch.equal(loaded.generator.get_state(), trainer.generator.get_state())


def assert_refused(path: Path) -> None:
    trainer = scrambled(new_trainer())
    tensors, numbers = [tensor.clone() for tensor in tensors_of(trainer)], numbers_of(trainer)
    with pytest.raises(CheckpointError):
        load_trainer(path, trainer)
    assert all(torch.equal(a, b) for a, b in zip(tensors, tensors_of(trainer), strict=True))
    assert numbers == numbers_of(trainer)


def test_damage_is_refused_with_the_trainer_as_it_was(tmp_path):
    """One flipped bit anywhere, or a file cut short: nothing of it is taken over."""
    path = tmp_path / "last"
    save_trainer(path, new_trainer())
    contents = path.read_bytes()
    for position in range(0, len(contents), 997):
        path.write_bytes(contents[:position] + bytes([contents[position] ^ 4]) + contents[position + 1 :])
        assert_refused(path)
        path.write_bytes(contents[:position])
        assert_refused(path)


@pytest.mark.parametrize(
    ("tensors", "position"),
    [
        ({"generator": torch.zeros(5056, dtype=torch.float32)}, {}),
        ({"generator": torch.full((5056,), 255, dtype=torch.uint8)}, {}),
        ({"generator": None}, {}),
        ({"generator": torch.zeros(71, 71, dtype=torch.uint8)}, {}),
        ({"generator": standing_at(left=624, following=624)}, {}),
        ({"generator": standing_at(left=0, following=625)}, {}),
        ({"generator": standing_at(left=1, following=2**62)}, {}),
        ({"zzz": torch.zeros(1)}, {}),
        ({"optimiser.step.head.bias": torch.zeros(1)}, {}),
        ({"state.0.0": None}, {}),
        ({}, {"step": "9"}),
        ({}, {"step": None}),
        ({}, {"seconds": int("9" * 400)}),
        ({}, {"more": 1}),
        ({"model.head.bias": torch.full((13,), torch.inf)}, {}),
        ({"optimiser.exp_avg.head.bias": torch.full((13,), torch.nan)}, {}),
        ({"state.0.0": torch.full((4, 7), torch.nan)}, {}),
        ({}, {"step": 10}),
        ({}, {"step": -1, "epoch": -1, "window": 2}),
        ({}, {"step": 9, "epoch": 1, "window": 6}),
        ({}, {"step": 3 * 10**400, "epoch": 10**400, "window": 0}),
        ({}, {"seconds": -1.0}),
        ({}, {"evaluated_step": 1}),
        ({}, {"evaluated_step": -1}),
        ({}, {"scale": 0.0}),
        ({}, {"scale_growth": -1}),
    ],
)
def test_a_forged_file_is_refused_with_the_trainer_as_it_was(tmp_path, tensors, position):
    """With a right hash, but a tensor or a number that cannot be: a CheckpointError, and nothing is taken over."""
    path = tmp_path / "last"
    save_trainer(path, new_trainer())
    with TensorFile(path, "training") as file:
        head = file.head
    kept = {k: v for k, v in (safetensors.torch.load(path.read_bytes()) | tensors).items() if v is not None}
    path.write_bytes(to_bytes(kept, head | {"position": head["position"] | position}))
    assert_refused(path)


KINDS = {"a processor": torch.Generator, "a GPU": Philox}


def with_generator(trainer: Trainer, kind: str) -> Trainer:
    trainer.generator = KINDS[kind]().manual_seed(11)
    return trainer


def with_state(path: Path, state: torch.Tensor) -> None:
    """Put another generator's state into a file, with a hash that fits."""
    with TensorFile(path, "training") as file:
        head = file.head
    path.write_bytes(to_bytes(safetensors.torch.load(path.read_bytes()) | {"generator": state}, head))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 8, 15, 16, 17, 24, 32, 48, 816, 5048, 5055, 5056, 5057, 100_000])
def test_the_random_state_of_another_kind_of_device_is_left_out(tmp_path, kind, size):
    """A state of any other size than the generator's own is not taken over, whatever is in it, and everything else is."""
    path = tmp_path / "last"
    saved, loaded = scrambled(with_generator(new_trainer(), kind)), with_generator(new_trainer(), kind)
    if size == len(loaded.generator.get_state()):
        size -= 1
    save_trainer(path, saved)
    with_state(path, torch.randint(256, (size,), generator=torch.Generator().manual_seed(size), dtype=torch.uint8))
    before = loaded.generator.get_state()
    assert load_trainer(path, loaded) == ["the random state is another kind of device's, and dropout starts anew"]
    assert torch.equal(loaded.generator.get_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(tensors_of(saved)[:-1], tensors_of(loaded)[:-1], strict=True))


@pytest.mark.parametrize(("was", "becomes"), [("a processor", "a GPU"), ("a GPU", "a processor"), ("a GPU", "a GPU")])
def test_a_run_goes_on_on_another_kind_of_device(tmp_path, was, becomes):
    """With its own random state where the kind is the same, and one line where it is not."""
    saved, loaded = scrambled(with_generator(new_trainer(), was)), with_generator(new_trainer(), becomes)
    save_trainer(tmp_path / "last", saved)
    assert len(load_trainer(tmp_path / "last", loaded)) == (was != becomes)
    assert torch.equal(saved.generator.get_state(), loaded.generator.get_state()) == (was == becomes)


@pytest.mark.parametrize("offset", [0, 4, 1 << 40, (1 << 62) + 4])
def test_wherever_a_gpus_generator_stands_it_is_resumed(tmp_path, offset):
    """Its 16 bytes are judged as what they are, and not as a processor's."""
    trainer, loaded = with_generator(new_trainer(), "a GPU"), with_generator(new_trainer(), "a GPU")
    trainer.generator.offset = offset
    save_trainer(tmp_path / "last", trainer)
    assert load_trainer(tmp_path / "last", loaded) == []
    assert (loaded.generator.seed, loaded.generator.offset) == (11, offset)


@pytest.mark.parametrize("offset", [1, 2, 6, -3])
def test_a_gpus_generator_that_stands_nowhere_is_refused(tmp_path, offset):
    """What the device itself would refuse is found out before anything is taken over."""
    path, trainer = tmp_path / "last", with_generator(scrambled(new_trainer()), "a GPU")
    save_trainer(path, with_generator(new_trainer(), "a GPU"))
    with_state(path, torch.frombuffer(bytearray(struct.pack("<Qq", 1, offset)), dtype=torch.uint8))
    before = [tensor.clone() for tensor in tensors_of(trainer)]
    with pytest.raises(CheckpointError, match="no state that a random generator"):
        load_trainer(path, trainer)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors_of(trainer), strict=True))
