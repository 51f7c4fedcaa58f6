"""Symbols -> encoded ids on disk (memory-mapped), and the split into train, validation and test.

The text is read twice: once to learn which symbols there are, once to encode them. Knows nothing of models or of where a run
keeps its files.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError, counted
from charlm.text.decoding import CHUNK_BYTES
from charlm.text.source import read_symbols, sha256_of, spool
from charlm.text.vocab import NUM_CODE_POINTS, Ids, Vocab

Tell = Callable[[str, float], None]  # a stage, and how far it is, from 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Contiguous parts of a corpus, in this order: ids [0, train), [train, validation) and [validation, test)."""

    train: int
    validation: int
    test: int

    def __post_init__(self) -> None:
        if not 0 <= self.train <= self.validation <= self.test:
            raise UsageError(f"splits at {self.train}, {self.validation} and {self.test} are not in order")

    @classmethod
    def of(cls, num_symbols: int, config: CorpusConfig) -> "Splits":
        """The bounds for `num_symbols` ids by the fractions of `config`, each bound rounded down."""
        validation = int(num_symbols * (1 - config.test_fraction))
        train = int(num_symbols * (1 - config.test_fraction - config.validation_fraction))
        return cls(train=min(train, validation), validation=validation, test=num_symbols)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A corpus as ids: `ids` `(N,)` mapped from a file, its vocabulary and splits.

    `sha256` is the hash of the text's bytes, `ids_sha256` the hash of the file of ids.
    """

    ids: Ids
    vocab: Vocab
    splits: Splits
    sha256: str
    ids_sha256: str

    @property
    def train_ids(self) -> Ids:
        """The ids that the model learns from."""
        return self.ids[: self.splits.train]

    @property
    def validation_ids(self) -> Ids:
        """The ids on which the best model is chosen."""
        return self.ids[self.splits.train : self.splits.validation]


def encode_corpus(
    files: Sequence[str], config: CorpusConfig, target: Path, tell: Tell = lambda _stage, _fraction: None
) -> tuple[Corpus, list[str]]:
    """Encode `files`, joined without a separator, into the file `target`; give the corpus, and notices for people.

    Ids are written in the smallest unsigned type, little-endian. `tell` hears the stage and how far it is. Raises `TextError`
    for a text that cannot be read, is empty, has one symbol only, or changes between the two readings.
    """
    tell("copying the text", 0.0)
    paths = spool(files, target.parent)
    reading = _Reading(tell, sum(path.stat().st_size for path in paths))
    counts = np.zeros(NUM_CODE_POINTS, dtype=np.int64)
    digest = hashlib.sha256()
    notices: list[str] = []
    for path, name in zip(paths, files, strict=True):
        called = "standard input" if name == "-" else name
        for symbols in read_symbols(path, config, digest=digest, notices=notices, called=called):
            seen = np.bincount(symbols)
            counts[: len(seen)] += seen
            reading.chunk("reading the text")
    _check_counts(counts, files)
    vocab = Vocab.from_counts(counts, config.symbols)
    again = hashlib.sha256()
    reading.done = 0
    ids_sha256 = _write_ids(paths, config, vocab, target, again, reading)
    if again.digest() != digest.digest():
        raise _changed(files)
    for path in paths:
        if path.parent == target.parent and path.name.startswith(".spool-"):
            path.unlink()
    splits = Splits.of(int(counts.sum()), config)
    ids = _mapped(target, vocab)
    return Corpus(ids=ids, vocab=vocab, splits=splits, sha256=digest.hexdigest(), ids_sha256=ids_sha256), notices


@dataclass(slots=True)
class _Reading:
    """How far a reading of `size` bytes is; tells so after each chunk."""

    tell: Tell
    size: int
    done: int = 0

    def chunk(self, stage: str) -> None:
        """Count a chunk as read."""
        self.done += CHUNK_BYTES
        self.tell(stage, min(1.0, self.done / max(1, self.size)))


def _write_ids(
    paths: Sequence[Path], config: CorpusConfig, vocab: Vocab, target: Path, again: "hashlib._Hash", reading: "_Reading"
) -> str:
    """Write the ids, and give the SHA-256 of the file. Feeds every byte of the text to `again`."""
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for path in paths:
            for symbols in read_symbols(path, config, digest=again):
                try:
                    ids = vocab.encode_symbols(symbols)
                except TextError as error:
                    raise _changed([str(path)]) from error
                raw = ids.astype(vocab.dtype.newbyteorder("<")).tobytes()
                digest.update(raw)
                out.write(raw)
                reading.chunk("encoding the text")
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _changed(files: Sequence[str]) -> TextError:
    return TextError(f"{_what(files)} changed while it was being read", "train on a copy of it")


def _what(files: Sequence[str]) -> str:
    if list(files) == ["-"]:
        return "standard input"
    return files[0] if len(files) == 1 else f"the corpus of {len(files)} files"


def _check_counts(counts: npt.NDArray[np.int64], files: Sequence[str]) -> None:
    what = _what(files)
    distinct = np.flatnonzero(counts)
    if distinct.size == 0:
        raise TextError(f"{what} is empty", "give a text of some thousand characters or more")
    if distinct.size == 1:
        only = chr(int(distinct[0]))
        raise TextError(f"{what} has one symbol only, {only!r}", "there is nothing to learn in it; give another text")


def open_corpus(path: Path, vocab: Vocab, splits: Splits, sha256: str, ids_sha256: str) -> Corpus:
    """The corpus that `encode_corpus` wrote at `path`.

    Raises `TextError` when the file's length is not that of `splits`, its hash differs, or it has ids beyond the vocabulary.
    """
    if path.stat().st_size != splits.test * vocab.dtype.itemsize:
        what = counted(splits.test, "symbol")
        raise TextError(f"{path} does not hold the {what} that its run names", "restore it from a copy")
    if sha256_of([path]) != ids_sha256:
        raise TextError(f"{path} does not match its hash in run.json", "restore it from a copy")
    ids = _mapped(path, vocab)
    if any(ids[start : start + CHUNK_BYTES].max() >= len(vocab) for start in range(0, len(ids), CHUNK_BYTES)):
        raise TextError(f"{path} has symbols beyond the {len(vocab)} of its vocabulary", "restore it from a copy")
    return Corpus(ids=ids, vocab=vocab, splits=splits, sha256=sha256, ids_sha256=ids_sha256)


def _mapped(path: Path, vocab: Vocab) -> Ids:
    return np.memmap(path, dtype=vocab.dtype.newbyteorder("<"), mode="r")
