"""Brings a run back to its newest good state, or to its beginning. Falls back, and says so, when a file is damaged."""

import math
from collections.abc import Callable
from pathlib import Path

import torch

from charlm.checkpoint.model import load_model
from charlm.checkpoint.training import load_trainer
from charlm.errors import CheckpointError, NewerError
from charlm.model.devices import CPU
from charlm.model.network import Network, num_parameters, sizes_of
from charlm.runs.data import num_labels
from charlm.runs.find import LAST, MODEL, PREVIOUS
from charlm.runs.folder import Run, require_room, shapes_of
from charlm.runs.initial import take_over_from
from charlm.runs.record import RUN
from charlm.tasks.registry import model_class
from charlm.training.trainer import Trainer

ELSEWHERE = "end other programs that use it, or go on with the run on another machine: its folder is all it needs"

Notice = Callable[[str], None]


def restored(run: Run, notice: Notice) -> tuple[Trainer[Network], str | None]:
    """Restore the newest good state of the run; returns it with its file's name, or a fresh one and None when none was saved.

    The caller holds the folder's lock. Raises `CheckpointError` when every saved state is damaged.
    """
    saved = [path for path in (run.folder / LAST, run.folder / PREVIOUS) if path.is_file()]
    shapes = shapes_of(run.model, run.training, run.data)
    require_room(shapes, run.training, run.data, run.task.batch_size, run.device, ELSEWHERE)
    _require_size(run, saved, num_parameters(shapes))
    trainer = Trainer.fresh(initial_model(run).to(run.device), run.task, run.training, run.end, run.precision)
    damage: list[CheckpointError] = []
    if not saved and (run.folder / MODEL).exists():
        notice(f"{run.folder} has a model but no saved state: training starts from the beginning")
    if [path.name for path in saved] == [PREVIOUS]:
        notice(f"{run.folder / LAST} is not there; going on from {PREVIOUS}, the one before it")
    for path in saved:
        try:
            reasons = load_trainer(path, trainer, run.about)
        except NewerError:
            raise  # a later charlm can go on from this state, so it must not be trained over
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


def initial_model(run: Run) -> Network:
    """The model that the run begins with: drawn from its seed, and where it began from another model, with what that knows."""
    generator = torch.Generator().manual_seed(run.training.seed)
    model = model_class(run.training.task).initialised(
        *sizes_of(run.model, len(run.data.vocab), num_labels(run.data)), generator=generator
    )
    if run.record.init_from is not None and not any((run.folder / name).is_file() for name in (LAST, PREVIOUS)):
        take_over_from(run.folder, run.record.init_from, model, run.data.vocab)
    return model


def _require_size(run: Run, saved: list[Path], size: int) -> None:
    """Raise `CheckpointError`, before anything is allocated, when no saved file is large enough for the model of `run.json`."""
    if saved and max(path.stat().st_size for path in saved) < 4 * size:
        what = f"{saved[0]} is too small for the model that {run.folder / RUN} describes"
        raise CheckpointError(what, "restore both from a copy; charlm train CORPUS starts another run")


def _require_model(run: Run, trainer: Trainer[Network], notice: Notice) -> None:
    """If the run's best model is damaged or gone, let the next evaluation choose a new one."""
    try:
        load_model(run.folder / MODEL, CPU)
    except NewerError:
        raise
    except CheckpointError as error:
        notice(f"{error.message}; the next model that is evaluated takes its place, though it may not be the best")
        trainer.best_nats, trainer.evaluated_step, trainer.stale = math.inf, 0, 0
