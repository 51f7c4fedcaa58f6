"""Train an opened run to its end, act on its events, and score the best model exactly.

Knows no screen: events and notices go to a reporter the caller passes in.
"""

import errno
import math
import time
from collections.abc import Iterator

import torch

import charlm
from charlm.checkpoint.card import ModelCard, Scores, Setting
from charlm.checkpoint.model import model_bytes
from charlm.checkpoint.training import trainer_bytes
from charlm.errors import Interrupted, counted
from charlm.files import folder_lock
from charlm.machine import keep_freed_memory
from charlm.model.network import Network, num_parameters
from charlm.runs.data import in_words
from charlm.runs.disk import Disk, sweep
from charlm.runs.doubts import Doubts
from charlm.runs.find import LAST, MODEL, PREVIOUS
from charlm.runs.finish import finish, how_to_go_on
from charlm.runs.folder import Run, record_end
from charlm.runs.preview import preview
from charlm.runs.restore import restored
from charlm.runs.signals import StopRequest
from charlm.training.captured import CapturedStep
from charlm.training.events import (
    CheckpointDue,
    EvalDone,
    Event,
    PredictionsDrawn,
    Reporter,
    RunDone,
    SampleDrawn,
    SampleDue,
)
from charlm.training.loop import train, training_step
from charlm.training.trainer import Trainer


def drive(run: Run, reporter: Reporter, report_seconds: float = 1.0) -> RunDone:
    """Train `run` from where it stands to its end, save on the way, and score the best model exactly.

    Raises `Interrupted` after a Unix signal, with everything saved; `DivergedError`; `RunError` when another process has the
    run's lock, or when the last save failed.
    """
    keep_freed_memory()
    with folder_lock(run.folder), StopRequest() as stop:
        sweep(run.folder)
        screen = Screen(reporter)
        trainer, source = restored(run, screen.notice)
        record_end(run, is_behind=trainer.is_past(run.end))
        disk = Disk(run.folder, screen.notice, keeps_previous=source == PREVIOUS)
        was_done = disk.cut_metrics(trainer.step, is_over=trainer.is_over)
        inexact = [f"not bit-exact from here on: {'; '.join(run.inexact)}"] if run.inexact else []
        for notice in (*run.notices, *inexact, _describe(run, trainer)):
            screen.notice(notice)
        doubts = Doubts(len(run.data.vocab), trainer.task.characters_per_symbol)
        for event in _events(run, trainer, stop, screen, report_seconds):
            _handle(event, run, trainer, screen, disk)
            if not run.labels and (doubt := doubts.of(event)):
                screen.notice(doubt)
        disk.require_saved(how_to_go_on(run))
        if screen.has_gone and screen.lost is not None:
            raise screen.lost
        if stop.signal and not trainer.is_over:
            raise Interrupted(stop.signal, f"stopped and saved at step {trainer.step}", how_to_go_on(run))
        done = finish(run, trainer, stop, screen)
        if not was_done:
            disk.log(done)
        screen.report(done)
        if screen.lost is not None:
            raise screen.lost
        return done


class Screen:
    """A reporter that may go away: after its first `OSError`, kept in `lost`, nothing more is shown.

    The run then stops, since no one is watching; but not when the output goes to a disk that is full.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.lost: OSError | None = None

    @property
    def has_gone(self) -> bool:
        """Whether no one is watching any more."""
        return self.lost is not None and self.lost.errno != errno.ENOSPC

    def report(self, event: Event) -> None:
        """Show one event, unless the reporter is lost."""
        if self.lost is None:
            try:
                self.reporter.report(event)
            except OSError as error:
                self.lost = error

    def notice(self, text: str) -> None:
        """Show one line for people, unless the reporter is lost."""
        if self.lost is None:
            self.reporter.notice(text)

    def close(self) -> None:
        """Do nothing: whoever made the reporter closes it."""


def _describe(run: Run, trainer: Trainer[Network]) -> str:
    if trainer.is_over:
        at = f"{run.folder} is already trained to its end, step {trainer.step}"
        if trainer.progress < 1:
            at += f", after which {counted(trainer.stale, 'evaluation')} found nothing better"
        return f"{at}; a later --max-steps, --epochs or --max-time goes on"
    verb = f"resuming {run.folder} at step {trainer.step}" if trainer.step else f"training {run.folder}"
    what = f"{run.shape}, {num_parameters(trainer.model):,} parameters"
    return f"{verb}: {what}, on {in_words(run.data)}; {run.device}, {run.precision}"


def _events(run: Run, trainer: Trainer[Network], stop: StopRequest, screen: Screen, report_seconds: float) -> Iterator[Event]:
    return train(
        trainer,
        elapsed=time.monotonic,
        step=CapturedStep(screen.notice) if run.device.type == "cuda" and run.task.has_one_shape else training_step,
        should_stop=lambda: stop.signal != 0 or screen.has_gone,
        report_seconds=report_seconds,
    )


def _handle(event: Event, run: Run, trainer: Trainer[Network], reporter: Reporter, disk: Disk) -> None:
    """Act on an event: save before showing it, so that a lost screen never costs work."""
    if isinstance(event, EvalDone) and event.is_best:
        scores = Scores(validation_nats=event.validation_nats, exact=False)
        disk.save(MODEL, model_bytes(trainer.model, _card(run, trainer.step, scores)))
    if isinstance(event, CheckpointDue):
        if trainer.best_nats == math.inf:  # no evaluation has chosen a model yet, so save the current one, unscored
            unscored = Scores(validation_nats=None, exact=False)
            disk.save(MODEL, model_bytes(trainer.model, _card(run, trainer.step, unscored)))
        disk.save(LAST, trainer_bytes(trainer, run.about))
    if isinstance(event, SampleDue):
        kind = PredictionsDrawn if run.labels else SampleDrawn
        event = kind(**trainer.now(), text=preview(trainer.model, run))
    disk.log(event)
    reporter.report(event)


def _card(run: Run, step: int, scores: Scores) -> ModelCard:
    """What a model file of this run says about itself."""
    return ModelCard(
        model=run.model,
        training=run.training,
        text=run.text,
        vocab=run.data.vocab,
        splits=run.data.splits,
        corpus_sha256=run.data.sha256,
        setting=Setting(charlm=charlm.__version__, torch=torch.__version__, device=run.device.type, precision=run.precision),
        step=step,
        scores=scores,
        labels=run.labels,
        one_label_a_word=run.one_label_a_word,
        is_one_file=len(run.record.files) == 1,
        num_documents=run.num_documents,
    )
