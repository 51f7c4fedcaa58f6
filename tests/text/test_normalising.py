"""Normal forms of texts that come in pieces."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import NORMAL_FORMS
from charlm.errors import TextError
from charlm.text.normalising import MOST_MARKS, PLANES, Normaliser, normalised

# What joins what is before it, or comes apart, in one form at least: marks of several classes, Korean vowels and finals, their
# forms of half width, Bengali vowel signs, a mark that comes apart itself, ligatures, letters of full width.
HOSTILE = "aeké\u0301\u0323\u0344\u0f71\u0f72が\u3099ｶﾞ\uff9f가각ᄀ\u1161\u11a8ㄱㅏ\uffc2\n"
HOSTILE += "\u09c7\u09be\u09d7ﬁＡ①Å\u212b\u0338\u0653\u0622ệ\u0308"
texts = st.text(st.sampled_from(HOSTILE), max_size=24) | st.text(max_size=12)
forms = pytest.mark.parametrize("form", NORMAL_FORMS)


def in_pieces(text: str, form: str, cuts: list[int], called: str = "") -> str:
    normal, places = Normaliser(form, called), sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    parts = [normal.feed(text[start:end]) for start, end in pairwise(places)]
    return "".join(parts) + normal.feed("", final=True)


@forms
@given(texts, st.lists(st.integers(0, 24), max_size=6))
def test_pieces_make_the_whole(form, text, cuts):
    """Wherever a text is cut, its pieces become what the whole becomes, and that is Python's normal form."""
    assert in_pieces(text, form, cuts) == normalised(text, form) == unicodedata.normalize(form, text)


@forms
def test_any_two_characters_may_be_parted(form):
    """Each character that is not as it was in the form, or changes what is before it, after some that most join, one by one."""
    every = [chr(point) for point in range(PLANES) if not 0xAC00 < point < 0xD7A3]  # all but one of those are alike
    strange = [each for each in every if unicodedata.normalize(form, "e" + each) != "e" + each]
    text = "".join(before + each for each in strange for before in "eかᄀ\u09c7")
    normal = Normaliser(form)
    found = "".join(map(normal.feed, text)) + normal.feed("", final=True)
    assert found == unicodedata.normalize(form, text)


@forms
def test_little_is_held_back(form):
    """What is given lags behind by the last letter and its marks, however long the text."""
    normal = Normaliser(form)
    for letter in "Wörter und e\u0301e\u0323\u0302, 한글ㄱㅏ" * 3:
        normal.feed(letter)
        assert len(normal.held) <= 5


@forms
@pytest.mark.parametrize("size", [1, 7, 5000])
def test_marks_without_end_are_refused(form, size):
    """More marks on one letter than any text has are an error, and not hours of sorting; as many as may be are none."""
    marks = "\u0301\u0323" * (MOST_MARKS // 2)
    fine = "x" + marks[1:]
    assert normalised(fine * 2, form) == unicodedata.normalize(form, fine * 2)
    with pytest.raises(TextError, match=r"t\.txt has a letter with more than"):
        in_pieces("x" + marks * 3, form, list(range(0, 3 * MOST_MARKS, size)), "t.txt")


def test_without_a_form_nothing_changes():
    """An empty name of a form leaves every text as it is."""
    assert normalised(HOSTILE, "") == HOSTILE
