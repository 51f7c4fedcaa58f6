"""The normal forms of Unicode, in which a letter with a mark is written in one way. Knows nothing of files.

A text may come in pieces: none is given back that ends where what follows could change it (UAX #15 of Unicode, section 9).
"""

from functools import cache
from typing import Literal, cast
from unicodedata import combining, decomposition, normalize

import numpy as np
import numpy.typing as npt

from charlm.errors import TextError, counted
from charlm.text.vocab import NUM_CODE_POINTS, code_points

MOST_MARKS = 1000  # that follow one another: to sort them takes time in proportion to their number's square
JAMO = {*map(chr, (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)))}  # vowels and finals of Korean, which join what is before
PLANES = 0x30000  # above these no character joins another
Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
APART: dict[str, Form] = {"NFC": "NFD", "NFD": "NFD", "NFKC": "NFKD"}  # the form that only takes characters apart
UNKNOWN, BEGINS, JOINS = range(3)


class Normaliser:
    """Brings a text that comes in pieces into the normal form `form`; messages call the text `called`."""

    def __init__(self, form: str, called: str = "the text") -> None:
        self.form, self.called = cast("Form", form), called
        self.held = ""
        self.kinds: npt.NDArray[np.uint8] = np.zeros(NUM_CODE_POINTS, dtype=np.uint8)

    def feed(self, text: str, *, final: bool = False) -> str:
        """All that is certain once `text` has come, and has not been given. Raises `TextError` for too many marks."""
        text = self.held + text
        begins = np.flatnonzero(self._kinds(code_points(text)) == BEGINS)
        longest = int(np.diff(begins, prepend=0, append=len(text)).max())
        if longest > MOST_MARKS:
            what = f"{self.called} has a letter with more than {counted(MOST_MARKS, 'mark')}"
            raise TextError(what, "leave such letters out, or train without --normalize")
        end = len(text) if final else int(begins[-1]) if begins.size else 0
        self.held = text[end:]
        return normalize(self.form, text[:end])

    def _kinds(self, points: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
        """Of each character, whether it BEGINS or may be JOINed to what is before; each is looked at once."""
        for point in np.unique(points[self.kinds[points] == UNKNOWN]).tolist():
            first = normalize(APART[self.form], chr(point))[0]
            self.kinds[point] = JOINS if combining(first) or first in joining() else BEGINS
        return self.kinds[points]


@cache
def joining() -> set[str]:
    """The characters that with one before them may become a third."""
    pairs = (decomposition(chr(point)).split() for point in range(PLANES))
    return JAMO | {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and not pair[0].startswith("<")}


def normalised(text: str, form: str, called: str = "the text") -> str:
    """The whole of `text` in a normal form; as it is where `form` is empty. Raises `TextError` as a `Normaliser` does."""
    if not form:
        return text
    return Normaliser(form, called).feed(text, final=True) if len(text) > MOST_MARKS else normalize(cast("Form", form), text)
