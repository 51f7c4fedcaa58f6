"""Features that need no grammar: brackets, words, capitals, digits, places in a line or a paragraph. Rules as in `registry`."""

import unicodedata

import numpy as np

from charlm.features import code
from charlm.features.parts import parts
from charlm.features.quotes import MARKS
from charlm.features.spans import (
    Mask,
    Numbers,
    blank_lines,
    covered,
    depth,
    held,
    latest,
    line_ends,
    since,
    since_visible,
    visible,
    where,
)

_ROUND = "()（）﹙﹚"


def inside_parentheses(text: str) -> Mask:
    """Between ( and ), or the wide （ and ）; a blank line closes all, but not in code, whose strings do not count."""
    return _open_brackets(text, _ROUND) > 0


def bracket_depth(text: str) -> Numbers:
    """How many of ( [ { （ 【 《 and others are open; a blank line closes all, but not in code, whose strings do not count."""
    return _open_brackets(text, "")


def _open_brackets(text: str, kinds: str) -> Numbers:
    """How many brackets of these kinds are open, "" for all; in prose, and by itself in each part that is code."""
    opens = where(text, lambda character: _is_bracket(character, "Ps", kinds))
    closes = where(text, lambda character: _is_bracket(character, "Pe", kinds))
    found = code.marked(text)
    in_code, writing = found.code & ~found.comments & ~found.strings, ~found.code
    edges = covered(len(text), ((part.start - 1, part.start) for part in parts(text)[1:]))
    outside = depth(opens & writing, closes & writing, blank_lines(code.prose(text)))
    return outside + np.where(found.code, depth(opens & in_code, closes & in_code, edges), np.int32(0))


def _is_bracket(character: str, category: str, kinds: str) -> bool:
    """Unicode has some quotation marks among the brackets."""
    return unicodedata.category(character) == category and character not in MARKS and (not kinds or character in kinds)


def next_is_newline(text: str) -> Mask:
    """The next character ends the line (looks ahead by one)."""
    follows = np.zeros(len(text), dtype=np.bool_)
    follows[:-1] = line_ends(text)[1:]
    return follows


def position_in_word(text: str) -> Numbers:
    """Which character of a word this is, from 1 on; a hyphen or apostrophe right after a letter counts; 0 outside words."""
    return since(~_in_word(text))


def _in_word(text: str) -> Mask:
    """Letters with their marks, digits, and a hyphen or apostrophe after one of them. An underscore ends a word: _so_."""
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
    """White space read so far at the line's start; then all of it up to the line's end, where it is 0."""
    ends = line_ends(text)
    line_start = latest(ends)
    return latest(ends | (latest(visible(text)) <= line_start)) - line_start


def column(text: str) -> Numbers:
    """Characters since the last newline; 0 at the newline itself."""
    return since(line_ends(text))
