"""Durable, atomic files and folder locks. Knows nothing of what is in a file.

Where the system has no `flock` or cannot flush a folder (Windows), there is no lock and no flush of the folder; a file is
still replaced whole.
"""

import contextlib
import errno
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

CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP)  # errors of a file system that cannot flush folders


@contextlib.contextmanager
def replaced(path: Path, keep: Path | None = None) -> Iterator[BinaryIO]:
    """A new file to write (and read back) that takes the place of `path` at the end of the block.

    After a crash at any instant `path` holds all the old bytes or all the new: an exclusive temporary file in the same folder
    is written, flushed to the disk and renamed; then the folder is flushed. With `keep`, the old file is renamed to `keep` once
    the new one is on the disk; a crash right then leaves nothing at `path`. Raises `OSError` when any of this fails; the old
    file then still has one of the two names.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            path.replace(keep)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to report
            temporary.unlink()
        raise
    flush_folder(path.parent)


def write_atomically(path: Path, contents: bytes, keep: Path | None = None) -> None:
    """Replace the contents of `path` by `contents`, as `replaced` does."""
    with replaced(path, keep) as file:
        file.write(contents)


def flush_folder(folder: Path) -> None:
    """Make renames in `folder` survive a loss of power, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_FLUSH:
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[bool]:
    """Lock `folder` for this process alone; the system unlocks it when the process ends, however it ends.

    Gives False where the system or the file system has no such locks (Windows, some network file systems): to train without a
    lock is better than not to train. Raises `RunError` when another process holds it, `OSError` when the folder is missing.
    """
    if fcntl is None:
        yield False
        return
    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            is_held = _lock(descriptor, folder)
            if os.path.samestat(os.fstat(descriptor), folder.stat()):  # else the folder was replaced before we had the lock
                yield is_held
                return
        finally:
            os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(f"{folder} is being trained by another process", "wait for it, or stop it first") from None
    except OSError:
        return False
    return True
