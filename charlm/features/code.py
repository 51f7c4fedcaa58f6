"""Source code without a parser: where its comments, strings and conditions are, and what of a text is writing instead.

A text may begin anywhere, also inside a string. A mask's value at a character is what holds once that character has been read:
a string or comment begins at the last character of its opening mark, and is over at the last character of its closing mark.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from charlm.features.languages import LANGUAGES, MARKUP, Condition
from charlm.features.parts import filled, main_language, parts
from charlm.features.spans import Mask, covered, depth, visible, where, with_characters

_TAG = re.compile(r"<(?:!--[^-]*+(?:-(?!->)[^-]*+)*+(?:-->)?|(?=[/!?A-Za-z])(?:[^<>\"']++|\"[^\"<]*+\"?|'[^'<]*+'?)*+>?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """Of a text `(N,)` each: comments, strings, those in double quotes, code, and code that is not inside a paragraph."""

    comments: Mask
    strings: Mask
    doubles: Mask
    code: Mask
    blocks: Mask


@lru_cache(maxsize=2)  # the text that is being labelled, feature after feature
def marked(text: str) -> Marked:
    """Comments and strings, read in each part by the marks of its language."""
    comments, strings, doubles = [], [], []
    for part in parts(text):
        for match in LANGUAGES[part.language].tokens.finditer(text, part.start, part.stop):
            group = match.lastgroup
            if group in {"comment", "block"}:
                comments.append(match.span(group))
            elif group in {"string", "text", "long", "stray"}:
                spans = list(_string(*match.span(group), group))
                strings += spans
                doubles += spans if text.startswith('"', match.start(group)) else []
    code = [part for part in parts(text) if part.is_code]
    return Marked(
        comments=covered(len(text), comments),
        strings=covered(len(text), strings),
        doubles=covered(len(text), doubles),
        code=covered(len(text), ((part.start, part.stop) for part in code)),
        blocks=covered(len(text), ((part.start, part.stop) for part in code if not part.is_inline)),
    )


def _string(start: int, stop: int, group: str) -> Iterator[tuple[int, int]]:
    """Where a string is; two of three quotes are an empty one until the third is read."""
    if group in {"long", "stray"}:
        yield start, start + 1
        start, stop = start + 2, stop if group == "long" else start
    yield start, stop


def prose(text: str) -> str:
    """The text with its code and comments blanked out."""
    return with_characters(filled(text, parts(text)), marked(text).comments & visible(text), "\ufffc")


def writing(text: str) -> str:
    """The text with its code and tags blanked out, but for comments and strings of code, in which people write."""
    found = marked(text)
    return _without_tags(filled(text, parts(text), found.comments | found.strings), text)


def remarks(text: str) -> str:
    """The text with its code and tags blanked out, but for comments of code."""
    return _without_tags(filled(text, parts(text), marked(text).comments), text)


def _without_tags(read: str, text: str) -> str:
    return _TAG.sub(lambda match: " " * len(match[0]), read) if main_language(text) == MARKUP else read


def inside_comment(text: str) -> Mask:
    """In a comment of code, LaTeX or HTML: after # // -- ; or %, or in /* */ <!-- --> {- -}, by the marks that the text has."""
    return marked(text).comments.copy()


def inside_string(text: str) -> Mask:
    """In a string of source code or JSON, with one quote or three, or in the value of an attribute in HTML or XML."""
    return marked(text).strings.copy()


def inside_if_condition(text: str) -> Mask:
    """In the condition of an if or elif in code: up to the colon, brace or then, or in the parentheses (looks ahead)."""
    found = marked(text)
    code = with_characters(text, found.comments | found.strings, "~")
    spans = []
    for part in parts(text):
        condition = LANGUAGES[part.language].condition
        if condition:
            spans += [(part.start + a, part.start + b) for a, b in _conditions(code[part.start : part.stop], condition)]
    return covered(len(text), spans)


def _conditions(code: str, condition: Condition) -> Iterator[tuple[int, int]]:
    depths = depth(where(code, "([{".__contains__), where(code, ")]}".__contains__), np.zeros(len(code), dtype=np.bool_))
    stop = 0
    while match := condition.start.search(code, stop):
        start = stop = match.end()
        if not condition.is_statement or depths[match.start()] == 0:  # else the `if` of a comprehension
            stop, has_end = _end_of_condition(code, start, condition)
            yield start, stop if has_end or not condition.needs_end else start


def _end_of_condition(code: str, start: int, condition: Condition) -> tuple[int, bool]:
    """Where the condition that begins at `start` is over, a blank line at the latest, and whether it has an end of its own."""
    level, in_parentheses = 0, condition.has_parentheses and code.startswith("(", start)
    for match in condition.stop.finditer(code, start):
        mark = match[0]
        if level == 0 and match["end"] is not None:
            return match.start(), True
        if len(mark) > 1 and mark.endswith("\n"):
            return match.end() - 1, False
        if condition.needs_end and mark == ";":
            return match.start(), False
        level += (mark in {*"([{"}) - (mark in {*")]}"})
        if level < 0 or (level == 0 and in_parentheses):
            return match.start(), True
    return len(code), False
