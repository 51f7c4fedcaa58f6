"""Files, folders and pipes -> symbols, in chunks, so that a text may be larger than memory. Knows nothing of vocabularies."""

import codecs
import hashlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from charlm.config import CorpusConfig
from charlm.errors import RunError, TextError, UsageError
from charlm.text.vocab import code_points

CHUNK_BYTES = 1 << 20
SURROGATES = slice(0xD800, 0xE000)

# Compressed files, by their first bytes, and what unpacks them to standard output.
PACKED = {
    b"\x1f\x8b": ("gzip", "zcat"),
    b"PK\x03\x04": ("zip", "unzip -p"),
    **{b"BZh%d1AY&SY" % level: ("bzip2", "bzcat") for level in range(1, 10)},
    b"\xfd7zXZ\x00": ("xz", "xzcat"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstdcat"),
}
# UTF-32 first, because its little-endian mark begins with that of UTF-16.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BEGINNINGS = (*PACKED, *(mark for mark, _ in BYTE_ORDER_MARKS), codecs.BOM_UTF8)  # that say what a file is


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
) -> Iterator[npt.NDArray[np.unsignedinteger]]:
    """The symbols of one file ("-" is standard input), chunk by chunk: bytes, or code points of strictly decoded text.

    A chunk of a pipe is what has come, and nothing more is waited for. Feeds every byte to `digest`. Adds to `notices` what
    people should know of the text; messages and notices call the file `called`. Raises `TextError` with the offset and the
    line of the first bytes that cannot be decoded.
    """
    called = called or ("standard input" if name == "-" else str(name))
    with _open(name) as file:
        if config.symbols == "byte":
            while raw := file.read1(CHUNK_BYTES):
                if digest is not None:
                    digest.update(raw)
                yield np.frombuffer(raw, dtype=np.uint8)
        else:
            yield from _read_characters(file, called, config.encoding, digest, [] if notices is None else notices)


def _read_characters(
    file: BufferedReader, name: str, encoding: str, digest: "hashlib._Hash | None", notices: list[str]
) -> Iterator[npt.NDArray[np.unsignedinteger]]:
    decoder = _decoder(encoding)
    is_utf8 = codecs.lookup(encoding).name == "utf-8"
    offset, line, zeros = 0, 1, 0
    while True:
        raw = _first_bytes(file) if offset == 0 else file.read1(CHUNK_BYTES)
        if digest is not None:
            digest.update(raw)
        if offset == 0:
            _refuse_packed(raw, name)
        chunk = _without_mark(raw, name, notices) if is_utf8 and offset == 0 else raw
        offset += len(raw) - len(chunk)
        try:
            points = code_points(decoder.decode(chunk, final=not raw))
        except UnicodeDecodeError as error:
            bad = offset + len(chunk) - len(error.object) + error.start
            line += error.object[: error.start].count(b"\n")
            raise TextError(
                f"{name} is not {encoding}: byte 0x{error.object[error.start]:02X} at offset {bad}, line {line}",
                "try --encoding latin-1, or --symbols byte for any file at all",
            ) from error
        except UnicodeError as error:
            raise TextError(f"{name} is not {encoding}: {error}", "try another --encoding, or --symbols byte") from error
        if ((points >= SURROGATES.start) & (points < SURROGATES.stop)).any():
            raise TextError(f"{name} holds lone surrogates, which are not characters", "try --symbols byte")
        zeros += int((points == 0).sum())
        yield points
        if not raw:
            break
        offset += len(chunk)
        line += chunk.count(b"\n")
    if zeros:
        notices.append(f"{name} has {zeros:,} NUL characters, which are kept: is it text? --symbols byte takes any file")


def _first_bytes(file: BufferedReader) -> bytes:
    """What has come of a file, and at least as much as tells what kind of file it is."""
    raw = file.read1(CHUNK_BYTES)
    while raw and any(beginning.startswith(raw) for beginning in BEGINNINGS) and (more := file.read1(CHUNK_BYTES)):
        raw += more
    return raw


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
    `may_be_bytes` says whether an error may advise reading bytes.
    """
    parts = read_symbols(name, config, digest=digest, notices=notices, called=called)
    try:
        if config.symbols == "byte":
            return b"".join(part.tobytes() for part in parts).decode("utf-8", "surrogateescape")
        return "".join(part.tobytes().decode("utf-32-le") for part in parts)
    except TextError as error:
        if may_be_bytes or "--symbols byte" not in error.hint:
            raise
        raise TextError(error.message, "try another --encoding, such as latin-1 or cp1252") from error


def _refuse_packed(raw: bytes, name: str) -> None:
    """Raise `TextError` for a compressed file: only its owner knows how large it may become when unpacked."""
    for magic, (kind, unpack) in PACKED.items():
        if raw.startswith(magic):
            file = "FILE" if name == "standard input" else shlex.quote(name)
            raise TextError(f"{name} is in {kind} format", f"unpack it on the way, as in: {unpack} {file} | charlm COMMAND -")


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    try:
        "".encode(encoding)  # unlike the look-up, this refuses codecs that are not for text
        return codecs.getincrementaldecoder(encoding)("strict")
    except (LookupError, TypeError, ValueError) as error:
        raise UsageError(f"--encoding {encoding} is not known", "try utf-8, latin-1, utf-16 or cp1252") from error


def _without_mark(raw: bytes, name: str | Path, notices: list[str]) -> bytes:
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            raise TextError(f"{name} begins with the byte order mark of {encoding.upper()}", f"try --encoding {encoding}")
    if raw.startswith(codecs.BOM_UTF8):
        notices.append(f"{name} begins with a UTF-8 byte order mark, which was left out")
        return raw[len(codecs.BOM_UTF8) :]
    return raw


def sha256_of(paths: Sequence[Path]) -> str:
    """The SHA-256 of all files' bytes, one after the other. Raises `OSError`."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
