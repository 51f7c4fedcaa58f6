"""Files -> encoded ids on disk (memory-mapped), and the split into train, validation and test.

Everything is read in chunks, twice: once to learn which symbols there are, once to encode them; so a corpus may be larger
than memory. Knows nothing of models, nor of where a run keeps its files.
"""

import codecs
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError
from charlm.text.vocab import NUM_CODE_POINTS, Ids, Vocab, code_points

CHUNK_BYTES = 1 << 20
SURROGATES = slice(0xD800, 0xE000)

# The longer mark first: UTF-32's little-endian one begins with UTF-16's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Contiguous parts of a corpus, in this order: ids [0, train), [train, validation) and [validation, test)."""

    train: int
    validation: int
    test: int

    @classmethod
    def of(cls, num_symbols: int, config: CorpusConfig) -> "Splits":
        """Bounds for `num_symbols` ids, by the fractions of `config`, each rounded down."""
        validation = int(num_symbols * (1 - config.test_fraction))
        train = int(num_symbols * (1 - config.test_fraction - config.validation_fraction))
        return cls(train=min(train, validation), validation=validation, test=num_symbols)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A corpus as ids: `ids` `(N,)` mapped from a file, its vocabulary and splits, and the SHA-256 of the bytes read."""

    ids: Ids
    vocab: Vocab
    splits: Splits
    sha256: str

    @property
    def train_ids(self) -> Ids:
        """The part that is trained on."""
        return self.ids[: self.splits.train]

    @property
    def validation_ids(self) -> Ids:
        """The part that chooses the best model."""
        return self.ids[self.splits.train : self.splits.validation]


def find_files(arguments: Sequence[str], glob: str) -> list[str]:
    """The files that CORPUS arguments name, in order: files as they are, folders searched for `glob` and sorted.

    "-" is standard input. Raises `TextError` for what is missing, and for a folder without a file that matches.
    """
    files: list[str] = []
    for argument in arguments:
        if not argument:
            raise TextError("the name of a text is empty", "name a file or a folder, or - for standard input")
        path = Path(argument)
        if argument != "-" and path.is_dir():
            try:
                found = sorted(str(file) for file in path.rglob(glob) if file.is_file())
            except (ValueError, NotImplementedError) as error:
                raise UsageError(f"--glob {glob!r} is no pattern for names in a folder", "write one such as '*.py'") from error
            if not found:
                raise TextError(f"no file under {argument} matches {glob!r}", "name a pattern, such as --glob '*.py'")
            files += found
        elif argument == "-" or path.exists():
            files.append(argument)
        else:
            raise TextError(f"there is no file {argument}", "check the path; - reads standard input")
    return files


def spool(files: Sequence[str], folder: Path) -> list[Path]:
    """Paths that can be read twice: pipes and standard input are first copied into `folder`."""
    paths = []
    for number, name in enumerate(files):
        path = Path(name)
        if name == "-" or not path.is_file():
            path = folder / f".spool-{number}"
            with _open(name) as source, path.open("wb") as copy:
                shutil.copyfileobj(source, copy, CHUNK_BYTES)
        paths.append(path)
    return paths


@contextmanager
def _open(name: str | Path) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as file:
            yield file
    except OSError as error:
        raise TextError(f"{name} cannot be read: {error.strerror}", "check its permissions") from error


def read_symbols(
    name: str | Path, config: CorpusConfig, *, digest: "hashlib._Hash | None" = None, notices: list[str] | None = None
) -> Iterator[npt.NDArray[np.unsignedinteger]]:
    """The symbols of one file ("-" is standard input), chunk by chunk: bytes, or code points of strictly decoded text.

    Feeds every byte to `digest`; says in `notices` what a reader would want to know. Raises `TextError` with the
    offset and the line of the first bytes that cannot be decoded.
    """
    with _open(name) as file:
        if config.symbols == "byte":
            while raw := file.read(CHUNK_BYTES):
                if digest is not None:
                    digest.update(raw)
                yield np.frombuffer(raw, dtype=np.uint8)
        else:
            yield from _read_characters(file, name, config.encoding, digest, [] if notices is None else notices)


def _read_characters(
    file: BinaryIO, name: str | Path, encoding: str, digest: "hashlib._Hash | None", notices: list[str]
) -> Iterator[npt.NDArray[np.unsignedinteger]]:
    decoder = _decoder(encoding)
    is_utf8 = codecs.lookup(encoding).name == "utf-8"
    offset, line = 0, 1
    while True:
        raw = file.read(CHUNK_BYTES)
        if digest is not None:
            digest.update(raw)
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
            raise TextError(f"{name} holds lone surrogates, which are no characters", "try --symbols byte")
        yield points
        if not raw:
            return
        offset += len(chunk)
        line += chunk.count(b"\n")


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


def encode_corpus(files: Sequence[str], config: CorpusConfig, target: Path) -> tuple[Corpus, list[str]]:
    """Encode `files`, joined with nothing between, into the file `target`; give the corpus, and notices for people.

    Ids are written in the smallest unsigned type, little-endian. Raises `TextError` for text that cannot be read, is
    empty, or has one symbol only.
    """
    paths = spool(files, target.parent)
    counts = np.zeros(NUM_CODE_POINTS, dtype=np.int64)
    digest = hashlib.sha256()
    notices: list[str] = []
    for path in paths:
        for symbols in read_symbols(path, config, digest=digest, notices=notices):
            seen = np.bincount(symbols)
            counts[: len(seen)] += seen
    _check_counts(counts, files)
    vocab = Vocab.from_counts(counts, config.symbols)
    _write_ids(paths, config, vocab, target)
    for path in paths:
        if path.parent == target.parent and path.name.startswith(".spool-"):
            path.unlink()
    splits = Splits.of(int(counts.sum()), config)
    return open_corpus(target, vocab, splits, digest.hexdigest()), notices


def _write_ids(paths: Sequence[Path], config: CorpusConfig, vocab: Vocab, target: Path) -> None:
    with target.open("wb") as out:
        for path in paths:
            for symbols in read_symbols(path, config):
                try:
                    ids = vocab.encode_symbols(symbols)
                except TextError as error:
                    raise TextError(f"{path} changed while it was being read", "train on a copy of it") from error
                out.write(ids.astype(vocab.dtype.newbyteorder("<")).tobytes())
        out.flush()
        os.fsync(out.fileno())


def _check_counts(counts: npt.NDArray[np.int64], files: Sequence[str]) -> None:
    what = files[0] if len(files) == 1 else f"the corpus of {len(files)} files"
    distinct = np.flatnonzero(counts)
    if distinct.size == 0:
        raise TextError(f"{what} is empty", "give a text of some thousand characters or more")
    if distinct.size == 1:
        only = chr(int(distinct[0]))
        raise TextError(f"{what} has one symbol only, {only!r}", "there is nothing to learn in it; give another text")


def open_corpus(path: Path, vocab: Vocab, splits: Splits, sha256: str) -> Corpus:
    """The corpus that `encode_corpus` wrote at `path`. Raises `TextError` when its length is not that of `splits`."""
    if path.stat().st_size != splits.test * vocab.dtype.itemsize:
        raise TextError(f"{path} does not hold the {splits.test} symbols that its run names", "start a new run")
    ids = np.memmap(path, dtype=vocab.dtype.newbyteorder("<"), mode="r")
    return Corpus(ids=ids, vocab=vocab, splits=splits, sha256=sha256)
