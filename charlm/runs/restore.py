"""Where a run stands: its newest good state, or its beginning. Falls back, and says so, where a file is damaged."""

import math
from collections.abc import Callable
from pathlib import Path

import torch

from charlm.checkpoint.model import load_model
from charlm.checkpoint.training import load_trainer
from charlm.errors import CheckpointError, NewerError
from charlm.model.devices import CPU
from charlm.model.language_model import LanguageModel, num_parameters
from charlm.runs.find import LAST, MODEL, PREVIOUS
from charlm.runs.folder import Run
from charlm.runs.record import RUN
from charlm.training.loop import Trainer

Notice = Callable[[str], None]


def restored(run: Run, notice: Notice) -> tuple[Trainer[LanguageModel], str | None]:
    """The newest good state of the run, and the name of its file; a fresh one, and None, when nothing was saved yet.

    For whoever holds the folder's lock. Raises `CheckpointError` when something was saved, and all of it is damaged.
    """
    saved = [path for path in (run.folder / LAST, run.folder / PREVIOUS) if path.is_file()]
    _require_size(run, saved)
    generator = torch.Generator().manual_seed(run.training.seed)
    model = LanguageModel.initialised(run.model, len(run.corpus.vocab), generator).to(run.device)
    trainer = Trainer.fresh(model, run.task, run.training, run.end, run.precision)
    damage: list[CheckpointError] = []
    if not saved and (run.folder / MODEL).exists():
        notice(f"{run.folder} has a model and no saved state to go on from: training starts from the beginning")
    if [path.name for path in saved] == [PREVIOUS]:
        notice(f"{run.folder / LAST} is not there; going on from {PREVIOUS}, the one before it")
    for path in saved:
        try:
            reasons = load_trainer(path, trainer, run.about)
        except NewerError:
            raise  # from which a later charlm can go on: it is not to be trained over
        except CheckpointError as error:
            damage.append(error)
            continue
        if damage:
            notice(f"{damage[0].message}; going on from {path.name}, the one before it")
        run.inexact += reasons
        _require_model(run, trainer, notice)
        return trainer, path.name
    if damage:
        what = " and ".join(error.message for error in damage)
        raise CheckpointError(what, "the model can still be used; charlm train CORPUS starts another run")
    return trainer, None


def _require_size(run: Run, saved: list[Path]) -> None:
    """Raise `CheckpointError`, before anything is allocated, when nothing saved could hold the model of `run.json`."""
    size = num_parameters(LanguageModel.shapes(run.model, len(run.corpus.vocab)))
    if saved and max(path.stat().st_size for path in saved) < 4 * size:
        what = f"{saved[0]} is too small for the model that {run.folder / RUN} describes"
        raise CheckpointError(what, "restore both from a copy; charlm train CORPUS starts another run")


def _require_model(run: Run, trainer: Trainer[LanguageModel], notice: Notice) -> None:
    """Where the best model of a run that goes on is damaged or gone, let the next evaluation choose one anew."""
    try:
        load_model(run.folder / MODEL, CPU)
    except NewerError:
        raise
    except CheckpointError as error:
        notice(f"{error.message}; the next model that is evaluated takes its place, though it may not be the best")
        trainer.best_nats, trainer.evaluated_step = math.inf, 0
