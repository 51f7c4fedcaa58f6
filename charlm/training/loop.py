"""Truncated backpropagation through time, as a generator of events: the caller prints, samples and saves.

Knows nothing of what is learned, which the task decides, or of files, screens and clocks: the caller passes an `elapsed()`, and
time counts only while steps are taken.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from charlm.errors import DivergedError
from charlm.model.devices import autocast
from charlm.model.stack import MOST_WEIGHT, detach
from charlm.training.events import CheckpointDue, EvalDone, Event, SampleDue, StepsDone
from charlm.training.optimiser import clip_gradients, follow_schedule
from charlm.training.task import Batch
from charlm.training.trainer import M, Trainer

EVALUATIONS = 20  # in a run, at most, unless --eval-every says otherwise
PATIENCE = 16  # times what a look reads is trained on between two: as it has no backward pass, looks take 1/50 of the time
SAMPLES = 5  # in a run, unless --sample-every says otherwise
LEAST_SCALE = 2.0**-24  # of the loss: the scale begins at 2^16 and is halved at each step whose gradients overflow
SAVE_SECONDS = 30.0  # of training between two checkpoints, at most


def training_step(trainer: Trainer[M], batch: Batch) -> tuple[Tensor, Tensor]:
    """One step of truncated BPTT: the state goes in, gradients flow back to it and no further, the new state comes out.

    Gives the mean loss in nats and the gradient norm before clipping, as scalars on the device; nothing here waits for them.
    """
    optimiser, scaler = trainer.optimiser, trainer.scaler
    with autocast(trainer.precision, trainer.device):
        loss, state = trainer.task.loss(trainer.model, batch, trainer.state, trainer.generator)
    optimiser.zero_grad()
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    scaler.unscale_(optimiser)  # type: ignore[arg-type]  # our optimiser has all that it uses
    grad_norm = clip_gradients(trainer.model, trainer.config.clip_norm)
    scaler.step(optimiser)  # type: ignore[arg-type]
    scaler.update()
    trainer.state = detach(state)
    return loss.detach(), grad_norm.detach()


Step = Callable[[Trainer[Any], Batch], tuple[Tensor, Tensor]]  # training_step, or what does the same


def train(
    trainer: Trainer[M],
    *,
    elapsed: Callable[[], float],
    step: Step = training_step,
    should_stop: Callable[[], bool] = lambda: False,
    report_seconds: float = 1.0,
) -> Iterator[Event]:
    """Train to the end, or until `should_stop()` is true after a step; the last event is a `CheckpointDue`.

    Raises `DivergedError` when a loss or a gradient is no longer finite, before the damaged model is evaluated or saved.
    """
    task, sums, saved = trainer.task, Sums(since=trainer.seconds), trainer.seconds
    began, before = elapsed(), trainer.progress
    while not trainer.is_over:
        if trainer.batch == 0:
            trainer.state = task.initial_state(trainer.model)  # here, and at no other time
        for batch in task.batches(trainer.epoch, trainer.batch, trainer.device):
            follow_schedule(trainer.optimiser, trainer.progress)
            sums.add(*step(trainer, batch), batch.num_characters)
            trainer.step, trainer.batch = trainer.step + 1, trainer.batch + 1
            trainer.seconds += elapsed() - began  # the rest of this loop is not training: what is asked for, when it is due
            steps = PATIENCE * task.look_size // batch.num_characters
            due = Due.after_step(trainer, before, stopping=should_stop(), unsaved=trainer.seconds - saved, patience=steps)
            before = trainer.progress  # before the report, whose wait for the device counts for the next step
            if due.report or trainer.seconds - sums.since >= report_seconds:
                yield report(trainer, sums, elapsed)
                sums = Sums(since=trainer.seconds)
            if due.evaluation or due.checkpoint:  # after either, the model may be saved
                require_sound(trainer)
            if due.evaluation:
                yield evaluate(trainer)
            if due.sample:
                yield SampleDue(**trainer.now())
            if due.checkpoint:
                saved = trainer.seconds
                yield CheckpointDue(**trainer.now())
            if due.leave or trainer.is_out_of_patience:
                return
            began = elapsed()
        trainer.epoch, trainer.batch = trainer.epoch + 1, 0
    if trainer.evaluated_step < trainer.step:  # a resumed run was given an end that it had already reached
        yield evaluate(trainer)
        yield CheckpointDue(**trainer.now())


@dataclass(slots=True)
class Sums:
    """Losses and gradient norms since the last report, kept on the device so that no step waits for them."""

    since: float
    steps: int = 0
    characters: int = 0
    loss: Tensor | float = 0.0
    grad_norm: Tensor | float = 0.0

    def add(self, loss: Tensor, grad_norm: Tensor, characters: int) -> None:
        """Count one step."""
        self.loss = self.loss + loss
        self.grad_norm = self.grad_norm + grad_norm
        self.steps += 1
        self.characters += characters


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done after a step; a report comes before everything else."""

    report: bool
    evaluation: bool
    sample: bool
    checkpoint: bool
    leave: bool

    @classmethod
    def after_step(cls, trainer: Trainer[M], before: float, *, stopping: bool, unsaved: float, patience: int) -> "Due":
        """Decide after a step. `before` is the progress before it; `unsaved` is how many seconds of training are not saved.

        Without --eval-every, an evaluation waits until `patience` steps were taken since the last.
        """
        over = trainer.progress >= 1
        is_soon = trainer.config.eval_every is None and trainer.step - trainer.evaluated_step < patience

        def crossed(every: int | None, times: int) -> bool:
            return trainer.step % every == 0 if every else int(trainer.progress * times) > int(before * times)

        evaluation = over or (crossed(trainer.config.eval_every, EVALUATIONS) and not is_soon)
        sample = crossed(trainer.config.sample_every, SAMPLES)
        checkpoint = evaluation or stopping or unsaved >= SAVE_SECONDS
        any_due = evaluation or sample or checkpoint or trainer.step == 1
        return cls(report=any_due, evaluation=evaluation, sample=sample, checkpoint=checkpoint, leave=over or stopping)


def report(trainer: Trainer[M], sums: Sums, elapsed: Callable[[], float]) -> StepsDone:
    """The means over the steps in `sums`, per character of the text. Waits for the device, and counts that as training."""
    began = elapsed()
    loss, grad_norm = float(sums.loss) / sums.steps, float(sums.grad_norm) / sums.steps
    trainer.seconds += elapsed() - began
    require_finite(trainer, loss, "loss")
    if not trainer.scaler.is_enabled():  # under loss scaling an overflow is ordinary: that step is skipped
        require_finite(trainer, grad_norm, "gradient norm")
    size = trainer.task.characters_per_symbol
    speed = sums.characters * size / max(trainer.seconds - sums.since, 1e-9)
    return StepsDone(**trainer.now(), loss_nats=loss / size, grad_norm=grad_norm, chars_per_second=speed)


def require_finite(trainer: Trainer[M], value: float, what: str) -> None:
    """Raise `DivergedError` unless `value` is a finite number."""
    if not math.isfinite(value):
        raise diverged(trainer, value, what)


def require_sound(trainer: Trainer[M]) -> None:
    """Raise `DivergedError` unless every number that a checkpoint would hold is finite and within what it may hold."""
    if trainer.scaler.is_enabled() and (scale := trainer.scaler.get_scale()) < LEAST_SCALE:
        raise diverged(trainer, scale, "loss gives no finite gradient at any scale; the last scale")
    for name, tensor in trainer.tensors().items():
        if tensor.is_floating_point():
            largest = float(tensor.detach().abs().max())
            if not largest <= (MOST_WEIGHT if name.startswith("model.") else sys.float_info.max):  # `not <=`, for NaN
                raise diverged(trainer, largest, f"greatest magnitude in {name}")


def diverged(trainer: Trainer[M], value: float, what: str) -> DivergedError:
    """The error for a training that diverged, where `what` is `value`."""
    less = "--learning-rate or --clip-norm" if trainer.config.clip_norm else "--learning-rate, or --clip-norm 1"
    return DivergedError(
        f"training diverged by step {trainer.step}: the {what} is {value:g}",
        f"start another run with a smaller {less}; what this one saved before is still there",
    )


def evaluate(trainer: Trainer[M]) -> EvalDone:
    """Take a look at the validation part. Changes nothing that the next step depends on."""
    with autocast(trainer.precision, trainer.device):
        score = trainer.task.score(trainer.model, exact=False)
    nats = None if score is None else score.nats_per_character
    if nats is not None:
        require_finite(trainer, nats, "validation loss")
    trainer.evaluated_step = trainer.step
    is_best = nats is None or nats < trainer.best_nats
    trainer.stale = 0 if is_best or not trainer.config.patience else trainer.stale + 1
    if nats is not None and is_best:
        trainer.best_nats = nats
    accuracy = None if score is None else score.accuracy
    return EvalDone(**trainer.now(), validation_nats=nats, is_best=is_best, accuracy=accuracy)
