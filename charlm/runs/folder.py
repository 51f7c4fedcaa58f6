"""A run folder, opened. Knows nothing of training.

A folder appears by a rename with `run.json` and `corpus.bin` already in it; from then on everything the run needs is inside,
so that starting and resuming are the same thing: open the folder, take the newest good state if there is one, go on.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from charlm.checkpoint.fields import from_json, require_known, vocab_from_json, vocab_to_json
from charlm.checkpoint.training import About
from charlm.config import CorpusConfig, End, ModelConfig, TrainConfig, check_threads
from charlm.errors import CharlmError, CheckpointError, NewerError, RunError, UsageError, brief
from charlm.model.devices import CPU, pick_device, pick_precision, require_memory, set_threads
from charlm.runs.facts import DECIDE_BITS, machine_facts
from charlm.runs.find import CORPUS, LAST, PREVIOUS
from charlm.runs.record import NAMES, RUN, read_record, write_json
from charlm.text.corpus import Corpus, Splits, open_corpus
from charlm.text.source import sha256_of
from charlm.text.streams import Streams
from charlm.training.memory import training_bytes


@dataclass(slots=True, kw_only=True)
class Run:
    """An opened run folder: what is trained, on what, until when."""

    folder: Path
    model: ModelConfig
    training: TrainConfig
    text: CorpusConfig
    corpus: Corpus
    end: End
    device: torch.device = CPU
    precision: str = "fp32"
    recorded_end: End  # the one in run.json, from which `end` may have been moved
    record: dict[str, Any] = field(default_factory=dict)  # all that run.json says
    notices: list[str] = field(default_factory=list)
    inexact: list[str] = field(default_factory=list)  # why it will not go on exactly as it would have

    @property
    def streams(self) -> Streams:
        """The training part as B streams."""
        training = self.training
        return Streams.fitted(self.corpus.train_ids, training.batch_size, training.seq_len, training.seed)

    @property
    def about(self) -> About:
        """All that decides what the next step does, as run.json has it."""
        vocab = json.dumps(vocab_to_json(self.corpus.vocab), sort_keys=True)
        return About(
            model=self.model,
            training=self.training,
            end=self.recorded_end,
            splits=self.corpus.splits,
            ids_sha256=self.corpus.ids_sha256,
            vocab_sha256=hashlib.sha256(vocab.encode()).hexdigest(),
        )

    @property
    def shape(self) -> str:
        """The network, in words."""
        return f"{self.model.num_layers} x {self.model.hidden_size} {self.model.cell.upper()}"


def open_run(folder: Path, *, end: End | None = None, device: str | None = None, threads: int | None = None) -> Run:
    """Open the run in `folder` as it was set up; only its end may be moved, and the device and threads chosen anew.

    Raises `RunError` when `run.json` or the corpus is damaged.
    """
    run, machine = _read(folder)
    # As many threads as the run began with, where no one says: another number adds up in another order.
    began_with = run.training.threads or min(machine["threads"] or 1, os.cpu_count() or 1)
    set_threads(began_with if threads is None else threads)
    run.device = pick_device(run.training.device if device is None else device)
    run.precision = _precision_here(run)
    if end is not None:
        _move_end(run, end)
    _note_changes(run, machine)
    return run


def _precision_here(run: Run) -> str:
    """The precision the run asked for, or the best there is where it goes on on a machine without that one."""
    try:
        return pick_precision(run.training.precision, run.device)
    except UsageError:
        return pick_precision("auto", run.device)


def _read(folder: Path) -> tuple[Run, dict[str, Any]]:
    """The run in `folder` by its files alone, and the facts of the machine that it was started on."""
    path = folder / RUN
    try:
        contents = read_record(path)
        require_known(contents, NAMES, str(path))
        splits = from_json(Splits, contents["splits"], f"{path}: splits")
        vocab = vocab_from_json(contents["vocab"], f"{path}: vocab")
        machine = dict(contents["machine"])
        end = _end_from(contents["end"], f"{path}: end")
        check_threads(from_json(int, machine["threads"], f"{path}: machine.threads"))
        run = Run(
            folder=folder,
            model=from_json(ModelConfig, contents["model"], f"{path}: model"),
            training=from_json(TrainConfig, contents["training"], f"{path}: training"),
            text=from_json(CorpusConfig, contents["text"], f"{path}: text"),
            end=end,
            recorded_end=end,
            corpus=open_corpus(folder / CORPUS, vocab, splits, str(contents["corpus_sha256"]), str(contents["ids_sha256"])),
            record=contents,
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError, CharlmError) as error:
        what = str(error)
        if isinstance(error, OSError):
            what = f"{error.filename}: {error.strerror}"
        elif not isinstance(error, CharlmError):
            what = f"{path} is damaged: {f'it has no {error}' if isinstance(error, KeyError) else error}"
        hint = "restore it from a copy; the model can still be used, and charlm train CORPUS starts another run"
        raise RunError(f"{folder} cannot be opened: {what}", error.hint if isinstance(error, NewerError) else hint) from error
    return run, machine


def _end_from(data: object, where: str) -> End:
    end = from_json(End, data, where)
    if end.unit == "epochs":
        raise CheckpointError(f"{where} must be in steps or seconds")
    return end


SMALLER = "choose a smaller --hidden-size, --num-layers, --batch-size or --seq-len"


def require_room(
    model: ModelConfig, vocab_size: int, training: TrainConfig, batch_size: int, device: torch.device, hint: str = SMALLER
) -> None:
    """Raise `UsageError`, before anything is allocated, for a network that cannot be trained in the memory there is."""
    what = f"to train {model.num_layers} x {model.hidden_size} units on {batch_size} x {training.seq_len} characters a step"
    needed = training_bytes(model, vocab_size, training, batch_size, saves=device.type == "cpu")
    require_memory(needed, what, device, hint)


def _move_end(run: Run, end: End) -> None:
    end = end.resolve(run.streams.windows_per_epoch)
    if end != run.end:
        run.notices.append(f"the end moves from {run.end} to {end}, and the learning rate's schedule with it")
        run.end = end


def record_end(run: Run, *, is_behind: bool) -> None:
    """Write a moved end into `run.json`; for whoever holds the folder's lock.

    Raises `RunError`, and leaves the record alone, for an end that the run is already past, or when the run is no longer the
    one that was opened: until now nothing kept others from it.
    """
    path = run.folder / RUN
    if read_record(path) != run.record:
        raise RunError(f"{run.folder} was changed by another process just now", "try again")
    if run.recorded_end == run.end:
        return
    if is_behind:
        raise RunError(f"{run.folder} is already past {run.end}", "give it an end that is still ahead")
    run.record, run.recorded_end = run.record | {"end": asdict(run.end)}, run.end
    write_json(path, run.record)


def _note_changes(run: Run, machine: dict[str, Any]) -> None:
    wanted, lanes = run.training.batch_size, run.streams.batch_size
    if lanes < wanted:
        run.notices.append(f"the text is short: --batch-size {wanted} shrinks to {lanes}")
    if run.text.validation_fraction > 0 and len(run.corpus.validation_ids) < 2:
        run.notices.append("the text is too short for a validation part, so there will be no score")
    if not any((run.folder / name).is_file() for name in (LAST, PREVIOUS)):
        return
    now = machine_facts(run.device, run.precision)
    if changed := [key for key in DECIDE_BITS if key in machine and machine[key] != now[key]]:
        what = ", ".join(f"{key} {machine[key]} -> {now[key]}" for key in changed)
        run.inexact.append(what)
    if notice := _source_notice(run.record.get("files"), run.corpus):
        run.notices.append(f"{notice} since the run began, which goes on with its own copy")


def _source_notice(files: object, corpus: Corpus) -> str:
    """What became of the files that the text was read from, where they are no longer what they were."""
    if not isinstance(files, list) or not files or "-" in files:
        return ""
    paths = [Path(str(name)) for name in files]
    what = brief(str(paths[0])) if len(paths) == 1 else f"one of {len(paths)} texts"
    try:
        if not all(path.is_file() for path in paths):
            return f"{what} has gone"
        # A symbol has four bytes at the most in any encoding that people use: what is far longer need not be read.
        is_same = sum(path.stat().st_size for path in paths) <= 8 * len(corpus.ids) and sha256_of(paths) == corpus.sha256
        return "" if is_same else f"{what} has changed"
    except (OSError, ValueError):  # ValueError: no file can have such a name
        return f"{what} cannot be read any more"
