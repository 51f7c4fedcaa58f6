"""Everything that an exact continuation needs <-> `last.safetensors`."""

import math
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from charlm.checkpoint.fields import from_json
from charlm.checkpoint.format import TensorFile, to_bytes
from charlm.errors import CheckpointError, brief
from charlm.files import write_atomically
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


def trainer_bytes(trainer: Trainer, run: dict[str, Any] | None = None) -> bytes:
    """The file that holds all that an exact continuation of `trainer` needs; `run` is the JSON of what it was trained with."""
    scaler: dict[str, Any] = trainer.scaler.state_dict()
    position = Position(
        step=trainer.step,
        epoch=trainer.epoch,
        window=trainer.window,
        seconds=trainer.seconds,
        evaluated_step=trainer.evaluated_step,
        best_nats=trainer.best_nats if math.isfinite(trainer.best_nats) else None,
        scale=scaler.get("scale"),
        scale_growth=scaler.get("_growth_tracker", 0),
    )
    return to_bytes(trainer.tensors(), {"kind": "training", "position": asdict(position), "run": run})


def save_trainer(path: Path, trainer: Trainer, run: dict[str, Any] | None = None) -> None:
    """Write `trainer_bytes` to `path`, atomically. Raises `OSError` when the disk does not take it."""
    write_atomically(path, trainer_bytes(trainer, run))


def load_trainer(path: Path, trainer: Trainer, windows_per_epoch: int, run: dict[str, Any] | None = None) -> list[str]:
    """Fill a fresh `trainer` from `path`; gives, in words for people, why it will not go on exactly as it would have.

    `run` is what it is to be trained with from here on. Raises `CheckpointError`, with `trainer` untouched, for a file that is
    not whole, or is not of this run's shape, or says that it stands where no run can.
    """
    with TensorFile(path, "training") as file:
        changed = brief(", ".join(_differences(file.head.get("run"), run)))
        notices = [f"not bit-exact from here on: run.json was changed: {changed}"] if changed else []
        position = from_json(Position, file.head.get("position"), f"{path}: position")
        if wrong := _impossible(position, windows_per_epoch):
            why = f"; run.json was changed: {changed}" if changed else ""
            raise CheckpointError(f"{path}: position.{wrong} is {getattr(position, wrong)}, where this run cannot be{why}")
        expected = trainer.tensors()
        random_state = expected.pop("generator")
        same_generator = file.shapes.get("generator") == tuple(random_state.shape)
        if "generator" in file.shapes and (len(file.shapes["generator"]), file.dtypes["generator"]) != (1, torch.uint8):
            raise CheckpointError(f"{path}: generator is no state that a random generator could have")
        tensors = file.tensors(expected, also=frozenset({"generator"}))
    if same_generator:
        try:
            torch.Generator(trainer.generator.device).set_state(tensors["generator"].clone())
            if not _is_sound(tensors["generator"]):
                raise RuntimeError
        except (RuntimeError, TypeError) as error:
            raise CheckpointError(f"{path}: generator is no state that a random generator could have") from error
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(tensors[name])
    if same_generator:
        trainer.generator.set_state(tensors["generator"].clone())
    else:
        notices.append("not bit-exact from here on: dropout goes on from the random state of another device")
    if trainer.scaler.is_enabled() and position.scale is not None:
        state = trainer.scaler.state_dict()
        trainer.scaler.load_state_dict(state | {"scale": position.scale, "_growth_tracker": position.scale_growth})
    trainer.step, trainer.epoch, trainer.window = position.step, position.epoch, position.window
    trainer.seconds, trainer.evaluated_step = position.seconds, position.evaluated_step
    trainer.best_nats = math.inf if position.best_nats is None else position.best_nats
    return notices


def _impossible(position: Position, windows_per_epoch: int) -> str:
    """The first field that cannot be so, by name; empty when all can."""
    holds = {
        "window": 0 <= position.window <= windows_per_epoch,
        "epoch": 0 <= position.epoch <= MOST_EPOCHS,
        "step": position.step == position.epoch * windows_per_epoch + position.window,
        "seconds": position.seconds >= 0,
        "evaluated_step": 0 <= position.evaluated_step <= position.step,
        "scale": position.scale is None or position.scale > 0,
        "scale_growth": position.scale_growth >= 0,
    }
    return next((name for name, is_so in holds.items() if not is_so), "")


def _differences(was: object, now: object, name: str = "") -> list[str]:
    """What of `now` is not as it was, each as `name old -> new`."""
    if not (isinstance(was, dict) and isinstance(now, dict)):
        return [] if was == now else [f"{name} {was} -> {now}"]
    return [each for key in sorted(was.keys() | now.keys()) for each in _differences(was.get(key), now.get(key), key)]


def _is_sound(state: Tensor) -> bool:
    """Whether a processor's generator would draw from within its own 624 numbers: torch takes its word for where it stands.

    As torch lays a state out: the seed, how many numbers are left, whether it was seeded, which is next. A layout that torch's
    own new generators do not have is not judged.
    """

    def stands(raw: bytes) -> bool:
        _, left, _, following = struct.unpack_from("=QiiQ", raw)
        return (left, following) == (1, 0) or (left + following == 625 and 1 <= left <= 624)

    return stands(state.numpy().tobytes()) or not stands(torch.Generator().get_state().numpy().tobytes())
