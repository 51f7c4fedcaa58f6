"""Features of writing: sentences, emphasis, headings and others that source code does not have. Rules as in `registry`.

No expression reads anything twice: repeats are possessive, and looking ahead for a closing mark stops at the next opening one.
"""

import re
from collections.abc import Iterator

from charlm.features.code import prose, writing
from charlm.features.languages import MARKUP, PROSE, TEX
from charlm.features.parts import main_language
from charlm.features.quotes import quoted
from charlm.features.spans import Mask, Numbers, blank_lines, covered, latest, matched, since_visible, where

_SURE_CLOSERS = r"\"'”’»)\]_*」』）】》〉"
_CLOSERS = _SURE_CLOSERS + "“‘«›‹"
_ASKS = r"(?:(?<!;)|(?<=[\u0370-\u03ff\u1f00-\u1fff];)|(?<=[\u0370-\u03ff\u1f00-\u1fff][»”\")];))"  # ; does after Greek
_STOPS = r"(?:(?<!:)|(?<=[\u0561-\u0587]:)|(?<=[\u0561-\u0587]»:))"  # : does after Armenian, typed for ։
_SENTENCE_END = re.compile(  # not the full stop of a title, an initial, or e.g. and i.e.
    rf"[.!?…。！？｡।॥．։۔።။׃؟⁇⁈‽\u037e፧;:](?:(?:(?<=[。！？｡।॥])|(?<=．)(?<!\d．))(?P<alone>)[{_SURE_CLOSERS}]*+"
    rf"|(?<![.!?…؟]{{2}})(?<!\b[DMS][rst]\.)(?<!\bMrs\.)(?<!\bRev\.)(?<!\b[A-ZÀ-ÞΑ-ΩЀ-Я]\.)(?<!\b[^\W\d_]\.[^\W\d_]\.)"
    rf"{_ASKS}{_STOPS}[.!?…؟]*+[{_CLOSERS}]*+(?:\s|\Z))"
)
_QUESTION_END = re.compile(  # not that of an address or a regular expression
    rf"[?？؟⁇⁈‽\u037e፧;](?:(?<=？)|{_ASKS}(?<![(\[{{|*+^$\\].)(?=[.!?…؟]*+(?:[\s,;:،—–{_CLOSERS}\u2e80-\uffef-]|\Z)))"
    rf"[.!?…؟]*+[{_CLOSERS}]*+[\s,;:—–-]*+"
)
_SOFT = r"\n(?![^\S\n]*+\n)"  # a newline within a paragraph
_EMPHASIS = {
    PROSE: re.compile(rf"(?P<inside>(?<![\w*])([*_])(\2?)(?=[^\s*_])(?:[^*_\n]++|{_SOFT})*+(?<!\s)\3)(?=\2(?!\w))"),
    TEX: re.compile(r"\\(?:emph|textit|textbf|textsl)(?P<inside>\{[^{}\\]*+(?:\\.[^{}\\]*+)*+)(?=\})"),
    MARKUP: re.compile(r"(?i)<(?P<tag>em|i|b|strong)\b[^<>]*+(?P<inside>>[^<]*+(?:<(?!/?(?P=tag)\b)[^<]*+)*+)(?=</)"),
}
_HEADING = {
    PROSE: re.compile(r"^#{1,6}+(?P<inside>[ \t][^\r\n]*+)", re.M),
    TEX: re.compile(
        r"\\(?:part|chapter|(?:sub)*+(?:section|paragraph)|title)\*?(?:\[[^\]\n]*+\])?(?P<inside>\{(?:[^{}\n]++|\{[^{}\n]*+\}?)*+)"
    ),
    MARKUP: re.compile(r"(?i)<(?P<tag>h[1-6])\b[^<>]*+(?P<inside>>[^<]*+(?:<(?!/(?P=tag)>)[^<]*+)*+(?:</(?P=tag)(?=>))?)"),
}
_MATH = re.compile(  # pandoc's rule, by which $5 and $6 are not a formula
    rf"(?<![\\$])\$(?:(?=[^\s$])(?:[^$\\\n]++|\\[\s\S]|{_SOFT})*+(?<!\s)(?=\$(?!\d))|\$(?:[^$\\]++|\\[\s\S])++\$(?=\$))"
)
_SPEAKER = re.compile(r"(?:\A|\n[^\S\n]*+\n)((?=[^\W\d_])[\w .'’&-]{1,40}+:)[ \t\r]*+(?=\n|\Z)")
_URL = re.compile(r"(?:(?<=http:/)|(?<=https:/))/[^\s<>\"]*+|(?<=\bwww)\.[^\s<>\"]*+")


def inside_question(text: str) -> Mask:
    """In a sentence, or the part of one, that ends in a question mark, up to it (looks ahead); from ¿ on where there is one."""
    read = writing(text)
    ends = _sentence_ends(read) | blank_lines(read)
    within = covered(len(text), _armenian_questions(read, ends)) | covered(len(text), _questions(read, ends))
    return within & (position_in_sentence(text) > 0)


def _questions(text: str, ends: Mask) -> Iterator[tuple[int, int]]:
    borders, inverted, before = latest(ends), latest(where(text, "¿".__eq__)), -1
    for match in _QUESTION_END.finditer(text):
        border = max(before, int(borders[match.start() - 1]) if match.start() else -1)
        yield max(border + 1, int(inverted[match.start()])), match.start()
        before = match.end() - 1


def _armenian_questions(text: str, ends: Mask) -> Iterator[tuple[int, int]]:
    """Sentences with ՞, which stands within a word, up to their end."""
    borders, marks = latest(ends), latest(where(text, "՞".__eq__))
    for match in _SENTENCE_END.finditer(text) if "՞" in text else ():
        start = int(borders[match.start() - 1]) if match.start() else -1
        if marks[match.start()] > start:
            yield start + 1, match.start()


def position_in_sentence(text: str) -> Numbers:
    """Characters since the sentence began; white space after . ! ? ends it, except after titles (Mr.), as does a blank line."""
    read = writing(text)
    ends = _sentence_ends(read) | blank_lines(read)
    is_late = (since_visible(read, ends) == 1) & (quoted(text).does < 0)  # as in « Oui ! »
    return since_visible(read, ends | is_late)


def _sentence_ends(text: str) -> Mask:
    spans = []
    for match in _SENTENCE_END.finditer(text):
        if match["alone"] is not None:
            spans.append(match.span())
        elif match[0][-1].isspace():
            spans.append((match.end() - 1, match.end()))
    return covered(len(text), spans)


def inside_emphasis(text: str) -> Mask:
    """In _emphasis_ or *emphasis*, \\emph{} of LaTeX or <em> of HTML (looks ahead for the closing mark); not in code."""
    return matched(_EMPHASIS[main_language(text)], prose(text), "inside")


def inside_heading(text: str) -> Mask:
    """In a heading: after # and a space in Markdown, in \\section{} of LaTeX, in <h1> of HTML; not in code."""
    return matched(_HEADING[main_language(text)], prose(text), "inside")


def inside_math(text: str) -> Mask:
    """Between the dollar signs of $formulas$ in LaTeX (looks ahead for the closing one); not in code."""
    return matched(_MATH, prose(text))


def inside_url(text: str) -> Mask:
    """In an address, once http://, https:// or www. is read, up to white space, a double quote, < or >."""
    return matched(_URL, text)


def speaker_line(text: str) -> Mask:
    """A line such as "First Citizen:" in plays, alone after a blank line, up to its colon (looks ahead for it); not in code."""
    spans = (match.span(1) for match in _SPEAKER.finditer(prose(text)) if not match[1][0].islower())
    return covered(len(text), spans)
