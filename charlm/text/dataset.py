"""Examples -> ids and labels on disk (memory-mapped), in the order train, validation, test.

The file has four arrays, one after the other, little-endian: int64 bounds, uint16 labels, uint8 places (only for labels of
characters) and the ids. Knows nothing of models or of where a run keeps its files.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError, brief, counted
from charlm.text.corpus import Tell
from charlm.text.examples import REPLACEMENT, UNLABELLED, Dataset, Example, Examples, ids_of
from charlm.text.finding import find_files
from charlm.text.formats import labelled_texts
from charlm.text.gathering import PARTS, Gathered
from charlm.text.parts import Splits
from charlm.text.restoring import nearest, stretches
from charlm.text.source import read_text, sha256_of
from charlm.text.vocab import NUM_CODE_POINTS, Ids, Vocab, code_points

AT_ONCE = 4096  # texts that are encoded together
RESTORE = "restore it from a copy"


def encode_examples(
    files: Sequence[str],
    config: CorpusConfig,
    target: Path,
    *,
    by_character: bool,
    tell: Tell = lambda _stage, _fraction: None,
) -> tuple[Dataset, list[str]]:
    """Encode the examples of `files`, which may be folders and "-", into the file `target`; give them, and notices for people.

    `by_character` says whether each character has a label; `config.restore` makes those labels from any text. Each text falls
    into a part by the hash of its group or of itself; where labels are made, parts are contiguous. The vocabulary is that of
    the training part, where a character that occurs only once is read as U+FFFD, so that the model learns what a character it
    does not know is like. Raises `TextError` and `UsageError` as `labelled_texts` does, and for labels that cannot be learned.
    """
    tell("reading the examples", 0.0)
    digest = hashlib.sha256()
    notices: list[str] = []
    found = Gathered(files=files, config=config, by_character=by_character)
    for example in _sources(files, config, by_character=by_character, digest=digest, notices=notices):
        found.add(example)
    parts = found.split()
    labels = found.final_labels(parts)
    order = np.argsort(parts, kind="stable")
    texts = [found.texts[number] for number in order.tolist()]
    sizes = np.cumsum([int((parts == part).sum()) for part in PARTS]).tolist()
    splits = Splits(train=sizes[0], validation=sizes[1], test=sizes[2])
    vocab = _vocab_of(texts[: splits.train], config.symbols)
    ids_sha256 = _write(target, _arrays(found, order, labels), _ids(vocab, texts, tell))
    examples = _mapped(target, vocab, len(texts), int(found.lengths().sum()), by_character=by_character)
    notices += found.notices(parts, labels)
    dataset = Dataset(
        examples=examples, vocab=vocab, labels=labels, splits=splits, sha256=digest.hexdigest(), ids_sha256=ids_sha256
    )
    return dataset, notices


def read_examples(
    files: Sequence[str], config: CorpusConfig, vocab: Vocab, labels: Sequence[str], *, by_character: bool
) -> Examples:
    """The examples of `files`, all of them and in order, for a model with these symbols and `labels`.

    Characters that the model does not know are read as U+FFFD. Raises `TextError` where `labelled_texts` does, for a label that
    the model does not have, and where nothing has a label. Labels that are made from a text become the nearest it has.
    """
    numbers = {name: number for number, name in enumerate(labels)}
    found = Gathered(files=files, config=config, by_character=by_character)
    for example in _sources(files, config, by_character=by_character, may_be_bytes=False):
        for label in set(example.labels) - {None} - numbers.keys():
            if not config.restore:
                what = f"{example.file}, line {example.line}: the model has no label {brief(str(label))!r}"
                raise TextError(what, f"it has {brief(', '.join(labels))}")
        found.add(example)
    if not found.texts:
        raise TextError(f"{found.what} has no labelled text", "give texts with the labels of the model")
    bounds, chosen, places = _arrays(found, np.arange(len(found.texts)), labels)
    return Examples(ids=np.concatenate(list(_ids(vocab, found.texts))), bounds=bounds, labels=chosen, places=places)


def unlabelled(texts: Sequence[str], vocab: Vocab, *, by_character: bool) -> Examples:
    """Texts to predict the labels of, none of them empty: as examples in which all labels are UNLABELLED."""
    lengths = [len(vocab.symbols_of(text)) for text in texts] if vocab.kind == "byte" else list(map(len, texts))
    bounds = np.cumsum([0, *lengths], dtype=np.int64)
    characters = int(bounds[-1])
    return Examples(
        ids=ids_of(vocab, "".join(texts)),
        bounds=bounds,
        labels=np.full(characters if by_character else len(texts), UNLABELLED, dtype=np.uint16),
        places=np.zeros(characters if by_character else 0, dtype=np.uint8),
    )


def open_examples(
    path: Path,
    *,
    vocab: Vocab,
    labels: Sequence[str],
    splits: Splits,
    num_characters: int,
    by_character: bool,
    sha256: str,
    ids_sha256: str,
) -> Dataset:
    """The examples that `encode_examples` wrote at `path`.

    Raises `TextError` when the file's length is not that of `splits` and `num_characters`, its hash differs, or it has bounds
    that do not rise, or symbols, labels or places beyond those that there are.
    """
    size = sum(_sizes(vocab, splits.test, num_characters, by_character=by_character))
    if num_characters < splits.test or path.stat().st_size != size:
        what = f"{counted(splits.test, 'example')} of {counted(num_characters, 'character')}"
        raise TextError(f"{path} does not hold the {what} that its run names", RESTORE)
    if sha256_of([path]) != ids_sha256:
        raise TextError(f"{path} does not match its hash in run.json", RESTORE)
    examples = _mapped(path, vocab, splits.test, num_characters, by_character=by_character)
    if problem := _problem(examples, len(vocab), len(labels)):
        raise TextError(f"{path} {problem}", RESTORE)
    return Dataset(examples=examples, vocab=vocab, labels=tuple(labels), splits=splits, sha256=sha256, ids_sha256=ids_sha256)


def _sources(
    files: Sequence[str],
    config: CorpusConfig,
    *,
    by_character: bool,
    digest: "hashlib._Hash | None" = None,
    notices: list[str] | None = None,
    may_be_bytes: bool = True,
) -> Iterator[Example]:
    """All examples: of labelled files, or made from any text."""
    if not config.restore:
        yield from labelled_texts(
            files, config, by_character=by_character, digest=digest, notices=notices, may_be_bytes=may_be_bytes
        )
        return
    if not by_character or config.symbols == "byte" or config.columns:
        option = "--task classify" if not by_character else "--columns" if config.columns else "--symbols byte"
        raise UsageError(f"--restore {config.restore} was given with {option}, which does not fit", "leave one of them out")
    for name in find_files(files, config, notices):
        called = "standard input" if name == "-" else name
        text = read_text(name, config, digest=digest, notices=notices, called=called, may_be_bytes=False)
        yield from stretches(text, config.restore, called)


def _vocab_of(texts: Sequence[str], kind: str) -> Vocab:
    """The symbols of texts; characters that occur only once are left to U+FFFD, which is always among them."""
    counts = np.zeros(NUM_CODE_POINTS, dtype=np.int64)
    for number in range(0, len(texts), AT_ONCE):
        whole = "".join(texts[number : number + AT_ONCE])
        seen = np.bincount(
            np.frombuffer(whole.encode("utf-8", "surrogateescape"), np.uint8) if kind == "byte" else code_points(whole)
        )
        counts[: len(seen)] += seen
    if kind == "char":
        is_rare = counts == 1
        counts[is_rare] = 0
        counts[REPLACEMENT] += max(1, int(is_rare.sum()))
    return Vocab.from_counts(counts, kind)


def _ids(vocab: Vocab, texts: Sequence[str], tell: Tell = lambda _stage, _fraction: None) -> Iterator[Ids]:
    for number in range(0, len(texts), AT_ONCE):
        tell("encoding the examples", number / len(texts))
        yield ids_of(vocab, "".join(texts[number : number + AT_ONCE]))


def _arrays(
    found: Gathered, order: npt.NDArray[np.int64], labels: Sequence[str]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
    """The bounds, the labels and the places of examples in this order."""
    lengths = found.lengths()
    bounds = np.concatenate([[0], np.cumsum(lengths[order])])
    numbers = {name: number for number, name in enumerate(labels)}
    names = found.names if not found.config.restore else [nearest(name, labels) for name in found.names]
    final = np.array([*(numbers[name] for name in names), UNLABELLED], dtype=np.uint16)  # the last is number -1
    of_labels = final[np.frombuffer(found.labels, dtype=np.intc)]
    if not found.by_character:
        return bounds, of_labels[order], np.zeros(0, dtype=np.uint8)
    ends = np.cumsum(lengths)
    ranges = [slice(*pair) for pair in zip((ends - lengths)[order].tolist(), ends[order].tolist(), strict=True)]
    places = np.frombuffer(found.places, dtype=np.uint8)
    return bounds, np.concatenate([of_labels[each] for each in ranges]), np.concatenate([places[each] for each in ranges])


def _write(target: Path, arrays: Sequence[npt.NDArray[Any]], ids: Iterator[Ids]) -> str:
    """Write the arrays and then the ids, each little-endian; give the SHA-256 of the file."""
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for each in (*arrays, *ids):
            raw = each.astype(each.dtype.newbyteorder("<")).tobytes()
            digest.update(raw)
            out.write(raw)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _sizes(vocab: Vocab, num_examples: int, num_characters: int, *, by_character: bool) -> tuple[int, int, int, int]:
    """The bytes of bounds, labels, places and ids."""
    num_labels = num_characters if by_character else num_examples
    places = num_characters if by_character else 0
    return 8 * (num_examples + 1), 2 * num_labels, places, vocab.dtype.itemsize * num_characters


def _mapped(path: Path, vocab: Vocab, num_examples: int, num_characters: int, *, by_character: bool) -> Examples:
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    ends = np.cumsum(_sizes(vocab, num_examples, num_characters, by_character=by_character)).tolist()
    bounds, labels, places, ids = (raw[start:end] for start, end in zip((0, *ends), ends, strict=False))
    return Examples(
        ids=ids.view(vocab.dtype.newbyteorder("<")), bounds=bounds.view("<i8"), labels=labels.view("<u2"), places=places
    )


def _problem(examples: Examples, vocab_size: int, num_labels: int) -> str:
    """What is wrong with the contents of a file of examples, if anything is."""
    bounds, labels = examples.bounds, examples.labels
    if bounds[0] != 0 or bounds[-1] != examples.num_characters or (bounds[1:] <= bounds[:-1]).any():
        return "has bounds that do not rise"
    if examples.ids.size and int(examples.ids.max()) >= vocab_size:
        return f"has symbols beyond the {vocab_size} of its vocabulary"
    is_beyond = labels >= num_labels
    if (is_beyond & (labels != UNLABELLED) if examples.by_character else is_beyond).any():
        return f"has labels beyond its {num_labels}"
    if examples.by_character and int(examples.places.max()) > 2:
        return "has places in words that there are not"
    return ""
