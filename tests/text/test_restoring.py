"""Spaces, capitals and punctuation, taken out of a text and put back."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlm.text import restoring
from charlm.text.examples import BEGINS, INSIDE, OUTSIDE, Example
from charlm.text.restoring import LONGEST, STRETCH, TAKEN_OUT, are_restorable, learnable, nearest, restored, stretches

KINDS = tuple(TAKEN_OUT)
HARD = "He said:  “Don't!”\r\n\tİSTANBUL ǅ ß Σς \u212a\rlone\n\n   \n두 번째, 😀.  no end —"
PIECES = st.sampled_from(
    [" ", "  ", "\n", "\r\n", "\r", "\t", "a", "Bc", "İ", "ß", "Σ", "가", "😀", ".", ",”", "—", "\u3000", "x" * 400]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join))
each_kind = pytest.mark.parametrize("what", KINDS)


def labels_of(found: list[Example]) -> list[str]:
    return [label for each in found for label in each.labels]


def put_back(text: str, what: str) -> str:
    found = list(stretches(text, what))
    return restored("".join(each.text for each in found), labels_of(found), text)


@each_kind
@given(TEXTS)
@example("")
@example("   ")
@example("\n")
@example("...")
@example(HARD)
def test_what_is_taken_out_is_put_back(what, text):
    """There and back, any text is the same."""
    assert put_back(text, what) == text


@each_kind
@given(TEXTS)
def test_nothing_is_left_to_take_out(what, text):
    """What the model reads has no space, no capital or no mark that could be put back, and ends with a line end."""
    left = "".join(each.text for each in stretches(text, what))
    assert left.endswith("\n") or not text
    again = list(stretches(left, what))
    assert "".join(each.text for each in again) == left
    assert set(labels_of(again)) <= {"none", "as is"}


@each_kind
@given(TEXTS)
def test_stretches_are_whole_lines_of_bounded_length(what, text):
    """Each ends with a line once it has 300 characters, none has more than 1,000, and none begins inside of a word."""
    found = list(stretches(text, what))
    for each, after in pairwise([*found, None]):
        assert 0 < len(each.text) <= LONGEST
        assert len(each.labels) == len(each.places) == len(each.text)
        assert set(each.places) <= {OUTSIDE, INSIDE, BEGINS}
        assert each.places[0] != INSIDE
        if after is not None and not each.text.endswith(("\n", "\r")):
            assert len(each.text) >= STRETCH
    for each, after in pairwise(found):
        if len(each.text) < STRETCH:  # the line that follows is too long to be in it
            assert len(each.text) + len(after.text.splitlines()[0]) > LONGEST or len(after.text) >= STRETCH


@each_kind
def test_a_long_text_is_worked_on_in_pieces(what, monkeypatch):
    """Each piece has whole lines: what is taken out, and the numbers of lines, do not depend on how long it is."""
    text = HARD * 30
    whole = list(stretches(text, what))
    monkeypatch.setattr(restoring, "PIECE", 250)
    found = list(stretches(text, what))
    assert len(found) > len(whole)
    for name in ("text", "labels"):
        assert [part for each in found for part in getattr(each, name)] == [
            part for each in whole for part in getattr(each, name)
        ]
    assert put_back(text, what) == text
    lines = [1 + len(re.findall(r"\r\n|\r|\n", "".join(each.text for each in found[:number]))) for number in range(len(found))]
    if what != "spaces":  # which may stand between CR and LF
        assert [each.line for each in found] == lines


def test_long_lines_are_cut_between_words_where_there_are_any():
    """A line of many words is cut after one; a line of none is cut at 1,000; the words of both are those of the text."""
    wordy, solid = "seven77 " * 400, "x" * 2500
    for text, sizes in ((wordy, [1000, 1000, 1000, 201]), (solid, [1000, 1000, 501])):
        assert [len(each.text) for each in stretches(text, "case")] == sizes
    assert [len(each.text) for each in stretches(wordy, "spaces")] == [994, 994, 813]
    assert sum(each.places.count(BEGINS) for each in stretches(wordy, "spaces")) == 400


def test_line_numbers_are_those_of_the_text():
    """A stretch is named by the line that it begins in, whatever ends lines."""
    for end in ("\n", "\r\n", "\r"):
        lines = [f"{number} {'word ' * 30}" for number in range(1, 12)]
        found = list(stretches(end.join(lines), "punctuation", "f.txt"))
        assert len(found) > 3
        assert [int(each.text.split()[0]) for each in found] == [each.line for each in found]
        assert {each.file for each in found} == {"f.txt"}


def places(text: str, what: str) -> str:
    return "".join(".iB"[place] for each in stretches(text, what) for place in each.places)


def test_labels_and_words_are_what_people_expect():
    """The label of a character says what stood before it; words are those of the original for spaces, else of what is left."""
    (spaces,) = stretches("A bc  d\n", "spaces")
    assert (spaces.text, spaces.labels) == ("Abcd\n", ("none", "1 space", "none", "2 spaces", "none"))
    assert places("A bc  d\n", "spaces") == "BBiB."
    (case,) = stretches("Ab C", "case")
    assert (case.text, case.labels) == ("ab c\n", ("upper", "as is", "as is", "upper", "as is"))
    assert places("Ab C", "case") == "Bi.B."
    (marks,) = stretches("“Ah,” no—yes.", "punctuation")
    assert marks.text == "Ah noyes\n"
    assert marks.labels == ("“", "none", ",”", "none", "none", "—", "none", "none", ".")
    assert places("“Ah,” no—yes.", "punctuation") == "Bi.Biiii."


def test_what_cannot_come_back_stays():
    """A letter whose small form has no single way back is left as it is; so is a small letter without a capital of its own."""
    (found,) = stretches("İǅẞ\u212aΣÉ", "case")
    assert found.text == "İǅẞ\u212aσé\n"
    assert restored("ßſé", ["upper"] * 3, "") == "ßſÉ"


def test_labels_that_say_nothing_write_nothing():
    """A rare mark is left out; so is a label that no text has."""
    assert restored("ab\n", ["other", ".", "as is"]) == "a.b\n"
    assert restored("ab", ["0 spaces", "-1 spaces"], "") == "ab"


def test_rare_labels_become_their_nearest():
    """Spaces become fewer, or the fewest there are; marks become `other`; capitals are always learned."""
    counts = {"none": 90, "1 space": 20, "4 spaces": 5, "7 spaces": 4, "2000 spaces": 50}
    known = learnable(counts, "spaces", 1000)
    assert known == ("1 space", "4 spaces", "none")
    asked = ["none", "1 space", "2 spaces", "3 spaces", "4 spaces", "12 spaces"]
    assert [nearest(label, known) for label in asked] == ["none", "1 space", "1 space", "1 space", "4 spaces", "4 spaces"]
    assert nearest("1 space", ("2 spaces", "none")) == "2 spaces"
    marks = learnable({"none": 1, ",": 9, ".": 7, "?!": 4}, "punctuation", 1000)
    assert marks == (",", ".", "none", "other")
    assert nearest("?!", marks) == "other"
    assert learnable({"none": 1, ",": 9, ".": 7, "?": 8}, "punctuation", 3) == (",", "none", "other")
    assert learnable({"as is": 99, "upper": 1}, "case", 1000) == ("as is", "upper")


@each_kind
def test_labels_of_a_foreign_model_are_checked(what):
    """Those that `learnable` gives pass; those that would write anything else, or without end, do not."""
    good = {"spaces": ["none", "1 space", "12 spaces"], "case": ["as is", "upper"], "punctuation": ["none", "other", "?!"]}
    assert are_restorable(good[what], what)
    for bad in ("999999999 spaces", "x", "", "-" * 500, "1 spaces", "\x1b"):
        assert not are_restorable([*good[what], bad], what)
