"""What `run.json` says about a run: typed, written for people, and read within bounds, since the file may be hostile.

Opens no run, and does not load torch.
"""

import errno
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.checkpoint.fields import from_json, to_json
from charlm.config import CorpusConfig, End, ModelConfig, TrainConfig, check_threads, later
from charlm.errors import CheckpointError, UsageError, brief
from charlm.files import write_atomically
from charlm.text.parts import Splits
from charlm.text.vocab import Vocab

RUN = "run.json"
MOST_NUMBER = 10**9  # of runs
MOST_PARTS = 4096  # values in run.json besides the names of files, for which its size allows more
MOST_FILES = 100_000  # named in run.json
MOST_BYTES = 1 << 24  # of run.json: three times what a vocabulary of all Unicode takes


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """What a run's arithmetic depends on, and what people may ask about; "" or 0 for what an earlier charlm did not note.

    None is a fact too: there is no cuDNN, or no card.
    """

    charlm: str = ""
    torch: str = ""
    numpy: str = ""
    python: str = ""
    platform: str = ""
    processor: str = ""
    device: str = ""
    cudnn: int | None = 0
    accelerator: str | None = ""
    precision: str = ""
    threads: int

    def __post_init__(self) -> None:
        check_threads(self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Why the recipe chose as it did: the options set by hand, and the speed it was told, in characters a second."""

    preset: str = "auto"
    by_hand: tuple[str, ...] = ()
    why: str = ""
    speed: float | None = None
    speed_is: str | None = None  # how it was found: one of the words in speed.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The model that a run began from, as its user named it; the run keeps a copy of it with this SHA-256."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Everything in `run.json`. `end` is in steps or seconds; `started` is a time for people that decides nothing.

    In a run with `labels` the splits count labelled texts, of `num_characters` in all.
    """

    argv: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    started: str = ""
    number: int = 0
    text: CorpusConfig
    machine: MachineFacts
    model: ModelConfig
    training: TrainConfig
    end: End
    recipe: Choice = Choice()
    vocab: Vocab
    splits: Splits
    corpus_sha256: str
    ids_sha256: str
    labels: tuple[str, ...] = later(())
    num_characters: int = later(0)
    init_from: Origin | None = later(None)

    def __post_init__(self) -> None:
        if not 0 <= self.number < MOST_NUMBER:
            raise UsageError(f"number is {self.number}, and must be below {MOST_NUMBER:,}")
        if self.end.unit == "epochs":
            raise UsageError("end is in epochs, and must be in steps or seconds")
        if self.splits.test == 0:
            raise UsageError("splits are those of an empty corpus")
        for name in ("corpus_sha256", "ids_sha256"):
            if not re.fullmatch("[0-9a-f]{64}", value := getattr(self, name)):
                raise UsageError(f"{name} is {brief(repr(value))}, which is not a SHA-256")


def read_record(path: Path) -> RunRecord:
    """Read the `run.json` at `path`. Raises `OSError`, and `CheckpointError` for a damaged file."""
    try:
        return from_json(RunRecord, _read_json(path), str(path), separator=": ")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def write_record(path: Path, record: RunRecord) -> None:
    """Write `record` to `path`, atomically and for people to read. Raises `OSError`."""
    text = json.dumps(to_json(record), indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode("utf-8", "backslashreplace"))  # \udcff is a byte of a file name that is not UTF-8


def number_of(folder: Path) -> int:
    """The number of a run among the runs beside it, from 1, so that a clock set back does not change the order; 0 for no run.

    Reads nothing else of the record, which may be damaged or from a later charlm.
    """
    try:
        number = _read_json(folder / RUN).get("number")
    except (OSError, ValueError, RecursionError):
        return 0  # the shipped model has no run.json, and counts as older than every run
    return number if type(number) is int and 0 < number < MOST_NUMBER else 0


def hashes_in(folder: Path) -> tuple[str, str]:
    """The SHA-256 of a run's corpus and that of its encoded ids, as its record says; empty where it says none.

    Nothing else of the record is looked at: a model can still be used when its run cannot.
    """
    try:
        contents = _read_json(folder / RUN)
    except (OSError, ValueError, RecursionError):
        return "", ""
    return str(contents.get("corpus_sha256", "")), str(contents.get("ids_sha256", ""))


def _read_json(path: Path) -> dict[str, Any]:
    """Read the JSON object in a file. Raises `OSError`, and `ValueError` or `RecursionError` when it is none or too large."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no such file", str(path))
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    raw = path.read_bytes()
    if raw.count(b",") > MOST_PARTS + len(raw) // 8 or raw.count(b"[") + raw.count(b"{") > MOST_PARTS + len(raw) // 32:
        raise ValueError("it has more parts than a run has")
    contents = json.loads(raw)
    if not isinstance(contents, dict):
        raise ValueError("it is not a JSON object")
    return contents
