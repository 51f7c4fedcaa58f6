"""Files, folders and pipes -> symbols, in chunks, so that a text may be larger than memory. Knows nothing of vocabularies."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from charlm.config import CorpusConfig
from charlm.errors import RunError, TextError
from charlm.text.decoding import CHUNK_BYTES, characters

ANY_FILE, NOT_BYTES = "--symbols byte takes any file", "try another --encoding"  # for a file that is no text


def refuse_device(path: Path, called: str, instead: str) -> None:
    """Raise `TextError` if `path` is a device. The message calls it `called`, and says what to name `instead`."""
    if path.is_char_device():
        raise TextError(f"{called} is a device, which may never end", f"name {instead}; - reads standard input")


def spool(files: Sequence[str], folder: Path) -> list[Path]:
    """Paths that can be read twice: pipes and standard input are first copied into `folder`."""
    paths = []
    for number, name in enumerate(files):
        path = Path(name)
        if name == "-" or not path.is_file():
            path = folder / f".spool-{number}"
            with path.open("wb") as copy, _open(name) as source:
                while chunk := source.read(CHUNK_BYTES):
                    _copy(chunk, copy, name)
        paths.append(path)
    return paths


def remove_spooled(paths: Sequence[Path], folder: Path) -> None:
    """Remove the copies that `spool` made in `folder`."""
    for path in paths:
        if path.parent == folder and path.name.startswith(".spool-"):
            path.unlink()


def _copy(chunk: bytes, copy: BinaryIO, name: str) -> None:
    try:
        copy.write(chunk)
    except OSError as error:  # the copy's fault, and not the text's
        what = f"{name} cannot be copied to {copy.name}: {error.strerror}"
        raise RunError(what, "make room, or give another --out") from error


@contextmanager
def _open(name: str | Path) -> Iterator[BufferedReader]:
    if name == "-":
        yield cast("BufferedReader", sys.stdin.buffer)
        return
    try:
        with Path(name).open("rb") as file:
            yield file
    except OSError as error:
        raise TextError(f"{name} cannot be read: {error.strerror}", "check its permissions") from error


def read_symbols(
    name: str | Path,
    config: CorpusConfig,
    *,
    digest: "hashlib._Hash | None" = None,
    notices: list[str] | None = None,
    called: str = "",
    may_be_bytes: bool = True,
) -> Iterator[npt.NDArray[np.unsignedinteger]]:
    """The symbols of one file ("-" is standard input), chunk by chunk: bytes, or code points of strictly decoded text.

    A chunk of a pipe is what has come, and nothing more is waited for. Feeds every byte to `digest`. Adds to `notices` what
    people should know of the text; messages and notices call the file `called`. Raises `TextError` with the offset and the
    line of the first bytes that cannot be decoded, and the encoding that the text is probably in; `may_be_bytes` says whether
    it may advise reading bytes.
    """
    called = called or ("standard input" if name == "-" else str(name))
    with _open(name) as file:
        if config.symbols == "byte":
            while raw := file.read1(CHUNK_BYTES):
                if digest is not None:
                    digest.update(raw)
                yield np.frombuffer(raw, dtype=np.uint8)
        else:
            yield from characters(file, called, config, digest, notices, ANY_FILE if may_be_bytes else NOT_BYTES)


def read_text(
    name: str | Path,
    config: CorpusConfig,
    *,
    digest: "hashlib._Hash | None" = None,
    notices: list[str] | None = None,
    called: str = "",
    may_be_bytes: bool = True,
) -> str:
    """The whole text of one file, as `read_symbols` reads it. Bytes become the characters of their UTF-8 form.

    Bytes that are not UTF-8 become lone surrogates, as in the arguments of a command: `Vocab.symbols_of` makes bytes of them.
    """
    parts = read_symbols(name, config, digest=digest, notices=notices, called=called, may_be_bytes=may_be_bytes)
    if config.symbols == "byte":
        return b"".join(part.tobytes() for part in parts).decode("utf-8", "surrogateescape")
    return "".join(part.tobytes().decode("utf-32-le") for part in parts)


def sha256_of(paths: Sequence[Path]) -> str:
    """The SHA-256 of all files' bytes, one after the other. Raises `OSError`."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
