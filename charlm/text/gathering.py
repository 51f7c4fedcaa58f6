"""Examples gathered from their sources: the part of the split that each falls into, the labels, and what is wrong with them.

Knows nothing of ids of characters, or of what is written to disk.
"""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from charlm.config import CorpusConfig
from charlm.errors import TextError, brief, counted
from charlm.text.examples import BEGINS, Example
from charlm.text.parts import Splits
from charlm.text.restoring import OTHER, learnable

TRAIN, VALIDATION, TEST = range(3)
PARTS = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}
MOST_MARKS = 2000  # commas and brackets in all labels
MOST_LABELS = 1000  # more are no labels, but texts in the wrong column


def part_of(key: str, config: CorpusConfig) -> int:
    """The part that a text falls into, by the SHA-256 of `key`, which is the text or its group.

    So it depends on nothing but the key and the fractions, and a text stays in its test part whatever is added to the others.
    """
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    number = int.from_bytes(digest[:8], "big") / 2**64
    if number < config.test_fraction:
        return TEST
    return VALIDATION if number < config.test_fraction + config.validation_fraction else TRAIN


@dataclass(slots=True)
class Gathered:
    """Examples as they come, n of them. Labels have numbers in the order in which they came; -1 is none.

    `texts` and `parts` have an item for each example, `labels` for each example or character, `places` for each character.
    """

    files: Sequence[str]
    config: CorpusConfig
    by_character: bool
    texts: list[str] = field(default_factory=list)
    parts: "array[int]" = field(default_factory=partial(array, "b"))
    labels: "array[int]" = field(default_factory=partial(array, "i"))
    places: bytearray = field(default_factory=bytearray)
    numbers: dict[str | None, int] = field(default_factory=lambda: {None: -1})
    firsts: list[str] = field(default_factory=list)  # where each label came first, in words
    unlabelled: int = 0  # examples left out, because nothing in them has a label
    repeated: int = 0
    has_groups: bool = False
    contradictions: list[str] = field(default_factory=list)  # where a text came again with another label
    _seen: dict[bytes, int] = field(default_factory=dict)  # by the hash of a text that of its labels

    def add(self, example: Example) -> None:
        """Take one more. Raises `TextError` when there are too many labels."""
        new = [label for label in dict.fromkeys(example.labels) if label not in self.numbers]
        for label in new:
            self.numbers[label] = len(self.firsts)
            self.firsts.append(f"{example.file}, line {example.line}")
        if len(self.firsts) > MOST_LABELS and not self.config.restore:
            raise TextError(
                f"{self.firsts[-1]}: this is label number {len(self.firsts):,}, too many to learn", self._exchanged()
            )
        if not any(label is not None for label in example.labels):
            self.unlabelled += 1
            return
        if not self.config.restore:
            self._compare(example)
            self.has_groups |= bool(example.group)
            self.parts.append(part_of(example.group or example.text, self.config))
        self.texts.append(example.text)
        self.labels.extend(map(self.numbers.__getitem__, example.labels))
        self.places += example.places

    def _compare(self, example: Example) -> None:
        """Count texts that came before, and those that came with other labels."""
        digest, labels = hashlib.sha256(example.text.encode("utf-8", "surrogatepass")).digest(), hash(example.labels)
        if digest in self._seen:
            self.repeated += 1
            if self._seen[digest] != labels:
                self.contradictions.append(f"{example.file}, line {example.line}")
        self._seen.setdefault(digest, labels)

    @property
    def names(self) -> list[str]:
        """The labels, by number."""
        return [label for label in self.numbers if label is not None]

    @property
    def what(self) -> str:
        """The source as messages call it."""
        one = "standard input" if self.files[0] == "-" else self.files[0]
        return one if len(self.files) == 1 else f"{one} and {counted(len(self.files) - 1, 'more source')}"

    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of characters, or bytes, of each text."""
        if self.config.symbols == "byte":
            return np.array([len(text.encode("utf-8", "surrogateescape")) for text in self.texts], dtype=np.int64)
        return np.array([len(text) for text in self.texts], dtype=np.int64)

    def split(self) -> npt.NDArray[np.int8]:
        """The part of each example; raises `TextError` for no example, or none to learn from."""
        if not self.texts:
            raise TextError(f"{self.what} has no labelled text", "give some hundred texts with labels, or more")
        if not self.config.restore:
            parts = np.frombuffer(self.parts, dtype=np.int8)
        else:  # contiguous, by the character that each begins with
            lengths = self.lengths()
            splits = Splits.of(int(lengths.sum()), self.config)
            starts = np.cumsum(lengths) - lengths
            parts = np.searchsorted([splits.train, splits.validation], starts, side="right").astype(np.int8)
        if not (parts == TRAIN).any():
            what = f"{counted(len(parts), 'example')} of {self.what}: none fell into the training part"
            raise TextError(what, "give more of them, or smaller --validation-fraction and --test-fraction")
        return parts

    def label_counts(self, parts: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
        """How many texts, or characters, of the training part have each label."""
        labels = np.frombuffer(self.labels, dtype=np.intc)
        is_train = np.repeat(parts, self.lengths()) == TRAIN if self.by_character else parts == TRAIN
        return np.bincount(labels[is_train & (labels >= 0)], minlength=len(self.firsts))

    def final_labels(self, parts: npt.NDArray[np.int8]) -> tuple[str, ...]:
        """The names of the labels to learn, sorted. Raises `TextError` for a label that occurs once, or for only one label."""
        if self.config.restore:
            learned = zip(self.names, self.label_counts(parts).tolist(), strict=True)
            final = learnable({name: count for name, count in learned if count}, self.config.restore, MOST_LABELS)
            if len(set(final) - {OTHER}) < 2:
                what = f"there is too little of {self.config.restore} to restore in {self.what}"
                raise TextError(what, "give a longer text, or another --restore")
            return self._within_bounds(final)
        if len(self.firsts) == 1:
            raise TextError(f"{self.what} has one label only, {brief(self.names[0])!r}", "there is nothing to tell apart")
        labels = np.frombuffer(self.labels, dtype=np.intc)
        counts = np.bincount(labels[labels >= 0], minlength=len(self.firsts))
        for number in np.flatnonzero(counts == 1)[:1].tolist():
            raise self._once(number, int((counts == 1).sum()))
        return self._within_bounds(tuple(sorted(self.names)))

    def _within_bounds(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """The labels. Raises `TextError` for what a run's and a model's files, which are read within bounds, could not hold."""
        if (marks := sum(label.count(mark) for label in labels for mark in ",[{")) > MOST_MARKS:
            what = f"the labels of {self.what} have {marks:,} commas and brackets, and {MOST_MARKS:,} are the most"
            raise TextError(what, "give them names")
        return labels

    def _once(self, number: int, how_many: int) -> TextError:
        """The error for a label of one example, or of one character."""
        where, called = self.firsts[number], f"the label {brief(self.names[number])!r}"
        if self.by_character:
            what = f"{where}: {called} is that of one character only, in the example that begins here"
            return TextError(what, "correct it, give more examples of it, or leave that character without a label")
        hint = "correct it, leave it out, or give more examples of it"
        if how_many > len(self.firsts) / 2 > 1:
            hint = self._exchanged()
        elif where.endswith(", line 1"):
            hint += "; if line 1 has the names of columns, say --columns text=NAME,label=NAME"
        return TextError(f"{where}: {called} occurs only once", hint)

    def _exchanged(self) -> str:
        if self.by_character:
            return "each line has one character, a tab and its label"
        return "exchange text and label in --columns" if self.config.columns else "are they texts? say --columns text=2,label=1"

    def notices(self, parts: npt.NDArray[np.int8], final: Sequence[str]) -> Iterator[str]:
        """What people should know of the examples."""
        sizes = [int((parts == part).sum()) for part in PARTS]
        where = ", ".join(f"{size:,} for {name}" for size, name in zip(sizes, PARTS.values(), strict=True) if size)
        yield f"{counted(len(parts), 'example')} with {counted(len(final), 'label')}: {where}"
        for part, fraction in ((VALIDATION, self.config.validation_fraction), (TEST, self.config.test_fraction)):
            if fraction and not sizes[part]:
                yield f"no example fell into the {PARTS[part]} part: there are too few"
        if self.unlabelled:
            yield f"{counted(self.unlabelled, 'example')} without any label left out"
        if self.repeated:
            together = (
                "rows of a group share a part, equal texts of two groups may not"
                if self.has_groups
                else "equal texts share a part"
            )
            yield f"{counted(self.repeated, 'example')} with a text that came before; {together}"
        if self.contradictions:
            first = f"the first is {self.contradictions[0]}"
            yield f"{counted(len(self.contradictions), 'example')} with a text that had another label before; {first}"
        if not self.config.restore:
            yield from self._rare(parts)

    def _rare(self, parts: npt.NDArray[np.int8]) -> Iterator[str]:
        """Labels that cannot be learned, or hardly."""
        missing = [self.names[number] for number in np.flatnonzero(self.label_counts(parts) == 0).tolist()]
        if missing:
            others = f", nor {counted(len(missing) - 1, 'other')}" if missing[1:] else ""
            yield f"no example in the training part has the label {brief(missing[0])!r}{others}"
        if self.by_character:
            labels = np.frombuffer(self.labels, dtype=np.intc)[np.frombuffer(self.places, dtype=np.uint8) == BEGINS]
            words = np.bincount(labels[labels >= 0], minlength=len(self.firsts))
            if once := np.flatnonzero(words == 1).tolist():
                others = f", and so it is with {counted(len(once) - 1, 'other label')}" if once[1:] else ""
                yield f"only one word has the label {brief(self.names[once[0]])!r} ({self.firsts[once[0]]}){others}"
