"""Tags of HTML and XML, and how many elements are open. Rules as in `registry`."""

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np

from charlm.features.code import prose
from charlm.features.languages import MARKUP
from charlm.features.parts import main_language
from charlm.features.spans import Mask, Numbers, matched

_NAME = r"[A-Za-z][\w.-]*+(?::[\w.-]++)?"
_ATTRIBUTES = r"(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+"
_TAG = re.compile(rf"<(?=[/!?]?{_NAME}[\s/?>]){_ATTRIBUTES}(?=>)")
_EVENT = re.compile(  # what is passed over, an element's tag, a blank line
    rf"<!\[CDATA\[[^\]]*+(?:\](?!\]>)[^\]]*+)*+"
    rf"|<(?P<end>/?)(?P<name>{_NAME})(?=[\s/>]){_ATTRIBUTES}(?P<empty>(?<=/))?>|(?P<blank>\n[ \t\r]*+(?=\n))"
)
_END = re.compile(rf"</({_NAME})\s*+>")
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
_ENDS = {  # in HTML: which elements end where this one begins, though no tag says so
    "p": {"p"},
    "li": {"li"},
    "dt": {"dt", "dd"},
    "dd": {"dt", "dd"},
    "option": {"option"},
    "tr": {"td", "th", "tr"},
    "td": {"td", "th"},
    "th": {"td", "th"},
}


def inside_tag(text: str) -> Mask:
    """In an HTML or XML <tag> (looks ahead for its end); not in code."""
    return matched(_TAG, prose(text))


def element_depth(text: str) -> Numbers:
    """How many elements of HTML or XML are open, once their tags are read; in prose a blank line closes all; not in code."""
    places, depths = [0], [0]
    for place, number in _depths(prose(text), is_markup=main_language(text) == MARKUP):
        places.append(place)
        depths.append(number)
    return np.repeat(np.array(depths, dtype=np.int32), np.diff([*places, len(text)]))


def _depths(text: str, *, is_markup: bool) -> Iterator[tuple[int, int]]:
    """Where the number of open elements may change, rising, and what it is from there on."""
    void = _VOID - {name.lower() for name in _END.findall(text)}  # in XML, <link> may have an end
    opened: list[str] = []
    counts: Counter[str] = Counter()
    for match in _EVENT.finditer(text) if "<" in text else ():
        name = (match["name"] or "").lower()
        if match["blank"] is not None and opened and not is_markup:
            opened.clear()
            counts.clear()
            yield match.end(), 0
        elif match["end"]:
            while counts[name]:  # what nobody closed inside of it too
                last = opened.pop()
                counts[last] -= 1
                if last == name:
                    break
        elif name and match["empty"] is None and name not in void:
            while opened and opened[-1] in _ENDS.get(name, ()):
                counts[opened.pop()] -= 1
            opened.append(name)
            counts[name] += 1
        if name:
            yield match.end() - 1, len(opened)
