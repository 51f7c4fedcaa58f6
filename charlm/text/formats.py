"""Files of labelled texts -> examples: rows of TSV, CSV and JSON lines, folders of folders; the registries of endings.

Each error names the file and the line. Knows nothing of ids or of how examples are split.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError, brief
from charlm.text.examples import Example
from charlm.text.finding import find_files
from charlm.text.normalising import normalised
from charlm.text.source import read_text
from charlm.text.tagged import lines_of, read_characters, read_treebank

Reader = Callable[[str, str, "Columns"], Iterator[Example]]  # of a file's text, its name for people, and where its columns are

RIGHT = "say for example --columns text=2,label=1, or with names from the first row --columns text=review,label=stars"
MOST_OF_LABEL = 100  # characters; a longer one is a text in the wrong column
ROLES = ("text", "label", "group")
NUMBER = re.compile(r"0*[1-9]\d{0,4}", re.ASCII)
CELLS = "a line is a text, a tab and a label; .csv, .jsonl and .conllu say by their endings what they are"
# What would end the line that a label stands on, steer the screen, or is no character.
UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where a row has its text, its label and its group (None for no groups): each a number from 1, or a name.

    A name is that of a JSON field, or stands in the first row of a table. `is_given` is False for the default.
    """

    text: int | str = 1
    label: int | str = 2
    group: int | str | None = None
    is_given: bool = False

    @classmethod
    def of(cls, option: str, needed: Sequence[str] = ROLES[:2]) -> "Columns":
        """The columns that --columns names, in any order; the default where it is empty. Raises `UsageError`.

        `needed` are those that must be named if any is.
        """
        if not option:
            return cls()
        given: dict[str, int | str] = {}
        for part in option.split(","):
            role, _, name = (piece.strip() for piece in part.partition("="))
            if role not in ROLES or not name or role in given:
                raise UsageError(f"--columns is {brief(option)!r}: {brief(part)!r} is no column to name", RIGHT)
            given[role] = int(name) if NUMBER.fullmatch(name) else name
            if name.isdecimal() and given[role] == name:
                raise UsageError(f"--columns is {brief(option)!r}: columns are counted from 1, to 99,999", RIGHT)
        if missing := [role for role in needed if role not in given]:
            raise UsageError(f"--columns is {brief(option)!r}, and does not say which is the {missing[0]}", RIGHT)
        if len(set(given.values())) < len(given):
            raise UsageError(f"--columns is {brief(option)!r}, and names one column twice", RIGHT)
        return cls(**given, is_given=True)

    @property
    def all(self) -> tuple[int | str, ...]:
        """Those that are named: of the text, of the label and, where there is one, of the group."""
        return (self.text, self.label) if self.group is None else (self.text, self.label, self.group)


def labelled_texts(
    arguments: Sequence[str],
    config: CorpusConfig,
    *,
    by_character: bool,
    digest: "hashlib._Hash | None" = None,
    notices: list[str] | None = None,
    may_be_bytes: bool = True,
) -> Iterator[Example]:
    """The examples of files and folders, one after the other, with a label for each text, or for each character.

    A folder whose files lie in subfolders has one text in each file, and the subfolder's name is its label; any other folder
    stands for its files. Texts, and not labels, are brought into the normal form that `config` asks for. Feeds every byte to
    `digest`. `may_be_bytes` says whether an error may advise reading bytes. Raises `TextError` for what is no example, and
    `UsageError` for options that do not fit.
    """
    columns = Columns.of(config.columns)
    if by_character and columns.is_given:
        raise UsageError("--columns was given, and files with a label for each character have fixed columns", "leave it out")
    if by_character and config.symbols == "byte":
        raise UsageError("--symbols is 'byte', and the labels are of characters", "leave it out, or say --encoding latin-1")
    if by_character and config.normalize:
        what = f"--normalize {config.normalize} was given, and another form of a text has no place for its characters' labels"
        raise UsageError(what, "leave it out")
    may_be_bytes = may_be_bytes and not by_character
    as_written = replace(config, normalize="")  # what parts cells and fields has other forms
    for argument in arguments:
        for name, label in _files_of(argument, config, notices, by_character=by_character):
            called = "standard input" if name == "-" else name
            text = read_text(name, as_written, digest=digest, notices=notices, called=called, may_be_bytes=may_be_bytes)
            found = (
                _reader(name, by_character=by_character)(text.removeprefix("\ufeff"), called, columns)
                if label is None
                else _whole_file(text, label, called, columns)
            )
            yield from (_checked(example, config) for example in found)


def _files_of(
    argument: str, config: CorpusConfig, notices: list[str] | None, *, by_character: bool
) -> Iterator[tuple[str, str | None]]:
    """The files that an argument names, each with the label that its subfolder gives it, if one does."""
    files = find_files([argument], config, notices)
    if by_character or argument == "-" or not Path(argument).is_dir():
        yield from ((file, None) for file in files)
        return
    inner = [Path(file).relative_to(argument).parts for file in files]
    flat = [file for file, parts in zip(files, inner, strict=True) if len(parts) == 1]
    if flat and len(flat) < len(files):
        what = f"{flat[0]} lies in no subfolder of {argument}, though other files do, whose label is the subfolder's name"
        raise TextError(what, "move it into the folder of its label, or name the files to read")
    yield from ((file, None if flat else parts[0]) for file, parts in zip(files, inner, strict=True))


def _whole_file(text: str, label: str, file: str, columns: Columns) -> Iterator[Example]:
    if columns.is_given:
        raise UsageError(f"--columns was given, and {file} has its label from its folder's name", "leave it out")
    yield Example(text=text.removeprefix("\ufeff").rstrip("\r\n"), labels=(label,), line=1, file=file)


def _reader(name: str, *, by_character: bool) -> Reader:
    ending = Path(name).suffix.lower()
    if by_character and ending in ROWS:
        what = f"{name} has a label for each text, and --task tag needs one for each character"
        raise TextError(what, "give a treebank that ends in .conllu, or lines of a character, a tab and its label")
    if not by_character and ending in CHARACTERS:
        raise TextError(f"{name} is a treebank, whose labels are of words and not of texts", "try --task tag")
    return CHARACTERS.get(ending, _characters) if by_character else ROWS.get(ending, _tab_separated)


def _checked(example: Example, config: CorpusConfig) -> Example:
    """The example in its normal form, if its text is one, and each label fits on a line; raises `TextError`."""
    where = f"{example.file}, line {example.line}"
    if not example.text.strip():
        raise TextError(f"{where}: the text is empty", "leave the line out, or give it a text")
    try:
        example.text.encode("utf-8", "surrogateescape" if config.symbols == "byte" else "strict")
    except UnicodeEncodeError as error:
        raise TextError(f"{where}: the text has a lone surrogate, which is no character", "take it out") from error
    for label in set(example.labels) - {None}:
        if not label:
            raise TextError(f"{where}: the label is empty", "leave the line out, or give it a label")
        if len(label) > MOST_OF_LABEL:
            what = f"{where}: the label {brief(label)!r} has {len(label):,} characters, and {MOST_OF_LABEL} are the most"
            raise TextError(what, "give it a short name")
        if UNFIT.search(label):
            raise TextError(f"{where}: the label {brief(label)!r} has a control character", "name it so that it fits on a line")
    return replace(example, text=normalised(example.text, config.normalize, where)) if config.normalize else example


def _example(cells: Sequence[str], line: int, file: str) -> Example:
    return Example(text=cells[0], labels=(cells[1].strip(),), group="".join(cells[2:]), line=line, file=file)


def _from_table(rows: Iterator[tuple[int, list[str]]], file: str, columns: Columns) -> Iterator[Example]:
    """Examples of numbered rows of cells; the first row is one of names where a column is given by its name."""
    numbers = [column for column in columns.all if isinstance(column, int)]
    if len(numbers) < len(columns.all):
        line, header = next(rows, (1, []))
        names = [name.strip() for name in header]
        numbers = [number_of(column, names, f"{file}, line {line}") for column in columns.all]
    for line, cells in rows:
        where = f"{file}, line {line}"
        if len(cells) < max(numbers):
            hint = RIGHT if len(cells) > 1 else CELLS
            raise TextError(f"{where}: no column {max(numbers)}, for there {_are(len(cells))}", hint)
        if len(cells) > 2 and not columns.is_given:
            raise TextError(f"{where}: {len(cells)} columns, and not a text and its label", RIGHT)
        yield _example([cells[number - 1] for number in numbers], line, file)


def _are(columns: int) -> str:
    return "is 1 column" if columns == 1 else f"are {columns:,}"


def number_of(column: int | str, names: Sequence[str], where: str) -> int:
    """The number, from 1, of a column of a table whose first row has these `names`. Raises `TextError`."""
    if isinstance(column, int):
        return column
    if names.count(column) != 1:
        how_many = "two columns are" if column in names else "no column is"
        raise TextError(f"{where}: {how_many} called {brief(column)!r}; there are {brief(', '.join(names))}", RIGHT)
    return names.index(column) + 1


def _tab_separated(text: str, file: str, columns: Columns) -> Iterator[Example]:
    return _from_table(_tab_rows(text, file), file, columns)


def _tab_rows(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines_of(text):
        if line and "\t" not in line:
            raise TextError(f"{file}, line {number}: no tab between a text and its label: {brief(line)!r}", CELLS)
        if line:
            yield number, line.split("\t")


def _comma_separated(text: str, file: str, columns: Columns) -> Iterator[Example]:
    return _from_table(iter(comma_rows(text, file)), file, columns)


def comma_rows(text: str, file: str) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file, each with the line that it begins in."""
    rows, line = [], 1
    limit = csv.field_size_limit(max(1, len(text)))  # of this module, and not of this reader: put back below
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise TextError(f"{file}, line {line}: {error}", "CSV doubles a quote inside quotes") from error
    finally:
        csv.field_size_limit(limit)
    return rows


def _json_lines(text: str, file: str, columns: Columns) -> Iterator[Example]:
    fields = columns.all if columns.is_given else ROLES[:2]
    if any(isinstance(field, int) for field in fields):
        raise UsageError(f"--columns has numbers, and {file} has fields with names", "say --columns text=NAME,label=NAME")
    for number, line in lines_of(text):
        if line.strip():
            where = f"{file}, line {number}"
            row = object_of(line, where)
            yield _example([value_of(row, str(field), where, is_text=field == fields[0]) for field in fields], number, file)


def object_of(line: str, where: str) -> dict[str, object]:
    """The JSON object of a line; `where` is its file and number, for messages. Raises `TextError`."""
    try:
        row = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise TextError(f"{where}: not JSON: {brief(str(error))}", "give one object a line, with a text and a label") from error
    if not isinstance(row, dict):
        raise TextError(f"{where}: {brief(line)!r} is no JSON object", "give one object a line, with a text and a label")
    return row


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")


def value_of(row: dict[str, object], field: str, where: str, *, is_text: bool) -> str:
    """The string of a field; numbers and booleans, where it is no text, as JSON writes them."""
    value = row.get(field)
    if field not in row:
        raise TextError(f"{where}: no field {brief(field)!r}; there are {brief(', '.join(row))}", RIGHT)
    if isinstance(value, bool | int | float) and not is_text:
        return json.dumps(value)
    if not isinstance(value, str):
        raise TextError(f"{where}: the field {brief(field)!r} is {brief(json.dumps(value))}", "give a string, in quotes")
    return value


def _characters(text: str, file: str, _columns: Columns) -> Iterator[Example]:
    return read_characters(text, file)


def _treebank(text: str, file: str, _columns: Columns) -> Iterator[Example]:
    return read_treebank(text, file)


ROWS: dict[str, Reader] = {".csv": _comma_separated, ".jsonl": _json_lines, ".ndjson": _json_lines}
CHARACTERS: dict[str, Reader] = {".conllu": _treebank}
