"""Durable, atomic files and folder locks. Knows nothing of what is in a file.

Where the system has no `flock` or cannot flush a folder (Windows), the lock is not taken and the folder's flush is
left out; a file is then still replaced whole.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from charlm.errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A new file to write (and read back) that takes the place of `path` at the end of the block.

    After a crash at any instant `path` holds the old bytes or the new, whole: an exclusive temporary file in the same folder
    is written, flushed to the disk and renamed; then the folder is flushed. Raises `OSError`, with the old file in place,
    when any of that fails.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def write_atomically(path: Path, contents: bytes) -> None:
    """Make `contents` all that is in `path`, as `replaced` does."""
    with replaced(path) as file:
        file.write(contents)


def flush_folder(folder: Path) -> None:
    """Make renames in `folder` survive a loss of power, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; the system frees it when the process ends, however it ends.

    Raises `RunError` when another process holds it.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{folder} is being trained by another process", "wait for it, or give --out a new folder") from None
        except OSError:
            pass  # a file system without locks, such as some of the network's: better to train than to refuse
        yield
    finally:
        os.close(descriptor)
