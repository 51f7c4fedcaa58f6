"""How a run is trained and where it stands: all that the next step depends on. Knows no clock, and takes no step."""

import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from charlm.config import End, TrainConfig
from charlm.model.devices import needs_loss_scaling
from charlm.model.stack import ModelState
from charlm.training.optimiser import Optimiser, make_optimiser
from charlm.training.task import Task

M = TypeVar("M", bound=nn.Module)


@dataclass(slots=True)
class Trainer(Generic[M]):
    """How a run is trained (the first four fields), and where it stands: the rest, which is all that a continuation needs.

    `end` is in steps or seconds. `epoch` and `batch` name the next batch to be read; `state` is carried into it; `generator`
    drives dropout.
    """

    task: Task[M, Any]
    config: TrainConfig
    end: End
    precision: str

    model: M
    optimiser: Optimiser
    scaler: torch.amp.GradScaler
    generator: torch.Generator
    state: ModelState
    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    evaluated_step: int = 0
    best_nats: float = math.inf
    stale: int = 0  # evaluations since the best one, where `config.patience` counts them

    @classmethod
    def fresh(cls, model: M, task: Task[M, Any], config: TrainConfig, end: End, precision: str) -> "Trainer[M]":
        """Where a run stands before its first step."""
        device = device_of(model)
        return cls(
            task=task,
            config=config,
            end=end,
            precision=precision,
            model=model,
            optimiser=make_optimiser(model, config, precision),
            scaler=torch.amp.GradScaler(device.type, enabled=needs_loss_scaling(precision, device)),
            generator=torch.Generator(device).manual_seed(config.seed),
            state=task.initial_state(model),
        )

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return device_of(self.model)

    @property
    def progress(self) -> float:
        """The share of the run that is done, from 0 to 1."""
        return min(1.0, self.end.so_far(self.step, self.seconds) / self.end.amount)

    @property
    def is_over(self) -> bool:
        """Whether no step is left to be taken."""
        return self.progress >= 1 or self.is_out_of_patience

    @property
    def is_out_of_patience(self) -> bool:
        """Whether too many evaluations in a row found nothing better."""
        return 0 < self.config.patience <= self.stale

    def is_past(self, end: End) -> bool:
        """Whether the run has gone beyond `end`; False exactly at it."""
        return end.so_far(self.step, self.seconds) > end.amount

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor that the next step depends on, by name: parameters, the optimiser's moments and counts, carried state.

        They are the trainer's own tensors, except for a copy of the dropout generator's state.
        """
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.model.named_parameters():
            tensors[f"model.{name}"] = parameter
            for key, value in self.optimiser.state[parameter].items():
                tensors[f"optimiser.{key}.{name}"] = value
        for layer, cell_state in enumerate(self.state):
            for part, value in enumerate(cell_state):
                tensors[f"state.{layer}.{part}"] = value
        tensors["generator"] = self.generator.get_state()
        return tensors

    def now(self) -> dict[str, Any]:
        """The fields of an event that happens now."""
        return {"step": self.step, "seconds": self.seconds, "progress": self.progress}


def device_of(model: nn.Module) -> torch.device:
    """The device of the parameters."""
    return next(model.parameters()).device
