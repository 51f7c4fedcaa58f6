"""Where things begin, last and end in a text, as arrays over its N characters. Knows no feature.

Everything is linear in N and without a loop over characters, so that a megabyte takes milliseconds.
"""

import re
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from charlm.text.vocab import code_points

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int32]


def where(text: str, test: Callable[[str], bool]) -> Mask:
    """At each character whether `test` holds for it: `(N,)`. Tests each different character once."""
    points = code_points(text)
    table = np.zeros(int(points.max(initial=0)) + 1, dtype=np.bool_)
    table[[ord(character) for character in set(text) if test(character)]] = True
    return table[points]


def with_characters(text: str, mask: Mask, character: str) -> str:
    """The text with another character where the mask `(N,)` is True."""
    if not mask.any():
        return text
    return np.where(mask, np.uint32(ord(character)), code_points(text)).tobytes().decode("utf-32-le", "surrogatepass")


def covered(length: int, spans: Iterable[tuple[int, int]]) -> Mask:
    """`(length,)`: the characters in spans `(start, stop)`, which must rise and not overlap; some may be empty."""
    bounds = np.array([span for span in spans if span[0] < span[1]], dtype=np.int64).reshape(-1, 2)
    edges = np.zeros(length + 1, dtype=np.int8)
    edges[bounds[:, 0]] += 1
    edges[bounds[:, 1]] -= 1
    return edges.cumsum(dtype=np.int8)[:length].astype(np.bool_)


def latest(mask: Mask) -> Numbers:
    """At each character the place `(N,)` of the last True up to and including it; -1 before the first."""
    places = np.arange(len(mask), dtype=np.int32)
    return np.maximum.accumulate(np.where(mask, places, np.int32(-1)))


def since(mask: Mask) -> Numbers:
    """How many characters ago `(N,)` the last True was; before the first, as if one stood right before the text."""
    return np.arange(len(mask), dtype=np.int32) - latest(mask)


def held(opens: Mask, closes: Mask) -> Mask:
    """True from each open up to, and without, the next close: `(N,)`."""
    return latest(opens) > latest(closes)


def depth(opens: Mask, closes: Mask, resets: Mask) -> Numbers:
    """Opens minus closes so far `(N,)`, never below 0, and 0 at each reset."""
    steps = opens.astype(np.int64) - closes - len(opens) * resets.astype(np.int64)
    total = steps.cumsum()
    lowest = np.minimum.accumulate(np.minimum(total, 0))  # minus the number of closes without an open
    return (total - lowest).astype(np.int32)


def visible(text: str) -> Mask:
    """The characters that are not white space."""
    return ~where(text, str.isspace)


def line_ends(text: str) -> Mask:
    r"""The newlines; a \r counts as part of one."""
    return where(text, "\r\n".__contains__)


def blank_lines(text: str) -> Mask:
    """The newlines that end a line of nothing but white space. A text's first line needs one before it to be blank."""
    newlines = where(text, "\n".__eq__)
    before = np.concatenate([[-1], latest(newlines)[:-1]])[: len(text)]
    return newlines & (latest(visible(text)) < before)


def since_visible(text: str, resets: Mask) -> Numbers:
    """How many characters ago the last reset was, or the white space right after it: `(N,)`."""
    return since(resets | (latest(visible(text)) <= latest(resets)))


def matched(pattern: re.Pattern[str], text: str, group: int | str = 0) -> Mask:
    """The characters that matches of `pattern`, or of one of its groups, cover: `(N,)`."""
    return covered(len(text), (match.span(group) for match in pattern.finditer(text)))
