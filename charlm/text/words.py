"""Texts as words, single marks and runs of white space: the tokens of `--symbols word`. Knows nothing of ids or of files.

A token is a run of letters, digits and marks on letters, with apostrophes inside it; or a run of white space; or one other
character. In scripts that put no space between words each character is a token. Runs are cut at `LONGEST` characters. Where a
token ends depends on no more than `LONGEST` + 1 characters from its beginning on, so that a text may come in pieces.
"""

import json
import re
import unicodedata
from collections import Counter
from functools import cache

import numpy as np
import numpy.typing as npt

CodePoints = npt.NDArray[np.uint32]
Ends = npt.NDArray[np.int64]

LONGEST = 64  # characters in a token
MOST_WORDS = 50_000  # in a vocabulary; the commonest
MOST_BYTES = 700_000  # of all words of a vocabulary together as JSON, which files have to hold
MOST_COUNTED = 1 << 20  # different words that are counted at a time; of more, the rarest are forgotten

ASSIGNED = 0x40000  # above it no code point is a letter, or white space
UNSPACED = (  # Thai, Lao, Burmese, Khmer, Kana but Katakana, and Han
    (0x0E00, 0x0F00),
    (0x1000, 0x10A0),
    (0x1780, 0x1800),
    (0x2E80, 0x3000),
    (0x3005, 0x3008),
    (0x3041, 0x30A0),
    (0x3400, 0x4DC0),
    (0x4E00, 0xA000),
    (0xF900, 0xFB00),
    (0x20000, 0x40000),
)
LETTER, SPACE, APOSTROPHE, OTHER = b"wsa."
TOKEN = re.compile(rb"w(?:w|a(?=w)){0,%d}|s{1,%d}|[wsa.]" % (LONGEST - 1, LONGEST))


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """What each code point is: a letter (or digit, or mark), white space, an apostrophe, or something other."""
    kinds = np.full(0x110000, OTHER, dtype=np.uint8)
    characters = "".join(map(chr, range(ASSIGNED)))
    kinds[[number for number, each in enumerate(characters) if unicodedata.category(each)[0] in "LMN"]] = LETTER
    kinds[[number for number, each in enumerate(characters) if each.isspace()]] = SPACE
    for start, end in UNSPACED:
        kinds[start:end] = OTHER
    kinds[0x3000] = SPACE
    kinds[[ord("'"), ord("’")]] = APOSTROPHE
    return kinds


def token_ends(points: CodePoints) -> Ends:
    """Where each token of a whole text of `(N,)` code points ends: `(K,)`, rising to N."""
    return np.fromiter((found.end() for found in TOKEN.finditer(_kinds()[points].tobytes())), dtype=np.int64)


def text_of(points: CodePoints) -> str:
    """The text of `(N,)` code points; lone surrogates pass as themselves."""
    return points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def long_tokens(points: CodePoints, ends: Ends) -> tuple[Ends, Ends, list[str]]:
    """The tokens of more than one character: where they start and end, and each as text."""
    text, starts = text_of(points), np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(ends)]
    is_long = ends - starts > 1
    starts, ends = starts[is_long], ends[is_long]
    return starts, ends, [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


class Tokens:
    """The tokens of a text that comes in pieces; they do not depend on how it was cut."""

    def __init__(self) -> None:
        self.held: CodePoints = np.zeros(0, dtype=np.uint32)

    def feed(self, points: CodePoints, *, final: bool = False) -> tuple[CodePoints, Ends]:
        """The whole tokens that are certain once `points` have come, as their code points and where each ends."""
        points = np.concatenate([self.held, points])
        ends = token_ends(points)
        starts = np.concatenate([[0], ends[:-1]])[: len(ends)]
        count = len(ends) if final else int((starts + LONGEST < len(points)).sum())
        cut = int(ends[count - 1]) if count else 0
        self.held = points[cut:]
        return points[:cut], ends[:count]


class WordCounts:
    """How often each token of more than one character occurs. Of very many different ones the rarest may be forgotten."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, points: CodePoints, ends: Ends) -> None:
        """Count the tokens of a piece of text."""
        self.counts.update(long_tokens(points, ends)[2])
        least = 1
        while len(self.counts) > (MOST_COUNTED if least == 1 else MOST_COUNTED // 2):  # so that it is not soon done again
            least += 1
            self.counts = Counter({word: count for word, count in self.counts.items() if count >= least})

    def common(self, min_count: int) -> tuple[str, ...]:
        """The words that occur at least `min_count` times, in order; the commonest of them where they are too many."""
        found = [(-count, word) for word, count in self.counts.items() if count >= min_count]
        found.sort()
        words = [word for _, word in found[:MOST_WORDS]]
        sizes = np.cumsum([len(json.dumps(word, ensure_ascii=False).encode()) for word in words])
        return tuple(sorted(words[: int((sizes <= MOST_BYTES).sum())]))
