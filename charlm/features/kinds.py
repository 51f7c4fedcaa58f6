"""Which kind a text is, by the share of all its lines that one language has and prose has not. Knows no parts of a text."""

import re
from dataclasses import dataclass

from charlm.features.languages import MARKUP, PROSE, TEX

LEAST_MARKS = 0.012  # brackets, = and < for each visible character: source code has 2 to 10 times as many
LEAST_TAGS = 0.004  # ends of tags for each visible character: markup has 2 to 10 times as many
LEAST_LATEX = 0.004  # commands for each visible character: LaTeX has 2 to 10 times as many

_MARK = re.compile(r"[{}()\[\]=<>]")
_TAG = re.compile(r"</\w|/>|<!--")
_LATEX = re.compile(r"\\(?:begin|end|item|section|subsection|cite|ref|label|frac|emph|textbf)\b|(?<!\\)\\[a-zA-Z]{2,}\{")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Of a language the `lines` that it has and prose has not, the `share` of a text's lines which they must exceed, the `sign`
    that must occur where other languages have such lines too, and whether it `has_marks`: as many brackets as code has.
    """

    lines: re.Pattern[str]
    share: float = 0.3
    sign: re.Pattern[str] = re.compile("")
    has_marks: bool = True


def _lines(starts: str) -> re.Pattern[str]:
    """Lines that begin in one of these ways, after white space."""
    return re.compile(rf"^[ \t]*+(?:{starts})", re.M)


KINDS = {
    "hash": Kind(
        lines=_lines(
            r"#!|def \w|class \w++[(:]|class [A-Z]\w*+(?: < [\w:]++)?\r?$|module [A-Z]\w*+\r?$|require ['\"]|import \w"
            r"|from [\w.]++ import|@\w|return\b|raise\b|(?:fi|done|esac|end)\r?$"
            r"|(?:if|elif|for|while|with|try|except|else)\b[^\n]*:\r?$|[\w.]++(?:: [\w\[\], .|]++)? ?[-+*/|]?= ?[^;\n]*$"
        ),
        share=0.1,
    ),
    "slash": Kind(
        lines=re.compile(
            r"^[ \t]*+(?://|/\*|\*/|#[ \t]*+(?:include|define|if|endif|ifdef|ifndef)\b)[^\n]*+|[;{}],?\r?$",
            re.M,
        ),
        share=0.1,
    ),
    "r": Kind(
        lines=_lines(r"[\w.$\[\]\"]++ *+<- |(?:library|source)\(|for \(\w++ in |[^\n]*(?:[{}]|%>%|\|>)\r?$"),
        sign=_lines(r"\S++ *+<- "),
    ),
    "shell": Kind(
        lines=_lines(
            r"#![^\n]*\b(?:ba|z|k|da)?sh\b|(?:fi|done|esac|then|do)\r?$|;;\r?$|[^\s()]++\)\r?$|\w++ ?\(\) ?\{"
            r"|for \w++ in\b|case [^\n]* in\r?$|(?:if|elif|while|until) (?:\[|test |!|[^\n:]*; (?:then|do)\r?$)"
            r"|(?:export |local |readonly )?\w++=\S*(?:\r?$|[ \t])|[^\n;]*?\"\$\w[^\n;]*$"
            r"|(?:echo|cd|set|exit|source|sudo|mkdir|cp|mv|rm|grep|sed|awk|cat|chmod|export|printf|shift|exec|trap) [-\"'$/\w.]"
        ),
        has_marks=False,
    ),
    "sql": Kind(
        lines=_lines(
            r"--|(?:SELECT|FROM|WHERE|AND|OR|ON|SET|VALUES|(?:LEFT |RIGHT |INNER |OUTER )*+JOIN|(?:GROUP|ORDER) BY|HAVING|UNION"
            r"|WITH|LIMIT|AS|BEGIN|COMMIT|END|(?:PRIMARY|FOREIGN) KEY|CREATE|ALTER|DROP|INSERT|UPDATE|DELETE|RETURNS?"
            r"|LANGUAGE|COMMENT|CASE|WHEN|THEN|ELSE|FUNCTION|OPERATOR|GRANT|REVOKE|DECLARE)\b|\([^\n]*\)[,;]\r?$|\);?\r?$"
            r"|(?i:select\b[^\n.]*$|insert into|delete from|update \w++ set|alter table|drop (?:table|index|view)"
            r"|create (?:or replace |unique |temp\w* )*+(?:table|index|view|function|trigger|database|schema)"
            r"|(?:where|and|or|on|set)\s++[\w.]++\s*+[=<>]|[\w\"`]++ (?:int|integer|bigint|smallint|varchar|char|text"
            r"|date|timestamp|numeric|decimal|serial|boolean|real)\b)"
        ),
        sign=_lines(r"(?i:select|insert\s++into|create|delete\s++from|alter|drop|update\s++\w++\s++set)\s"),
        has_marks=False,
    ),
    "lua": Kind(
        lines=_lines(
            r"--|local \w|(?:[\w.]++ = )?function\b[^\n]*\)\r?$|end[,;)]*+\r?$|(?:else)?if\b[^\n]*\bthen\b"
            r"|(?:for|while)\b[^\n]*\bdo\r?$"
        ),
        sign=_lines(r"end[,;)]*+\r?$|local \w"),
    ),
    "haskell": Kind(
        lines=_lines(
            r"--|\{-|module [A-Z]|import (?:qualified )?[A-Z]|(?:data|newtype|type|class|instance) [A-Z(][^\n]*(?:=|where\r?$)"
            r"|[a-z_][\w']*+(?:, [a-z][\w']*+)*+ ::|[\w']++ <- |[^\n]*\b(?:where|do|of)\r?$"
            r"|[a-z][\w']*+(?: [\w'()\[\]:@,_\"]++)*+ = "
        ),
        sign=_lines(r"[a-z_][\w']*+ ::|import (?:qualified )?[A-Z]|module [A-Z]|data [A-Z]"),
        has_marks=False,
    ),
    "lisp": Kind(
        lines=_lines(
            r";|\((?:def\w*+|let\*?|if|cond|when|unless|lambda|fn|ns|require|use|setq?|setf|progn|begin|loop|do|and|or)\b|[^\n]*\){2,}+\r?$"
        ),
        sign=_lines(r"\((?:def|ns\b|let|lambda|setq|require|provide|use)"),
    ),
    "percent": Kind(
        lines=_lines(
            r"%|-\w++\(|function\b|end\r?$|(?:else)?if\b|for \w++ ?=|[^\n]*(?:->|:-|\.\.\.)\r?$|\[?[\w, .()]++\]? = [^\n]*;\r?$"
            r"|[a-z]\w*+\([^\n]*\)[;,.]\r?$"
        ),
        sign=_lines("%"),
    ),
    "yaml": Kind(
        lines=_lines(
            r"---\r?$|(?:- )*+[a-z_][\w./-]*+:(?:\r?$| [\d\"'\[{&*!|>-]| (?:true|false|null|yes|no)\b| \S++\r?$)"
            r"|(?<=[ \t])[a-z_][\w.-]*+:(?:\r?$| )|- [a-z_][\w.-]*+: "
        ),
        sign=_lines(r"[a-z_][\w.-]*+:\r?\n[ \t]*+(?:- |[a-z_][\w.-]*+:)|- [a-z_][\w.-]*+:"),  # one inside another
        share=0.4,
        has_marks=False,
    ),
    "ini": Kind(
        lines=re.compile(r"^(?:\[[^\]\n]++\][ \t\r]*$|[;#]|[A-Za-z_][\w.-]*+ ?=(?!=)[^;\n]*$)", re.M),
        sign=re.compile(r"^\[[^\]\n]++\][ \t\r]*$", re.M),
        share=0.4,
        has_marks=False,
    ),
    "basic": Kind(
        lines=_lines(
            r"Dim \w++ As\b|(?:Public |Private |Friend )?(?:Sub|Function|Property) ?\w++ ?\(|(?:Else)?If\b[^\n]* Then\b"
            r"|Next(?: \w++)?\r?$|End (?:Sub|Function|If|With|Select|Class)\b|Else\r?$|(?:Set )?[\w.]++ = "
        ),
        sign=_lines(r"End (?:Sub|Function|If|With|Select|Class)\b"),
        has_marks=False,
    ),
    MARKUP: Kind(lines=re.compile(r"^[^\n<]*+<[/!?\w][^\n]*+", re.M), share=0, has_marks=False),
    PROSE: Kind(
        lines=re.compile(r"^(?:#{1,6}+ \S|[-*+] |\d{1,3}[.)] |[^\n<]*+\[[^\n\]<]++\]\()", re.M), share=0, has_marks=False
    ),
}


def language_of(text: str, *, has_fences: bool = False) -> str:
    """The language of a text, a name in LANGUAGES; "" for prose and for what is too little to tell.

    In a text with tags, or one that had fences before they were taken out, the lines of Markdown count as those of a language.
    """
    visible = sum(map(len, text.split()))
    if len(_LATEX.findall(text)) > visible * LEAST_LATEX:
        return TEX
    num_lines = sum(map(bool, map(str.strip, text.split("\n"))))
    has_marks = len(_MARK.findall(text)) > visible * LEAST_MARKS
    has_tags = len(_TAG.findall(text)) > visible * LEAST_TAGS
    is_possible = {PROSE: has_tags or has_fences, MARKUP: has_tags and not has_fences}
    shares = {PROSE: 0.0}
    for name, kind in KINDS.items():
        if is_possible.get(name, has_marks or not kind.has_marks):
            found = len(kind.lines.findall(text))
            if found > num_lines * kind.share and (found > 1 or num_lines == 1) and kind.sign.search(text):
                shares[name] = found / num_lines
    return max(shares, key=lambda name: shares[name])
