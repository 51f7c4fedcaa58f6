"""What `run.json` says of a run: read within bounds, for it may be a stranger's, and written for people. Opens no run."""

import errno
import json
from pathlib import Path
from typing import Any

from charlm.files import write_atomically

RUN = "run.json"
NAMES = (  # of all that it says
    *("argv", "files", "started", "number", "text", "machine"),
    *("model", "training", "end", "recipe", "vocab", "splits", "corpus_sha256", "ids_sha256"),
)
MAX_NUMBER = 10**9  # of runs
MAX_PARTS = 4096  # of run.json, beside the names of files, which have some bytes each
MAX_FILES = 100_000  # that are named there
MAX_RECORD = 1 << 24  # bytes of run.json: three times what the vocabulary of all Unicode takes


def read_record(path: Path) -> dict[str, Any]:
    """What a `run.json` says. Raises `OSError`, or `ValueError` for what is no such file: it may be a stranger's."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no such file", str(path))
    size = path.stat().st_size
    if size > MAX_RECORD:
        raise ValueError(f"{path} has more than {MAX_RECORD:,} bytes")
    raw = path.read_bytes()
    if raw.count(b",") > MAX_PARTS + len(raw) // 8 or raw.count(b"[") + raw.count(b"{") > MAX_PARTS + len(raw) // 32:
        raise ValueError(f"{path} has more parts than a run has")
    contents = json.loads(raw)
    if not isinstance(contents, dict):
        raise ValueError(f"{path} is no JSON object")
    return contents


def write_json(path: Path, contents: dict[str, Any]) -> None:
    """Write `contents` to `path`, atomically and for people to read."""
    text = json.dumps(contents, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode("utf-8", "backslashreplace"))  # a file name may be no UTF-8: \udcff is JSON for that


def number_of(folder: Path) -> int:
    """Which run of its place this one is, from 1, so that a clock that was set back misleads no one; 0 for no run."""
    try:
        number = read_record(folder / RUN)["number"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0  # the shipped model has no run.json, and comes after every run
    return number if type(number) is int and 0 < number < MAX_NUMBER else 0
