"""Features of writing: quotations, sentences, emphasis, and others that source code does not have. Rules as in `registry`.

No expression reads anything twice: repeats are possessive, and looking ahead for a closing mark stops at the next opening one.
"""

import re
from collections.abc import Iterator

import numpy as np

from charlm.features.code import looks_like_code
from charlm.features.spans import Mask, Numbers, blank_lines, covered, held, latest, matched, since_visible, where

_ELISION = r"(?:tis|twas|twere|twill|twould|twixt|em|er|tili?l?|cause|cos|bout|gainst|neath|scape|d|s|t|ll|re|ve|n)\b"
_OPENING_QUOTE = re.compile(rf"‘(?=\S)|(?<![^\s(\[\"“—–-])'(?=[^\s'])(?!(?i:{_ELISION}))")
_CLOSING_QUOTE = re.compile(r"(?<=\S)['’](?!\w)")
_SENTENCE_END = re.compile(  # not the full stop of a title, an initial, or e.g. and i.e.
    r"[.!?…。！？](?:(?<=[。！？])|(?<![.!?…]{2})(?<!\b[DMS][rst]\.)(?<!\bMrs\.)(?<!\bRev\.)(?<!\b[A-Z]\.)(?<!\b[a-z]\.[a-z]\.)"
    r"[.!?…]*+[\"'”’»)\]_*]*+(?:\s|\Z))"
)
_SOFT = r"\n(?![^\S\n]*+\n)"  # a newline within a paragraph
_EMPHASIS = re.compile(rf"(?<![\w*])([*_])(\1?)(?=[^\s*_])(?:[^*_\n]++|{_SOFT})*+(?<!\s)\2(?=\1(?!\w))")
_MATH = re.compile(  # pandoc's rule, by which $5 and $6 are not a formula
    rf"(?<![\\$])\$(?:(?=[^\s$])(?:[^$\\\n]++|\\[\s\S]|{_SOFT})*+(?<!\s)(?=\$(?!\d))|\$(?:[^$\\]++|\\[\s\S])++\$(?=\$))"
)
_TAG = re.compile(r"<(?=[/!?]?[A-Za-z][\w-]*+(?::[\w-]++)?[\s/?>])(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+(?=>)")
_HEADING = re.compile(r"^#{1,6}+([ \t][^\r\n]*+)", re.MULTILINE)
_SPEAKER = re.compile(r"(?:\A|\n[^\S\n]*+\n)((?=[^\W\d_])[\w .'’&-]{1,40}+:)[ \t\r]*+(?=\n|\Z)")
_URL = re.compile(r"(?:(?<=http:/)|(?<=https:/))/[^\s<>\"]*+|(?<=\bwww)\.[^\s<>\"]*+")


def inside_double_quotes(text: str) -> Mask:
    """Between double quotes, "straight", “curly” or «angled»; a blank line ends a quotation."""
    blanks = blank_lines(text)
    read = np.concatenate([[0], where(text, '"'.__eq__).cumsum()])
    straight: Mask = (read[1:] - read[latest(blanks) + 1]) % 2 == 1
    curly = held(where(text, "“".__eq__), where(text, "”".__eq__) | blanks)
    return straight | curly | held(where(text, "«".__eq__), where(text, "»".__eq__) | blanks)


def inside_single_quotes(text: str) -> Mask:
    """Between 'single' or ‘curly’ quotes in a paragraph, but not apostrophes (looks ahead for the closing one); not in code."""
    opens = _marks(_OPENING_QUOTE, text)
    closes, blanks = _marks(_CLOSING_QUOTE, text) & ~opens, blank_lines(text)
    is_closed = held(closes[::-1], blanks[::-1])[::-1]  # read backwards, a closing quote comes before a blank line
    return held(opens & is_closed, closes | blanks) & (not looks_like_code(text))


def _marks(pattern: re.Pattern[str], text: str) -> Mask:
    return covered(len(text), ((match.start(), match.start() + 1) for match in pattern.finditer(text)))


def inside_question(text: str) -> Mask:
    """In a sentence that ends in a question mark, up to it (looks ahead)."""
    return covered(len(text), _questions(text)) & (position_in_sentence(text) > 0)


def _questions(text: str) -> Iterator[tuple[int, int]]:
    blanks, before = latest(blank_lines(text)), -1
    for match in _SENTENCE_END.finditer(text):
        if set(match[0]) & set("?？"):
            yield max(before, int(blanks[match.start()])) + 1, match.start()
        before = match.end() - 1


def position_in_sentence(text: str) -> Numbers:
    """Characters since the sentence began; white space after . ! ? ends it, except after titles (Mr.), as does a blank line."""
    ends = [match.end() - 1 for match in _SENTENCE_END.finditer(text) if match[0][-1].isspace() or match[0] in "。！？"]
    return since_visible(text, covered(len(text), ((end, end + 1) for end in ends)) | blank_lines(text))


def inside_emphasis(text: str) -> Mask:
    """Between the marks of _emphasis_ or *emphasis* (looks ahead for the closing one); not in code."""
    return matched(_EMPHASIS, text) & (not looks_like_code(text))


def inside_heading(text: str) -> Mask:
    """In a Markdown heading, once # and a space are read; not in code."""
    return matched(_HEADING, text, 1) & (not looks_like_code(text))


def inside_math(text: str) -> Mask:
    """Between the dollar signs of $formulas$ in LaTeX (looks ahead for the closing one); not in code."""
    return matched(_MATH, text) & (not looks_like_code(text))


def inside_tag(text: str) -> Mask:
    """In an HTML or XML <tag> (looks ahead for its end); not in code."""
    return matched(_TAG, text) & (not looks_like_code(text))


def inside_url(text: str) -> Mask:
    """In an address, once http://, https:// or www. is read, up to white space, a double quote, < or >."""
    return matched(_URL, text)


def speaker_line(text: str) -> Mask:
    """A line such as "First Citizen:" in plays, alone after a blank line, up to its colon (looks ahead for it); not in code."""
    lines = (match.span(1) for match in _SPEAKER.finditer(text) if not match[1][0].islower())
    return covered(len(text), lines) & (not looks_like_code(text))
