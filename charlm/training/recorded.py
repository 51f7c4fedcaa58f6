"""The training step recorded once as a CUDA graph, where a GPU would wait for hundreds of launches: the same step, sooner.

A recording that is wrong would train on without a word, so before one is relied on it is played next to the plain step, and
what each moved is compared. Knows nothing of a run's end, nor of how anything is recorded.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from charlm.model.devices import RECORD_AFTER, Recording
from charlm.model.language_model import flat, unflat
from charlm.text.streams import Window
from charlm.training.loop import Step, Trainer, training_step
from charlm.training.optimiser import follow_schedule

TOLERANCE = 0.2  # of the distance moved: kernels add up in another order from one call to the next, and Muon makes much of it

MOST_WARM_UP = 24  # steps, each of which may halve a loss scale that begins at 2^16

Play = Callable[..., Sequence[Tensor]]


class RecordedStep:
    """`training_step`, recorded ahead of the first step; plain for good, with a notice, where that goes wrong.

    All steps of a run are then played, also the first ones after it was resumed: a plain step may add up in another order than
    a played one, and a run that goes on would end with other bits than one that was never stopped.
    """

    def __init__(self, notice: Callable[[str], None], record: Callable[..., Play] = Recording) -> None:
        self.notice, self.record = notice, record
        self.is_tried = False
        self.recording: Play | None = None

    def __call__(self, trainer: Trainer, window: Window) -> tuple[Tensor, Tensor]:
        """One step, as `training_step`; windows and streams are of one shape throughout."""
        if not self.is_tried:
            self.is_tried, self.recording = True, self._checked_recording(trainer, window)
        return training_step(trainer, window) if self.recording is None else play(self.recording, trainer, window)

    def _checked_recording(self, trainer: Trainer, window: Window) -> Play | None:
        """A recording that moves everything as plain steps do, or None; the trainer stands where it stood."""
        origin = Standing(trainer)
        try:
            warm_up(trainer, window)
            before = Standing(trainer)
            two_unlike_steps(training_step, trainer, window)
            plain = Standing(trainer)
            before.restore(trainer)
            recording = self.record(*as_function(trainer, window), generators=[trainer.generator])
            before.restore(trainer)  # once more: being recorded, a step gives a state that nothing has been written to
            two_unlike_steps(partial(play, recording), trainer, window)
            why = Standing(trainer).unlike(plain, before)
        except RuntimeError as error:
            cause = error.__context__ or error  # the end of a recording fails too, and says less
            why = f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"
            device = trainer.model.device  # what was amid a step, or belongs to a recording, is made anew
            trainer.scaler = type(trainer.scaler)(device.type, enabled=trainer.scaler.is_enabled())
            trainer.generator = torch.Generator(device)
        origin.restore(trainer)
        follow_schedule(trainer.optimiser, trainer.progress)
        if why:
            self.notice(f"steps are not recorded as a CUDA graph, and launched one by one: {why}")
        return None if why else recording


def as_function(trainer: Trainer, window: Window) -> tuple[Play, tuple[Tensor, ...]]:
    """A step as a function of tensors: inputs, targets, state -> loss, gradient norm, new state; its arguments now."""

    def step(inputs: Tensor, targets: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        trainer.state = unflat(parts, len(trainer.state))
        loss, grad_norm = training_step(trainer, Window(inputs, targets))
        return loss, grad_norm, *flat(trainer.state)

    return step, (window.inputs, window.targets, *flat(trainer.state))


def warm_up(trainer: Trainer, window: Window) -> None:
    """Plain steps in which libraries choose their kernels, until under loss scaling none is skipped any more."""
    for steps in range(1, MOST_WARM_UP + 1):
        scale = trainer.scaler.get_scale()
        training_step(trainer, window)
        if steps >= RECORD_AFTER and trainer.scaler.get_scale() >= scale:
            break


def two_unlike_steps(step: Step, trainer: Trainer, window: Window) -> None:
    """Two steps that share no rate, no characters and no state, so that whatever of these is frozen in a recording shows."""
    follow_schedule(trainer.optimiser, 0.3)
    step(trainer, window)
    follow_schedule(trainer.optimiser, 0.9)
    trainer.state = unflat([torch.ones_like(part) for part in flat(trainer.state)], len(trainer.state))
    step(trainer, Window(window.targets, window.inputs))


def play(recording: Play, trainer: Trainer, window: Window) -> tuple[Tensor, Tensor]:
    """Take a recorded step."""
    loss, grad_norm, *parts = recording(window.inputs, window.targets, *flat(trainer.state))
    trainer.state = unflat(parts, len(trainer.state))
    return loss, grad_norm


class Standing:
    """Where a trainer stands: copies of all that the next step depends on."""

    def __init__(self, trainer: Trainer) -> None:
        self.tensors = {name: tensor.detach().clone() for name, tensor in trainer.tensors().items()}
        self.scaler: dict[str, Any] = trainer.scaler.state_dict()

    @torch.no_grad()
    def restore(self, trainer: Trainer) -> None:
        """Put `trainer` back here, each value into the tensor that holds it."""
        trainer.state = tuple(tuple(part.clone() for part in cell_state) for cell_state in trainer.state)
        for name, tensor in trainer.tensors().items():
            tensor.copy_(self.tensors[name])
        trainer.generator.set_state(self.tensors["generator"])
        trainer.scaler.load_state_dict(self.scaler)

    def unlike(self, other: "Standing", before: "Standing") -> str:
        """What came out otherwise than in `other`, as far as both went from `before`; empty where all is alike."""
        if self.scaler != other.scaler:
            return "the loss is scaled otherwise"
        if all(torch.equal(self.tensors[name], before.tensors[name]) for name in before.tensors if name.startswith("model.")):
            return "no step that was tried moved anything"
        for name, tensor in self.tensors.items():
            theirs, start = other.tensors[name].double(), before.tensors[name].double()
            if not (tensor.double() - theirs).norm() <= TOLERANCE * (theirs - start).norm():
                return f"{name} comes out otherwise"
        return ""
