"""Features of texts."""

import argparse
import inspect
import io
import re
import textwrap
import tokenize
import typing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import UsageError
from charlm.features import parts
from charlm.features.kinds import language_of
from charlm.features.languages import LANGUAGES
from charlm.features.languages import WRITING as PROSE_LIKE
from charlm.features.registry import FEATURES, Feature, from_regex, missing, parse_feature
from tests.conftest import AUSTEN
from tests.features.reading import decided_from, read_as

PROSE = AUSTEN.read_text(encoding="utf-8")[:50_000]
C_CODE = """\
/* Greatest common "divisor" */
#include <stdio.h>
int main(int argc, char **argv)
{
    const char *says = "it's \\"(so\\"", quote = '"';
    // unlike '(' this one's open: (
    if (argc > 1 && f(")") /* why? */) {
        printf("%d\\n", gcd(12, 18));
    }
    else if (!argc) return 1;
    return 0;
}
"""
PYTHON = [module.__file__ for module in (argparse, io, inspect, re, textwrap, tokenize, typing)]

# What these say of a character depends on what follows it; all others could be computed while reading.
LOOKS_AHEAD = {
    "inside_quotes",
    "inside_single_quotes",
    "inside_question",
    "inside_emphasis",
    "inside_math",
    "inside_tag",
    "inside_if_condition",
    "speaker_line",
    "next_is_newline",
}

OF_CODE = ("inside_comment", "inside_string", "inside_if_condition")
OF_BOTH = {"inside_quotes", "inside_double_quotes", "inside_parentheses", "inside_question", "inside_url"}

each_feature = pytest.mark.parametrize("feature", FEATURES.values(), ids=FEATURES)
PIECES = ['"""', "'''", "\n\n", "\r\n", "\nif ", "elif ", "<!--", "-->", "/*", "*/", "http://", "www.", "Mr. ", "\n```\n"]
PIECES += [
    "\n```js\n",
    "``",
    "<script>",
    "</script>",
    "\\begin{verbatim}",
    "\\end{verbatim}",
    "--[[",
    "]]",
    "{-",
    "-}",
    "<<A\n",
]
PIECES += ["\nA\n", "#|", "|#", "<b>", "</b>", "<br/>", "<![CDATA[", "then ", "(if "]
texts = st.one_of(
    st.text(st.characters(), max_size=60),
    st.lists(
        st.sampled_from([*"ab AB1.!?'\"`()[]{}<>#/*\\_$-:;%=,&“”„‘’«»「」（》¿؟।é가😀\0\ud800\t\r\n", *PIECES]),
        max_size=30,
    ).map("".join),
)


def source(path: str) -> str:
    return Path(path).read_bytes().decode("utf-8")


def drawn(labels: np.ndarray) -> str:
    """Labels as a line to compare: x for yes and . for no, or digits and letters for numbers, . for 0."""
    signs = ".123456789abcdefghijklmnopqrstuvwxyz"
    return "".join((".x" if labels.dtype == bool else signs)[int(label)] for label in labels)


# In these tables a feature's name is followed by texts, each with its labels beneath it; ~ is \n and ^ is \r.
WRITING = r"""
inside_double_quotes
say "hi" no
....xxx....
a "b~c "d~~e "f
..xxxxx......xx
“a” «b» c
xx..xx...
“a~ ~b”~~c
xxxx......

inside_single_quotes
it's 'so' he's
.....xxx......
'tis the dogs' 'bone'
...............xxxxx.
a~~b' "'c,'" ‘it’s’ d
.......xxx...xxxxx...
'a~~b'
......

inside_parentheses
a (b (c) d) e) (f~~g
..xxxxxxxx.....xxx..

inside_question
No. Is it? “So?” Yes
....xxxxx..xxx......
Mr. B~knew?!~~Why
xxxxxxxxxx.......
다? 가. 나？다
x.....x..

inside_emphasis
a _b c_ *d* e*f*g
..xxxx..xx.......
__init__ 2 * 3 * 4 **b** _a~b_
xxxxxxx............xxxx..xxxx.
_a~~b_ snake_case_ _ c _
........................

inside_heading
# Ab~ab #c~#d~## e
.xxx............xx

inside_math
$x_1$ \$5 $6 and $7 $$y$$
xxxx................xxxx.

inside_tag
<p class="a>b">a < b</p> <!-- c --> <a@b.c>
xxxxxxxxxxxxxx......xxx....................

inside_url
see http://a.b/c?d, or www.e.f>
..........xxxxxxxxx.......xxxx.

speaker_line
First Citizen:~Ay:~~All:~Speak.~~one:~
xxxxxxxxxxxxxx......xxxx..............

next_is_newline
ab~~c
.xx..
ab^~c^~
.xx.xx.

word_start
it's a über-fad, _so_ 3rd
x....x.x..........x...x..

capital
aBÉ1Ж가
.xx.x.

capital_run
ABCD E FG
.xxx....x

capitalised_word
O'Neil is x, Élan
xxxxxx.......xxxx

digit
a1٣²x
.xx..

column
ab~c^~~de
12.1...12

indentation
  a b~ a~~ ^~   c
12222.11..1..1233

bracket_depth
a([b]{c)} ])(
.1221221....1
(a~~[b
111.11

position_in_word
it's a-b --c d' 가각 é3_f
1234.123...1.12.12.12.1

position_in_sentence
Ab. Cd?”  E~~F
123.1234..12.1
Mr. A. B! c 1.5
123456789.12345
가。나
1.1

position_in_paragraph
 a~b^~ ^~ c~~~d
.1234567..12..1
"""
CODE = r"""
hash inside_comment
x = '#' # it's~y
........xxxxxx..

hash inside_string
x = '#' # it's~y
....xx..........
f(r"\"" + 'a~"
...xxx....xx.x
('''b"~''' "" x
.x.xxxxxx..x...
"a\~b" 'c\^~d'
xxxxx..xxxxxx.
end.'''~a = "b"
....x.......xx.

hash inside_if_condition
if a[1:2] == ':': b~x if y else z~elif(c):
..xxxxxxxxxxxxxx......................xxx.
if m := f():~ pass~ifs = 1~if z~
..xxxxxxxxx..................xx.

slash inside_comment
a // b~/* c~*/ d / e
...xxx..xxxxx.......
"//" /*/ */ `/*`
......xxxx......

slash inside_string
'"' "it's" &'a 1'0 `b~c` d
xx..xxxxx..........xxxx...

slash inside_if_condition
if (a(b)) c; else if(d) #if (e)
...xxxxx............xx.........
if x == 1 { y } if z~
..xxxxxxxx........xx.

slash bracket_depth
f("(", [1]) // (~~{
.111111221........1

slash inside_parentheses
(a~~b /* ) */ c)
xxxxxxxxxxxxxxx.

slash inside_single_quotes
a 'b' c
.......

markup inside_comment
a <!-- b --> c
.....xxxxxx...

markup inside_string
<a b="c" d='e'> it's
.....xx....xx.......
"""


def rows(table: str) -> list[tuple[str, str, str]]:
    """(name, text, labels) of a table."""
    blocks = [block.split("\n") for block in table.strip("\n").split("\n\n")]
    return [(name, *pair) for name, *lines in blocks for pair in zip(lines[::2], lines[1::2], strict=True)]


@pytest.mark.parametrize(("name", "text", "labels"), rows(WRITING))
def test_writing_is_labelled(name, text, labels):
    """Each rule as one would draw it beneath a text."""
    assert drawn(FEATURES[name].label(text.replace("~", "\n").replace("^", "\r"))) == labels


@pytest.mark.parametrize(("name", "text", "labels"), rows(CODE))
def test_code_is_labelled(name, text, labels):
    """Each rule as one would draw it beneath a line of code in a known language."""
    language, name = name.split()
    with read_as(language):
        assert drawn(FEATURES[name].label(text.replace("~", "\n").replace("^", "\r"))) == labels


@pytest.mark.parametrize("name", [name for name in FEATURES if name.startswith("inside_") or name == "speaker_line"])
def test_code_is_not_read_as_prose_nor_prose_as_code(name):
    """What only prose has is nowhere in code, and what only code has is nowhere in a novel."""
    assert (
        name in OF_BOTH or not FEATURES[name].label(PROSE if name in OF_CODE else C_CODE + "# a\n\n$x$ _y_ <b>\n\nNo:\n").any()
    )


KINDS = [(PROSE, ""), (C_CODE, "slash"), ('{"a": [1, 2], "b": "c"}', "slash"), ("", ""), ("word", "")]
KINDS += [
    ("Come, night;\nCome, Romeo;\nGive me my Romeo;\n", ""),
    ("# Title\n\nA *list* (see [b](c)) of\n\n- words\n- more\n", ""),
]
KINDS += [
    ("\\section{A}\nWe \\emph{know} $f(x) = 1$,\n\\begin{proof}\n\\end{proof}\n", "tex"),
    ("<p>a <b>b</b></p>\n" * 9, "markup"),
]
KINDS += [(source(path), "hash") for path in PYTHON]


@pytest.mark.parametrize(("text", "kind"), KINDS, ids=range(len(KINDS)))
def test_a_texts_kind_is_told_from_its_marks(text, kind):
    """A novel, verse, Markdown and LaTeX are no code; Python is, and C and JSON; markup is a kind of its own."""
    assert language_of(text) == kind
    assert [part.language for part in parts.parts(text)] == [kind] * bool(text)
    assert all(part.is_code == (kind not in PROSE_LIKE) for part in parts.parts(text))


@each_feature
@settings(max_examples=40, deadline=None)  # and a busy machine is no fault
@given(text=texts, where=st.integers(0, 60), language=st.sampled_from(list(LANGUAGES)))
def test_labels_fit_the_text_and_read_from_left_to_right(feature, text, where, language):
    """Any text has one label a character, of the feature's type; unless a feature says so, what follows changes none, once
    it is decided what the parts of the text are and what its quotation marks do.
    """
    with read_as(language):
        labels = feature.label(text)
        assert labels.shape == (len(text),)
        assert labels.dtype == (np.int32 if feature.is_graded else np.bool_)
        assert not (labels < 0).any()
        if feature.name not in LOOKS_AHEAD:
            with decided_from(text):
                np.testing.assert_array_equal(feature.label(text[:where]), labels[:where])


@each_feature
@pytest.mark.parametrize("text", [PROSE, C_CODE, source(tokenize.__file__)], ids=["prose", "c", "python"])
def test_real_texts_read_from_left_to_right(feature, text):
    """A text cut anywhere in its second half has the labels that the whole text has there."""
    labels = feature.label(text)
    for cut in range(len(text) // 2, len(text), max(1, len(text) // 20)) if feature.name not in LOOKS_AHEAD else ():
        np.testing.assert_array_equal(feature.label(text[:cut]), labels[:cut])


@pytest.mark.parametrize("name", sorted(LOOKS_AHEAD))
def test_a_feature_that_looks_ahead_says_so(name):
    """People can tell which labels a model could not know for sure."""
    assert "looks ahead" in FEATURES[name].description


@each_feature
def test_every_feature_has_its_name_and_a_plain_line(feature):
    """The registry's names are the features' own; a description is one line."""
    assert FEATURES[feature.name] is feature
    assert re.fullmatch(r"[A-Z][^\n]{10,125}\.", feature.description)
    assert ("looks ahead" in feature.description) == (feature.name in LOOKS_AHEAD)


def slow_labels(text: str) -> dict[str, list[int]]:
    """Some features by one plain loop over characters, for texts without code, curly quotes and tabs."""
    labels: dict[str, list[int]] = {}
    column = indent = word = paragraph = depth = 0
    is_quoted = is_empty = is_leading = False
    before = ""
    for character in text:
        is_blank = character == "\n" and is_empty
        is_empty = character == "\n" or (is_empty and character.isspace())
        column = 0 if character == "\n" else column + 1
        is_leading = character.isspace() and (column == 1 or is_leading) and column > 0
        indent = 0 if character == "\n" else column if is_leading else 0 if column == 1 else indent
        is_joining = character in "'-" and before.isalnum()
        word = word + 1 if character.isalnum() or is_joining else 0
        paragraph = 0 if is_blank or (paragraph == 0 and character.isspace()) else paragraph + 1
        is_quoted = not is_blank and is_quoted ^ (character == '"')
        depth = 0 if is_blank else max(0, depth + (character in "([{") - (character in ")]}"))
        for name, label in (
            ("column", column),
            ("indentation", indent),
            ("position_in_word", word),
            ("word_start", word == 1),
            ("position_in_paragraph", paragraph),
            ("inside_double_quotes", is_quoted),
            ("bracket_depth", depth),
            ("capital_run", character.isupper() and before.isupper()),
        ):
            labels.setdefault(name, []).append(int(label))
        before = character
    return labels


@pytest.mark.parametrize(("text", "crlf"), [(PROSE, False), (PROSE, True), (" (a\n\n\n  b) 'c'\n \n" + PROSE, False)])
def test_arrays_equal_a_plain_loop(text, crlf):
    r"""A novel is labelled as by a loop that carries its counters along; with \r\n for \n all visible characters are too."""
    read = text.replace("\n", "\r\n") if crlf else text
    is_kept = np.array([character != "\r" for character in read])
    for name, expected in slow_labels(text).items():
        labels = FEATURES[name].label(read)[is_kept]
        if name == "position_in_paragraph" and crlf:  # each \r counts as one more
            assert (labels >= expected).all()
        else:
            np.testing.assert_array_equal(labels, expected, err_msg=name)


QUOTES = re.compile("\"\"\"|'''|\"|'")


def python_labels(text: str) -> dict[str, np.ndarray]:
    """Comments, strings and conditions by Python's own tokenizer."""
    starts = [0, *np.cumsum([len(line) for line in text.splitlines(keepends=True)]).tolist()]
    labels = {name: np.zeros(len(text), dtype=bool) for name in ("inside_comment", "inside_string", "inside_if_condition")}
    opened = [getattr(tokenize, kind, -1) for kind in ("FSTRING_START", "TSTRING_START")]  # from Python 3.12 and 3.14 on
    closed = [getattr(tokenize, kind, -1) for kind in ("FSTRING_END", "TSTRING_END")]
    depth, condition, is_first, string_starts = 0, -1, True, []
    for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
        start, stop = (starts[row - 1] + column for row, column in (token.start, token.end))
        depth += (token.string in set("([{")) - (token.string in set(")]}")) if token.type == tokenize.OP else 0
        if token.type == tokenize.COMMENT:
            labels["inside_comment"][start:stop] = True
        elif token.type in opened:
            string_starts.append(start)
        elif token.type in {tokenize.STRING, *closed}:
            opening = QUOTES.search(text, start if token.type == tokenize.STRING else string_starts.pop())
            labels["inside_string"][opening.start() : stop - 1] = True
            labels["inside_string"][opening.start() + 1] &= len(opening[0]) == 1  # two quotes are an empty string
        elif is_first and token.string in {"if", "elif"}:
            condition = stop
        elif token.string == ":" and depth == 0 and condition >= 0:
            labels["inside_if_condition"][condition:start] = True
            condition = -1
        if token.type not in {tokenize.NL, tokenize.COMMENT}:
            is_first = token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    return labels


@pytest.mark.parametrize("path", PYTHON)
@pytest.mark.parametrize("crlf", [False, True])
def test_python_is_read_as_python_reads_it(path, crlf):
    """Comments, strings and conditions of the standard library are where its tokenizer finds them."""
    text = source(path).replace("\n", "\r\n" if crlf else "\n")
    for name, expected in python_labels(text).items():
        np.testing.assert_array_equal(FEATURES[name].label(text), expected, err_msg=name)


def test_a_text_may_begin_inside_a_docstring():
    """The first docstring that closes right after a word puts a text right that began inside another."""
    text = 'the end.\n    """\n    x = (1)\n\n\ndef f():\n    """One line."""\n    return "a"\n'
    labels = drawn(FEATURES["inside_string"].label(text))
    assert labels[text.index("return") :] == ".......xx.."


def test_an_expression_becomes_a_feature():
    """NAME=REGEX covers what it matches, line by line; the first = is what parts them."""
    feature = parse_feature("eq=^[ab]+=|x*")
    assert (feature.name, feature.is_graded) == ("eq", False)
    assert drawn(feature.label("ab=c\nb= xx a=")) == "xxx..xx.xx..."
    assert drawn(from_regex("end", "$").label("a\nb")) == "..."


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("vowel", "--feature is 'vowel', which is not NAME=REGEX"),
        ("=a", "names '', which is no name"),
        ("a b=c", "names 'a b', which is no name"),
        ("9=c", "names '9', which is no name"),
        ("digit=[0-9]", "names 'digit', which is built in"),
        ("vowel=", "'vowel' has an empty expression"),
        ("vowel=[aeiou", "'vowel' has no regular expression in '[aeiou': unterminated character set"),
        ("many=a{99999999999}", "repetition number is too large"),
    ],
)
def test_an_expression_that_cannot_be_meant_is_named(option, message):
    """The error has the value and a hint."""
    with pytest.raises(UsageError, match=re.escape(message)) as error:
        parse_feature(option)
    assert error.value.hint


def numbers(*counts: int) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


@pytest.mark.parametrize(
    ("is_graded", "first", "second", "why"),
    [
        (False, numbers(50, 50), numbers(60, 90), None),
        (False, numbers(50, 50) > 0, numbers(60, 90) > 0, None),
        (False, numbers(99), numbers(99), "not in the text"),
        (False, numbers(99), numbers(50, 50), "not in the first half"),
        (False, numbers(50, 50), numbers(900, 12), "only 12 characters in the second half"),
        (False, numbers(50, 1), numbers(50, 50), "only 1 character in the first half"),
        (False, numbers(49, 51), numbers(50, 50), "nearly everywhere in the first half"),
        (True, numbers(50, 25, 25), numbers(30, 30, 30), None),
        (True, numbers(99), numbers(99), "not in the text"),
        (True, numbers(99, 30, 19), numbers(50, 50, 50), "the same nearly everywhere in the first half"),
        (True, numbers(50, 25, 25), numbers(50, 50), "only 2 different values in the second half"),
        (True, numbers(50, 25, 25), numbers(), "the same nearly everywhere in the second half"),
    ],
)
def test_what_a_text_lacks_is_not_tested(is_graded, first, second, why):
    """Both halves must have 50 characters of either answer, or 3 numbers and 50 characters off the commonest."""
    feature = Feature(name="f", description="", is_graded=is_graded, label=lambda text: np.zeros(len(text), dtype=bool))
    assert missing(feature, first, second) == why
