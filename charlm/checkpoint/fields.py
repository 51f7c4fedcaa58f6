"""JSON <-> the dataclasses, strictly: an unknown or wrong field is an error that names it.

A field the file leaves out takes its default. So a field added later needs a default, and earlier files still open.
"""

import sys
import types
from collections.abc import Callable, Collection
from dataclasses import MISSING, dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any, TypeVar, get_args, get_origin

from charlm.config import End, later
from charlm.errors import CheckpointError, NewerError, UsageError, brief
from charlm.text.spelling import BYTE0, NUM_BYTES, is_surrogate
from charlm.text.vocab import END, START, Vocab, code_points
from charlm.text.words import LONGEST, MOST_WORDS

T = TypeVar("T")

BETWEEN = "|"  # words have none


def to_json(value: Any) -> dict[str, Any]:  # noqa: ANN401 (any dataclass; its type has no name)
    """Turn a dataclass into JSON, without the fields of `config.later` that have their default."""
    contents: dict[str, Any] = {}
    for each in fields(value):
        part = getattr(value, each.name)
        if not (each.metadata.get("later") and part == each.default):
            contents[each.name] = _part_to_json(part)
    return contents


def _part_to_json(part: object) -> object:
    return vocab_to_json(part) if isinstance(part, Vocab) else to_json(part) if is_dataclass(part) else part


def from_json(cls: type[T], data: object, where: str, separator: str = ".") -> T:
    """Make an instance of `cls` (a dataclass, a plain type or a tuple of plain types) from parsed JSON.

    Errors name it `where`, and a field `where` + `separator` + its name. Raises `CheckpointError` naming a field that is wrong,
    or missing without a default; `NewerError` for a field this charlm does not know.
    """
    if is_dataclass(cls):
        if isinstance(data, cls):
            return data  # made already
        if cls in READERS:
            return READERS[cls](data, where)  # type: ignore[return-value]  # each reader returns its own class
        return _from_fields(cls, data, where, separator)
    options: tuple[Any, ...] = get_args(cls) if get_origin(cls) is types.UnionType else ()
    nested: Any = next(filter(is_dataclass, options), None)
    if nested and data is not None:
        return from_json(nested, data, where)  # type: ignore[no-any-return]  # `nested` is a member of the union
    if get_origin(cls) is tuple:
        return _tuple(cls, data, where)  # type: ignore[return-value]  # `cls` is a tuple
    if not _fits(data, cls):
        raise CheckpointError(f"{where} is {brief(repr(data))}, and must be {_name(cls)}")
    return data  # type: ignore[return-value]  # `_fits` has checked it


def _from_fields(cls: type[T], data: object, where: str, separator: str = ".") -> T:
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]  # `cls` is a dataclass
    if not isinstance(data, dict):
        raise CheckpointError(f"{where} is {brief(repr(data))}, and must have {sorted(known)}")
    _require_known(data, known, where)
    needed = {name for name, field in known.items() if field.default is MISSING}
    if missing := sorted(needed - data.keys()):
        raise CheckpointError(f"{where} has no {missing[0]}")
    kinds: dict[str, Any] = {name: field.type for name, field in known.items()}
    values = {name: from_json(kinds[name], value, f"{where}{separator}{name}") for name, value in data.items()}
    try:
        return cls(**values)
    except UsageError as error:
        raise CheckpointError(f"{where}: {error.message}") from error


def _tuple(cls: object, data: object, where: str) -> tuple[Any, ...]:
    kind = get_args(cls)[0]
    if not isinstance(data, list) or not all(_fits(each, kind) for each in data):
        raise CheckpointError(f"{where} is {brief(repr(data))}, and must be a list of {_name(kind)}")
    return tuple(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierEnd:
    """An end as files stored it up to commit c102cb9: one of the three is set."""

    max_steps: int | None = None
    epochs: float | None = None
    max_seconds: float | None = None


def _end_from_json(data: object, where: str) -> End:
    if not isinstance(data, dict) or data.keys() & {"unit", "amount"}:
        return _from_fields(End, data, where)
    was = from_json(EarlierEnd, data, where)
    try:
        end = End.of(steps=was.max_steps, epochs=was.epochs, seconds=was.max_seconds)
    except UsageError as error:
        raise CheckpointError(f"{where}: {error.message}") from error
    if end is None:
        raise CheckpointError(f"{where} has no unit")
    return end


def _require_known(data: Collection[str], known: Collection[str], where: str) -> None:
    if unknown := sorted(set(data) - set(known)):
        raise NewerError(f"{where} has {brief(repr(unknown[0]))}, which this charlm does not know")


def _fits(value: object, kind: object) -> bool:
    if get_origin(kind) is types.UnionType:
        return any(_fits(value, option) for option in get_args(kind))
    if kind is float:  # a whole number is accepted too, unless it is too large for a float
        return isinstance(value, int | float) and type(value) is not bool and abs(value) <= sys.float_info.max
    return type(value) is (type(None) if kind is type(None) else kind)


def _name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabEntry:
    """A vocabulary as JSON stores it: `symbols` is the string of all its characters, empty for bytes.

    With `documents` START and END come after them, and `start` is the id of START. Where it `spells` others, bytes follow, and
    then `words`, which are one string too, with `BETWEEN` between them, for a header has few commas.
    """

    kind: str
    start: int
    symbols: str
    documents: bool = later(False)
    spells: bool = later(False)
    words: str = later("")


def vocab_to_json(vocab: Vocab) -> dict[str, Any]:
    """Turn a vocabulary into JSON."""
    entry = VocabEntry(
        kind=vocab.kind,
        start=vocab.start,
        symbols=vocab.characters,
        documents=vocab.marks is not None,
        spells=vocab.is_spelt,
        words=BETWEEN.join(vocab.words),
    )
    return to_json(entry)


def vocab_from_json(data: object, where: str) -> Vocab:
    """Read the vocabulary `vocab_to_json` wrote. Raises `CheckpointError` unless ids and characters match one to one."""
    entry = from_json(VocabEntry, data, where)
    bytes_only = entry.kind == "byte" and not entry.symbols
    if not (bytes_only or entry.kind in ("char", "word")):
        raise CheckpointError(f"{where}.kind is {brief(repr(entry.kind))}, and must be char, word, or byte without symbols")
    if entry.spells != (entry.kind == "word") and entry.kind != "char":
        raise CheckpointError(f"{where}.kind is {entry.kind}, and spells is {entry.spells}")
    symbols = range(256) if bytes_only else [ord(symbol) for symbol in entry.symbols]
    for before, after in pairwise(symbols):
        if before >= after:
            raise CheckpointError(f"{where}.symbols has U+{after:04X} twice, or out of its order")
    for symbol in symbols:
        if 0xD800 <= symbol < 0xE000:
            raise CheckpointError(f"{where}.symbols has U+{symbol:04X}, which is half a character")
    marks = (START, END) if entry.documents else ()
    spelling = range(BYTE0, BYTE0 + NUM_BYTES) if entry.spells else ()
    vocab = Vocab(kind=entry.kind, symbols=(*symbols, *marks, *spelling), start=entry.start, words=_words(entry, where))
    if not 0 <= entry.start < len(vocab):
        raise CheckpointError(f"{where}.start is {entry.start}, and there are {len(vocab)} symbols")
    if entry.documents and entry.start != len(symbols):
        raise CheckpointError(f"{where}.start is {entry.start}, and the start of a document is {len(symbols)}")
    return vocab


def _words(entry: VocabEntry, where: str) -> tuple[str, ...]:
    """The words. Raises `CheckpointError` unless they could be those of a vocabulary."""
    if not entry.words:
        return ()
    if entry.kind != "word":
        raise CheckpointError(f"{where}.words has {brief(repr(entry.words))}, and kind is {entry.kind}")
    if entry.words.count(BETWEEN) >= MOST_WORDS:
        raise CheckpointError(f"{where}.words has more than {MOST_WORDS:,} words")
    words = tuple(entry.words.split(BETWEEN))
    for word in words:
        if not 1 < len(word) <= LONGEST:
            raise CheckpointError(f"{where}.words has {brief(repr(word))}, and each must have 2 to {LONGEST} characters")
        if is_surrogate(code_points(word)).any():
            raise CheckpointError(f"{where}.words has {brief(repr(word))}, with half a character")
    for word, after in pairwise(words):
        if word >= after:
            raise CheckpointError(f"{where}.words has {brief(repr(after))} twice, or out of its order")
    return words


# Classes that files store, or once stored, in another form than field by field.
READERS: dict[type, Callable[[object, str], object]] = {End: _end_from_json, Vocab: vocab_from_json}
