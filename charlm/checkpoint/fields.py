"""JSON <-> the dataclasses, strictly: what a file leaves out, adds or gets wrong is an error that names the field."""

import sys
import types
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, TypeVar, get_args, get_origin

from charlm.errors import CheckpointError, UsageError, brief
from charlm.text.vocab import Vocab

T = TypeVar("T")


def from_json(cls: type[T], data: object, where: str) -> T:
    """An instance of the dataclass (or plain type) `cls` from parsed JSON. Raises `CheckpointError` naming the field."""
    if cls in (int, str):
        if type(data) is not cls:
            raise CheckpointError(f"{where} is {brief(repr(data))}, and must be {_name(cls)}")
        return data
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    if not isinstance(data, dict) or set(data) != names:
        found = brief(repr(sorted(data))) if isinstance(data, dict) else _name(type(data))
        raise CheckpointError(f"{where} has {found}, and must have {sorted(names)}")
    for field in fields(cls):  # type: ignore[arg-type]
        if not _fits(data[field.name], field.type):
            raise CheckpointError(f"{where}.{field.name} is {brief(repr(data[field.name]))}, and must be {_name(field.type)}")
    try:
        return cls(**data)
    except UsageError as error:
        raise CheckpointError(f"{where}: {error.message}") from error


def _fits(value: object, kind: object) -> bool:
    if get_origin(kind) is types.UnionType:
        return any(_fits(value, option) for option in get_args(kind))
    if kind is float:  # a whole number is one too, unless it is beyond all floats
        return isinstance(value, int | float) and type(value) is not bool and abs(value) <= sys.float_info.max
    return type(value) is (type(None) if kind is type(None) else kind)


def _name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabEntry:
    """A vocabulary in JSON: `symbols` is the string of all its characters, or empty for bytes."""

    kind: str
    start: int
    symbols: str


def vocab_to_json(vocab: Vocab) -> dict[str, Any]:
    """A vocabulary as JSON."""
    symbols = "".join(map(chr, vocab.symbols)) if vocab.kind == "char" else ""
    return asdict(VocabEntry(kind=vocab.kind, start=vocab.start, symbols=symbols))


def vocab_from_json(data: object, where: str) -> Vocab:
    """The vocabulary that `vocab_to_json` wrote. Raises `CheckpointError` unless it is a bijection on characters."""
    entry = from_json(VocabEntry, data, where)
    bytes_only = entry.kind == "byte" and not entry.symbols
    if not (bytes_only or entry.kind == "char"):
        raise CheckpointError(f"{where}.kind is {brief(repr(entry.kind))}, and must be char, or byte without symbols")
    symbols = range(256) if bytes_only else [ord(symbol) for symbol in entry.symbols]
    for before, after in pairwise(symbols):
        if before >= after:
            raise CheckpointError(f"{where}.symbols has U+{after:04X} twice, or out of its order")
    for symbol in symbols:
        if 0xD800 <= symbol < 0xE000:
            raise CheckpointError(f"{where}.symbols has U+{symbol:04X}, which is half a character")
    if not 0 <= entry.start < len(symbols):
        raise CheckpointError(f"{where}.start is {entry.start}, and there are {len(symbols)} symbols")
    return Vocab(kind=entry.kind, symbols=tuple(symbols), start=entry.start)
