"""How each kind of text is read: where its comments and strings are, and how a condition of it ends. Knows no parts of a text.

A language here is a family with the same marks: "hash" is Python and Ruby, "slash" is C, Java, JavaScript and JSON. "" is
prose, Markdown too; "tex" and "markup" are prose with marks of their own; "literal" is code of which nothing is known.

No expression reads anything twice: every repeat is possessive, and every closing mark optional. A group begins at the last
character of an opening mark, and ends before the last one of the closing mark. A long string has three quotes at each end; a
stray triple quote, right after a word or a full stop, cannot open one: it closes one that began before the text.
"""

import re
from dataclasses import dataclass

PROSE, TEX, MARKUP, LITERAL = "", "tex", "markup", "literal"
WRITING = {PROSE, TEX, MARKUP}  # what is not code

_ESCAPE = r"\\(?:\r\n|[\s\S]|\Z)"
_LINE = r"{0}[^{0}\\\r\n]*+(?:" + _ESCAPE + r"[^{0}\\\r\n]*+)*+"
_BLOCK = r"{0}[^{0}\\]*+(?:" + _ESCAPE + r"[^{0}\\]*+)*+"
_LONG = r"{0}{0}{0}[^{0}\\]*+(?:(?:" + _ESCAPE + r"|{0}(?!{0}{0}))[^{0}\\]*+)*+(?:{0}{0}(?={0}))?"
_SOFT = r"\n[ \t\r]*+(?!\n)"
_PARAGRAPH = r"{0}(?:[^{0}\\\n]++|" + _ESCAPE + rf"|{_SOFT})*+(?:\n[ \t\r]*+)?"  # a blank line ends it at the latest
_RAW = r"{0}(?:[^{0}\n]++|" + _SOFT + r")*+(?:\n[ \t\r]*+)?"  # the same without escapes
_SINGLE, _DOUBLE = _LINE.format("'"), _LINE.format('"')
_STRING = rf"(?P<string>{_DOUBLE}|{_SINGLE})[\"']?"
_LONG_STRING = rf"(?P<long>{_LONG.format(chr(34))}|{_LONG.format(chr(39))})[\"']?"
_VALUE = rf"(?P<string>(?<![^\s=:,\[({{])(?:{_DOUBLE}|{_SINGLE}))[\"']?"
_STARS = r"/(?P<block>\*[^*]*+(?:\*(?!/)[^*]*+)*+\*?)/?"
_HASH = r"(?P<comment>#[^\r\n]*+)"
_DASHES = r"-(?P<comment>-[^\r\n]*+)"
_HTML_COMMENT = r"<!-(?P<comment>-[^-]*+(?:-(?!->)[^-]*+)*+(?:--)?)>?"
_IN_BRACES = r"[^{\-]++|-(?!\})|\{(?!-)"  # what {- and -} hold, but for others like themselves
_NESTED = rf"\{{-(?:{_IN_BRACES}|\{{-(?:{_IN_BRACES})*+(?:-\}})?)*+(?:-\}})?"
_HERE = (  # <<END, and all lines up to END
    r"<<[-~]?[ \t]*+(?P<quote>[\"']?)(?P<word>\w++)(?P=quote)[^\n]*+\n"
    r"(?P<text>(?:(?!\t*+(?P=word)\r?\n)[^\n]*+\n)*+(?:(?!\t*+(?P=word)\r?\n)[^\n]++)?(?:\t*+(?P=word)\r?)?)"
)
_BRACKETS = r"(?P<{0}>{1}\[(?:[^\]]++|\](?!(?P={2})\]))*+(?:\](?P={2}))?)\]?"  # of Lua: [[ and ]], [=[ and ]=]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How a condition reads: `start` matches what stands before it; `stop` brackets, its `end` outside all brackets, and blank
    lines, which end it anywhere. `is_statement`: an `if` inside brackets has an empty one, as in a comprehension.
    `has_parentheses`: one that begins with a parenthesis ends with it. `needs_end`: without its end it is none, as IF EXISTS.
    """

    start: re.Pattern[str]
    stop: re.Pattern[str]
    is_statement: bool = False
    has_parentheses: bool = False
    needs_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A family of languages: its `tokens`, which are a `comment` or a `block`, a `string` or a `text`, `long` or `stray`, and
    others that are passed over; the `names` by which Markdown calls it; how its `if` reads, where it has one.
    """

    tokens: re.Pattern[str]
    names: str = ""
    condition: Condition | None = None


def _tokens(first: str, *tokens: str) -> re.Pattern[str]:
    """Whichever of the tokens comes first; each begins with one of the characters `first`."""
    return re.compile(rf"(?=[{first}])(?:{'|'.join(tokens)})")


def _condition(start: str, end: str, **rules: bool) -> Condition:
    stop = re.compile(rf"(?P<end>{end})|\n[ \t\r]*+\n|[()\[\]{{}};]")
    return Condition(start=re.compile(start, re.M), stop=stop, **rules)


_NEWLINE = r"(?<!\\)(?<!\\\r)\n(?:[ \t\r]*+\n)?"
_IF_THEN = _condition(r"(?i)(?<!end )\b(?:else?)?if\b", r"(?i:\bthen\b)", needs_end=True)
_IF_PARENTHESES = _condition(
    r"(?<![#\w.$])(?<!# )if\b(?:\s++constexpr\b)?(?:\s*+(?=\())?", r"[;{]|\n(?:[ \t\r]*+\n)?", has_parentheses=True
)

LANGUAGES = {
    "hash": Language(
        names="python py python3 pycon ruby rb perl pl julia jl nim elixir ex make makefile cmake dockerfile tcl awk",
        tokens=_tokens(
            "#\"'",
            _HASH,
            r"(?P<stray>(?<=[\w.!?)\]}])(?<!\b[bfruBFRU])(?<!\b[bfruBFRU]{2})(?:\"\"\"|'''))",
            _LONG_STRING,
            _STRING,
        ),
        condition=_condition(r"^[ \t]*+(?:el)?if\b", rf":(?!=)|{_NEWLINE}", is_statement=True),
    ),
    "slash": Language(  # an apostrophe after & or < marks a lifetime in Rust, and after a digit separates thousands in C++
        names="c h cpp c++ cc hpp java js javascript jsx ts typescript tsx json jsonc json5 jsonl css scss less go golang "
        "rust rs swift kotlin kt scala groovy cs csharp c# php dart objc proto glsl cuda zig",
        tokens=_tokens(
            "/\"'`",
            r"/(?P<comment>(?<!:/)/[^\r\n]*+)",
            _STARS,
            rf"(?P<long>{_LONG.format(chr(34))})\"?",
            rf"(?P<string>{_DOUBLE}|(?<![&<\d]){_SINGLE}|{_BLOCK.format('`')})[\"'`]?",
        ),
        condition=_IF_PARENTHESES,
    ),
    "r": Language(
        names="r",
        tokens=_tokens("#\"'", _HASH, rf"(?P<string>{_PARAGRAPH.format(chr(34))}|{_PARAGRAPH.format(chr(39))})[\"']?"),
        condition=_IF_PARENTHESES,
    ),
    "shell": Language(  # # begins a word: ${#a} and $# are no comments
        names="sh bash zsh ksh shell fish",
        tokens=_tokens(
            "#\"'\\\\<",
            rf"(?<![^\s;&|(]){_HASH}",
            r"\\[\s\S]",
            _HERE,
            rf"(?P<string>{_PARAGRAPH.format(chr(34))}|{_RAW.format(chr(39))})[\"']?",
        ),
        condition=_condition(r"(?:^|;)[ \t]*+(?:el)?if\b", rf";|{_NEWLINE}"),
    ),
    "sql": Language(  # '\' is a string: ESCAPE '\'
        names="sql mysql postgresql psql pgsql plsql sqlite tsql",
        tokens=_tokens(
            "-/\"'", _DASHES, _STARS, rf"(?P<string>'\\(?=')|{_PARAGRAPH.format(chr(39))}|{_PARAGRAPH.format(chr(34))})[\"']?"
        ),
        condition=_IF_THEN,
    ),
    "lua": Language(
        names="lua luau",
        tokens=_tokens(
            "-\"'\\[",
            "-" + _BRACKETS.format("block", r"-\[(?P<level>=*+)", "level"),
            _DASHES,
            r"\[(?P<equals>=*+)" + _BRACKETS.format("text", "", "equals"),
            _STRING,
        ),
        condition=_IF_THEN,
    ),
    "haskell": Language(  # an apostrophe after a word is a prime
        names="haskell hs purescript elm agda idris",
        tokens=_tokens(
            "-{\"'",
            rf"\{{(?P<block>-(?:{_IN_BRACES}|{_NESTED})*+-?)\}}?",
            r"(?<![!#$%&*+./<=>?@\\^|~:-])" + _DASHES,
            rf"(?P<string>{_DOUBLE}|(?<![\w'])'(?:\\(?:'|[^'\r\n]*+)|[^'\\\r\n])?)[\"']?",
        ),
        condition=_IF_THEN,
    ),
    "lisp": Language(  # what begins inside a string closes it right after a word, where none can open
        names="lisp commonlisp common-lisp cl elisp emacs-lisp el scheme scm racket rkt clojure clj cljs edn fennel",
        tokens=_tokens(
            ';#\\\\"',
            r"(?P<comment>;[^\r\n]*+)",
            r"#(?P<block>\|[^|]*+(?:\|(?!#)[^|]*+)*+\|?)#?",
            r"\\[\s\S]",
            rf"(?P<string>(?<![^\s(\[{{'`,#@~^]){_BLOCK.format(chr(34))})\"?",
        ),
        condition=_condition(r"(?<=\()if(?![\w-])\s*+", r"(?=[\s)])", has_parentheses=True),
    ),
    "percent": Language(  # an apostrophe after a word transposes in MATLAB; $% is a character in Erlang
        names="erlang erl matlab octave prolog",
        tokens=_tokens(
            "%\"'$", r"(?P<comment>%[^\r\n]*+)", r"\$\\?\S", rf"(?P<string>{_DOUBLE}|(?<![\w)\]}}'.]){_SINGLE})[\"']?"
        ),
        condition=_condition(r"\b(?:else)?if\b", rf"->|{_NEWLINE}"),
    ),
    "yaml": Language(names="yaml yml", tokens=_tokens("#\"'", rf"(?<!\S){_HASH}", _VALUE)),
    "ini": Language(  # no comment stands where a value is to come: = #ff0000
        names="ini toml cfg conf properties dosini",
        tokens=_tokens("#;\"'", r"(?<!\S)(?<!=)(?<!= )(?P<comment>[#;][^\r\n]*+)", _LONG_STRING, _VALUE),
    ),
    "basic": Language(
        names="vb vba vbnet vbs vbscript basic",
        tokens=_tokens("'\"", r"(?P<comment>'[^\r\n]*+)", r"(?P<string>\"[^\"\r\n]*+)\"?"),
        condition=_IF_THEN,
    ),
    MARKUP: Language(
        names="html xml xhtml svg vue svelte",
        tokens=_tokens(
            "<=", _HTML_COMMENT, r"<!\[CDATA\[[^\]]*+(?:\](?!\]>)[^\]]*+)*+", r"=(?P<string>\"[^\"<]*+|'[^'<]*+)[\"']?"
        ),
    ),
    TEX: Language(names="tex latex", tokens=_tokens(r"%\\", r"(?P<comment>%[^\r\n]*+)", r"\\[\s\S]")),
    PROSE: Language(tokens=_tokens("<", _HTML_COMMENT)),
    LITERAL: Language(names="text txt plain plaintext console output none diff log", tokens=re.compile(r"(?!)")),
}
NAMED = {name: language for language in LANGUAGES for name in LANGUAGES[language].names.split()}
