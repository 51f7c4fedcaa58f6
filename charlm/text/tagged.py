"""Files with a label for each character -> examples: CoNLL-U treebanks, and lines of `character<TAB>label`.

CoNLL-U is described at https://universaldependencies.org/format.html. Knows nothing of encodings or of ids.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from charlm.errors import TextError, brief
from charlm.text.examples import BEGINS, INSIDE, OUTSIDE, Example

NUM_COLUMNS = 10
RANGE, WORD, EMPTY_NODE = re.compile(r"(\d{1,9})-(\d{1,9})"), re.compile(r"\d{1,9}"), re.compile(r"\d{1,9}\.\d{1,9}")
TEXT = re.compile(r"#\s*text\s*=(.*)", re.DOTALL)
PROBABILITY = re.compile(r"[01]\.\d+", re.ASCII)  # which `charlm predict` gives in a third column

Block = Sequence[tuple[int, str]]  # lines with their numbers, from 1


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """The lines of `text` with their numbers, from 1, without LF or CR LF; a lone CR ends a line where nothing else does."""
    for number, line in enumerate(text.split("\n" if "\n" in text else "\r"), 1):
        yield number, line.removesuffix("\r")


def blocks_of(text: str) -> Iterator[list[tuple[int, str]]]:
    """The lines of `text`, as `lines_of` gives them, between empty lines."""
    block: list[tuple[int, str]] = []
    for number, line in lines_of(text):
        if line:
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def places_of(text: str) -> bytes:
    """For each character its place among the words that white space separates."""
    places, before = bytearray(len(text)), OUTSIDE
    for number, character in enumerate(text):
        before = OUTSIDE if character.isspace() else BEGINS if before == OUTSIDE else INSIDE
        places[number] = before
    return bytes(places)


def read_characters(text: str, file: str) -> Iterator[Example]:
    """Examples of lines `character<TAB>label`, with an empty line between two; words are what white space separates.

    A character whose label is empty has none. Raises `TextError` for a line that is anything else.
    """
    for block in blocks_of(text):
        yield text_of(block, file)


def text_of(block: Block, file: str) -> Example:
    """The example of a block of lines `character<TAB>label`."""
    pairs = [_character_of(line, f"{file}, line {number}") for number, line in block]
    characters = "".join(character for character, _ in pairs)
    labels = tuple(label or None for _, label in pairs)
    return Example(text=characters, labels=labels, places=places_of(characters), line=block[0][0], file=file)


def _character_of(line: str, where: str) -> tuple[str, str]:
    """The character and the label of a line; `where` is its file and number, for messages."""
    character, tab, label = (line[0], "\t", line[2:]) if line[1:2] == "\t" else line.partition("\t")
    label, second, probability = label.partition("\t")
    what = "each line has one character, a tab and its label; an empty line ends an example"
    if not tab:
        hint = f"{what}; --restore spaces takes any text"
        raise TextError(f"{where}: no tab after the character in {brief(line)!r}", hint)
    if len(character) != 1:
        before = f"{len(character):,} characters, {brief(character)!r}," if character else "nothing"
        raise TextError(f"{where}: {before} before the tab", what)
    if second and not PROBABILITY.fullmatch(probability):
        raise TextError(f"{where}: a second tab, after the label {brief(label)!r}", what)
    return character, label.strip()


class _Word(NamedTuple):
    """Characters that stand together, the label of each, and whether a blank follows."""

    form: str
    labels: tuple[str | None, ...]
    places: bytes
    has_space_after: bool

    @classmethod
    def of(cls, columns: Sequence[str], label: str | None) -> "_Word":
        """The word of a line of CoNLL-U; one without a label counts as no word."""
        form, size = columns[1], len(columns[1])
        places = bytes([OUTSIDE]) * size if label is None else bytes([BEGINS]) + bytes([INSIDE]) * (size - 1)
        return cls(form, (label,) * size, places, "SpaceAfter=No" not in columns[9].split("|"))


def read_treebank(text: str, file: str) -> Iterator[Example]:
    """Examples of the sentences of a CoNLL-U file: each word's UPOS is the label of its characters, what is between has none.

    The text is that of the comment `# text =` where the words are found in it, one after the other; else it is put together
    from them and from SpaceAfter=No. A multiword token, such as `3-4`, is read as its words where they spell it, else as one
    word with the labels of both, as `ADP+DET`; empty nodes, such as `3.1`, are no part of the text. Raises `TextError` for a
    line without ten columns, or with an ID or FORM that is none.
    """
    yield from filter(None, (sentence_of(block, file) for block in blocks_of(text)))


def sentence_of(block: Block, file: str) -> Example | None:
    """The example of a block of lines of CoNLL-U; None where it has no word."""
    lines = [(f"{file}, line {number}", line) for number, line in block if not line.startswith("#")]
    rows = [_columns_of(line, where) for where, line in lines]
    words = list(_words_of(rows, [where for where, _ in lines]))
    said = next((found[1].strip() for _, line in block if (found := TEXT.fullmatch(line))), "")
    return _joined(words, _gaps_in(said, words) or _gaps_between(words), block[0][0], file) if words else None


def _columns_of(line: str, where: str) -> list[str]:
    columns = line.split("\t")
    if len(columns) != NUM_COLUMNS:
        what = f"{where}: {len(columns)} of the {NUM_COLUMNS} columns of CoNLL-U, which tabs separate"
        raise TextError(what, "see https://universaldependencies.org/format.html")
    if not any(pattern.fullmatch(columns[0]) for pattern in (WORD, RANGE, EMPTY_NODE)):
        raise TextError(f"{where}: the ID is {brief(columns[0])!r}", "it must be as 3, 3-4 or 3.1 are")
    if not columns[1].strip():
        raise TextError(f"{where}: the FORM is empty", "give the word as it stands in the text")
    return columns


def _words_of(rows: Sequence[Sequence[str]], wheres: Sequence[str]) -> Iterator[_Word]:
    """What stands in the text, in order: words, and multiword tokens in place of theirs."""
    covered = 0
    for number, (columns, where) in enumerate(zip(rows, wheres, strict=True)):
        if found := RANGE.fullmatch(columns[0]):
            first, covered = int(found[1]), int(found[2])
            inner = [row for row in rows[number + 1 :] if WORD.fullmatch(row[0]) and first <= int(row[0]) <= covered]
            if not inner:
                raise TextError(f"{where}: the words of {columns[0]} do not follow", "give them in the next lines")
            yield _together(columns, inner)
        elif WORD.fullmatch(columns[0]) and int(columns[0]) > covered:
            yield _Word.of(columns, _label_of(columns))


def _label_of(columns: Sequence[str]) -> str | None:
    return None if columns[3].strip() in {"_", ""} else columns[3].strip()


def _together(columns: Sequence[str], inner: Sequence[Sequence[str]]) -> _Word:
    """A multiword token of the words `inner`."""
    words = [_Word.of(row, _label_of(row)) for row in inner]
    if "".join(word.form for word in words) != columns[1]:
        return _Word.of(columns, "+".join(label for row in inner if (label := _label_of(row))) or None)
    labels = tuple(label for word in words for label in word.labels)
    places = b"".join(word.places for word in words)
    return _Word.of(columns, None)._replace(labels=labels, places=places)


def _gaps_in(said: str, words: Sequence[_Word]) -> list[str]:
    """What stands in `said` before each word; empty unless that is white space everywhere, and the words are all of it."""
    gaps, position = [], 0
    for word in words:
        start = position
        while not said.startswith(word.form, position):
            if position >= len(said) or not said[position].isspace():
                return []
            position += 1
        gaps.append(said[start:position])
        position += len(word.form)
    return gaps if position == len(said) else []


def _gaps_between(words: Sequence[_Word]) -> list[str]:
    return ["", *(" " if word.has_space_after else "" for word in words[:-1])]


def _joined(words: Sequence[_Word], gaps: Sequence[str], line: int, file: str) -> Example:
    text, places = "", bytearray()
    labels: list[str | None] = []
    for gap, word in zip(gaps, words, strict=True):
        text += gap + word.form
        labels += (*[None] * len(gap), *word.labels)
        places += bytes([OUTSIDE]) * len(gap) + word.places
    return Example(text=text, labels=tuple(labels), places=bytes(places), line=line, file=file)
