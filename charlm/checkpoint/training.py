"""Everything an exact continuation needs <-> `last.safetensors`."""

import math
import struct
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from charlm.checkpoint.fields import from_json, to_json
from charlm.checkpoint.format import read_tensors, to_bytes
from charlm.config import End, ModelConfig, TrainConfig, later
from charlm.errors import CheckpointError, brief
from charlm.model.network import Network
from charlm.tensorfile import TensorFile
from charlm.text.parts import Splits
from charlm.training.trainer import Trainer

MOST_EPOCHS = 1 << 53
WEIGHTS = "model."  # what the names of the weights begin with


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The numbers an exact continuation needs besides the tensors."""

    step: int
    epoch: int
    window: int
    seconds: float
    evaluated_step: int
    best_nats: float | None
    scale: float | None
    scale_growth: int
    stale: int = later(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """All that decides the next step besides the trainer itself; hashes stand for the vocabulary, the labels and the ids."""

    model: ModelConfig
    training: TrainConfig
    end: End
    splits: Splits
    ids_sha256: str
    vocab_sha256: str
    labels_sha256: str = later("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the file holds besides its tensors."""

    kind: str
    position: Position
    run: About | None


def trainer_bytes(trainer: Trainer[Any], about: About | None = None) -> bytes:
    """Make the bytes of the file that continues `trainer` exactly; `about` is what it was trained with."""
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
        stale=trainer.stale,
    )
    return to_bytes(trainer.tensors(), to_json(Head(kind="training", position=position, run=about)))


def read_weights(path: Path, shapes: Network) -> dict[str, torch.Tensor]:
    """The weights that the state at `path` has, of a model of these `shapes`. Raises `CheckpointError` for a damaged file."""
    with TensorFile(path, "training") as file:
        expected = {WEIGHTS + name: parameter for name, parameter in shapes.named_parameters()}
        rest = frozenset(name for name in file.shapes if not name.startswith(WEIGHTS))
        tensors = read_tensors(file, expected, also=rest)
    return {name: tensors[WEIGHTS + name] for name, _ in shapes.named_parameters()}


def step_of(path: Path, file: TensorFile) -> int:
    """The step of an opened state. Raises `CheckpointError` for a damaged one."""
    return from_json(Head, file.head, f"{path}: head").position.step


def load_trainer(path: Path, trainer: Trainer[Any], about: About | None = None) -> list[str]:
    """Fill a fresh `trainer` from `path`; returns the reasons, in words, why training will not continue exactly.

    `about` is what it is trained with from here on. Raises `CheckpointError`, with `trainer` untouched, for a file that is
    damaged, has other shapes than this run, or states a position this run cannot reach.
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
    if head.run is not None and head.run.end != trainer.end:
        trainer.stale = 0  # an end that was moved since asks for more
    return reasons


def _stand_at(position: Position, trainer: Trainer[Any]) -> None:
    if trainer.scaler.is_enabled() and position.scale is not None:
        state = trainer.scaler.state_dict()
        trainer.scaler.load_state_dict(state | {"scale": position.scale, "_growth_tracker": position.scale_growth})
    trainer.step, trainer.epoch, trainer.batch = position.step, position.epoch, position.window
    trainer.seconds, trainer.evaluated_step = position.seconds, position.evaluated_step
    trainer.best_nats = math.inf if position.best_nats is None else position.best_nats
    trainer.stale = position.stale


def _impossible(position: Position, batches_per_epoch: int) -> str:
    """Name the first field whose value is impossible; empty when all are possible."""
    holds = {
        "window": 0 <= position.window <= batches_per_epoch,
        "epoch": 0 <= position.epoch <= MOST_EPOCHS,
        "step": position.step == position.epoch * batches_per_epoch + position.window,
        "seconds": position.seconds >= 0,
        "evaluated_step": 0 <= position.evaluated_step <= position.step,
        "scale": position.scale is None or position.scale > 0,
        "scale_growth": position.scale_growth >= 0,
        "stale": 0 <= position.stale <= position.step,
    }
    return next((name for name, is_so in holds.items() if not is_so), "")


def _differences(was: object, now: object, name: str = "what it was trained with") -> list[str]:
    """List the fields that differ, each as `name old -> new`."""
    if was == now:
        return []
    if not is_dataclass(was) or type(was) is not type(now) or isinstance(was, End):  # an End prints itself in words
        return [f"{name} {was} -> {now}"]
    names = sorted(field.name for field in fields(was))
    return [each for name in names for each in _differences(getattr(was, name), getattr(now, name), name)]


def _could_be_a_state(state: Tensor) -> bool:
    return state.ndim == 1 and state.dtype == torch.uint8


def _could_be_resumed(state: Tensor, generator: torch.Generator) -> bool:
    """Whether `generator` could go on from `state`, which has the size of its own states; a copy of it tries."""
    try:
        generator.clone_state().set_state(state)
    except (RuntimeError, TypeError):
        return False
    return generator.device.type != "cpu" or _is_sound(state)


def _is_sound(state: Tensor) -> bool:
    """Whether a CPU generator's state would make it draw from within its 624 numbers; torch itself does not check that.

    Torch's layout: the seed, how many numbers are left, whether it was seeded, which number is next. A state passes unchecked
    where torch's own new generators do not have this layout.
    """

    def stands(raw: bytes) -> bool:
        _, left, _, following = struct.unpack_from("=QiiQ", raw)
        return (left, following) == (1, 0) or (left + following == 625 and 1 <= left <= 624)

    return stands(state.numpy().tobytes()) or not stands(torch.Generator().get_state().numpy().tobytes())
