"""The features of a text, one label a character: what a feature is, and the registry of all built-in ones. Knows no model.

Labels, like a unit's values, are taken after a character is read: the label at t is what holds once character t has been read,
so that an opening quote is inside and the closing one outside. A rule that looks ahead says so. The functions in `plain`,
`prose`, `quotes`, `markup` and `code` are the features; their docstrings are the descriptions that people see.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.errors import UsageError
from charlm.features import code, markup, plain, prose, quotes
from charlm.features.spans import Mask, Numbers, matched

LabelValues = npt.NDArray[np.bool_] | npt.NDArray[np.int32]

LEAST_OF_EITHER = 50  # characters of either answer, or off the commonest number, in each half of a text: fewer prove nothing
LEAST_VALUES = 3  # different numbers in each half of a text: with two, a feature is a yes/no one


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A question that a text answers at each character. `label` takes a text of N characters and gives `(N,)`: bool for
    yes/no features, int32, 0 or more, for graded ones. What no text can answer is `known` at the N characters of one.
    """

    name: str
    description: str
    is_graded: bool
    label: Callable[[str], LabelValues]
    known: LabelValues | None = None


def known(name: str, description: str, values: Mask) -> Feature:
    """A yes/no feature whose `values` `(N,)` somebody else knows, for one text and at each of its symbols."""
    return Feature(name=name, description=description, is_graded=False, label=lambda _: values, known=values)


def from_regex(name: str, pattern: str) -> Feature:
    """A yes/no feature: the characters that matches of `pattern` cover; ^ and $ match at every line.

    Raises `UsageError` for a `name` or a `pattern` that cannot be one.
    """
    if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
        raise UsageError(
            f"--feature names {name!r}, which is no name for a feature", "use letters, digits, - and _, as in vowel=[aeiou]"
        )
    if name in FEATURES:
        raise UsageError(f"--feature names {name!r}, which is built in", f"choose another name, as in my_{name}=...")
    if not pattern:
        raise UsageError(f"--feature {name!r} has an empty expression", f"say what it covers, as in {name}=[aeiou]")
    try:
        compiled = re.compile(pattern, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        hint = "see Python's re module; a \\ before a punctuation mark makes it stand for itself"
        raise UsageError(f"--feature {name!r} has no regular expression in {pattern!r}: {error}", hint) from error
    return Feature(
        name=name, description=f"what {pattern!r} covers", is_graded=False, label=lambda text: matched(compiled, text)
    )


def parse_feature(option: str) -> Feature:
    """The feature that NAME=REGEX describes. Raises `UsageError`."""
    name, equals, pattern = option.partition("=")
    if not equals:
        raise UsageError(
            f"--feature is {option!r}, which is not NAME=REGEX", "give a name and an expression, as in vowel=[aeiou]"
        )
    return from_regex(name, pattern)


def missing(feature: Feature, first: LabelValues, second: LabelValues) -> str | None:
    """Why a feature cannot be tested on a text whose halves have these labels, in a few words; None where it can."""
    if not first.any() and not second.any():
        return "not in the text"
    why = _missing_number if feature.is_graded else _missing_answer
    return why(first, "in the first half") or why(second, "in the second half")


def _missing_answer(labels: LabelValues, place: str) -> str | None:
    present = int(np.count_nonzero(labels))
    if present < LEAST_OF_EITHER:
        return f"only {present} character{'s' * (present > 1)} {place}" if present else f"not {place}"
    return f"nearly everywhere {place}" if len(labels) - present < LEAST_OF_EITHER else None


def _missing_number(labels: LabelValues, place: str) -> str | None:
    counts = np.unique(labels, return_counts=True)[1]
    if len(labels) - counts.max(initial=0) < LEAST_OF_EITHER:
        return f"the same nearly everywhere {place}"
    return f"only {len(counts)} different values {place}" if len(counts) < LEAST_VALUES else None


_YES_NO: tuple[Callable[[str], Mask], ...] = (
    quotes.inside_quotes,
    quotes.inside_double_quotes,
    quotes.inside_single_quotes,
    plain.inside_parentheses,
    prose.inside_question,
    prose.inside_emphasis,
    prose.inside_heading,
    prose.inside_math,
    markup.inside_tag,
    prose.inside_url,
    code.inside_comment,
    code.inside_string,
    code.inside_if_condition,
    prose.speaker_line,
    plain.next_is_newline,
    plain.word_start,
    plain.capital,
    plain.capital_run,
    plain.capitalised_word,
    plain.digit,
)
_GRADED: tuple[Callable[[str], Numbers], ...] = (
    plain.column,
    plain.indentation,
    plain.bracket_depth,
    markup.element_depth,
    plain.position_in_word,
    prose.position_in_sentence,
    plain.position_in_paragraph,
)


def feature_of(label: Callable[[str], Mask] | Callable[[str], Numbers], *, is_graded: bool) -> Feature:
    """The feature of a function that labels a text: with the function's name, and its docstring as the description."""
    return Feature(name=label.__name__, description=label.__doc__ or "", is_graded=is_graded, label=label)


FEATURES = {
    feature.name: feature
    for feature in (
        *(feature_of(label, is_graded=False) for label in _YES_NO),
        *(feature_of(label, is_graded=True) for label in _GRADED),
    )
}
