"""Features of texts that were made to take long."""

import pytest

from charlm.features import parts
from charlm.features.languages import LANGUAGES, WRITING
from charlm.features.registry import FEATURES
from tests.features.reading import read_as

ODD = [
    '"',
    "(",
    "<",
    "_",
    "$",
    "[",
    " ",
    "\n",
    "'",
    "`",
    "\\",
    ".",
    "#",
    "/",
    "*",
    "{(;\n",
    " 'a",
    "_a ",
    "$a ",
    "<a ",
    '<a "',
    "<a '",
]
ODD += ["if (", "\nif a\n", '"""a', "/*", "<!--", "</a ", "a:\n\n", ".'", "\n ", "\\$", "http://", "x = (", "\0", "\ud800"]
ODD += [
    "“",
    "”a ",
    "« ",
    "»a",
    "‘a ",
    "’ ",
    "‚a’ ",
    '„a" ',
    "「",
    "?”",
    "¿a",
    "՞:",
    "；",
    "`a ",
    "``",
    "``` ",
    "\n```\n",
    "\n~~~a\n",
]
ODD += ["\n````\n```\n", "a\n\n    b\n", "\n- ", "<b>", "<b><i>", "</b>", "<li>", "<![CDATA[", "\n# ", "dogs' a"]
MARKS = {
    "hash": ["'''", '"""', "#", '"\\', "\nif (", "\nif a:"],
    "slash": ["/*", "//", "`", "'", '"""', "if (", "if a "],
    "r": ["#", '"', '"\n', "if ("],
    "shell": ["'", '"\n', "#", "<<A\n", "<<'A'\nA\n", "${", "\nif ", ";if ["],
    "sql": ["--", "/*", "''", "'\n", "if ", "if exists;", "if then "],
    "lua": ["--[[", "--[==[", "[[", "[=[", "]]", "[", "--", "if ", "elseif then "],
    "haskell": ["{-", "{-{-", "-}", "'", "--", "->", "if ", "'a"],
    "lisp": [";", "#|", "|", '"', '("', "\\", "(if ", "(if (", "(if a "],
    "percent": ["%", "'", '"', "$", "if ", "if ->"],
    "yaml": ["#", " #", ": '", ': "'],
    "ini": [";", " ;", "= '", '"""'],
    "basic": ["'", '"', "If ", "End If ", "If Then "],
    "markup": [
        "<script>",
        "</script",
        "<style><",
        "<?php ",
        "<!--",
        "<!-",
        '<a b="',
        "<h1>",
        "<em>",
        "<em",
        "=",
        "<p>",
        "<p></b>",
    ],
    "tex": ["%", "\\", "\\verb|", "\\begin{verbatim}", "\\emph{", "\\section{", "{", "``", "''", "`a", "\\begin{minted}["],
    "literal": ["a"],
    "": ["a"],
}


IN_FORMATS = (
    "inside_comment",
    "inside_string",
    "inside_heading",
    "inside_emphasis",
    "inside_quotes",
    "inside_tag",
    "element_depth",
)


@pytest.mark.timeout(40)  # most take half a second
@pytest.mark.parametrize("piece", [pytest.param(piece, marks=[pytest.mark.slow] * (n % 5 > 0)) for n, piece in enumerate(ODD)])
def test_hostile_prose_is_read_in_time(piece):
    """Sixty thousand characters of the same mark take no more than a moment: the test would time out if one were quadratic."""
    text = piece * (60_000 // len(piece))
    with read_as(""):
        for feature in FEATURES.values():
            assert len(feature.label(text)) == len(text)
    assert parts.parts(text)[-1].stop == len(text)


@pytest.mark.timeout(40)
@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language or "prose")
def test_hostile_code_is_read_in_time(language):
    """So it is in each language, with its own marks."""
    names = ("inside_comment", "inside_string", "inside_if_condition") if language not in WRITING else IN_FORMATS
    for piece in (*MARKS[language], "a", "(\n"):
        text = piece * (40_000 // len(piece))
        with read_as(language):
            for name in names:
                assert len(FEATURES[name].label(text)) == len(text)


def test_fences_of_many_lengths_are_read_in_time():
    """Fences that nobody closes, each shorter than the last, are looked for as often as there are lengths, and no more."""
    text = "".join("`" * (3 + number % 400) + "\n" for number in range(800, 0, -1)) + "a\n" * 20_000
    assert parts.parts(text)[-1].stop == len(text)
