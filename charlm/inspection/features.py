"""What a unit could be tracking: features of a text, one label a character. Knows nothing of models.

Labels, like a unit's values, are taken after a character is read: the label at t says how things stand once character t has
been read, so that an opening quote is inside and the closing one outside. A rule that looks ahead says so. The features'
docstrings are what people are told of them; `code` and `prose` have those that need a grammar.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.errors import UsageError
from charlm.inspection import code, prose
from charlm.inspection.spans import (
    Mask,
    Numbers,
    blank_lines,
    depth,
    held,
    latest,
    line_ends,
    matched,
    since,
    since_visible,
    visible,
    where,
)

Labels = npt.NDArray[np.bool_] | npt.NDArray[np.int32]

LEAST_CHARACTERS, LEAST_VALUES = 50, 3  # of either answer, and different numbers, in each half of a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A question that a text answers at each character. `label` takes a text of N characters and gives `(N,)`: bool for
    yes/no features, int32, 0 or more, for graded ones.
    """

    name: str
    description: str
    is_graded: bool
    label: Callable[[str], Labels]


def inside_parentheses(text: str) -> Mask:
    """Between ( and ); a blank line closes all but in code, where those in strings and comments do not count."""
    return _open_brackets(text, "(", ")") > 0


def bracket_depth(text: str) -> Numbers:
    """How many of ( [ { are open; a blank line closes all but in code, where those in strings and comments do not count."""
    return _open_brackets(text, "([{", ")]}")


def _open_brackets(text: str, opening: str, closing: str) -> Numbers:
    opens, closes, resets = where(text, opening.__contains__), where(text, closing.__contains__), blank_lines(text)
    if code.looks_like_code(text):
        comments, strings = code.comments_and_strings(text)
        counts, resets = ~(comments | strings), np.zeros_like(resets)
        opens, closes = opens & counts, closes & counts
    return depth(opens, closes, resets)


def next_is_newline(text: str) -> Mask:
    """The next character ends the line (looks ahead by one)."""
    follows = np.zeros(len(text), dtype=np.bool_)
    follows[:-1] = line_ends(text)[1:]
    return follows


def position_in_word(text: str) -> Numbers:
    """Which character of a word this is, from 1 on; a hyphen or apostrophe right after a letter counts; 0 outside words."""
    return since(~_in_word(text))


def _in_word(text: str) -> Mask:
    """Letters with their marks and digits, and what may join them right after one. An underscore parts words, as _so_."""
    letters = where(text, lambda character: character.isalnum() or unicodedata.category(character)[0] == "M")
    joins = where(text, "'’-".__contains__)
    joins[:1] = False
    joins[1:] &= letters[:-1]
    return letters | joins


def word_start(text: str) -> Mask:
    """The first character of a word."""
    starts: Mask = position_in_word(text) == 1
    return starts


def capital(text: str) -> Mask:
    """A capital letter."""
    return where(text, str.isupper)


def capital_run(text: str) -> Mask:
    """A capital letter right after another."""
    return since(~capital(text)) > 1


def capitalised_word(text: str) -> Mask:
    """In a word that began with a capital letter, as names do."""
    return held(word_start(text) & capital(text), ~_in_word(text))


def digit(text: str) -> Mask:
    """A decimal digit."""
    return where(text, str.isdecimal)


def position_in_paragraph(text: str) -> Numbers:
    """Characters since the last blank line."""
    return since_visible(text, blank_lines(text))


def indentation(text: str) -> Numbers:
    """White space at the line's start, as far as read; then the same up to the line's end, where it is 0."""
    ends = line_ends(text)
    line_start = latest(ends)
    return latest(ends | (latest(visible(text)) <= line_start)) - line_start


def column(text: str) -> Numbers:
    """Characters since the last newline, which is 0 itself."""
    return since(line_ends(text))


def from_regex(name: str, pattern: str) -> Feature:
    """A yes/no feature: the characters that matches of `pattern` cover, ^ and $ being any line's. Raises `UsageError`."""
    if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
        raise UsageError(
            f"--feature names {name!r}, which is no name for a feature", "use letters, digits, - and _, as in vowel=[aeiou]"
        )
    if name in FEATURES:
        raise UsageError(f"--feature names {name!r}, which is built in", f"call it otherwise, as in my_{name}=...")
    if not pattern:
        raise UsageError(f"--feature {name!r} has an empty expression", f"say what it covers, as in {name}=[aeiou]")
    try:
        compiled = re.compile(pattern, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        hint = "see Python's re module; a \\ before a sign of punctuation makes it stand for itself"
        raise UsageError(f"--feature {name!r} has no regular expression in {pattern!r}: {error}", hint) from error
    return Feature(
        name=name, description=f"what {pattern!r} covers", is_graded=False, label=lambda text: matched(compiled, text)
    )


def parse_feature(option: str) -> Feature:
    """The feature that NAME=REGEX describes. Raises `UsageError`."""
    name, equals, pattern = option.partition("=")
    if not equals:
        raise UsageError(
            f"--feature is {option!r}, which is not NAME=REGEX", "give a name and an expression, as in vowel=[aeiou]"
        )
    return from_regex(name, pattern)


def missing(feature: Feature, first: Labels, second: Labels) -> str | None:
    """Why a feature cannot be tested on a text whose halves have these labels, in a few words; None where it can."""
    if not first.any() and not second.any():
        return "not in the text"
    why = _missing_number if feature.is_graded else _missing_answer
    return why(first, "in the first half") or why(second, "in the second half")


def _missing_answer(labels: Labels, place: str) -> str | None:
    present = int(np.count_nonzero(labels))
    if present < LEAST_CHARACTERS:
        return f"only {present} character{'s' * (present > 1)} {place}" if present else f"not {place}"
    return f"nearly everywhere {place}" if len(labels) - present < LEAST_CHARACTERS else None


def _missing_number(labels: Labels, place: str) -> str | None:
    counts = np.unique(labels, return_counts=True)[1]
    if len(labels) - counts.max(initial=0) < LEAST_CHARACTERS:
        return f"the same nearly everywhere {place}"
    return f"only {len(counts)} different values {place}" if len(counts) < LEAST_VALUES else None


_YES_NO: tuple[Callable[[str], Mask], ...] = (
    prose.inside_double_quotes,
    prose.inside_single_quotes,
    inside_parentheses,
    prose.inside_question,
    prose.inside_emphasis,
    prose.inside_heading,
    prose.inside_math,
    prose.inside_tag,
    prose.inside_url,
    code.inside_comment,
    code.inside_string,
    code.inside_if_condition,
    prose.speaker_line,
    next_is_newline,
    word_start,
    capital,
    capital_run,
    capitalised_word,
    digit,
)
_GRADED: tuple[Callable[[str], Numbers], ...] = (
    column,
    indentation,
    bracket_depth,
    position_in_word,
    prose.position_in_sentence,
    position_in_paragraph,
)


def _feature(label: Callable[[str], Mask] | Callable[[str], Numbers], *, is_graded: bool) -> Feature:
    return Feature(name=label.__name__, description=label.__doc__ or "", is_graded=is_graded, label=label)


FEATURES = {
    feature.name: feature
    for feature in (
        *(_feature(label, is_graded=False) for label in _YES_NO),
        *(_feature(label, is_graded=True) for label in _GRADED),
    )
}
