"""Characters (or bytes, or words) <-> ids. Knows nothing of files.

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
from charlm.text.spelling import BYTE0, NUM_BYTES, is_leading, is_surrogate, spelt, with_words
from charlm.text.words import Ends, long_tokens, text_of, token_ends

Ids = npt.NDArray[np.unsignedinteger]
CodePoints = npt.NDArray[np.uint32]

NUM_CODE_POINTS = 0x110000
COUNTED = 1 << 22  # ids at a time
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

    `kind` is "char" (Unicode code points), "byte" (all 256 of them) or "word" (words, and code points to spell others);
    `symbols` are their numbers in rising order; `start` is the id that a model reads in place of an empty prompt: that of
    START, or else of the newline, or of the commonest symbol.

    Where documents are told apart, START and END come after them. Where other characters are spelt, `symbols` end in `BYTE0` +
    b for each byte b. The ids that follow are those of `words`, in order, each a token of more than one character.
    """

    kind: str
    symbols: tuple[int, ...]
    start: int
    words: tuple[str, ...] = ()

    @classmethod
    def from_counts(
        cls,
        counts: npt.NDArray[np.int64],
        kind: str,
        min_count: int = 1,
        words: tuple[str, ...] = (),
        *,
        has_documents: bool = False,
    ) -> "Vocab":
        """The vocabulary of a corpus in which symbol s occurs `counts[s]` times; those rarer than `min_count` are spelt."""
        symbols = np.arange(256) if kind == "byte" else np.flatnonzero(counts >= min_count)
        newline = np.flatnonzero(symbols == ord("\n"))
        start = newline[0] if newline.size and counts[ord("\n")] else counts[symbols].argmax() if symbols.size else ord("\n")
        marks = (START, END) if has_documents else ()
        spelling = range(BYTE0, BYTE0 + NUM_BYTES) if kind == "word" or (kind == "char" and min_count > 1) else ()
        first = len(symbols) if has_documents else int(start)
        return cls(kind=kind, symbols=(*symbols.tolist(), *marks, *spelling), start=first, words=words)

    def __len__(self) -> int:
        return len(self.symbols) + len(self.words)

    @property
    def is_spelt(self) -> bool:
        """Whether any character is known: those that are not symbols, by their bytes."""
        return self.symbols[-1] >= BYTE0

    @property
    def characters(self) -> str:
        """The characters among the symbols, in order; none of a byte vocabulary."""
        return "" if self.kind == "byte" else "".join(chr(symbol) for symbol in self.symbols if symbol < NUM_CODE_POINTS)

    def described(self, number: int) -> str:
        """What an id stands for, as people read it."""
        if number >= len(self.symbols):
            return repr(self.words[number - len(self.symbols)])
        symbol = self.symbols[number]
        return describe_symbol(symbol) if symbol < BYTE0 else f"byte 0x{symbol - BYTE0:02X}"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned type that holds every id."""
        return np.min_scalar_type(len(self) - 1)

    @cached_property
    def marks(self) -> tuple[int, int] | None:
        """The ids of START and END, None where no documents are told apart."""
        return (self.symbols.index(START), self.symbols.index(END)) if START in self.symbols else None

    @cached_property
    def _table(self) -> npt.NDArray[np.int64]:
        table = np.full(256 if self.kind == "byte" else NUM_CODE_POINTS, -1)
        symbols = np.array(self.symbols)
        known = symbols < len(table)
        table[symbols[known]] = np.flatnonzero(known)
        return table

    @cached_property
    def _words(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, len(self.symbols))}

    @property
    def numbers(self) -> dict[Any, int]:
        """The id of each symbol and of each word."""
        return {symbol: number for number, symbol in enumerate(self.symbols)} | self._words

    @cached_property
    def _forms(self) -> list[bytes]:
        """The UTF-8 form of what each id stands for, or the one byte."""
        return [*map(_form, self.symbols), *(word.encode() for word in self.words)]

    @cached_property
    def widths(self) -> npt.NDArray[np.int64] | None:
        """How many characters of a text each id `(V,)` stands for, where that is not 1; None where it always is.

        A character that is spelt counts at its first byte, and the end of a document, which is predicted too, as one.
        """
        if not self.is_spelt:
            return None
        widths = [int(symbol != START and (symbol < BYTE0 or is_leading(symbol - BYTE0))) for symbol in self.symbols]
        return np.array([*widths, *map(len, self.words)], dtype=np.int64)

    def num_characters(self, ids: Ids) -> int:
        """How many characters of a text `ids` `(N,)` stand for; in a byte vocabulary, how many bytes."""
        if self.widths is None:
            return len(ids)
        return sum(int(self.widths[ids[start : start + COUNTED]].sum()) for start in range(0, len(ids), COUNTED))

    def sizes(self, ids: Ids) -> npt.NDArray[np.int64]:
        """How many bytes `symbols_for` gives for each of `ids` `(N,)`."""
        if self.kind == "byte":
            return np.ones(len(ids), dtype=np.int64)
        return np.array([len(form) for form in self._forms], dtype=np.int64)[ids]

    def symbols_of(self, text: str) -> npt.NDArray[np.unsignedinteger]:
        """The `(N,)` symbols that make up `text`: its code points, or the bytes of its UTF-8 form."""
        if self.kind == "byte":
            try:  # "surrogateescape" restores the bytes of a command-line argument that was not UTF-8
                return np.frombuffer(text.encode("utf-8", "surrogateescape"), dtype=np.uint8)
            except UnicodeEncodeError as error:
                symbol = describe_symbol(ord(text[error.start]))
                raise TextError(f"{symbol}, at position {error.start}, is not a character", "leave it out") from error
        return code_points(text)

    def lacks(self, symbols: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.bool_]:
        """Which of `(N,)` symbols have no id and cannot be spelt."""
        return is_surrogate(symbols) if self.is_spelt else self._table[symbols] < 0

    def encode_symbols(
        self,
        symbols: npt.NDArray[np.unsignedinteger],
        *,
        skip_unknown: bool = False,
        of: str = "text",
        before: int = 0,
        ends: Ends | None = None,
    ) -> Ids:
        """Ids of `(N,)` symbols, in the smallest unsigned type: of words too, whose `ends` may be given if they are known.

        Raises `TextError` for a symbol that the vocabulary lacks; the message names the first and its position, counted from 0
        with the `before` symbols that came earlier, in what `of` names (text or prompt). `skip_unknown` drops such symbols.
        """
        ids = self._table[symbols]
        unknown = np.flatnonzero(self.lacks(symbols))
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
        if unknown.size:
            ids, symbols, ends = np.delete(ids, unknown), np.delete(symbols, unknown), None
        if self.kind == "word":
            starts, stops, tokens = long_tokens(symbols, token_ends(symbols) if ends is None else ends)
            numbers = np.array([self._words.get(token, -1) for token in tokens], dtype=np.int64)
            ids = with_words(ids, starts[numbers >= 0], stops[numbers >= 0], numbers[numbers >= 0])
        if self.is_spelt:
            ids = spelt(symbols, ids, len(self.symbols) - NUM_BYTES)
        known: Ids = ids.astype(self.dtype)
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
        """The bytes that `ids` stand for: themselves for bytes, UTF-8 for characters and words; none for START and END."""
        if self.kind == "byte":
            numbers = np.asarray(ids, dtype=np.int64)
            return bytes(numbers[numbers < NUM_BYTES].astype(np.uint8))
        if self.is_spelt:
            return b"".join([self._forms[number] for number in np.asarray(ids, dtype=np.int64).tolist()])
        return self.decode(ids).encode("utf-8")

    def decode(self, ids: npt.ArrayLike) -> str:
        """The text of `ids` `(N,)`, to which START and END add nothing. Bytes that are not UTF-8 become U+FFFD."""
        return self.decoder()(ids, True)

    def decoder(self) -> Callable[[npt.ArrayLike, bool], str]:
        """A function `(ids, final) -> text` for ids that come piece by piece; it holds back an unfinished character."""
        if self.kind == "byte" or self.is_spelt:
            utf8 = codecs.getincrementaldecoder("utf-8")("replace")
            return lambda ids, final: utf8.decode(self.symbols_for(ids), final)
        numbers = np.array(self.symbols, dtype="<u4")

        def decode(ids: npt.ArrayLike, _final: bool) -> str:
            found = numbers[np.asarray(ids, dtype=np.int64)]
            return text_of(found[found < NUM_CODE_POINTS])

        return decode


def _form(symbol: int) -> bytes:
    """The UTF-8 form of a symbol, or the one byte that it spells with; nothing for START and END."""
    return bytes([symbol - BYTE0]) if symbol >= BYTE0 else chr(symbol).encode() if symbol < NUM_CODE_POINTS else b""


def _joins(symbol: int) -> bool:
    """Whether a code point is a mark on the letter before it, or a vowel or a final of a Korean syllable."""
    return unicodedata.combining(chr(symbol)) != 0 or 0x1160 <= symbol < 0x1200


def with_start(vocab: Vocab, prompt: Ids) -> Ids:
    """What a model reads before it writes: the prompt `(P,)`, or the start symbol when it is empty or begins a document."""
    start = np.array([vocab.start], dtype=vocab.dtype)
    return np.concatenate([start, prompt]) if vocab.marks else prompt if prompt.size else start
