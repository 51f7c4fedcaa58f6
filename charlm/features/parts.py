"""A text in parts, each in one language: Markdown with code, HTML with scripts, LaTeX with listings. Knows no feature.

A text of which more than a share of all lines is code is one part. Any other is writing, and the code in it is what the text's
own marks say is code: fences of ` or ~, `inline`, lines indented by four; <script> and <style>; verbatim environments. Code is
in the language that its mark names, or else in the one of its lines.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from charlm.features.kinds import language_of
from charlm.features.languages import LITERAL, MARKUP, NAMED, PROSE, TEX, WRITING
from charlm.features.spans import Mask, covered, with_characters

_SOFT = r"\n(?![ \t\r]*+\n)"  # a newline within a paragraph
_COMMENT = r"<!--[^-]*+(?:-(?!->)[^-]*+)*+"
_CLOSED = r"[ \t>]*+(?P=fence)[`~]*+[ \t\r]*+(?=\n|\Z)"
_FENCE = (  # one without a name must be closed before one with a name opens; else it closes what began before the text
    r"^(?:[ \t>]|[-*+] |\d{1,3}[.)] )*+(?P<fence>`{3,6}+(?!`)|~{3,4}+(?!~)|~{3,6}+(?=[ \t]*+\w))"
    r"(?:[ \t]*+(?P<name>[^`\s][^`\n]*+)|[ \t\r]*+)\n"
    r"(?P<block>(?:(?![ \t>]*+(?P=fence))[^\n]*+\n)*+(?:(?![ \t>]*+(?P=fence))[^\n]++)?)"
    rf"(?(name)(?:{_CLOSED})?|{_CLOSED})"
)
_SCRIPT = r"<(?P<tag>script|style)\b(?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+(?<!/)>(?P<block>[^<]*+(?:<(?!/(?P=tag))[^<]*+)*+)"
_PHP = r"<\?(?:php\b|=)(?P<inline>[^?]*+(?:\?(?!>)[^?]*+)*+)"
_CODE = {
    PROSE: re.compile(
        rf"{_COMMENT}|{_FENCE}|(?<!`)``(?!`)(?P<double>(?:[^`\n]++|`(?!`)|{_SOFT})++)``(?!`)"
        rf"|(?<![`\\A-Za-z0-9_])`(?P<inline>(?![`\s])(?:[^`\n]++|{_SOFT})++)(?<!\s)`(?![`A-Za-z0-9_])",
        re.M,
    ),
    MARKUP: re.compile(rf"(?i){_COMMENT}|<!\[CDATA\[[^\]]*+(?:\](?!\]>)[^\]]*+)*+|{_SCRIPT}|{_PHP}"),
    TEX: re.compile(
        r"\\verb\*?(?P<mark>[^\w\s*])(?P<inline>[^\n]*?)(?P=mark)"
        r"|\\begin\{(?P<fence>verbatim\*?|[BL]?Verbatim|lstlisting|minted|alltt|comment)\}(?P<name>(?:\[[^\]\n]*+\])?+(?:\{[^}\n]*+\})?+)"
        r"(?P<block>[^\\]*+(?:\\(?!end\{(?P=fence)\})[^\\]*+)*+)|%[^\n]*+|\\[^\n]"
    ),
}
_FENCED, _SCRIPTED, _COMMENTED = map(re.compile, (f"(?m){_FENCE}", f"(?i){_SCRIPT}", f"{_COMMENT}(?P<end>-->)?"))
_INDENTED = re.compile(  # by four, after a blank line that follows neither a list nor code
    r"^(?P<before>(?![ \t]|[-*+] |\d{1,3}[.)] |(?:class|def|async|if|else|elif|for|while|with|try|except|function|struct)\b)"
    r"[^\n]++(?<![{(\[,;=\\])\n(?:[ \t\r]*+\n)++)(?P<block>(?:(?: {4}|\t)[^\n]*+\n|[ \t\r]*+\n)++)",
    re.M,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Characters `start` to `stop` are in one language, a name in LANGUAGES; as code, perhaps `is_inline` in a paragraph."""

    start: int
    stop: int
    language: str
    is_code: bool = True
    is_inline: bool = False


@lru_cache(maxsize=2)  # the text that is being labelled, feature after feature
def parts(text: str) -> tuple[Part, ...]:
    """The parts of a text in their order, without gaps."""
    main = _main_language(text)
    if main not in WRITING:
        return (Part(start=0, stop=len(text), language=main),)
    code = [part for match in _CODE[main].finditer(text) for part in _code_parts(match, main)]
    if main == PROSE:
        code = sorted([*code, *_indented(text, code)], key=lambda part: part.start)
    return tuple(_with_gaps(code, len(text), main))


def main_language(text: str) -> str:
    """The language of what is not code in a text; "" where all of it is code."""
    return next((part.language for part in parts(text) if not part.is_code), PROSE)


def _main_language(text: str) -> str:
    """The language of what nothing marks as code, or of all of it where that, without what is indented, is no prose."""
    text, num_fences = _FENCED.subn("", text)
    text = _COMMENTED.sub(lambda match: "" if match["end"] else match[0], _SCRIPTED.sub("", text))
    main = language_of(text, has_fences=num_fences > 0)
    if main not in WRITING and (blocks := [match["block"] for match in _INDENTED.finditer(text)]):
        is_prose = language_of(_INDENTED.sub(r"\g<before>", text)) == PROSE and language_of("\n".join(blocks)) not in WRITING
        return PROSE if is_prose else main
    return main


def _code_parts(match: re.Match[str], main: str) -> Iterator[Part]:
    """The parts that a match of _CODE stands for; none for a comment and others that it passes over."""
    groups = match.groupdict()
    for group in {"inline", "double"} & groups.keys():
        if groups[group] is not None:
            yield Part(start=match.start(group), stop=match.end(group), language=LITERAL, is_inline=True)
    if groups.get("block") is None:
        return
    start, stop = match.span("block")
    if main == MARKUP:
        yield Part(start=start, stop=stop, language="slash")
        return
    language = _language_of_code(groups["name"] or "", groups["block"])
    if language or groups["fence"][0] != "~":  # else it may be a line of ~ between two sections of a text
        edges = (match.start(), start, stop, match.end()) if main == PROSE else (start, start, stop, stop)
        yield Part(start=edges[0], stop=start, language=LITERAL)
        yield Part(start=start, stop=stop, language=language or LITERAL)
        yield Part(start=stop, stop=edges[3], language=LITERAL)


def _language_of_code(name: str, block: str) -> str:
    """The language of the first word in a `name` that names one, or else of what stands in the block."""
    named = (NAMED[word] for word in re.findall(r"[\w+#-]+", name.lower()) if word in NAMED)
    return next(named, None) or language_of(block)


def _indented(text: str, code: list[Part]) -> Iterator[Part]:
    """Blocks indented by four after a blank line and no list, if all together they are of a language."""
    spans = [match.span("block") for match in _INDENTED.finditer(filled(text, code))]
    language = language_of("\n".join(text[start:stop] for start, stop in spans))
    return (Part(start=start, stop=stop, language=language) for start, stop in spans if language not in WRITING)


def _with_gaps(code: list[Part], length: int, main: str) -> Iterator[Part]:
    stop = 0
    for part in (*code, Part(start=length, stop=length, language=main)):
        if part.start > stop:
            yield Part(start=stop, stop=part.start, language=main, is_code=False)
        if part.start < part.stop:
            yield part
        stop = part.stop


def filled(text: str, code: Sequence[Part], kept: Mask | None = None) -> str:
    """The text with newlines for its code, which end a paragraph, and U+FFFC for code within one; but for the `kept` `(N,)`."""
    for is_inline, filler in ((False, "\n"), (True, "\ufffc")):
        spans = covered(len(text), ((part.start, part.stop) for part in code if part.is_code and part.is_inline == is_inline))
        text = with_characters(text, spans if kept is None else spans & ~kept, filler)
    return text
