"""Everything that an exact continuation needs <-> `last.safetensors`."""

import math
import struct
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from charlm.checkpoint.fields import from_json
from charlm.checkpoint.format import read_tensors, to_bytes
from charlm.config import End, ModelConfig, TrainConfig
from charlm.errors import CheckpointError, brief
from charlm.files import write_atomically
from charlm.tensorfile import TensorFile
from charlm.text.corpus import Splits
from charlm.training.loop import Trainer

MOST_EPOCHS = 1 << 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The numbers, beside the tensors, that an exact continuation needs."""

    step: int
    epoch: int
    window: int
    seconds: float
    evaluated_step: int
    best_nats: float | None
    scale: float | None
    scale_growth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """All that decides what the next step does, beside the trainer itself; the vocabulary and the ids by their hashes."""

    model: ModelConfig
    training: TrainConfig
    end: End
    splits: Splits
    ids_sha256: str
    vocab_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the file says beside its tensors."""

    kind: str
    position: Position
    run: About | None


def trainer_bytes(trainer: Trainer[Any], about: About | None = None) -> bytes:
    """The file that holds all that an exact continuation of `trainer` needs; `about` is what it was trained with."""
    scaler: dict[str, Any] = trainer.scaler.state_dict()
    position = Position(
        step=trainer.step,
        epoch=trainer.epoch,
        window=trainer.batch,
        seconds=trainer.seconds,
        evaluated_step=trainer.evaluated_step,
        best_nats=trainer.best_nats if math.isfinite(trainer.best_nats) else None,
        scale=scaler.get("scale"),
        scale_growth=scaler.get("_growth_tracker", 0),
    )
    return to_bytes(trainer.tensors(), asdict(Head(kind="training", position=position, run=about)))


def save_trainer(path: Path, trainer: Trainer[Any], about: About | None = None) -> None:
    """Write `trainer_bytes` to `path`, atomically. Raises `OSError` when the disk does not take it."""
    write_atomically(path, trainer_bytes(trainer, about))


def load_trainer(path: Path, trainer: Trainer[Any], about: About | None = None) -> list[str]:
    """Fill a fresh `trainer` from `path`; gives, in words for people, why it will not go on exactly as it would have.

    `about` is what it is to be trained with from here on. Raises `CheckpointError`, with `trainer` untouched, for a file that
    is not whole, or is not of this run's shape, or says that it stands where no run can.
    """
    with TensorFile(path, "training") as file:
        head = from_json(Head, file.head, f"{path}: head")
        position, differences = head.position, _differences(head.run, about)
        reasons = [f"run.json was changed: {brief(', '.join(differences))}"] if differences else []
        if wrong := _impossible(position, trainer.task.batches_per_epoch):
            what = f"{path}: position.{wrong} is {getattr(position, wrong)}, where this run cannot be"
            raise CheckpointError("; ".join((what, *reasons)))
        expected = trainer.tensors()
        is_of_this_kind = file.shapes.get("generator") == tuple(expected.pop("generator").shape)
        tensors = read_tensors(file, expected, also=frozenset({"generator"}))
    random_state = tensors.pop("generator")
    if not _could_be_a_state(random_state) or (is_of_this_kind and not _could_be_resumed(random_state, trainer.generator)):
        raise CheckpointError(f"{path}: generator is no state that a random generator could have")
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(tensors[name])
    if is_of_this_kind:
        trainer.generator.set_state(random_state)
    else:
        reasons.append("the random state is another kind of device's, and dropout starts anew")
    _stand_at(position, trainer)
    return reasons


def _stand_at(position: Position, trainer: Trainer[Any]) -> None:
    if trainer.scaler.is_enabled() and position.scale is not None:
        state = trainer.scaler.state_dict()
        trainer.scaler.load_state_dict(state | {"scale": position.scale, "_growth_tracker": position.scale_growth})
    trainer.step, trainer.epoch, trainer.batch = position.step, position.epoch, position.window
    trainer.seconds, trainer.evaluated_step = position.seconds, position.evaluated_step
    trainer.best_nats = math.inf if position.best_nats is None else position.best_nats


def _impossible(position: Position, batches_per_epoch: int) -> str:
    """The first field that cannot be so, by name; empty when all can."""
    holds = {
        "window": 0 <= position.window <= batches_per_epoch,
        "epoch": 0 <= position.epoch <= MOST_EPOCHS,
        "step": position.step == position.epoch * batches_per_epoch + position.window,
        "seconds": position.seconds >= 0,
        "evaluated_step": 0 <= position.evaluated_step <= position.step,
        "scale": position.scale is None or position.scale > 0,
        "scale_growth": position.scale_growth >= 0,
    }
    return next((name for name, is_so in holds.items() if not is_so), "")


def _differences(was: object, now: object, name: str = "what it was trained with") -> list[str]:
    """What of `now` is not as it was, each as `name old -> new`."""
    if was == now:
        return []
    if not is_dataclass(was) or type(was) is not type(now) or isinstance(was, End):  # which says by itself what it is
        return [f"{name} {was} -> {now}"]
    names = sorted(field.name for field in fields(was))
    return [each for name in names for each in _differences(getattr(was, name), getattr(now, name), name)]


def _could_be_a_state(state: Tensor) -> bool:
    return state.ndim == 1 and state.dtype == torch.uint8


def _could_be_resumed(state: Tensor, generator: torch.Generator) -> bool:
    """Whether `generator`, whose own states are of that size, could go on from `state`; found out with a copy of it."""
    try:
        generator.clone_state().set_state(state)
    except (RuntimeError, TypeError):
        return False
    return generator.device.type != "cpu" or _is_sound(state)


def _is_sound(state: Tensor) -> bool:
    """Whether a processor's generator would draw from within its own 624 numbers: torch takes its word for where it stands.

    As torch lays a state out: the seed, how many numbers are left, whether it was seeded, which is next. A layout that torch's
    own new generators do not have is not judged.
    """

    def stands(raw: bytes) -> bool:
        _, left, _, following = struct.unpack_from("=QiiQ", raw)
        return (left, following) == (1, 0) or (left + following == 625 and 1 <= left <= 624)

    return stands(state.numpy().tobytes()) or not stands(torch.Generator().get_state().numpy().tobytes())
