"""Make a run folder: encode the corpus and write down everything decided. Knows nothing of training."""

import contextlib
import errno
import glob
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from charlm.config import CorpusConfig
from charlm.errors import RunError
from charlm.files import flush_folder, folder_lock
from charlm.recipe import Wish
from charlm.runs.choosing import recipe_for
from charlm.runs.data import encode_data, size_of
from charlm.runs.facts import machine_facts, settle
from charlm.runs.find import BASELINES, CORPUS, EXAMPLES, INITIAL, LAST, METRICS, MODEL, PREVIOUS, RUNS
from charlm.runs.folder import require_names, require_room, shapes_of, task_of
from charlm.runs.initial import describe, kept_copy, with_sizes_of
from charlm.runs.record import MOST_FILES, RUN, Choice, RunRecord, number_of, write_record
from charlm.runs.speed import GIVEN, MEASURED, ROUGH, Speed, speed_here
from charlm.text.corpus import Tell
from charlm.text.examples import Dataset
from charlm.text.finding import find_files

SMALLER = "choose a smaller --hidden-size, --num-layers, --batch-size or --seq-len"
MAKING, OLD = ".making", ".old"  # endings of the folder of a run still being made, and of one about to be replaced
MOST_OF_NAME = 200  # bytes


def make_run(
    arguments: Sequence[str],
    wish: Wish,
    *,
    text: CorpusConfig,
    out: Path | None,
    overwrite: bool,
    argv: Sequence[str],
    init_from: Path | None = None,
    tell: Tell = lambda _stage, _fraction: None,
) -> tuple[Path, list[str]]:
    """Encode what `arguments` name and make a run folder for it; returns its path, and notices for people.

    The run begins with what the language model at `init_from` has learned, where one is named; it then has that model's sizes.
    `tell` receives the progress of reading the text. Raises `TextError`, `RunError` or `UsageError`, and then leaves nothing
    behind.
    """
    require_names(wish.model, wish.training)
    if init_from is not None:
        wish = with_sizes_of(wish, init_from, text.symbols)
    here = settle(wish.training.device, wish.training.precision, wish.training.threads)
    files = find_files(arguments, text)
    target = _plain(out) if out else _free_name(arguments[0])
    _check_target(target, overwrite=overwrite)
    begun = partial(
        RunRecord,
        argv=tuple(argv),
        files=_names(files),
        started=datetime.now(UTC).isoformat(timespec="microseconds"),
        number=1 + max(map(number_of, RUNS.glob("[!.]*")), default=0),
        text=text,
        machine=(facts := machine_facts(here.device, here.precision)),
    )

    def speed() -> Speed | None:
        tell("measuring how fast this machine is", 0.0)
        return speed_here(wish, facts, target.parent, here.device)

    with _making(target) as making:
        if init_from is not None:
            begun = partial(begun, init_from=kept_copy(init_from, making))
        record, notices = _encode(arguments, making, text, wish, here.device, begun, speed, tell)
        if init_from is not None:
            notices.insert(0, describe(init_from, record.vocab))
        write_record(making / RUN, record)
        flush_folder(making)
        if overwrite:
            _put_over(making, target)
        else:
            target = _put_in_place(making, target, lambda: None if out else _free_name(arguments[0]))
    return target, notices


def _encode(
    arguments: Sequence[str],
    folder: Path,
    text: CorpusConfig,
    wish: Wish,
    device: torch.device,
    begun: Callable[..., RunRecord],
    speed_here: Callable[[], Speed | None],
    tell: Tell,
) -> tuple[RunRecord, list[str]]:
    """Write the encoded data; returns the record `begun`, completed with what the data decide, and notices for people.

    A function of its own, so that the file is no longer mapped when its folder is renamed: Windows would refuse the rename.
    """
    data, notices = encode_data(arguments, text, wish.training.task, folder, tell)
    speed, speed_is = wish.speed, GIVEN if wish.speed else None
    if speed is None and wish.depends_on_speed and (found := speed_here()) is not None:
        speed, speed_is = found.characters, ROUGH if found.is_rough else MEASURED
    recipe = recipe_for(wish, data, speed)
    task = task_of(data, recipe.training)
    require_room(shapes_of(recipe.model, recipe.training, data), recipe.training, data, task.batch_size, device, SMALLER)
    record = begun(
        model=recipe.model,
        training=recipe.training,
        end=recipe.end.resolve(task.batches_per_epoch),
        recipe=Choice(preset=wish.preset, by_hand=tuple(sorted(wish.by_hand)), why=recipe.why, speed=speed, speed_is=speed_is),
        vocab=data.vocab,
        splits=data.splits,
        corpus_sha256=data.sha256,
        ids_sha256=data.ids_sha256,
        labels=data.labels if isinstance(data, Dataset) else (),
        num_characters=size_of(data) if isinstance(data, Dataset) else 0,
    )
    return record, [*notices, recipe.why]


@contextlib.contextmanager
def _making(target: Path) -> Iterator[Path]:
    """Make a hidden folder beside `target` to fill; if anything fails while entered, the folder is removed."""
    had_parent = target.parent.exists()
    with contextlib.ExitStack() as held:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target)
            making = _made_and_locked(target, held)
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


def _made_and_locked(target: Path, held: contextlib.ExitStack) -> Path:
    """Make a new hidden folder and lock it, so that no other process takes it for one left behind."""
    while True:
        making = target.parent / f"{_hidden(target)}{secrets.token_hex(4)}{MAKING}"
        making.mkdir()
        try:
            held.enter_context(folder_lock(making))
        except (RunError, FileNotFoundError):
            continue  # another process just swept it away: try again
        except OSError:
            making.rmdir()
            raise
        return making


def _hidden(target: Path) -> str:
    """The prefix of the names of hidden folders for `target`."""
    return f".{_cut(target.name)}."


def _cut(name: str) -> str:
    """Cut a name to leave room for what is added to it: file systems allow 255 bytes."""
    return os.fsencode(name)[:MOST_OF_NAME].decode("utf-8", "ignore")


def _sweep(target: Path) -> None:
    """Remove folders of processes that were killed while making a run of this name; one still at work holds the lock.

    A run that was about to be replaced, and whose successor never came, is put back.
    """
    ours = f"{glob.escape(_hidden(target))}{'[0-9a-f]' * 8}{MAKING}"
    for litter in (*target.parent.glob(ours), *target.parent.glob(ours + OLD)):
        with contextlib.suppress(RunError, OSError), folder_lock(litter) as is_held:
            if is_held and litter.name.endswith(OLD) and not target.exists():
                litter.rename(target)
            elif is_held:
                shutil.rmtree(litter, ignore_errors=True)


def _plain(out: Path) -> Path:
    """Give `out` a name that can be the target of a rename: not a link, not only dots."""
    return out.resolve() if out.is_symlink() or out.name in ("", "..") else out


def _names(files: Sequence[str]) -> tuple[str, ...]:
    """The texts' absolute paths, with `-` for a pipe; empty when there are more than anyone would look up."""
    few = files if len(files) <= MOST_FILES else ()
    return tuple(str(Path(name).absolute()) if Path(name).is_file() else "-" for name in few)


def _free_name(argument: str) -> Path:
    stem = "stdin" if argument == "-" else Path(argument).absolute().stem
    name = _cut(re.sub(r"[^\w.-]+", "-", stem).strip(".-")) or "run"
    number = 1
    while (path := RUNS / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path


def _is_ours(path: Path) -> bool:
    """Whether charlm wrote this file of a run folder, or a killed process left it half-written."""
    names = (RUN, CORPUS, EXAMPLES, METRICS, MODEL, LAST, PREVIOUS, INITIAL, BASELINES)
    return path.is_file() and (path.name in names or any(path.match(f".{name}.*.tmp") for name in names))


def _check_target(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise RunError(f"--out {target} is a file", "give it the name of a folder")
    if target.is_mount():
        raise RunError(f"--out {target} is where a disk is mounted", f"give the name of a folder in it, as {target / 'run'}")
    if not any(target.iterdir()):
        return
    if not (target / RUN).is_file():
        raise RunError(f"--out {target} is not empty and holds no run", "give the name of a new folder")
    if not overwrite:
        resume = f"charlm train --resume {shlex.quote(str(target))}"
        raise RunError(f"--out {target} is not empty", f"{resume} goes on; --overwrite starts anew")
    if foreign := sorted(path.name for path in target.iterdir() if not _is_ours(path)):
        raise RunError(f"--out {target} holds {foreign[0]}, which is not charlm's", "move it elsewhere, or give another name")
    with folder_lock(target):
        pass


def _put_in_place(making: Path, target: Path, another: Callable[[], Path | None]) -> Path:
    """Rename `making` to `target`, or to what `another` returns when that name has been taken; returns the new name.

    Only an empty folder is ever replaced. Raises `RunError` when `another` has no other name.
    """
    while True:
        with contextlib.suppress(OSError):
            target.rmdir()  # fails, harmlessly, on a folder that is not empty
        try:
            making.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            free = another()
            if free is None:
                raise RunError(f"--out {target} was made by another process just now", "give another name") from error
            target = free
        else:
            flush_folder(target.parent)
            return target


def _put_over(making: Path, target: Path) -> None:
    """Let `making` take the place of the run `target`; the old run is removed only after that."""
    old = target.parent / f"{making.name}{OLD}"
    with folder_lock(target) if target.exists() else contextlib.nullcontext():
        if target.exists():
            target.rename(old)
        try:
            making.rename(target)
        except BaseException:
            if old.exists():
                old.rename(target)
            raise
        flush_folder(target.parent)
        shutil.rmtree(old, ignore_errors=True)
