"""Texts with labels by hand, read from `by_hand/`, whose README says what the marks in them are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent / "by_hand"
SPANS = {
    "double": "⟦⟧",
    "single": "⦃⦄",
    "other quotes": "⧘⧙",
    "inside_question": "⸨⸩",
    "round": "⦅⦆",
    "other brackets": "⁅⁆",
    "inside_comment": "⟪⟫",
    "inside_string": "⦗⦘",
    "inside_emphasis": "⦑⦒",
    "inside_heading": "⧼⧽",
    "inside_if_condition": "⟬⟭",
}
START = "¶"
MARKS = {*"".join(SPANS.values()), START}
UNSEEN = str.maketrans("␣⍽⁏", "\u202f\u00a0\u037e")
QUOTES = ("inside_quotes", "inside_double_quotes", "inside_single_quotes")
BRACKETS = ("inside_parentheses", "bracket_depth")
OF_WRITING = (*QUOTES, *BRACKETS, "inside_question", "position_in_sentence")
OF_FORMATS = ("inside_comment", "inside_string", "inside_emphasis", "inside_heading", "inside_if_condition")
GROUPS = {
    "scripts": OF_WRITING,
    "korean": OF_WRITING,
    "quotes": QUOTES,
    "brackets": BRACKETS,
    "formats": OF_FORMATS,
    "readmes": (*OF_FORMATS, "inside_single_quotes"),
    "quoted_code": QUOTES,
    "elements": ("element_depth",),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A text of N characters, and of some features the labels `(N,)`, of `position_in_sentence` only where it is 1."""

    name: str
    text: str
    labels: dict[str, np.ndarray]


def cases(group: str) -> list[Case]:
    """The cases of a file."""
    blocks = (HERE / f"{group}.txt").read_text(encoding="utf-8").split("==== ")[1:]
    return [case(name, note, GROUPS[group]) for name, note in (block.split("\n", 1) for block in blocks)]


def case(name: str, note: str, features: tuple[str, ...]) -> Case:
    """A text and its labels, from the text with marks in it."""
    open_now, is_start = dict.fromkeys(SPANS, 0), False
    text, depths, starts = "", {kind: [] for kind in SPANS}, []
    for character in note:
        is_start |= character == START
        for kind, (opening, closing) in SPANS.items():
            open_now[kind] += (character == opening) - (character == closing)
        assert min(open_now.values()) >= 0, f"{name}: closed before it is opened, at {text[-20:]!r}"
        if character not in MARKS:
            text += character.translate(UNSEEN)
            for kind, depth in open_now.items():
                depths[kind].append(depth)
            starts.append(is_start)
            is_start = False
    assert not any(open_now.values()), f"{name}: opened and not closed"
    found = {kind: np.array(depth) for kind, depth in depths.items()}
    return Case(name=name, text=text, labels={feature: label(feature, found, np.array(starts)) for feature in features})


def label(feature: str, depths: dict[str, np.ndarray], starts: np.ndarray) -> np.ndarray:
    """A feature's labels from how many marks of each kind are open `(N,)` and where sentences start."""
    if feature == "bracket_depth":
        return depths["round"] + depths["other brackets"]
    if feature == "element_depth":
        return depths["other brackets"]
    if feature == "position_in_sentence":
        return starts
    kinds = {
        "inside_quotes": ("double", "single", "other quotes"),
        "inside_double_quotes": ("double",),
        "inside_single_quotes": ("single",),
        "inside_parentheses": ("round",),
    }
    return np.any([depths[kind] > 0 for kind in kinds.get(feature, (feature,))], axis=0)
