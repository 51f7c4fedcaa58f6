"""Texts to ask a model about, in groups, as they come: lines, columns of tables, JSON lines, sentences, stretches of any text.

Of a long file or an endless pipe only a part is in memory; only a CSV file is read whole. Knows nothing of models.
"""

import codecs
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError
from charlm.text.examples import Example
from charlm.text.finding import find_files
from charlm.text.formats import RIGHT, Columns, comma_rows, number_of, object_of, value_of
from charlm.text.normalising import normalised
from charlm.text.restoring import LONGEST, STRETCH, stretches, taken_out
from charlm.text.source import read_symbols
from charlm.text.tagged import Block, sentence_of, text_of
from charlm.text.vocab import Vocab

PART = 1 << 16  # characters that are read, and asked about, together; or one text
MOST_TEXTS = 4096  # that are asked about together
MOST_CHARACTERS = 1 << 22  # of a text

Lines = Iterator[list[tuple[int, str]]]  # groups of lines without their ends, each with its number, from 1
TellShare = Callable[[float], None]  # how much of the source has been dealt with, from 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A text, which may be empty. `places` say where its words are, if known, and `is_extended` that a line end was added."""

    text: str
    places: bytes = b""
    is_extended: bool = False


Group = list[Question]


def questions(
    name: str,
    config: CorpusConfig,
    *,
    columns: str | None,
    by_character: bool,
    line_by_line: bool,
    notices: list[str],
    tell: TellShare = lambda _fraction: None,
) -> Iterator[Group]:
    """The texts of a file ("-" is standard input), in groups, for a model that was trained on texts as `config` says.

    Each line is a text, so that an empty line is an empty one; but the texts of a .csv, a .jsonl and, where labels are of
    texts, a .tsv file are in a column, by default that of `config`. Given `columns`, a source of any other name has tabs. Where
    each character has a label, a .conllu file has sentences, and a .tsv file lines of characters. To a model that restores, a
    source is one text, and what it restores is taken out first. Texts are in the normal form that `config` asks for. What has
    come of a pipe is given before more is read, and with `line_by_line` a stretch ends with each line. Raises `TextError` and
    `UsageError` for what cannot be read.
    """
    called = "standard input" if name == "-" else name
    if name != "-" and Path(name).is_dir():
        raise TextError(f"{name} is a folder", "name a file in it, or give - for standard input")
    find_files([name], config)  # for its errors
    parts = _parts(name, config if config.restore else replace(config, normalize=""), called, notices, tell)
    ending = Path(name).suffix.lower()
    if config.restore:
        if columns is not None:
            raise UsageError("--columns was given, and the model restores any text", "leave it out")
        yield from _stretches(parts, config.restore, line_by_line=line_by_line)
        return
    where = Columns.of(config.columns if columns is None else columns, ("text",))
    if by_character and columns is None and ending in BLOCKS:
        found = _from_blocks(_lines(parts, called), BLOCKS[ending], called)
    elif ending in TABLES:
        found = TABLES[ending](parts, called, where)
    elif columns is not None or (ending == ".tsv" and not by_character):
        found = _tab_separated(parts, called, where)
    else:
        found = ([Question(text=line) for _, line in lines] for lines in _lines(parts, called))
    form = config.normalize
    for group in found:
        yield from _in_parts([replace(each, text=normalised(each.text, form, called)) for each in group] if form else group)


def num_unknown(text: str, vocab: Vocab) -> int:
    """How many characters of `text` the vocabulary lacks."""
    known = set(vocab.symbols)
    return sum(text.count(character) for character in set(text) if ord(character) not in known) if vocab.kind == "char" else 0


def _parts(name: str, config: CorpusConfig, called: str, notices: list[str], tell: TellShare) -> Iterator[str]:
    """The text of a source, as it comes, in parts of at most PART characters."""
    size, done = Path(name).stat().st_size if name != "-" and Path(name).is_file() else 0, 0
    encoding, errors = ("utf-8", "surrogateescape") if config.symbols == "byte" else ("utf-32-le", "strict")
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    is_first = True
    for symbols in chain(read_symbols(name, config, notices=notices, called=called, may_be_bytes=False), [None]):
        text = decoder.decode(b"" if symbols is None else symbols.tobytes(), final=symbols is None)
        text, is_first = text.removeprefix("\ufeff") if is_first else text, is_first and not text
        for start in range(0, len(text), PART):
            part = text[start : start + PART]
            yield part
            if size:
                done += len(part.encode("utf-8" if config.symbols == "byte" else config.encoding, "replace"))
                tell(min(1.0, done / size))


def _lines(parts: Iterator[str], called: str) -> Lines:
    """The lines that have come, CR LF or LF taken off; a lone CR ends a line where nothing else does."""
    rest, number = "", 0
    for part in parts:
        *lines, rest = (rest + part).split("\n")
        if len(rest) > MOST_CHARACTERS:
            what = f"{called}, line {number + len(lines) + 1}: more than {MOST_CHARACTERS:,} characters without a line end"
            raise TextError(what, "give a text a line")
        if lines:
            yield [(number + place, line.removesuffix("\r")) for place, line in enumerate(lines, 1)]
        number += len(lines)
    last = [rest.removesuffix("\r")] if number else rest.removesuffix("\r").split("\r")
    if rest:
        yield [(number + place, line) for place, line in enumerate(last, 1)]


def _tab_separated(parts: Iterator[str], called: str, where: Columns) -> Iterator[Group]:
    rows = ([(number, line.split("\t") if line else []) for number, line in lines] for lines in _lines(parts, called))
    return _from_rows(rows, called, where)


def _comma_separated(parts: Iterator[str], called: str, where: Columns) -> Iterator[Group]:
    return _from_rows(iter([comma_rows("".join(parts), called)]), called, where)


def _from_rows(groups: Iterator[list[tuple[int, list[str]]]], called: str, where: Columns) -> Iterator[Group]:
    """The texts in a column of rows of cells; the first row is one of names where the column is given by its name."""
    column = where.text
    for rows in groups:
        texts = []
        for line, cells in rows:
            if isinstance(column, str):
                column = number_of(column, [cell.strip() for cell in cells], f"{called}, line {line}") if cells else column
                continue
            if cells and len(cells) < column:
                there = "is 1 column" if len(cells) == 1 else f"are {len(cells):,}"
                raise TextError(f"{called}, line {line}: no column {column}, for there {there}", RIGHT)
            texts.append(Question(text=cells[column - 1] if cells else ""))
        yield texts


def _json_lines(parts: Iterator[str], called: str, where: Columns) -> Iterator[Group]:
    field = where.text if where.is_given else "text"
    if isinstance(field, int):
        raise UsageError(f"--columns has numbers, and {called} has fields with names", "say --columns text=NAME")
    for lines in _lines(parts, called):
        yield [Question(text=_field(line, field, f"{called}, line {number}")) for number, line in lines]


def _field(line: str, field: str, where: str) -> str:
    text = value_of(object_of(line, where), field, where, is_text=True) if line.strip() else ""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextError(f"{where}: the text has a lone surrogate, which is no character", "take it out") from error
    return text


def _from_blocks(groups: Lines, make: Callable[[Block, str], Example | None], called: str) -> Iterator[Group]:
    """The texts of blocks of lines with an empty line between two."""
    block: list[tuple[int, str]] = []
    for lines in chain(groups, [[(0, "")]]):
        texts = []
        for each in lines:
            if each[1]:
                block.append(each)
            elif block:
                try:
                    example = make(block, called)
                except TextError as error:
                    raise TextError(error.message, "a file of texts, one a line, may end in .txt") from error
                texts += [] if example is None else [Question(text=example.text, places=example.places)]
                block = []
        if len(block) > MOST_CHARACTERS:
            what = f"{called}, line {block[0][0]}: more than {MOST_CHARACTERS:,} lines without an empty one"
            raise TextError(what, "an empty line ends a text")
        yield texts


def _stretches(parts: Iterator[str], what: str, *, line_by_line: bool) -> Iterator[Group]:
    """Stretches of what is left of a text, each as soon as nothing that follows can change where it ends."""
    left = ""
    for part in parts:
        left += taken_out(part, what)
        group = [Question(text=each.text) for each in stretches(left, what)]
        if not left.endswith("\n"):
            group = _begun_before(group, len(left) - LONGEST)
        elif not line_by_line and len(group[-1].text) < STRETCH:
            del group[-1]
        yield group
        left = left[sum(len(each.text) for each in group) :]
    rest = [each.text for each in stretches(left, what)]
    is_extended = bool(left) and not left.endswith("\n")
    yield [Question(text=text, is_extended=is_extended and place == len(rest)) for place, text in enumerate(rest, 1)]


def _begun_before(group: Group, place: int) -> Group:
    """Those that end before a place, at the beginning of `group`."""
    end, kept = 0, []
    for each in group:
        end += len(each.text)
        if end >= place:
            break
        kept.append(each)
    return kept


def _in_parts(group: Sequence[Question]) -> Iterator[Group]:
    """The same texts, at most PART characters together, or one text, and at most MOST_TEXTS texts."""
    part: Group = []
    size = 0
    for each in group:
        if part and (size + len(each.text) > PART or len(part) == MOST_TEXTS):
            yield part
            part, size = [], 0
        part.append(each)
        size += len(each.text)
    if part:
        yield part


# Readers of tables and of texts in blocks, by the endings of files.
TABLES: dict[str, Callable[[Iterator[str], str, Columns], Iterator[Group]]] = {
    ".csv": _comma_separated,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}
BLOCKS: dict[str, Callable[[Block, str], Example | None]] = {
    ".conllu": sentence_of,
    ".tsv": lambda block, called: replace(text_of(block, called), places=b""),  # asked about as it is given: by character
}
