"""Train an opened run to its end, do what its events ask, and score the best model exactly. Knows no screen: events and
remarks go to whoever is handed in.
"""

import json
import math
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

import charlm
from charlm.checkpoint.model import ModelCard, Scores, Setting, load_model, save_model
from charlm.checkpoint.training import load_trainer, save_trainer
from charlm.config import SampleConfig
from charlm.errors import CheckpointError, Interrupted
from charlm.evaluation import surprisals, total
from charlm.files import folder_lock, write_atomically
from charlm.model.devices import keep_freed_memory
from charlm.model.language_model import LanguageModel
from charlm.runs.folder import LAST, METRICS, MODEL, PREVIOUS, Run, record_end
from charlm.runs.signals import StopRequest
from charlm.sampling import generate
from charlm.text.vocab import with_start
from charlm.training.events import CheckpointDue, EvalDone, Event, Reporter, RunDone, SampleDrawn, SampleDue, Scoring, as_record
from charlm.training.loop import Trainer, train, training_step
from charlm.training.recorded import RecordedStep

PREVIEW = SampleConfig(temperature=0.8, length=200)
PREVIEW_SEED = 1
SCORING_SECONDS = 0.5  # between reports of how far the exact scoring is


def drive(run: Run, reporter: Reporter, report_seconds: float = 1.0) -> RunDone:
    """Train `run` from where it stands to its end, save what its events ask to be saved, and score the best model exactly.

    Raises `Interrupted` after a signal, with everything saved; `DivergedError`; `RunError` when another process has it.
    """
    keep_freed_memory()
    with folder_lock(run.folder), StopRequest() as stop:
        for litter in run.folder.glob(".*.tmp"):  # of a process killed while it wrote
            litter.unlink()
        screen = Screen(reporter)
        trainer = _restore(run, screen)
        record_end(run, is_behind=trainer.is_past(run.end))
        was_done = _cut_metrics(run.folder / METRICS, trainer)
        for notice in (*run.notices, _describe(run, trainer)):
            screen.notice(notice)
        for event in _events(run, trainer, stop, screen, report_seconds):
            _handle(event, run, trainer, screen)
        if screen.lost is not None:
            raise screen.lost
        if stop.signal and trainer.progress < 1:
            raise _interrupted(run, stop.signal, f"stopped and saved at step {trainer.step}")
        done = _finish(run, trainer, stop, screen)
        if not was_done:
            _record(run, done)
        reporter.report(done)
        return done


class Screen:
    """A reporter that may go away: from its first `OSError` on, kept in `lost`, nothing more is shown, and the run stops."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.lost: OSError | None = None

    def report(self, event: Event) -> None:
        """Show one event, if anyone is there."""
        if self.lost is None:
            try:
                self.reporter.report(event)
            except OSError as error:
                self.lost = error

    def notice(self, text: str) -> None:
        """Show one line that people should know, if anyone is there."""
        if self.lost is None:
            self.reporter.notice(text)

    def close(self) -> None:
        """Leave that to whoever made the reporter."""


def _restore(run: Run, reporter: Reporter) -> Trainer:
    """The newest good state of the run; a fresh one when nothing was saved yet."""
    generator = torch.Generator().manual_seed(run.training.seed)
    model = LanguageModel.initialised(run.model, len(run.corpus.vocab), generator).to(run.device)
    trainer = Trainer.fresh(model, run.training, run.end, run.precision, run.streams.batch_size)
    damage: list[CheckpointError] = []
    for path in (run.folder / LAST, run.folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            same_generator = load_trainer(path, trainer)
        except CheckpointError as error:
            damage.append(error)
            continue
        if damage:
            path.replace(run.folder / LAST)  # or the next save would put the damaged file in its place
            reporter.notice(f"{damage[0].message}; going on from {path.name}, the one before it")
        if not same_generator:
            reporter.notice("dropout goes on from another random state: the run was saved on another device")
        return trainer
    if damage:
        what = " and ".join(error.message for error in damage)
        raise CheckpointError(what, "the model can still be used; charlm train CORPUS --overwrite starts anew")
    return trainer


def _describe(run: Run, trainer: Trainer) -> str:
    model, corpus = run.model, run.corpus
    if trainer.progress >= 1:
        at = f"{run.folder} is already trained to its end, step {trainer.step}"
        return f"{at}; a later --max-steps, --epochs or --max-time goes on"
    verb = f"resuming {run.folder} at step {trainer.step}" if trainer.step else f"training {run.folder}"
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    what = f"{model.num_layers} x {model.hidden_size} {model.cell.upper()}, {parameters:,} parameters"
    return f"{verb}: {what}, on {len(corpus.ids):,} characters of {len(corpus.vocab)} kinds; {run.device}, {run.precision}"


def _events(run: Run, trainer: Trainer, stop: StopRequest, screen: Screen, report_seconds: float) -> Iterator[Event]:
    return train(
        trainer,
        run.streams,
        run.corpus.validation_ids,
        elapsed=time.monotonic,
        step=RecordedStep(screen.notice) if run.device.type == "cuda" else training_step,
        should_stop=lambda: stop.signal != 0 or screen.lost is not None,
        report_seconds=report_seconds,
    )


def _handle(event: Event, run: Run, trainer: Trainer, reporter: Reporter) -> None:
    """Do what an event asks, saving before showing: a screen that has gone must not cost the work."""
    model_path = run.folder / MODEL
    if isinstance(event, EvalDone) and event.is_best:
        save_model(
            model_path, trainer.model, _card(run, trainer.step, Scores(validation_nats=event.validation_nats, exact=False))
        )
    if isinstance(event, CheckpointDue):
        _save(run, trainer)
    if isinstance(event, SampleDue):
        event = SampleDrawn(step=event.step, seconds=event.seconds, progress=event.progress, text=_preview(run, trainer))
    _record(run, event)
    reporter.report(event)


def _save(run: Run, trainer: Trainer) -> None:
    """Save what a continuation needs; and the model as it is, its score unknown, while no evaluation has chosen one."""
    folder = run.folder
    if trainer.best_nats == math.inf:
        unscored = Scores(validation_nats=None, exact=False)
        save_model(folder / MODEL, trainer.model, _card(run, trainer.step, unscored))
    if (folder / LAST).exists():
        (folder / LAST).replace(folder / PREVIOUS)
    save_trainer(folder / LAST, trainer)


def _card(run: Run, step: int, scores: Scores) -> ModelCard:
    """What a model file of this run says of itself."""
    return ModelCard(
        model=run.model,
        training=run.training,
        text=run.text,
        vocab=run.corpus.vocab,
        splits=run.corpus.splits,
        corpus_sha256=run.corpus.sha256,
        setting=Setting(charlm=charlm.__version__, torch=torch.__version__, device=run.device.type, precision=run.precision),
        step=step,
        scores=scores,
    )


def _preview(run: Run, trainer: Trainer) -> str:
    vocab = run.corpus.vocab
    prompt = with_start(vocab, vocab.encode(""))
    generator = torch.Generator().manual_seed(PREVIEW_SEED)
    return vocab.decode([int(ids[0]) for ids in generate(trainer.model, prompt, PREVIEW, generator)])


def _finish(run: Run, trainer: Trainer, stop: StopRequest, reporter: Reporter) -> RunDone:
    """Score the best model exactly, once, and write the score into it."""
    path = run.folder / MODEL
    model, card = load_model(path, run.device)
    if not card.scores.exact and len(run.corpus.validation_ids) > 1:
        score = total(_scoring(run, trainer, model, stop, reporter))
        card = replace(card, scores=Scores(validation_nats=score.nats_per_character, exact=True))
        save_model(path, model, card)
    return RunDone(**trainer.now(), validation_nats=card.scores.validation_nats, checkpoint=str(path))


def _scoring(run: Run, trainer: Trainer, model: LanguageModel, stop: StopRequest, reporter: Reporter) -> Iterator[torch.Tensor]:
    """The losses of the validation part, with a report now and then: a long text takes a while."""
    ids, scored, reported = run.corpus.validation_ids, 0, time.monotonic()
    reporter.notice(f"scoring the best model exactly, on all {len(ids):,} characters of the validation part")
    for nats in surprisals(model, ids):
        if stop.signal:
            raise _interrupted(run, stop.signal, "trained to the end and saved, but not yet scored exactly")
        scored += nats.numel()
        if time.monotonic() - reported > SCORING_SECONDS:
            reported = time.monotonic()
            reporter.report(Scoring(**trainer.now(), scored=scored / len(ids)))
        yield nats


def _interrupted(run: Run, signal_number: int, what: str) -> Interrupted:
    return Interrupted(signal_number, what, f"charlm train --resume {shlex.quote(str(run.folder))}")


def _record(run: Run, event: Event) -> None:
    record = as_record(event)
    if record is not None:
        with (run.folder / METRICS).open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(record) + "\n")


def _cut_metrics(path: Path, trainer: Trainer) -> bool:
    """Drop lines that the run will write again, and a last line that was torn; whether a line says that it is done."""
    if not path.exists():
        return False
    kept, done = [], False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
            is_done = record["event"] == "done"
            if record["step"] <= trainer.step and (trainer.progress >= 1 or not is_done):
                kept.append(line)
                done = done or is_done
        except (ValueError, KeyError, TypeError):
            continue
    write_atomically(path, "".join(line + "\n" for line in kept).encode())
    return done
