"""Labels from any text: spaces, capitals or punctuation are taken out, and the label of a character says what stood there.

Each function of TAKEN_OUT is one-to-one with its inverse, `restored`: no text loses anything on the way there and back. What a
model loses are labels that were too rare to learn: `learnable` says which labels stay, and `nearest` what the others become.
Knows nothing of files or of ids.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.text.examples import BEGINS, INSIDE, OUTSIDE, Example
from charlm.text.vocab import CodePoints, code_points

NONE, OTHER, AS_IS, UPPER = "none", "other", "as is", "upper"
SPACES = re.compile(r"(\d{1,9}) spaces?", re.ASCII)

STRETCH = 300  # characters: a stretch ends with the line in which it gets as long; a few sentences
LONGEST = 1000  # characters: where no line ends, a stretch is cut
PIECE = 1 << 20  # characters that are worked on together, at least
RARE = 5  # a label that fewer characters of the training part have cannot be learned
MOST_SPACES, MOST_MARKS = 1000, 100  # longer runs are never labels: what a model writes for a character stays short

Places = npt.NDArray[np.uint8]
# What is left, the label of each character, and where a word begins though no white space is left before it.
Taken = tuple[CodePoints, list[str], npt.NDArray[np.bool_]]


def stretches(text: str, what: str, file: str = "") -> Iterator[Example]:
    """Examples of a text with `what` taken out ("spaces", "case" or "punctuation"), contiguous and in order.

    A text that does not end with a line end is given one, so that the last character has one after it; `restored` takes it
    away. Every other character is kept: line ends stay, CR LF and CR too. A stretch ends with a line once it has 300
    characters; where that would be more than 1,000, it ends with an earlier line, else with a word, else anywhere. Words are
    what white space separates: in the original where spaces are taken out, else in what is left.
    """
    whole = text if text.endswith("\n") or not text else text + "\n"
    before = 0  # lines
    for piece in _pieces(whole):
        left, labels, begins = TAKEN_OUT[what](code_points(piece))
        places = _places(left, begins)
        ends = _line_ends(left)
        characters = left.tobytes().decode("utf-32-le")
        start, line = 0, before + 1
        while start < len(left):
            end = _end_of(start, ends, places)
            here = places[start:end].copy()
            here[0] = BEGINS if here[0] == INSIDE else here[0]
            taken = tuple(labels[start:end])
            yield Example(text=characters[start:end], labels=taken, places=here.tobytes(), line=line, file=file)
            start, line = end, before + 1 + bisect_right(ends, end)
        before += len(ends)


def _pieces(text: str) -> Iterator[str]:
    """Parts of a long text, each of whole lines, so that what is made of one is small beside the text."""
    start = 0
    while start < len(text):
        end = 1 + text.find("\n", start + PIECE)
        yield text[start : end or len(text)]
        start = end or len(text)


def taken_out(text: str, what: str) -> str:
    """What is left of a text when `what` is taken out; nothing is left to take out of that."""
    return TAKEN_OUT[what](code_points(text))[0].tobytes().decode("utf-32-le") if text else ""


def restored(text: str, labels: Sequence[str], original: str = "\n") -> str:
    """The text that has `labels` `(N,)` when something was taken out of it, and `text` `(N,)` is left.

    `original`, the text before anything was taken out, says whether a line end was added to it. A label that `stretches` never
    gives, such as `other`, is written as nothing; capitals are written where `stretches` would take them away.
    """
    before = {label: _before(label) for label in set(labels)}
    pairs = zip(text, labels, strict=True)
    whole = "".join(before[label] + (_raised(letter) if label == UPPER else letter) for letter, label in pairs)
    return whole if original.endswith("\n") else whole.removesuffix("\n")


def are_restorable(labels: Sequence[str], what: str) -> bool:
    """Whether a model that restores `what` can have these labels: those of a file that is not ours may be anything."""
    if what == "case":
        return set(labels) <= {AS_IS, UPPER}
    if what == "spaces":
        return all(label == NONE or 0 < _num_spaces(label) <= MOST_SPACES for label in labels)
    return all(label in {NONE, OTHER} or (0 < len(label) <= MOST_MARKS and all(map(_is_mark, label))) for label in labels)


def learnable(counts: Mapping[str, int], what: str, most: int) -> tuple[str, ...]:
    """The labels that a model can learn, sorted, at most `most`; `counts` has the characters of the training part with each.

    A label that fewer than 5 characters have is not among them. For punctuation there is `other` in place of those.
    """
    if what == "case":
        return tuple(sorted(counts))
    common = [label for label, count in counts.items() if label == NONE or (count >= RARE and are_restorable([label], what))]
    common.sort(key=lambda label: (label != NONE, -counts[label], label))
    extra = {OTHER} if what == "punctuation" else set()
    return tuple(sorted({*common[: most - len(extra)], *extra}))


def nearest(label: str, known: Sequence[str]) -> str:
    """The label itself if it is `known`; else what stands for it: fewer spaces if there are such, else more; `other`; `none`.

    So a long row of spaces still parts two words, and marks that are too rare to learn are left out.
    """
    if label in known:
        return label
    spaces = sorted(filter(None, map(_num_spaces, known)))
    if spaces and (number := _num_spaces(label)):
        return _spaces(spaces[max(0, bisect_right(spaces, number) - 1)])
    return OTHER if OTHER in known else known[0] if NONE not in known else NONE


def _without_spaces(points: CodePoints) -> Taken:
    kept, gaps = _kept(points != ord(" "))
    names = {gap: _spaces(gap) for gap in set(gaps.tolist())}
    return points[kept], [names[gap] for gap in gaps.tolist()], gaps > 0


def _without_case(points: CodePoints) -> Taken:
    lower = _looked_up(points, lambda letter: ord(_lowered(letter)), np.uint32)
    names = (AS_IS, UPPER)
    return lower, [names[upper] for upper in (lower != points).tolist()], np.zeros(len(points), dtype=np.bool_)


def _without_punctuation(points: CodePoints) -> Taken:
    kept, gaps = _kept(~_looked_up(points, _is_mark, np.bool_))
    labels = [NONE] * len(kept)
    text = points.tobytes().decode("utf-32-le")
    for number in np.flatnonzero(gaps).tolist():
        end = int(kept[number])
        labels[number] = text[end - int(gaps[number]) : end]
    return points[kept], labels, np.zeros(len(kept), dtype=np.bool_)


# What can be taken out of a text, by the name that --restore gives it.
TAKEN_OUT: dict[str, Callable[[CodePoints], Taken]] = {
    "spaces": _without_spaces,
    "case": _without_case,
    "punctuation": _without_punctuation,
}


def _kept(stays: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the characters are that stay, and how many were taken out just before each."""
    kept = np.flatnonzero(stays)
    return kept, np.diff(kept, prepend=-1) - 1


def _looked_up(points: CodePoints, function: Callable[[str], int | bool], dtype: type) -> npt.NDArray[Any]:
    """What `function` says of each character; it is asked once for each that occurs."""
    occurs = np.unique(points)
    table: npt.NDArray[Any] = np.zeros(int(occurs[-1]) + 1, dtype=dtype)
    table[occurs] = [function(chr(point)) for point in occurs.tolist()]
    return table[points]


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter).startswith("P")


def _lowered(letter: str) -> str:
    """The small letter, where it is one character and its capital is this one; else `letter`."""
    lower = letter.lower()
    return lower if len(lower) == 1 and lower.upper() == letter else letter


def _raised(letter: str) -> str:
    """The capital that `_lowered` makes this letter of; else `letter`."""
    upper = letter.upper()
    return upper if len(upper) == 1 and _lowered(upper) == letter else letter


def _spaces(number: int) -> str:
    return NONE if number == 0 else "1 space" if number == 1 else f"{number} spaces"


def _num_spaces(label: str) -> int:
    """How many spaces the label stands for; 0 where it is no label of spaces."""
    found = SPACES.fullmatch(label)
    return int(found[1]) if found and _spaces(int(found[1])) == label else 0


def _before(label: str) -> str:
    """What the label says stood before its character."""
    return " " * _num_spaces(label) or (label if all(map(_is_mark, label)) else "")


def _places(left: CodePoints, begins: npt.NDArray[np.bool_]) -> Places:
    """The place of each character in its word; a word begins after white space, and where `begins` says so."""
    blank = _looked_up(left, str.isspace, np.bool_)
    after_blank = np.concatenate([[True], blank[:-1]])
    return np.where(blank, OUTSIDE, np.where(after_blank | begins, BEGINS, INSIDE)).astype(np.uint8)


def _line_ends(left: CodePoints) -> list[int]:
    """How many characters each line end has up to it, itself included: LF, CR LF or CR."""
    is_lf, is_cr = left == ord("\n"), left == ord("\r")
    return (np.flatnonzero(is_lf | (is_cr & ~np.append(is_lf[1:], False))) + 1).tolist()


def _end_of(start: int, ends: Sequence[int], places: Places) -> int:
    """Where the stretch ends that begins at `start`."""
    limit = start + LONGEST
    wanted = bisect_right(ends, start + STRETCH - 1)
    end = ends[wanted] if wanted < len(ends) else len(places)
    if end <= limit:
        return end
    if wanted and ends[wanted - 1] > start:  # the lines before the one that is too long
        return ends[wanted - 1]
    word_ends = np.flatnonzero(places[start + STRETCH : limit + 1] != INSIDE)
    return start + STRETCH + int(word_ends[-1]) if word_ends.size else limit
