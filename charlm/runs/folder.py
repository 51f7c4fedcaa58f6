"""A run folder, opened. Knows nothing of training.

A rename makes the folder appear with `run.json` and `corpus.bin` already in it. From then on it holds everything the run
needs, so starting and resuming are the same thing: open the folder, load the newest good state if there is one, go on.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from charlm.checkpoint.fields import vocab_to_json
from charlm.checkpoint.training import About
from charlm.config import CorpusConfig, End, ModelConfig, TrainConfig, chosen
from charlm.errors import CharlmError, NewerError, RunError, UsageError, brief
from charlm.model.cells import CELLS
from charlm.model.devices import require_memory
from charlm.model.heads import POOLINGS
from charlm.model.network import Network, sizes_of
from charlm.runs.data import Data, documents_of, has_one_label_a_word, num_labels, open_data, size_of, window_of
from charlm.runs.facts import Place, changes, machine_facts, settle
from charlm.runs.find import LAST, PREVIOUS
from charlm.runs.record import RUN, RunRecord, read_record, write_record
from charlm.tasks.registry import TASKS, model_class, task_class
from charlm.text.examples import Dataset
from charlm.text.source import sha256_of
from charlm.training.memory import training_bytes
from charlm.training.optimiser import OPTIMISERS
from charlm.training.task import Task

AnyTask = Task[Any, Any]


@dataclass(slots=True, kw_only=True)
class Run:
    """An opened run: what is trained, on which corpus, until which end."""

    folder: Path
    record: RunRecord  # the contents of run.json
    data: Data
    task: AnyTask
    end: End  # may have been moved from the record's end
    device: torch.device
    precision: str
    one_label_a_word: bool = False  # each word that is learned from has one label
    num_documents: tuple[int, ...] = ()  # of the three parts, where documents are told apart
    notices: list[str] = field(default_factory=list)
    inexact: list[str] = field(default_factory=list)  # reasons why training will not continue exactly

    @property
    def model(self) -> ModelConfig:
        """The shape of the network."""
        return self.record.model

    @property
    def training(self) -> TrainConfig:
        """How it is trained."""
        return self.record.training

    @property
    def text(self) -> CorpusConfig:
        """How the text was read."""
        return self.record.text

    @property
    def dataset(self) -> Dataset:
        """The labelled texts, in a run that learns labels."""
        assert isinstance(self.data, Dataset)  # noqa: S101 (only who has a model that gives labels asks)
        return self.data

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels' names, by id; none in a language model's run."""
        return self.record.labels

    @property
    def about(self) -> About:
        """All that decides the next step, as run.json has it."""
        vocab, labels = json.dumps(vocab_to_json(self.data.vocab), sort_keys=True), json.dumps(self.labels)
        return About(
            model=self.model,
            training=self.training,
            end=self.record.end,
            splits=self.data.splits,
            ids_sha256=self.data.ids_sha256,
            vocab_sha256=hashlib.sha256(vocab.encode()).hexdigest(),
            labels_sha256=hashlib.sha256(labels.encode()).hexdigest() if self.labels else "",
        )

    @property
    def shape(self) -> str:
        """The network, in words."""
        ways = ", both ways" if self.model.bidirectional else ""
        return f"{self.model.num_layers} x {self.model.hidden_size} {self.model.cell.upper()}{ways}"


def open_run(folder: Path, *, end: End | None = None, device: str | None = None, threads: int | None = None) -> Run:
    """Open the run in `folder` as it was set up; only its end, device and threads may be chosen anew.

    Raises `RunError` when `run.json` or the corpus is damaged, and `UsageError` when this machine cannot train it.
    """
    record, data = _read(folder)
    training = record.training
    # By default as many threads as the run began with, because another number adds up in another order.
    began_with = training.threads or min(record.machine.threads or 1, os.cpu_count() or 1)
    here = _settle(training, training.device if device is None else device, began_with if threads is None else threads)
    run = Run(
        folder=folder,
        record=record,
        data=data,
        task=task_of(data, training),
        end=record.end,
        device=here.device,
        precision=here.precision,
        one_label_a_word=has_one_label_a_word(data),
        num_documents=tuple(map(len, documents_of(data))),
    )
    if end is not None:
        _move_end(run, end)
    _note_changes(run)
    return run


def _settle(training: TrainConfig, device: str, threads: int) -> Place:
    """Settle the run's precision, or the best one here when it goes on where that one is not available."""
    try:
        return settle(device, training.precision, threads)
    except UsageError:
        return settle(device, "auto", threads)


def _read(folder: Path) -> tuple[RunRecord, Data]:
    """Read a run's record and data. Raises `RunError` when either is damaged or unknown to this charlm."""
    try:
        record = read_record(folder / RUN)
        require_names(record.model, record.training)
        data = open_data(folder, record)
    except (OSError, CharlmError) as error:
        what = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error.message
        hint = "restore it from a copy; the model can still be used, and charlm train CORPUS starts another run"
        raise RunError(f"{folder} cannot be opened: {what}", error.hint if isinstance(error, NewerError) else hint) from error
    return record, data


def require_names(model: ModelConfig, training: TrainConfig) -> None:
    """Raise `UsageError` for a cell, an optimiser, a task or a pooling that does not exist."""
    chosen("--cell", model.cell, CELLS)
    chosen("--optimiser", training.optimiser, OPTIMISERS)
    chosen("--task", training.task, TASKS)
    chosen("--pooling", model.pooling, POOLINGS)


def task_of(data: Data, training: TrainConfig) -> AnyTask:
    """Make the task that `training` names, with as large a batch as fits the text. Raises `TextError` where nothing fits."""
    task: AnyTask = task_class(training.task, data.vocab).of(data, training)
    return task


def shapes_of(model: ModelConfig, training: TrainConfig, data: Data) -> Network:
    """The network of a run, without memory."""
    return model_class(training.task).shapes(*sizes_of(model, len(data.vocab), num_labels(data)))


def require_room(network: Network, training: TrainConfig, data: Data, batch_size: int, device: torch.device, hint: str) -> None:
    """Raise `UsageError`, before anything is allocated, when the network does not fit in memory; `hint` says what to try."""
    training, model = replace(training, seq_len=window_of(data, training)), network.config
    window = f"{batch_size} x {training.seq_len} characters a step"
    needed = training_bytes(network, training, batch_size, saves=device.type == "cpu")
    require_memory(needed, f"to train {model.num_layers} x {model.hidden_size} units on {window}", device, hint)


def _move_end(run: Run, end: End) -> None:
    end = end.resolve(run.task.batches_per_epoch)
    if end != run.end:
        run.notices.append(f"the end moves from {run.end} to {end}, and the learning rate's schedule with it")
        run.end = end


def record_end(run: Run, *, is_behind: bool) -> None:
    """Write a moved end into `run.json`. The caller holds the folder's lock.

    Raises `RunError`, and leaves the record alone, when the run is already past the end, or when another process changed the
    run after it was opened and before it was locked.
    """
    path = run.folder / RUN
    if read_record(path) != run.record:
        raise RunError(f"{run.folder} was changed by another process just now", "try again")
    if run.record.end == run.end:
        return
    if is_behind:
        raise RunError(f"{run.folder} is already past {run.end}", "give it an end that is still ahead")
    run.record = replace(run.record, end=run.end)
    write_record(path, run.record)


def _note_changes(run: Run) -> None:
    wanted, lanes, has_texts = run.training.batch_size, run.task.batch_size, bool(run.labels or run.num_documents)
    if lanes < wanted:
        run.notices.append(
            f"{'there are few texts' if has_texts else 'the text is short'}: --batch-size {wanted} shrinks to {lanes}"
        )
    if run.text.validation_fraction > 0 and run.task.look_size < (1 if has_texts else 2):
        what = "there are too few different texts" if has_texts else "the text is too short"
        run.notices.append(f"{what} for a validation part, so there will be no score")
    if not any((run.folder / name).is_file() for name in (LAST, PREVIOUS)):
        return
    if changed := changes(run.record.machine, machine_facts(run.device, run.precision)):
        run.inexact.append(", ".join(changed))
    if notice := _source_notice(run.record.files, run.data, has_other_form=bool(run.text.normalize)):
        run.notices.append(f"{notice} since the run began, which goes on with its own copy")


def _source_notice(files: Sequence[str], data: Data, *, has_other_form: bool) -> str:
    """Say what became of the text's source files, which may have another form; empty when they are unchanged."""
    if not files or "-" in files:
        return ""
    paths = [Path(name) for name in files]
    what = brief(str(paths[0])) if len(paths) == 1 else f"one of {len(paths)} texts"
    try:
        if not all(path.is_file() for path in paths):
            return f"{what} has gone"
        # A symbol takes at most four bytes in common encodings, so a much longer file must have changed: no need to read it.
        # Labels and what stands between documents take any number of bytes, and so do words, and what a normal form makes one.
        any_size = isinstance(data, Dataset) or has_other_form or data.vocab.marks is not None or data.vocab.is_spelt
        could_be = any_size or sum(path.stat().st_size for path in paths) <= 8 * size_of(data)
        is_same = could_be and sha256_of(paths) == data.sha256
        return "" if is_same else f"{what} has changed"
    except (OSError, ValueError):  # ValueError: a name no file can have
        return f"{what} cannot be read any more"
