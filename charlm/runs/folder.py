"""What is in a run folder: make one, find one, open one. Knows nothing of training.

A folder appears by a rename with `run.json` and `corpus.bin` already in it; from then on everything the run needs is inside,
so that starting and resuming are the same thing: open the folder, take the newest good state if there is one, go on.
"""

import contextlib
import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import charlm
from charlm.checkpoint.fields import from_json, vocab_from_json, vocab_to_json
from charlm.config import CorpusConfig, End, ModelConfig, TrainConfig
from charlm.errors import CheckpointError, RunError, TextError
from charlm.files import flush_folder, folder_lock, write_atomically
from charlm.model.devices import pick_device, pick_precision, set_threads
from charlm.text.corpus import Corpus, Splits, encode_corpus, find_files, open_corpus
from charlm.text.streams import Streams

RUNS = Path("checkpoints")
RUN, CORPUS, METRICS = "run.json", "corpus.bin", "metrics.jsonl"
MODEL, LAST, PREVIOUS = "model.safetensors", "last.safetensors", "previous.safetensors"


@dataclass(slots=True, kw_only=True)
class Run:
    """An opened run folder: what is trained, on what, until when."""

    folder: Path
    model: ModelConfig
    training: TrainConfig
    text: CorpusConfig
    corpus: Corpus
    end: End
    device: torch.device
    precision: str
    notices: list[str] = field(default_factory=list)

    @property
    def streams(self) -> Streams:
        """The training part as B streams."""
        training = self.training
        return Streams.fitted(self.corpus.train_ids, training.batch_size, training.seq_len, training.seed)


def make_run(
    arguments: Sequence[str],
    *,
    model: ModelConfig,
    training: TrainConfig,
    text: CorpusConfig,
    end: End,
    out: Path | None,
    overwrite: bool,
    argv: Sequence[str],
) -> tuple[Path, list[str]]:
    """Encode the corpus that `arguments` name and make a run folder for it; gives its path, and notices for people.

    Raises `TextError`, `RunError` or `UsageError`, and leaves nothing behind then.
    """
    device = pick_device(training.device)
    precision = pick_precision(training.precision, device)
    set_threads(training.threads)
    files = find_files(arguments, text.glob)
    target = out or _free_name(arguments[0])
    _check_target(target, overwrite=overwrite)
    had_parent = target.parent.exists()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        making = target.parent / f".{target.name}.{secrets.token_hex(4)}.making"
        making.mkdir()
    except OSError as error:
        raise RunError(f"{target} cannot be made: {error.strerror}", "give --out a folder you may write to") from error
    try:
        corpus, notices = encode_corpus(files, text, making / CORPUS)
        streams = Streams.fitted(corpus.train_ids, training.batch_size, training.seq_len, training.seed)
        characters_per_step = streams.batch_size * streams.seq_len
        end = end.resolve(len(corpus.train_ids), characters_per_step, streams.windows_per_epoch)
        contents = {
            "argv": list(argv),
            "files": [str(Path(name).absolute()) if name != "-" else name for name in files],
            "started": datetime.now(UTC).isoformat(timespec="microseconds"),
            "model": asdict(model),
            "training": asdict(training),
            "text": asdict(text),
            "end": asdict(end),
            "vocab": vocab_to_json(corpus.vocab),
            "splits": asdict(corpus.splits),
            "corpus_sha256": corpus.sha256,
            "machine": _machine(device, precision),
        }
        _write_json(making / RUN, contents)
        _put_in_place(making, target)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        if not had_parent:
            with contextlib.suppress(OSError):
                target.parent.rmdir()
        raise
    return target, notices


def _free_name(argument: str) -> Path:
    stem = "stdin" if argument == "-" else Path(argument).absolute().stem
    name = re.sub(r"[^\w.-]+", "-", stem).strip(".-") or "run"
    number = 1
    while (path := RUNS / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path


def _check_target(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise RunError(f"--out {target} is a file", "give it the name of a folder")
    if not any(target.iterdir()):
        return
    if not overwrite:
        raise RunError(f"--out {target} is not empty", f"charlm train --resume {target} goes on; --overwrite starts anew")
    if not (target / RUN).is_file():
        raise RunError(f"--out {target} is not empty and holds no run", "charlm overwrites only its own runs")
    with folder_lock(target):
        pass


def _put_in_place(making: Path, target: Path) -> None:
    """Let `making` appear as `target` by a rename; what was there goes only once it has."""
    flush_folder(making)
    old = target.parent / f"{making.name}.old"
    if target.exists():
        target.replace(old)
    making.replace(target)
    flush_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _machine(device: torch.device, precision: str) -> dict[str, Any]:
    return {
        "charlm": charlm.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": str(device),
        "precision": precision,
        "threads": torch.get_num_threads(),
    }


def _write_json(path: Path, contents: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(contents, indent=2, ensure_ascii=False) + "\n").encode())


def find_run(name: str) -> Path:
    """The run folder called `name`: a path, or a name under checkpoints/. Raises `RunError`."""
    for folder in (Path(name), RUNS / name):
        if (folder / RUN).is_file():
            return folder
    raise RunError(f"{name} is no run folder", "charlm train CORPUS starts a run")


def find_model(name: str | None) -> Path:
    """The model file for -c/--checkpoint: a file, a run folder, or, for None, the run started last under checkpoints/.

    Raises `CheckpointError` when there is none.
    """
    if name is None:
        newest = max((path.parent for path in RUNS.glob(f"*/{MODEL}")), key=_started, default=None)
        if newest is None:
            raise CheckpointError("there is no model under checkpoints/ yet", "charlm train CORPUS makes one")
        return newest / MODEL
    path = Path(name) if Path(name).exists() else RUNS / name
    if path.is_dir():
        path = path / MODEL
    if not path.is_file():
        raise CheckpointError(f"there is no model at {name}", "give a run folder, or its model.safetensors")
    return path


def _started(folder: Path) -> str:
    try:
        return str(json.loads((folder / RUN).read_bytes())["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # the shipped model has no run.json, and comes after every run


def open_run(folder: Path, *, end: End | None = None, device: str | None = None, threads: int | None = None) -> Run:
    """Open the run in `folder` as it was set up; only its end may be moved, and the device and threads chosen anew.

    Raises `RunError` when `run.json` or the corpus is damaged.
    """
    path = folder / RUN
    try:
        contents = json.loads(path.read_bytes())
        model = from_json(ModelConfig, contents["model"], f"{path}: model")
        training = from_json(TrainConfig, contents["training"], f"{path}: training")
        text = from_json(CorpusConfig, contents["text"], f"{path}: text")
        was_end = from_json(End, contents["end"], f"{path}: end")
        splits = from_json(Splits, contents["splits"], f"{path}: splits")
        vocab = vocab_from_json(contents["vocab"], f"{path}: vocab")
        corpus = open_corpus(folder / CORPUS, vocab, splits, str(contents["corpus_sha256"]))
        machine = dict(contents["machine"])
        # As many as the run began with, where no one says: another number adds up in another order.
        machine_threads = min(int(machine["threads"]), os.cpu_count() or 1)
    except (OSError, ValueError, KeyError, TypeError, CheckpointError, TextError) as error:
        raise RunError(f"{folder} cannot be opened: {error}", "charlm train --overwrite starts it anew") from error
    used = replace(
        training,
        device=training.device if device is None else device,
        threads=training.threads or machine_threads if threads is None else threads,
    )
    set_threads(used.threads)
    torch_device = pick_device(used.device)
    precision = pick_precision(used.precision, torch_device)
    run = Run(
        folder=folder,
        model=model,
        training=training,
        text=text,
        corpus=corpus,
        end=was_end,
        device=torch_device,
        precision=precision,
    )
    if end is not None and end.is_given:
        _move_end(run, end)
    _note_changes(run, machine)
    return run


def _move_end(run: Run, end: End) -> None:
    streams = run.streams
    end = end.resolve(len(run.corpus.train_ids), streams.batch_size * streams.seq_len, streams.windows_per_epoch)
    if end != run.end:
        run.notices.append(
            f"the end moves from {_say_end(run.end)} to {_say_end(end)}, and the learning rate's schedule with it"
        )
        run.end = end


def record_end(run: Run) -> None:
    """Write a moved end into `run.json`; for whoever holds the folder's lock."""
    path = run.folder / RUN
    contents = json.loads(path.read_bytes())
    if contents["end"] != asdict(run.end):
        _write_json(path, contents | {"end": asdict(run.end)})


def _say_end(end: End) -> str:
    return f"{end.max_steps} steps" if end.max_steps else f"{end.max_seconds:g} s"


def _note_changes(run: Run, machine: dict[str, Any]) -> None:
    wanted, lanes = run.training.batch_size, run.streams.batch_size
    if lanes < wanted:
        run.notices.append(f"the text is short: --batch-size {wanted} shrinks to {lanes}")
    if run.text.validation_fraction > 0 and len(run.corpus.validation_ids) < 2:
        run.notices.append("the text is too short for a validation part, so there will be no score")
    now = _machine(run.device, run.precision)
    changed = [key for key in ("torch", "device", "precision", "threads") if machine.get(key) != now[key]]
    if changed and (run.folder / LAST).exists():
        what = ", ".join(f"{key} {machine.get(key)} -> {now[key]}" for key in changed)
        run.notices.append(f"not bit-exact from here on: {what}")
