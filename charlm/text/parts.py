"""Pieces of files -> one file of ids with three parts, and where each part ends.

Each part is written as its pieces come, training into the file itself and the others beside it; in the end they are joined.
Knows nothing of models or of where a run keeps its files.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from charlm.config import CorpusConfig
from charlm.errors import UsageError, counted
from charlm.text.vocab import Ids, Vocab

COPIED = 1 << 20  # bytes at a time
SHOWN = 5  # symbols in a notice
OTHER = 0.01  # of a part: if training lacks as many of its characters, it is another kind of text


def joint_of(config: CorpusConfig) -> str:
    """What may stand between two files: always if it is given, else only after one that does not end in a newline."""
    if config.symbols == "byte":
        return ""
    return "\n" if config.separator is None else config.separator


def needs_joint(has_newline: bool | None, *, is_always: bool) -> bool:
    """Whether it stands after a file that ends in a newline, or does not; None: after nothing."""
    return has_newline is not None and (is_always or not has_newline)


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


class Parts:
    """The three parts of a corpus, as they are written to `target`.

    Between two files of a part stands `joint`; unless it `is_always` wanted, only where the first does not end in a newline.
    """

    def __init__(self, target: Path, vocab: Vocab, joint: str, *, is_always: bool) -> None:
        self.target, self.vocab = target, vocab
        self.joint, self.is_always = vocab.encode(joint), is_always
        self.files = [target, *(target.parent / f".{target.name}.{number}.tmp" for number in (1, 2))]
        self.outs: list[BinaryIO] = [path.open("wb") for path in self.files]
        self.counts = np.zeros((3, len(vocab)), dtype=np.int64)
        self.has_newline: list[bool | None] = [None, None, None]  # whether a part ends in one
        self.is_open = [False, False, False]  # whether the file that is read now has a piece in the part
        self.num_joints = 0

    def begin(self) -> None:
        """Another file begins."""
        self.is_open = [False, False, False]

    def add(self, part: int, ids: Ids) -> None:
        """Add a piece of the file to a part."""
        if not ids.size:
            return
        wants_joint = needs_joint(self.has_newline[part], is_always=self.is_always)
        if not self.is_open[part] and self.joint.size and wants_joint:
            self._write(part, self.joint)
            self.num_joints += 1
        self.is_open[part] = True
        self._write(part, ids)

    def _write(self, part: int, ids: Ids) -> None:
        self.outs[part].write(ids.astype(self.vocab.dtype.newbyteorder("<")).tobytes())
        self.counts[part] += np.bincount(ids, minlength=len(self.vocab))
        self.has_newline[part] = self.vocab.symbols_for(ids[-1:]).endswith(b"\n")

    def close(self) -> None:
        """Close the files."""
        for out in self.outs:
            out.close()

    def join(self) -> str:
        """Make one file of the parts; give its SHA-256."""
        self.close()
        with self.target.open("ab") as whole:
            for path in self.files[1:]:
                with path.open("rb") as part:
                    while raw := part.read(COPIED):
                        whole.write(raw)
                path.unlink()
            whole.flush()
            os.fsync(whole.fileno())
        with self.target.open("rb") as whole:
            return hashlib.file_digest(whole, "sha256").hexdigest()

    @property
    def splits(self) -> Splits:
        """Where each part ends."""
        train, validation, test = self.counts.sum(axis=1).cumsum().tolist()
        return Splits(train=train, validation=validation, test=test)

    def notices(self, num_files: int) -> list[str]:
        """What people should know of how files were joined, and of symbols that only the validation part has."""
        said = []
        if num_files > 1 and self.counts[1:].any():
            each = f"each of {num_files:,} files gives its own end to the parts that are held back"
            said.append(f"{each}; --documents file would hold back whole ones")
        if self.num_joints and not self.is_always:
            number = counted(self.num_joints, "place")
            what = f"a newline was put in {number} where a file follows another that does not end in one"
            said.append(f"{what}; --separator names something else")
        train, validation, _ = self.counts
        only = np.flatnonzero((validation > 0) & (train == 0))
        if only.size:
            common = only[np.argsort(-validation[only], kind="stable")][:SHOWN]
            which = ", ".join(map(self.vocab.described, common.tolist()))
            places = int(validation[only].sum())
            share = f"{counted(places, 'place')} of {validation.sum():,}"
            more = ", ..." if only.size > SHOWN else ""
            what = f"the validation part has {counted(only.size, 'symbol')} that training lacks, in {share}: {which}{more}"
            is_other = places > OTHER * validation.sum()
            said.append(what + ("; another kind of text cannot tell which model is the best" if is_other else ""))
        return said
