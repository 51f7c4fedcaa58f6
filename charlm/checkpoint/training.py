"""Everything that an exact continuation needs <-> `last.safetensors`."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from charlm.checkpoint.fields import from_json
from charlm.checkpoint.format import TensorFile, to_bytes
from charlm.errors import CheckpointError
from charlm.files import write_atomically
from charlm.training.loop import Trainer


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


def save_trainer(path: Path, trainer: Trainer) -> None:
    """Write all that an exact continuation of `trainer` needs to `path`, atomically. Raises `OSError`."""
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
    write_atomically(path, to_bytes(trainer.tensors(), {"kind": "training", "position": asdict(position)}))


def load_trainer(path: Path, trainer: Trainer) -> bool:
    """Fill a fresh `trainer` from `path`; whether its random state could be taken over too (not from another device).

    Raises `CheckpointError`, with `trainer` untouched, for a file that is not whole or not of this run's shape.
    """
    file = TensorFile(path, "training")
    position = from_json(Position, file.head.get("position"), f"{path}: position")
    expected = trainer.tensors()
    random_state = expected.pop("generator")
    same_generator = file.shape("generator") == tuple(random_state.shape)
    tensors = file.tensors(expected, also={"generator"})
    if same_generator:
        try:
            torch.Generator(trainer.generator.device).set_state(tensors["generator"].clone())
        except (RuntimeError, TypeError) as error:
            raise CheckpointError(f"{path}: generator is no state that a random generator could have") from error
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(tensors[name])
    if same_generator:
        trainer.generator.set_state(tensors["generator"].clone())
    if trainer.scaler.is_enabled() and position.scale is not None:
        state = trainer.scaler.state_dict()
        trainer.scaler.load_state_dict(state | {"scale": position.scale, "_growth_tracker": position.scale_growth})
    trainer.step, trainer.epoch, trainer.window = position.step, position.epoch, position.window
    trainer.seconds, trainer.evaluated_step = position.seconds, position.evaluated_step
    trainer.best_nats = math.inf if position.best_nats is None else position.best_nats
    return same_generator
