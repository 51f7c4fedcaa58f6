"""Files -> documents, and those -> ids on disk, in the order train, validation, test. Knows nothing of models.

Files are read twice, as a corpus is: once to learn which symbols there are, once to encode them.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlm.config import CorpusConfig
from charlm.errors import TextError, brief, counted
from charlm.text.corpus import Corpus, Tell, changed, open_ids, what
from charlm.text.documents import Documents
from charlm.text.finding import find_files
from charlm.text.gathering import PARTS, TEST, TRAIN, part_of
from charlm.text.normalising import normalised
from charlm.text.parts import Parts
from charlm.text.source import read_symbols, remove_spooled, spool
from charlm.text.vocab import NUM_CODE_POINTS, Ids, Vocab, code_points
from charlm.text.words import WordCounts, token_ends

BY_FILE, BY_LINE = "file", "line"  # how `CorpusConfig.documents` may say where a document ends
AT_ONCE = 1 << 16  # characters that are encoded together, or one document
MOST_CHARACTERS = 1 << 24  # of a document, which is in memory as a whole


@dataclass(slots=True)
class Cutter:
    """Cuts files into documents as `config` says, and counts them as they come, without those that are empty.

    Of characters, a document of nothing but white space is empty too; of bytes none is left out that has any.
    """

    config: CorpusConfig
    notices: list[str] = field(default_factory=list)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    number: int = 0
    empty: int = 0
    cuts: int = 0  # places where a separator was found

    def documents(self, path: str | Path, called: str, *, may_be_bytes: bool = True) -> Iterator[str]:
        """The documents of one file. Bytes that are no UTF-8 are lone surrogates, as in the arguments of a command."""
        is_byte = self.config.symbols == "byte"
        chunks = read_symbols(
            path, self.config, digest=self.digest, notices=self.notices, called=called, may_be_bytes=may_be_bytes
        )
        raw = (chunk.tobytes().decode("latin-1" if is_byte else "utf-32-le") for chunk in chunks)
        for text in self._cut(raw):
            if text if is_byte else text.strip():
                self.number += 1
                yield text.encode("latin-1").decode("utf-8", "surrogateescape") if is_byte else text
            else:
                self.empty += 1

    def _cut(self, parts: Iterator[str]) -> Iterator[str]:
        """The texts between separators, in the form of `parts`: one of bytes has a character for each, and is cut anywhere."""
        separator, before = self._separator(), "\r" if self.config.documents == BY_LINE else ""
        held: list[str] = []  # of the document that is not over yet
        size, rest = 0, ""  # of what is held; in which a separator may have begun
        for part in parts:
            text, *others = (rest + part).split(separator) if separator else [rest + part]
            for following in others:
                yield "".join([*held, text]).removesuffix(before)
                held, size, text = [], 0, following
                self.cuts += 1
            place = max(0, len(text) + 1 - max(1, len(separator)))
            held.append(text[:place])
            size, rest = size + place, text[place:]
            if size > MOST_CHARACTERS:
                what = f"document {self.number + self.empty + 1:,} has more than {MOST_CHARACTERS:,} characters"
                raise TextError(what, "leave --documents out: a text of any length is read as one")
        last = "".join([*held, rest])
        if last or not separator:  # what ends a document begins none
            yield last

    def _separator(self) -> str:
        """What stands between documents, in the form that the text is in; empty where each file is one."""
        wanted = {BY_FILE: "", BY_LINE: "\n"}.get(self.config.documents, self.config.documents)
        if self.config.symbols == "byte":
            return wanted.encode("utf-8", "surrogateescape").decode("latin-1")
        return normalised(wanted, self.config.normalize, "the --documents text")


def encode_documents(
    files: Sequence[str], config: CorpusConfig, target: Path, tell: Tell = lambda _stage, _fraction: None
) -> tuple[Corpus, list[str]]:
    """Encode the documents of `files` into the file `target`; give the corpus, and notices for people.

    Each falls into a part by the hash of its text, so that equal ones share a part. `tell` hears the stage and how far it is.
    Raises `TextError` for a text that cannot be read, has not two documents, none to train on, or changes between the readings.
    """
    tell("copying the text", 0.0)
    paths = spool(files, target.parent)
    total = sum(path.stat().st_size for path in paths)
    first, again = Cutter(config), Cutter(config)
    counts, words = np.zeros(NUM_CODE_POINTS, dtype=np.int64), WordCounts()
    for group in _groups(first, paths, files, partial(tell, "reading the text"), total):
        seen = np.bincount(symbols_in("".join(group), config.symbols))
        counts[: len(seen)] += seen
        for text in group if config.symbols == "word" else ():
            words.add(points := code_points(text), token_ends(points))
    if first.number < 2:
        has = f"{counted(first.number, 'document')}, cut {in_words(config)}"
        returns = ", such as '\\r'," if counts[ord("\r")] else ""
        raise TextError(f"{what(files)} has {has}", f"give more of them, another --documents{returns}, or leave it out")
    vocab = Vocab.from_counts(counts, config.symbols, config.min_count, words.common(config.min_count), has_documents=True)
    sizes = dict.fromkeys(PARTS, 0)
    with contextlib.closing(Parts(target, vocab, "", is_always=False)) as parts:
        for group in _groups(again, paths, files, partial(tell, "encoding the text"), total):
            places = [part_of(text, config) for text in group]
            for part in PARTS:
                own = [text for text, place in zip(group, places, strict=True) if place == part]
                sizes[part] += len(own)
                try:
                    parts.add(part, encoded(vocab, own))
                except TextError as error:
                    raise changed(files) from error
        ids_sha256 = parts.join()
    if again.digest.digest() != first.digest.digest():
        raise changed(files)
    remove_spooled(paths, target.parent)
    if not sizes[TRAIN]:
        said = f"{counted(first.number, 'document')} of {what(files)}: none fell into the training part"
        raise TextError(said, "give more of them, or smaller --validation-fraction and --test-fraction")
    corpus = Corpus(
        ids=open_ids(target, vocab),
        vocab=vocab,
        splits=parts.splits,
        sha256=first.digest.hexdigest(),
        ids_sha256=ids_sha256,
    )
    return corpus, [*first.notices, *_notices(first, sizes), *parts.notices(1)]


def _groups(
    cutter: Cutter, paths: Sequence[Path], files: Sequence[str], tell: Callable[[float], None], total: int
) -> Iterator[list[str]]:
    """The documents of all files, about AT_ONCE characters together."""
    group: list[str] = []
    size = done = 0
    for path, name in zip(paths, files, strict=True):
        for text in cutter.documents(path, "standard input" if name == "-" else name):
            group.append(text)
            size += len(text)
            if size >= AT_ONCE:
                yield group
                done += size
                tell(min(1.0, done / max(1, total)))
                group, size = [], 0
    yield group


def _notices(cutter: Cutter, sizes: dict[int, int]) -> Iterator[str]:
    """What people should know of how a text was cut."""
    config = cutter.config
    where = ", ".join(f"{size:,} for {PARTS[part]}" for part, size in sizes.items() if size)
    yield f"{counted(cutter.number, 'document')}, {in_words(config)}: {where}"
    if cutter.empty:
        yield f"{counted(cutter.empty, 'empty document')} left out"
    if config.documents != BY_FILE and not cutter.cuts:
        yield f"there is no separator in the text, cut {in_words(config)}: each file is one document"
    if config.test_fraction and not sizes[TEST]:
        yield "no document fell into the test part: there are too few different ones"


def in_words(config: CorpusConfig) -> str:
    """What a document is: "one a file", "one a line" or "between '---'"."""
    known = {BY_FILE: "one a file", BY_LINE: "one a line"}
    return known.get(config.documents, f"between {brief(repr(config.documents))}")


def encoded(vocab: Vocab, texts: Sequence[str]) -> Ids:
    """The ids of documents, one after the other, each with its START and END. Raises `TextError` as `Vocab.encode` does."""
    start, end = vocab.marks or (0, 0)
    if vocab.is_spelt:  # each by itself, for nobody knows how many ids it has
        pieces = [np.array([start, *vocab.encode(text, of="document"), end], dtype=vocab.dtype) for text in texts]
        return np.concatenate([vocab.encode(""), *pieces])
    ids = vocab.encode("".join(texts), of="document")
    lengths = np.array([len(symbols_in(text, vocab.kind)) for text in texts] if vocab.kind == "byte" else [*map(len, texts)])
    ends = np.cumsum(lengths.astype(np.int64) + 2)
    is_letter = np.ones(len(ids) + 2 * len(texts), dtype=bool)
    is_letter[ends - 1] = is_letter[ends - lengths.astype(np.int64) - 2] = False
    found = np.full(len(is_letter), start, dtype=vocab.dtype)
    found[is_letter] = ids
    found[ends - 1] = end
    return found


def symbols_in(text: str, kind: str) -> npt.NDArray[np.unsignedinteger]:
    """The code points of a text, or its bytes, as `kind` says."""
    return np.frombuffer(text.encode("utf-8", "surrogateescape"), dtype=np.uint8) if kind == "byte" else code_points(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The documents that were read for a model, how many symbols were left out, and what people should know."""

    documents: Documents
    skipped: int
    notices: list[str]


def read_documents(files: Sequence[str], config: CorpusConfig, vocab: Vocab, *, skip_unknown: bool) -> Found:
    """The documents of `files`, in order, for a model that was trained on documents as `config` says.

    Raises `TextError` for a symbol that the model has never seen, unless `skip_unknown`, and where there is no document.
    """
    cutter, pieces, skipped, unseen = Cutter(config), [encoded(vocab, [])], 0, None
    for name in find_files(files, config, cutter.notices):
        called = "standard input" if name == "-" else name
        for text in cutter.documents(name, called, may_be_bytes=False):
            try:
                pieces.append(encoded(vocab, [text]))
            except TextError as error:
                unseen = unseen or TextError(f"{called}: in document {cutter.number:,} {error.message}", error.hint)
                known = vocab.encode(text, skip_unknown=True)
                skipped += int(vocab.lacks(vocab.symbols_of(text)).sum())
                start, end = encoded(vocab, [""])
                pieces.append(np.array([start, *known, end], dtype=vocab.dtype))
    if unseen is not None and not skip_unknown:
        raise TextError(f"{unseen.message}; {counted(skipped, 'such character')} in all", unseen.hint)
    if not cutter.number:
        raise TextError(f"{what(files)} has no document, cut {in_words(config)}", "give a text that has some")
    empty = [f"{counted(cutter.empty, 'empty document')} left out"] if cutter.empty else []
    documents = Documents.of(np.concatenate(pieces), vocab)
    return Found(documents=documents, skipped=skipped, notices=[*cutter.notices, *empty])
