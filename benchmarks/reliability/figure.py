"""What every figure needs: a count of the cases tried, a list of what went wrong, and small runs to try things on."""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.machine import last_of_each
from charlm.checkpoint.model import load_model
from charlm.cli.app import main
from charlm.errors import CheckpointError
from charlm.runs.drive import drive
from charlm.runs.folder import open_run
from charlm.tasks.registry import TASKS
from charlm.tensorfile import TensorFile
from charlm.training.events import Event

TEXT = "the cat sat on the mat.\n" * 20
RATED = "".join(f"{number} {'good' if number % 2 else 'bad'} cats\t{'yes' if number % 2 else 'no'}\n" for number in range(60))
TAGGED = "\n\n".join(
    "\n".join(f"{letter}\t{'' if letter == ' ' else 'vowel' if letter in 'aeiou' else 'other'}" for letter in line)
    for line in RATED.replace("\t", " ").splitlines()
)
STEPS = 12
TINY = ("--hidden-size", "8", "--embedding-size", "5", "--seq-len", "8", "--batch-size", "4", "--threads", "1")
OPTIONS = (*TINY, "--max-steps", str(STEPS), "--eval-every", "4", "--sample-every", "1000", "--dropout", "0.2")
# What a run of each kind learns from: the name of a file, its contents, and the options that go with it.
LINES = "".join(f"the {('cat', 'rat', 'bat')[number % 3]} sat {'on the mat ' * (number % 4)}{number}\n" for number in range(70))
KINDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "language": ("t.txt", TEXT, ()),
    "classify": ("t.tsv", RATED, ("--task", "classify")),
    "tag": ("t.tsv", TAGGED, ("--task", "tag")),
    "restore": ("t.txt", TEXT, ("--restore", "spaces")),
    "documents": ("t.txt", LINES, ("--documents", "line")),
}
KINDS |= {task: ("t.txt", TEXT, ("--task", task)) for task in TASKS if task not in KINDS}  # those added from outside
TENSOR_FILES = {"model.safetensors": "model", "last.safetensors": "training", "previous.safetensors": "training"}


@dataclass
class Figure:
    """The number of `cases` tried, the `faults` found, and a `note` for anything else worth saying."""

    cases: int = 0
    faults: list[str] = field(default_factory=list)
    note: str = ""

    def check(self, holds: bool, what: str) -> None:
        """Count a fault unless `holds`."""
        if not holds:
            self.faults.append(what)


class Silent:
    """A reporter that shows nothing, and calls `act` at each event."""

    def __init__(self, act: Callable[[Event], None] = lambda _event: None) -> None:
        self.act = act

    def report(self, event: Event) -> None:
        """Call `act`."""
        self.act(event)

    def notice(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Output:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


def command(*arguments: str, stdin: bytes = b"") -> Output:
    """Run `charlm ARGUMENTS` in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    status: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(list(arguments))
    except SystemExit as left:
        status = left.code
    finally:
        sys.stdin = before
    said = [each.buffer.getvalue().decode("utf-8", "replace") for each in (out, err)]  # type: ignore[attr-defined]
    return Output(status if isinstance(status, int) else 0, *said)


def go_on(folder: Path, act: Callable[[Event], None] = lambda _event: None) -> None:
    """Train the run in `folder` to its end, reporting every step."""
    drive(open_run(folder), Silent(act), report_seconds=0.0)


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Make a folder for this figure alone, and work in it while entered."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        yield Path(name).resolve()


def to_train(place: Path, kind: str) -> tuple[str, ...]:
    """The words of the command that trains a run of this kind; writes the file that it learns from."""
    file, text, options = KINDS[kind]
    (place / file).write_text(text)
    return ("train", file, *OPTIONS, *options)


def new_run(place: Path, *options: str, kind: str = "language", name: str = "base") -> Path:
    """Make a run folder whose training has not begun."""
    shutil.rmtree(place / name, ignore_errors=True)
    done = command(*last_of_each(*to_train(place, kind), *options), "--quiet", "--out", name)
    if done.status != 0:
        raise RuntimeError(done.err)
    for file in (place / name).iterdir():
        if file.name not in ("run.json", "corpus.bin", "examples.bin"):
            file.unlink()
    return place / name


def copy_of(run: Path, name: str = "copy") -> Path:
    """Copy the run, in place of the last copy."""
    target = run.with_name(name)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(run, target)
    return target


def finished(run: Path) -> dict[str, object]:
    """Train a copy of the run without interruption; returns what it ends with."""
    whole = copy_of(run, "whole")
    go_on(whole)
    return ending(whole)


def ending(run: Path) -> dict[str, object]:
    """What two runs must have equal at their ends: the bytes of the model's file, and the state except the time it took."""
    with TensorFile(run / "last.safetensors", "training") as file:
        head = json.loads(json.dumps(file.head))
        names = sorted(file.shapes)
    del head["position"]["seconds"]
    raw = (run / "last.safetensors").read_bytes()
    size = 8 + int.from_bytes(raw[:8], "little")
    return {"model": (run / "model.safetensors").read_bytes(), "head": head, "names": names, "tensors": raw[size:]}


def invalid_files(run: Path) -> list[str]:
    """List the run's tensor files that exist and do not open."""
    wrong = []
    for name, kind in TENSOR_FILES.items():
        if not (run / name).exists():
            continue
        try:
            if kind == "model":
                load_model(run / name, torch.device("cpu"))
            else:
                with TensorFile(run / name, kind):
                    pass
        except CheckpointError as error:
            wrong.append(f"{name}: {error.message}")
    return wrong


def check_lost_nothing(figure: Figure, run: Path, whole: dict[str, object], what: str) -> None:
    """Check that every file opens, and that the resumed run ends as the one that was never stopped."""
    for wrong in invalid_files(run):
        figure.check(False, f"{what}: {wrong}")
    try:
        go_on(run)
    except Exception as error:
        figure.check(False, f"{what}: {type(error).__name__}: {error}")
        return
    figure.check(ending(run) == whole, f"{what}: another end")


def child(work: Callable[[], object]) -> int:
    """Fork a process that does `work` and then ends, whatever happens in it; returns its id."""
    number = os.fork()
    if number:
        return number
    try:
        work()
        os._exit(0)
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(99)
