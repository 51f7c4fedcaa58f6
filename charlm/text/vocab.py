"""Characters (or bytes) <-> ids. Knows nothing of files.

Texts become numpy arrays of code points, so that one look-up encodes a chunk of any length.
"""

import codecs
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.errors import TextError

Ids = npt.NDArray[np.unsignedinteger]
CodePoints = npt.NDArray[np.uint32]

NUM_CODE_POINTS = 0x110000
START, END = NUM_CODE_POINTS, NUM_CODE_POINTS + 1  # symbols beyond Unicode: what stands before and after a document
MOST_MARKS = 20  # of a letter that is looked for in another normal form


def code_points(text: str) -> CodePoints:
    """The `(N,)` Unicode code points of `text`; lone surrogates pass as themselves."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.dtype("<u4"))


def describe_symbol(symbol: int) -> str:
    """A code point as people read it: `'é' (U+00E9)`."""
    if symbol in (START, END):
        return f"the {'start' if symbol == START else 'end'} of a document"
    return f"{chr(symbol)!r} (U+{symbol:04X})"


@dataclass(frozen=True, kw_only=True)
class Vocab:
    """The symbols a model knows, in the order of their ids.

    `kind` is "char" (Unicode code points) or "byte" (all 256 of them); `symbols` are their numbers in rising order, START and
    END among them where documents are told apart; `start` is the id that a model reads in place of an empty prompt: that of
    START, or else of the newline, or of the commonest symbol.
    """

    kind: str
    symbols: tuple[int, ...]
    start: int

    @classmethod
    def from_counts(cls, counts: npt.NDArray[np.int64], kind: str, *, has_documents: bool = False) -> "Vocab":
        """The vocabulary of a corpus in which symbol s occurs `counts[s]` times."""
        symbols = np.arange(256) if kind == "byte" else np.flatnonzero(counts)
        if has_documents:
            return cls(kind=kind, symbols=(*symbols.tolist(), START, END), start=len(symbols))
        newline = np.flatnonzero(symbols == ord("\n"))
        start = newline[0] if newline.size and counts[ord("\n")] else counts[symbols].argmax()
        return cls(kind=kind, symbols=tuple(symbols.tolist()), start=int(start))

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned type that holds every id."""
        return np.min_scalar_type(len(self) - 1)

    @cached_property
    def marks(self) -> tuple[int, int] | None:
        """The ids of START and END, None where no documents are told apart."""
        return (self.symbols.index(START), self.symbols.index(END)) if START in self.symbols else None

    @cached_property
    def letters(self) -> str:
        """All of its characters, without what stands beside them."""
        return "".join(chr(symbol) for symbol in self.symbols if symbol < NUM_CODE_POINTS)

    @cached_property
    def _table(self) -> npt.NDArray[np.int64]:
        table = np.full(256 if self.kind == "byte" else NUM_CODE_POINTS, -1)
        known = [symbol for symbol in self.symbols if symbol < NUM_CODE_POINTS]  # which come before all others
        table[known] = np.arange(len(known))
        return table

    def symbols_of(self, text: str) -> npt.NDArray[np.unsignedinteger]:
        """The `(N,)` symbols that make up `text`: its code points, or the bytes of its UTF-8 form."""
        if self.kind == "byte":
            try:  # "surrogateescape" restores the bytes of a command-line argument that was not UTF-8
                return np.frombuffer(text.encode("utf-8", "surrogateescape"), dtype=np.uint8)
            except UnicodeEncodeError as error:
                symbol = describe_symbol(ord(text[error.start]))
                raise TextError(f"{symbol}, at position {error.start}, is not a character", "leave it out") from error
        return code_points(text)

    def encode_symbols(
        self, symbols: npt.NDArray[np.unsignedinteger], *, skip_unknown: bool = False, of: str = "text", before: int = 0
    ) -> Ids:
        """Ids of `(N,)` symbols, in the smallest unsigned type.

        Raises `TextError` for a symbol that the vocabulary lacks; the message names the first and its position, counted from 0
        with the `before` symbols that came earlier, in what `of` names (text or prompt). `skip_unknown` drops such symbols.
        """
        ids = self._table[symbols]
        unknown = np.flatnonzero(ids < 0)
        if unknown.size and not skip_unknown:
            position = int(unknown[0])
            symbol = describe_symbol(int(symbols[position]))
            what = f"the model has never seen {symbol}, at position {before + position} of the {of}"
            if (other := self._in_another_form(symbols, position)) is None:
                raise TextError(what, "leave it out, or drop such characters with --unknown skip")
            form, letter = other
            points = " ".join(f"U+{ord(each):04X}" for each in letter)
            kept = form.replace("NFKD", "NFKC")
            raise TextError(
                f"{what}, but knows {letter!r} ({points}), which is the same in the normal form {form}",
                f"write the {of} in {form}, or train with --normalize {kept}, and the model takes either",
            )
        known: Ids = ids[ids >= 0].astype(self.dtype)
        return known

    def _in_another_form(self, symbols: npt.NDArray[np.unsignedinteger], position: int) -> tuple[str, str] | None:
        """The letter at a position, with its marks, in a normal form that the vocabulary knows, and the name of the form."""
        start, end = position, position + 1
        while start > max(0, position - MOST_MARKS) and _joins(symbols[start]):
            start -= 1
        while end < min(len(symbols), position + MOST_MARKS) and _joins(symbols[end]):
            end += 1
        letter = "".join(map(chr, symbols[start:end]))
        forms = ((form, unicodedata.normalize(form, letter)) for form in ("NFC", "NFD", "NFKC", "NFKD"))
        known = set(self.symbols)
        return next((each for each in forms if each[1] != letter and known.issuperset(map(ord, each[1]))), None)

    def encode(self, text: str, *, skip_unknown: bool = False, of: str = "text") -> Ids:
        """Ids `(N,)` of `text`. Raises `TextError` as `encode_symbols` does."""
        return self.encode_symbols(self.symbols_of(text), skip_unknown=skip_unknown, of=of)

    def symbols_for(self, ids: npt.ArrayLike) -> bytes:
        """The bytes that `ids` stand for: themselves for a byte vocabulary, UTF-8 for characters; START and END for none."""
        if self.kind == "byte":
            numbers = np.asarray(ids, dtype=np.int64)
            return bytes(numbers[numbers < 256].astype(np.uint8))
        return self.decode(ids).encode("utf-8")

    def decode(self, ids: npt.ArrayLike) -> str:
        """The text of `ids` `(N,)`, to which START and END add nothing. Bytes that are not UTF-8 become U+FFFD."""
        return self.decoder()(ids, True)

    def decoder(self) -> Callable[[npt.ArrayLike, bool], str]:
        """A function `(ids, final) -> text` for ids that come piece by piece; it holds back an unfinished character."""
        if self.kind == "byte":
            utf8 = codecs.getincrementaldecoder("utf-8")("replace")
            return lambda ids, final: utf8.decode(self.symbols_for(ids), final)
        numbers = np.array(self.symbols, dtype="<u4")

        def decode(ids: npt.ArrayLike, _final: bool) -> str:
            found = numbers[np.asarray(ids, dtype=np.int64)]
            return found[found < NUM_CODE_POINTS].tobytes().decode("utf-32-le", "surrogatepass")

        return decode


def _joins(symbol: int) -> bool:
    """Whether a code point is a mark on the letter before it, or a vowel or a final of a Korean syllable."""
    return unicodedata.combining(chr(symbol)) != 0 or 0x1160 <= symbol < 0x1200


def with_start(vocab: Vocab, prompt: Ids) -> Ids:
    """What a model reads before it writes: the prompt `(P,)`, or the start symbol when it is empty or begins a document."""
    start = np.array([vocab.start], dtype=vocab.dtype)
    return np.concatenate([start, prompt]) if vocab.marks else prompt if prompt.size else start
