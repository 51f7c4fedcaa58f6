"""The training step captured once as a CUDA graph, because a GPU waits for hundreds of launches: the same step, faster.

A wrong captured step would go on training unnoticed. So before a captured step is used, it and the plain step are taken from
the same state, and what each has moved is compared. Knows nothing of a run's end or of how a graph is captured.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from charlm.model.capture import CAPTURE_AFTER, Captured
from charlm.model.stack import flat, unflat
from charlm.training.loop import Step, training_step
from charlm.training.optimiser import follow_schedule
from charlm.training.task import Batch
from charlm.training.trainer import Trainer

TOLERANCE = 0.2  # of the distance moved: kernels add up in another order at each call, and Muon makes the difference larger

MOST_WARM_UP = 24  # steps; each may halve the loss scale, which begins at 2^16

Play = Callable[..., Sequence[Tensor]]


class CapturedStep:
    """`training_step`, captured before the first step. Where that fails, it gives a notice and all steps are plain.

    All steps of a run are played, also the first ones after it is resumed: a plain step may add up in another order than a
    played one, and a resumed run would then end with other bits than one that was never stopped.
    """

    def __init__(self, notice: Callable[[str], None], capture: Callable[..., Play] = Captured) -> None:
        self.notice, self.capture = notice, capture
        self.is_tried = False
        self.captured: Play | None = None

    def __call__(self, trainer: Trainer[Any], batch: Batch) -> tuple[Tensor, Tensor]:
        """One step, as `training_step`. Batches must all have one shape, and so must states."""
        if not self.is_tried:
            self.is_tried, self.captured = True, self._checked(trainer, batch)
        return training_step(trainer, batch) if self.captured is None else play(self.captured, trainer, batch)

    def _checked(self, trainer: Trainer[Any], batch: Batch) -> Play | None:
        """A captured step that moves everything as plain steps do, or None. Leaves the trainer as it was."""
        origin = Standing(trainer)
        try:
            warm_up(trainer, batch)
            before = Standing(trainer)
            two_unlike_steps(training_step, trainer, batch)
            plain = Standing(trainer)
            before.restore(trainer)
            captured = self.capture(*as_function(trainer, batch), generators=[trainer.generator])
            before.restore(trainer)  # once more: capturing sets a state that nothing was written to
            two_unlike_steps(partial(play, captured), trainer, batch)
            why = Standing(trainer).unlike(plain, before)
        except RuntimeError as error:
            cause = error.__context__ or error  # ending the capture fails too, with a vaguer message
            why = f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"
            device = trainer.device  # the scaler may be amid a step, and the generator may belong to the capture
            trainer.scaler = type(trainer.scaler)(device.type, enabled=trainer.scaler.is_enabled())
            trainer.generator = torch.Generator(device)
        origin.restore(trainer)
        follow_schedule(trainer.optimiser, trainer.progress)
        if why:
            self.notice(f"steps are not captured as a CUDA graph, and launched one by one: {why}")
        return None if why else captured


def as_function(trainer: Trainer[Any], batch: Batch) -> tuple[Play, tuple[Tensor, ...]]:
    """A step as a function of tensors, and its arguments now: a batch's, then a state's -> loss, gradient norm, new state."""
    arguments, layers, kind = tuple(batch), len(trainer.state), type(batch)

    def step(*tensors: Tensor) -> tuple[Tensor, ...]:
        trainer.state = unflat(tensors[len(arguments) :], layers)
        loss, grad_norm = training_step(trainer, kind(*tensors[: len(arguments)]))
        return loss, grad_norm, *flat(trainer.state)

    return step, (*arguments, *flat(trainer.state))


def warm_up(trainer: Trainer[Any], batch: Batch) -> None:
    """Plain steps, in which libraries choose their kernels, until loss scaling no longer skips any."""
    for steps in range(1, MOST_WARM_UP + 1):
        scale = trainer.scaler.get_scale()
        training_step(trainer, batch)
        if steps >= CAPTURE_AFTER and trainer.scaler.get_scale() >= scale:
            break


def two_unlike_steps(step: Step, trainer: Trainer[Any], batch: Batch) -> None:
    """Two steps with different rates, batches and states: if a captured step has one of these frozen, the result shows it.

    The second batch has its first place's value at every place: no average over many streams makes that like any text.
    """
    follow_schedule(trainer.optimiser, 0.3)
    step(trainer, batch)
    follow_schedule(trainer.optimiser, 0.9)
    trainer.state = unflat([torch.ones_like(part) for part in flat(trainer.state)], len(trainer.state))
    step(trainer, type(batch)(*(tensor.flatten()[:1].expand_as(tensor) for tensor in batch)))


def play(captured: Play, trainer: Trainer[Any], batch: Batch) -> tuple[Tensor, Tensor]:
    """Take a captured step."""
    loss, grad_norm, *parts = captured(*batch, *flat(trainer.state))
    trainer.state = unflat(parts, len(trainer.state))
    return loss, grad_norm


class Standing:
    """Where a trainer stands: copies of all that the next step depends on."""

    def __init__(self, trainer: Trainer[Any]) -> None:
        self.tensors = {name: tensor.detach().clone() for name, tensor in trainer.tensors().items()}
        self.scaler: dict[str, Any] = trainer.scaler.state_dict()

    @torch.no_grad()
    def restore(self, trainer: Trainer[Any]) -> None:
        """Put `trainer` back here, by writing each value into the trainer's own tensor."""
        trainer.state = tuple(tuple(part.clone() for part in cell_state) for cell_state in trainer.state)
        for name, tensor in trainer.tensors().items():
            tensor.copy_(self.tensors[name])
        trainer.generator.set_state(self.tensors["generator"])
        trainer.scaler.load_state_dict(self.scaler)

    def unlike(self, other: "Standing", before: "Standing") -> str:
        """What differs from `other` by more than a share of the way that `other` moved from `before`, in words; else empty."""
        if self.scaler != other.scaler:
            return "the loss is scaled differently"
        if all(torch.equal(self.tensors[name], before.tensors[name]) for name in before.tensors if name.startswith("model.")):
            return "no step that was tried moved anything"
        for name, tensor in self.tensors.items():
            theirs, start = other.tensors[name].double(), before.tensors[name].double()
            if not (tensor.double() - theirs).norm() <= TOLERANCE * (theirs - start).norm():
                return f"{name} comes out differently"
        return ""
