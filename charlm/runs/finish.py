"""The end of a run: its best model is scored exactly. Where it gives labels, what it is measured beside is fitted and stored,
and the test part is scored, once.

What was done before is not done again, so that a run that was stopped in between goes on here.
"""

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from charlm.checkpoint.baselines import baselines_bytes, load_baselines
from charlm.checkpoint.card import ModelCard, Scores, TestScores
from charlm.checkpoint.model import load_model, save_model
from charlm.errors import CheckpointError, Interrupted, RunError, counted
from charlm.files import write_atomically
from charlm.labelling.baseline import Baseline
from charlm.labelling.baselines import baselines_for_characters, baselines_for_texts
from charlm.labelling.judge import Judgement, judged
from charlm.model.heads import Labeller
from charlm.model.network import Network
from charlm.runs.data import validation_size
from charlm.runs.find import BASELINES, MODEL
from charlm.runs.folder import Run
from charlm.runs.signals import StopRequest
from charlm.training.events import Reporter, RunDone, Scoring
from charlm.training.trainer import Trainer

SECONDS = 0.5  # between progress reports
SPACES = "spaces"  # whoever restores them has no words to look up


@dataclass(slots=True)
class Watch:
    """Reports how far the work at a run's end is, and hears a signal."""

    run: Run
    trainer: Trainer[Network]
    stop: StopRequest
    reporter: Reporter
    reported: float

    def tell(self, what: str, fraction: float) -> None:
        """Report, now and then. Raises `Interrupted` after a signal."""
        if self.stop.signal:
            said = "trained to the end and saved, but not yet scored exactly"
            raise Interrupted(self.stop.signal, said, how_to_go_on(self.run))
        if time.monotonic() - self.reported > SECONDS:
            self.reported = time.monotonic()
            self.reporter.report(Scoring(**self.trainer.now(), what=what, scored=fraction))


def finish(run: Run, trainer: Trainer[Network], stop: StopRequest, reporter: Reporter) -> RunDone:
    """Score the best model, and write the scores into it."""
    watch = Watch(run, trainer, stop, reporter, time.monotonic())
    path = run.folder / MODEL
    model, card = load_model(path, run.device)
    if not card.scores.exact:
        card = _written(run, model, _scored(watch, model, card), card)
    judgement = None
    if isinstance(model, Labeller):
        baselines = _baselines(watch, card)
        if card.scores.test is None and len(run.dataset.test):
            judgement = _judged(watch, model, baselines)
            card = _written(run, model, replace(card, scores=replace(card.scores, test=_summary(judgement))), card)
    return RunDone(
        **trainer.now(),
        validation_nats=card.scores.validation_nats,
        checkpoint=str(path),
        accuracy=card.scores.accuracy,
        labels=run.labels,
        judgement=judgement,
    )


def _written(run: Run, model: Network, card: ModelCard, before: ModelCard) -> ModelCard:
    """Write the card into the model's file, unless it is the one that is there; returns it."""
    if card != before:
        _saving(run, MODEL, lambda: save_model(run.folder / MODEL, model, card))
    return card


def _saving(run: Run, name: str, save: Callable[[], None]) -> None:
    try:
        save()
    except OSError as error:
        what = f"{run.folder / name} could not be saved: {error.strerror}"
        raise RunError(what, f"make room, then: {how_to_go_on(run)}") from error


def _scored(watch: Watch, model: Network, card: ModelCard) -> ModelCard:
    """The card with the exact score of the validation part, where there is one."""
    size = validation_size(watch.run.data)
    if size > 1:
        unit = "symbol" if watch.run.data.vocab.is_spelt else "character"
        what = f"scoring the best model exactly, on all {counted(size, unit)} of the validation part"
        watch.reporter.notice(what)
    score = watch.trainer.task.score(
        model, exact=True, tell=lambda count: watch.tell("scoring the best model exactly", count / size)
    )
    if score is None:
        return card
    return replace(card, scores=Scores(validation_nats=score.nats_per_character, exact=True, accuracy=score.accuracy))


def _baselines(watch: Watch, card: ModelCard) -> tuple[Baseline, ...]:
    """What the model is measured beside: as stored, or fitted now to what it learned from, and stored."""
    run, path = watch.run, watch.run.folder / BASELINES
    try:
        return load_baselines(path, card)
    except CheckpointError:  # not there yet, or damaged: fitted once more it is the same
        watch.reporter.notice("fitting what needs no network, to measure the model beside")
    data, num_labels = run.dataset, len(run.labels)
    if not data.examples.by_character:
        baselines = baselines_for_texts(data.train, data.validation, num_labels, watch.tell)
    else:
        watch.tell("counting characters and words", 0.0)
        baselines = baselines_for_characters(data.train, len(data.vocab), words_are_seen=run.text.restore != SPACES)
    _saving(run, BASELINES, lambda: write_atomically(path, baselines_bytes(baselines, data.sha256)))
    return baselines


def _judged(watch: Watch, model: Labeller, baselines: tuple[Baseline, ...]) -> Judgement:
    """The model and its baselines on the test part."""
    run = watch.run
    watch.reporter.notice(f"scoring the test part, {counted(len(run.dataset.test), 'text')} that nothing was learned from")
    return judged(
        model,
        run.dataset.test,
        baselines,
        seq_len=run.training.seq_len,
        one_label_a_word=run.one_label_a_word,
        tell=watch.tell,
    )


def _summary(judgement: Judgement) -> TestScores:
    report = judgement.model
    return TestScores(
        accuracy=report.accuracy.value,
        macro_f1=report.macro_f1.value,
        num_labels=report.num_labelled,
        word_accuracy=report.word_accuracy.value if report.word_accuracy else None,
    )


def how_to_go_on(run: Run) -> str:
    """The command that continues the run."""
    return f"charlm train --resume {shlex.quote(str(run.folder))}"
