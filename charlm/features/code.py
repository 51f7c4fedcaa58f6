"""Source code without a parser: which kind a text is, and where its comments, strings and conditions are.

There are three kinds, which differ in their marks rather than their languages: "hash" (such as Python: # comments, triple
quotes), "slash" (such as C: // and /* */) and "markup" (HTML, XML). Prose, Markdown and LaTeX are of no kind. A text may begin
anywhere, also inside a string. A mask's value at a character is what holds once that character has been read: a string or
comment begins at the last character of its opening mark, and is over at the last character of its closing mark.
"""

import re
from collections.abc import Iterator

import numpy as np

from charlm.features.spans import Mask, covered, depth, where
from charlm.text.vocab import code_points

SAMPLE = 1 << 16  # characters that decide what a text is
LEAST_MARKS = 0.012  # brackets, = and < for each visible character: source code has 2 to 10 times as many
LEAST_TAGS = 0.004  # ends of tags for each visible character: markup has 2 to 10 times as many
MOST_LATEX = 0.004  # commands for each visible character: LaTeX has 2 to 10 times as many
LEAST_LINES = 0.1  # share of the lines that are not blank which begin or end as only code does

_MARK = re.compile(r"[{}()\[\]=<>]")
_TAG = re.compile(r"</\w|/>|<!--")
_LATEX = re.compile(r"\\(?:begin|end|item|section|subsection|cite|ref|label|frac|emph|textbf)\b")
_SLASH_LINE = re.compile(r"^[ \t]*+(?://|/\*|\*/|#[ \t]*+(?:include|define|if|endif|ifdef|ifndef)\b)|[;{}],?\r?$", re.M)
_HASH_LINE = re.compile(
    r"^[ \t]*+(?:#!|def \w|class \w++[(:]|import \w|from [\w.]++ import|@\w|return\b|raise\b|(?:fi|done|esac|end)\r?$"
    r"|(?:if|elif|for|while|with|try|except|else)\b[^\n]*:\r?$|[\w.]++(?:: [\w\[\], .|]++)? ?[-+*/|]?= ?[^;\n]*$)",
    re.M,
)


def kind(text: str) -> str:
    """The kind of a text by its first 65,536 characters: "hash", "slash", "markup", or "" for no code.

    Code has more than one bracket, = or < in 80 visible characters, and more than one line in ten that begins or ends as only
    code does.
    """
    text = text[:SAMPLE]
    visible = sum(map(len, text.split()))
    lines = sum(map(bool, map(str.strip, text.split("\n"))))
    if len(_LATEX.findall(text)) > visible * MOST_LATEX:
        return ""
    if len(_TAG.findall(text)) > visible * LEAST_TAGS:
        return "markup"
    slash, hash_ = len(_SLASH_LINE.findall(text)), len(_HASH_LINE.findall(text))
    if len(_MARK.findall(text)) <= visible * LEAST_MARKS or max(slash, hash_) <= lines * LEAST_LINES:
        return ""
    return "slash" if slash > hash_ else "hash"


def looks_like_code(text: str) -> bool:
    """Whether a text is source code, but not markup."""
    return kind(text) in {"hash", "slash"}


# Every repeat is possessive and every closing optional, so that nothing is read twice. A triple quote right after a word or a
# full stop cannot open a string: it closes one that began before the text. An apostrophe after & or < marks a lifetime in Rust,
# and after a digit separates thousands in C++.
_ESCAPE = r"\\(?:\r\n|[\s\S]|\Z)"
_LINE = r"{0}[^{0}\\\r\n]*+(?:" + _ESCAPE + r"[^{0}\\\r\n]*+)*+"
_BLOCK = r"{0}[^{0}\\]*+(?:" + _ESCAPE + r"[^{0}\\]*+)*+"
_LONG = r"{0}{0}{0}[^{0}\\]*+(?:(?:" + _ESCAPE + r"|{0}(?!{0}{0}))[^{0}\\]*+)*+(?:{0}{0}(?={0}))?"
_SINGLE, _DOUBLE = _LINE.format("'"), _LINE.format('"')
_TOKENS = {
    "hash": re.compile(
        r"(?=[#\"'])(?:(?P<comment>#[^\r\n]*+)"
        r"|(?P<stray>(?<=[\w.!?)\]}])(?<!\b[bfruBFRU])(?<!\b[bfruBFRU]{2})(?:\"\"\"|'''))"
        rf"|(?P<long>{_LONG.format(chr(34))}|{_LONG.format(chr(39))})[\"']?"
        rf"|(?P<string>{_DOUBLE}|{_SINGLE})[\"']?)"
    ),
    "slash": re.compile(
        r"(?=[/\"'`])(?:/(?P<comment>/[^\r\n]*+|\*[^*]*+(?:\*(?!/)[^*]*+)*+\*?)/?"
        rf"|(?P<string>{_DOUBLE}|(?<![&<\d]){_SINGLE}|{_BLOCK.format('`')})[\"'`]?)"
    ),
    "markup": re.compile(
        r"(?=[<=])(?:<!-(?P<comment>-[^-]*+(?:-(?!->)[^-]*+)*+(?:--)?)>?|=(?P<string>\"[^\"<]*+|'[^'<]*+)[\"']?)"
    ),
}


def comments_and_strings(text: str) -> tuple[Mask, Mask]:
    """Where comments are and where strings are, `(N,)` each; all False where the text is not code."""
    comments, strings = [], []
    token = _TOKENS.get(kind(text))
    for match in token.finditer(text) if token else ():
        group = str(match.lastgroup)
        start, stop = match.span(group)
        if group == "comment":
            comments.append((start, stop))
        elif group == "string":
            strings.append((start, stop))
        else:  # two of three quotes are an empty string until the third is read
            strings += [(start, start + 1), (start + 2, stop if group == "long" else start)]
    return covered(len(text), comments), covered(len(text), strings)


_IF = {
    "hash": re.compile(r"^[ \t]*+(?:el)?if\b", re.M),
    "slash": re.compile(r"(?<![#\w.$])(?<!# )if\b(?:\s++constexpr\b)?(?:\s*+(?=\())?"),
}
_STOP = {
    "hash": re.compile(r"[()\[\]{}]|:(?!=)|(?<!\\)(?<!\\\r)\n(?:[ \t\r]*+\n)?"),
    "slash": re.compile(r"[()\[\]{};]|\n(?:[ \t\r]*+\n)?"),
}


def inside_comment(text: str) -> Mask:
    """In a comment of source code: # or // to the end of the line, /* */ or <!-- -->, whichever the text seems to use."""
    return comments_and_strings(text)[0]


def inside_string(text: str) -> Mask:
    """In a string of source code or JSON, or in the value of an HTML attribute."""
    return comments_and_strings(text)[1]


def inside_if_condition(text: str) -> Mask:
    """In the condition of an if or elif in code: up to the colon, in the parentheses, or up to the brace (looks ahead)."""
    kind_of = kind(text)
    if kind_of not in _IF:
        return np.zeros(len(text), dtype=np.bool_)
    comments, strings = comments_and_strings(text)
    points = np.where(comments | strings, np.uint32(ord("~")), code_points(text))
    return covered(len(text), _conditions(points.tobytes().decode("utf-32-le", "surrogatepass"), kind_of))


def _conditions(code: str, kind_of: str) -> Iterator[tuple[int, int]]:
    depths = depth(where(code, "([{".__contains__), where(code, ")]}".__contains__), np.zeros(len(code), dtype=np.bool_))
    stop = 0
    while match := _IF[kind_of].search(code, stop):
        start = stop = match.end()
        if kind_of == "slash" or depths[match.start()] == 0:  # else the `if` of a comprehension
            stop = _end_of_condition(code, start, kind_of)
        yield start, stop


def _end_of_condition(code: str, start: int, kind_of: str) -> int:
    """Where the condition that begins at `start` ends: at a blank line at the latest."""
    level, in_parentheses = 0, kind_of == "slash" and code.startswith("(", start)
    for match in _STOP[kind_of].finditer(code, start):
        mark = match[0]
        if level == 0 and (mark[0] in ":;\n" or (mark == "{" and kind_of == "slash")):
            return match.start()
        if len(mark) > 1:
            return match.end() - 1
        level += (mark in "([{") - (mark in ")]}")
        if level < 0 or (level == 0 and in_parentheses):
            return match.start()
    return len(code)
