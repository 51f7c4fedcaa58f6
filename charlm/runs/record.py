"""What `run.json` says of a run: typed, read within bounds, for it may be a stranger's, and written for people. Opens no run,
and does not load torch.
"""

import errno
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charlm.checkpoint.fields import from_json, vocab_to_json
from charlm.config import CorpusConfig, End, ModelConfig, TrainConfig, check_threads
from charlm.errors import CheckpointError, UsageError, brief
from charlm.files import write_atomically
from charlm.text.corpus import Splits
from charlm.text.vocab import Vocab

RUN = "run.json"
MOST_NUMBER = 10**9  # of runs
MOST_PARTS = 4096  # of run.json, beside the names of files, which have some bytes each
MOST_FILES = 100_000  # that are named there
MOST_BYTES = 1 << 24  # of run.json: three times what the vocabulary of all Unicode takes


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """What a run's arithmetic depends on, and what people would ask after; "" or 0 for what an earlier charlm did not note.

    None is a fact: there is no cuDNN, or no card.
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
    """How the recipe came to choose as it did: by what was set, and by which speed, in characters a second."""

    preset: str = "auto"
    by_hand: tuple[str, ...] = ()
    why: str = ""
    speed: float | None = None
    speed_is: str | None = None  # where it is from: one of the kinds that speed.py knows


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """All that `run.json` says. `end` is in steps or seconds; `started` is a time for people, by which nothing is decided."""

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

    def __post_init__(self) -> None:
        if not 0 <= self.number < MOST_NUMBER:
            raise UsageError(f"number is {self.number}, and must be below {MOST_NUMBER:,}")
        if self.end.unit == "epochs":
            raise UsageError("end is in epochs, and must be in steps or seconds")
        if self.splits.test == 0:
            raise UsageError("splits are those of a corpus without a symbol")
        for name in ("corpus_sha256", "ids_sha256"):
            if not re.fullmatch("[0-9a-f]{64}", value := getattr(self, name)):
                raise UsageError(f"{name} is {brief(repr(value))}, which is no SHA-256")


def read_record(path: Path) -> RunRecord:
    """What the `run.json` at `path` says. Raises `OSError`, and `CheckpointError` for what is no such file."""
    try:
        return from_json(RunRecord, _read_json(path), str(path), separator=": ")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def write_record(path: Path, record: RunRecord) -> None:
    """Write `record` to `path`, atomically and for people to read. Raises `OSError`."""
    contents = asdict(record) | {"vocab": vocab_to_json(record.vocab)}
    text = json.dumps(contents, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode("utf-8", "backslashreplace"))  # a file name may be no UTF-8: \udcff is JSON for that


def number_of(folder: Path) -> int:
    """Which run of its place this one is, from 1, so that a clock that was set back misleads no one; 0 for no run.

    Nothing else of its record is looked at, which may be damaged, or a later charlm's.
    """
    try:
        number = _read_json(folder / RUN).get("number")
    except (OSError, ValueError, RecursionError):
        return 0  # the shipped model has no run.json, and comes after every run
    return number if type(number) is int and 0 < number < MOST_NUMBER else 0


def _read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises `OSError`, and `ValueError` or `RecursionError` for what is none, or is too much."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no such file", str(path))
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    raw = path.read_bytes()
    if raw.count(b",") > MOST_PARTS + len(raw) // 8 or raw.count(b"[") + raw.count(b"{") > MOST_PARTS + len(raw) // 32:
        raise ValueError("it has more parts than a run has")
    contents = json.loads(raw)
    if not isinstance(contents, dict):
        raise ValueError("it is no JSON object")
    return contents
