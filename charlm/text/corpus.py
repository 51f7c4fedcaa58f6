"""Symbols -> encoded ids on disk (memory-mapped), and the split into train, validation and test.

The text is read twice: once to learn which symbols there are, once to encode them. Knows nothing of models or of where a run
keeps its files.
"""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlm.config import CorpusConfig
from charlm.errors import TextError, counted
from charlm.text.decoding import CHUNK_BYTES
from charlm.text.encoding import Encoder
from charlm.text.parts import Parts, Splits, joint_of
from charlm.text.source import read_symbols, remove_spooled, sha256_of, spool
from charlm.text.vocab import NUM_CODE_POINTS, Ids, Vocab, code_points
from charlm.text.words import Tokens, WordCounts

Tell = Callable[[str, float], None]  # a stage, and how far it is, from 0 to 1


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
    """Encode `files`, joined as `config` says, into the file `target`; give the corpus, and notices for people.

    Of several files each gives its own end to the parts that are held back: where a part begins is counted in characters of the
    text (or bytes), so that it is the same for every kind of symbols. Ids are written in the smallest unsigned type,
    little-endian. `tell` hears the stage and how far it is. Raises `TextError` for a text that cannot be read, is empty, has
    one symbol only, or changes between the two readings.
    """
    tell("copying the text", 0.0)
    paths = spool(files, target.parent)
    reading = _Reading(tell, sum(path.stat().st_size for path in paths))
    counts = np.zeros(NUM_CODE_POINTS, dtype=np.int64)
    digest = hashlib.sha256()
    notices: list[str] = []
    ends, words = [0], WordCounts()
    for path, name in zip(paths, files, strict=True):
        called, tokens = "standard input" if name == "-" else name, Tokens()
        for symbols in read_symbols(path, config, digest=digest, notices=notices, called=called):
            seen = np.bincount(symbols)
            counts[: len(seen)] += seen
            if config.symbols == "word":
                words.add(*tokens.feed(symbols.astype(np.uint32)))
            reading.chunk("reading the text")
        words.add(*tokens.feed(code_points(""), final=True))
        ends.append(int(counts.sum()))
    _check_counts(counts, files)
    splits = [Splits.of(size, config) for size in np.diff(ends).tolist()]
    joint = joint_of(config) if sum(each.test > 0 for each in splits) > 1 else ""
    counts[code_points(joint)] += 1  # the vocabulary must have it
    vocab = Vocab.from_counts(counts, config.symbols, config.min_count, words.common(config.min_count))
    again = hashlib.sha256()
    reading.done = 0
    with contextlib.closing(Parts(target, vocab, joint, is_always=config.separator is not None)) as parts:
        for path, each in zip(paths, splits, strict=True):
            parts.begin()
            _encode(path, each, config, parts, again, reading)
        ids_sha256 = parts.join()
    if again.digest() != digest.digest():
        raise changed(files)
    remove_spooled(paths, target.parent)
    notices += parts.notices(len(files))
    corpus = Corpus(
        ids=open_ids(target, vocab), vocab=vocab, splits=parts.splits, sha256=digest.hexdigest(), ids_sha256=ids_sha256
    )
    return corpus, notices


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


def _encode(
    path: Path, splits: Splits, config: CorpusConfig, parts: Parts, again: "hashlib._Hash", reading: "_Reading"
) -> None:
    """Write a file's ids into the parts, by its own `splits`. Feeds every byte of the text to `again`."""
    bounds, done = (splits.train, splits.validation), 0
    encoders = [Encoder(parts.vocab) for _ in range(3)]
    for symbols in read_symbols(path, config, digest=again):
        for part, piece in enumerate(np.split(symbols, [max(0, bound - done) for bound in bounds])):
            parts.add(part, encoders[part].feed(piece))
        done += len(symbols)
        reading.chunk("encoding the text")
    for part, encoder in enumerate(encoders):
        parts.add(part, encoder.end())
    if any(encoder.unseen for encoder in encoders):
        raise changed([str(path)])


def changed(files: Sequence[str]) -> TextError:
    """The error for files that were not the same when they were read again."""
    return TextError(f"{what(files)} changed while it was being read", "train on a copy of it")


def what(files: Sequence[str]) -> str:
    """The source as messages call it."""
    if list(files) == ["-"]:
        return "standard input"
    return files[0] if len(files) == 1 else f"the corpus of {len(files)} files"


def _check_counts(counts: npt.NDArray[np.int64], files: Sequence[str]) -> None:
    called = what(files)
    distinct = np.flatnonzero(counts)
    if distinct.size == 0:
        raise TextError(f"{called} is empty", "give a text of some thousand characters or more")
    if distinct.size == 1:
        only = chr(int(distinct[0]))
        raise TextError(f"{called} has one symbol only, {only!r}", "there is nothing to learn in it; give another text")


def open_corpus(path: Path, vocab: Vocab, splits: Splits, sha256: str, ids_sha256: str) -> Corpus:
    """The corpus that `encode_corpus` wrote at `path`.

    Raises `TextError` when the file's length is not that of `splits`, its hash differs, or it has ids beyond the vocabulary.
    """
    if path.stat().st_size != splits.test * vocab.dtype.itemsize:
        size = counted(splits.test, "symbol")
        raise TextError(f"{path} does not hold the {size} that its run names", "restore it from a copy")
    if sha256_of([path]) != ids_sha256:
        raise TextError(f"{path} does not match its hash in run.json", "restore it from a copy")
    ids = open_ids(path, vocab)
    if any(ids[start : start + CHUNK_BYTES].max() >= len(vocab) for start in range(0, len(ids), CHUNK_BYTES)):
        raise TextError(f"{path} has symbols beyond the {len(vocab)} of its vocabulary", "restore it from a copy")
    return Corpus(ids=ids, vocab=vocab, splits=splits, sha256=sha256, ids_sha256=ids_sha256)


def open_ids(path: Path, vocab: Vocab) -> Ids:
    """The ids in a file, mapped from it."""
    return np.memmap(path, dtype=vocab.dtype.newbyteorder("<"), mode="r")
