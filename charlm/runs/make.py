"""Make a run folder: encode the corpus and write down all that was decided. Knows nothing of training."""

import contextlib
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from charlm.checkpoint.fields import vocab_to_json
from charlm.config import CorpusConfig
from charlm.errors import RunError
from charlm.files import flush_folder, folder_lock
from charlm.model.devices import pick_device, pick_precision, set_threads
from charlm.recipe import Wish, choose
from charlm.runs.folder import CORPUS, RUN, RUNS, machine_facts, write_json
from charlm.text.corpus import encode_corpus, find_files
from charlm.text.streams import Streams


def make_run(
    arguments: Sequence[str], wish: Wish, *, text: CorpusConfig, out: Path | None, overwrite: bool, argv: Sequence[str]
) -> tuple[Path, list[str]]:
    """Encode the corpus that `arguments` name and make a run folder for it; gives its path, and notices for people.

    Raises `TextError`, `RunError` or `UsageError`, and leaves nothing behind then.
    """
    device = pick_device(wish.training.device)
    precision = pick_precision(wish.training.precision, device)
    set_threads(wish.training.threads)
    files = find_files(arguments, text.glob)
    target = out or _free_name(arguments[0])
    _check_target(target, overwrite=overwrite)
    facts = {
        "argv": list(argv),
        "files": [str(Path(name).absolute()) if name != "-" else name for name in files],
        "started": datetime.now(UTC).isoformat(timespec="microseconds"),
        "text": asdict(text),
        "machine": machine_facts(device, precision),
    }
    with _making(target) as making:
        decided, notices = _encode(files, making / CORPUS, text, wish)
        write_json(making / RUN, facts | decided)
        _put_in_place(making, target)
    return target, notices


def _encode(files: Sequence[str], path: Path, text: CorpusConfig, wish: Wish) -> tuple[dict[str, Any], list[str]]:
    """Write the encoded corpus; what `run.json` says of it, and of what was decided by its size.

    A function of its own, so that the file is mapped no more when its folder is renamed, which Windows would refuse.
    """
    corpus, notices = encode_corpus(files, text, path)
    recipe = choose(wish, len(corpus.train_ids))
    training = recipe.training
    streams = Streams.fitted(corpus.train_ids, training.batch_size, training.seq_len, training.seed)
    decided = {
        "model": asdict(recipe.model),
        "training": asdict(training),
        "end": asdict(recipe.end.resolve(streams.windows_per_epoch)),
        "recipe": {"preset": wish.preset, "by_hand": sorted(wish.by_hand), "why": recipe.why},
        "vocab": vocab_to_json(corpus.vocab),
        "splits": asdict(corpus.splits),
        "corpus_sha256": corpus.sha256,
    }
    return decided, [*notices, recipe.why]


@contextlib.contextmanager
def _making(target: Path) -> Iterator[Path]:
    """A hidden folder beside `target` to fill; whatever goes wrong meanwhile, nothing of it is left."""
    had_parent = target.parent.exists()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        making = target.parent / f".{target.name}.{secrets.token_hex(4)}.making"
        making.mkdir()
    except OSError as error:
        raise RunError(f"{target} cannot be made: {error.strerror}", "give --out a folder you may write to") from error
    try:
        yield making
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        if not had_parent:
            with contextlib.suppress(OSError):
                target.parent.rmdir()
        raise


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
    with folder_lock(target) if target.exists() else contextlib.nullcontext():
        if target.exists():
            target.replace(old)
        making.replace(target)
    flush_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)
