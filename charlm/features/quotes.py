"""Quotation marks, by the conventions that languages have: “English”, „German“, „Polish”, ”Swedish”, «French», »Danish«,
»Finnish», ‘single’, ‚so‘, ›so‹, 「Japanese」, "straight". Rules as in `registry`.

Which mark opens and which closes is decided from the text itself. One that varies between languages opens where only an
opening mark can stand, as between a space and a letter; it closes where only a closing one can; anywhere else it does what
marks like it mostly do around there. So a text may mix languages. 《》 and 〈〉, which stand around titles, are brackets.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from charlm.features.code import marked, remarks
from charlm.features.languages import TEX
from charlm.features.parts import main_language
from charlm.features.spans import Mask, blank_lines, depth, held, latest, matched, visible, where
from charlm.text.vocab import code_points

Roles = npt.NDArray[np.int8]  # 1 opens, -1 closes, 0 neither

NEAR = 32  # marks like one, before it and after it, that decide what it does where its own place does not
OPENING, CLOSING = (
    "“„‟‘‚‛«‹〝「『﹁﹃｢",
    "”»›〞〟」』﹂﹄｣",
)  # what marks do in most languages, and always where they do not vary
VARYING = "“”‘«»‹›"
CURLY, ANGLED, ANGLED_SINGLE, LOW_DOUBLE, LOW_SINGLE = "“”„‟", "«»", "‹›", "„‟", "‚‛"
CORNER = "〝〞〟「」『』﹁﹂﹃﹄｢｣"
STRAIGHT = '"＂״'
MARKS = OPENING + CLOSING + STRAIGHT + "’'"
_PASSED = {*MARKS, *"*_\u00a0\u202f\u200b\u200e\u200f\ufeff"}  # what may stand between a mark and what tells its place
_PUNCTUATION = {*".,;:!?…،؛؟۔।॥、。，．！？；։፣።፧"}
_PAUSES = {*",;:،؛、，；"}

_UNSPACED = (  # letters of scripts that put words or particles side by side: a mark between them is no apostrophe
    r"\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc"
    r"\U00020000-\U0003ffff"
)
_ELISION = r"(?:tis|twas|twere|twill|twould|twixt|em|er|tili?l?|cause|cos|bout|gainst|neath|scape|d|s|t|ll|re|ve|n)\b"
_AFTER_SPACE = r"(?<![^\s(\[（「『«„“”»\"—–-].)"  # what stands before the mark that was read last
_OPENING_STRAIGHT = re.compile(rf"'{_AFTER_SPACE}(?=[^\s'])(?!(?i:{_ELISION}))")
_OPENING_CURLY = re.compile(rf"’{_AFTER_SPACE}(?=[^\W\d])(?!(?i:{_ELISION}))")
_APOSTROPHE = re.compile(rf"’(?<=[^\W_].)(?=[^\W_{_UNSPACED}])")
_CLOSING_SINGLE = re.compile(rf"['’](?<=\S.)(?![^\W{_UNSPACED}])")
_POSSESSIVE = re.compile(r"['’](?<=s.)(?= [^\W\d_])")  # the dogs' bowl
_GERSHAYIM = re.compile(r"[\"״](?<=[א-ת].)(?=[א-ת](?![א-ת]))")  # of a Hebrew abbreviation
_TEX_OPENING, _TEX_CLOSING, _TEX_SINGLE = re.compile("`(?<=``)"), re.compile("'(?<='')"), re.compile(r"`(?<!``)(?![`\s])")


def roles(text: str) -> Roles:
    """What each quotation mark does `(N,)`; the straight ones and ’ have what their places say."""
    points, does = code_points(text), places(text)
    for mark in OPENING + CLOSING:
        index, usual = np.flatnonzero(points == ord(mark)), np.int8(1 if mark in OPENING else -1)
        votes = does[index] if mark in VARYING else np.zeros(len(index), dtype=np.int8)
        mostly = np.sign(nearby(votes))
        does[index] = np.where(votes != 0, votes, np.where(mostly != 0, mostly, usual))
    return does


def nearby(votes: Roles) -> npt.NDArray[np.int64]:
    """For each of `votes` `(M,)` the sum of those around it, NEAR before and after."""
    total = np.concatenate([[0], votes.cumsum(dtype=np.int64)])
    index = np.arange(len(votes))
    first, last = np.maximum(index - NEAR, 0), np.minimum(index + NEAR + 1, len(votes))
    around: npt.NDArray[np.int64] = total[last] - total[first]
    return around


def places(text: str) -> Roles:
    """1 at marks where only an opening one can stand, -1 where only a closing one can `(N,)`."""
    is_passed, index = where(text, _PASSED.__contains__), np.flatnonzero(where(text, MARKS.__contains__))
    before = np.append(-1, latest(~is_passed))[index]
    after = np.append(len(text) - 1 - latest(~is_passed[::-1])[::-1], len(text))[index + 1]
    padded = text + "\n"  # which is before the text, too
    space_before, space_after = where(padded, str.isspace)[before], where(padded, str.isspace)[after]
    bracket_before = where(padded, lambda character: character in "¿¡：" or unicodedata.category(character) == "Ps")[before]
    mark_after = where(padded, lambda character: character in _PUNCTUATION or unicodedata.category(character) == "Pe")[after]
    pause_after = where(padded, _PAUSES.__contains__)[after]
    opens = (space_before | bracket_before) & ~space_after & ~mark_after
    closes = ~space_before & ~bracket_before & (space_after | mark_after) | (space_before & pause_after)
    found = np.zeros(len(text), dtype=np.int8)
    found[index] = opens.astype(np.int8) - closes
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """What can be quoted in a text, what each mark in it does, and where every quotation ends, `(N,)`: at a blank line, and in
    code outside its comments.
    """

    read: str
    does: Roles
    ends: Mask

    def are(self, marks: str) -> Mask:
        """Where these marks are, `(N,)`."""
        return where(self.read, marks.__contains__)

    def between(self, marks: str) -> Mask:
        """Between an opening one of these marks and a closing one, `(N,)`."""
        are = self.are(marks)
        return held(are & (self.does > 0), (are & (self.does < 0)) | self.ends)


@lru_cache(maxsize=2)  # the text that is being labelled, feature after feature
def quoted(text: str) -> Quoted:
    """A text's quotation marks, without those of code."""
    read, found = remarks(text), marked(text)
    return Quoted(read=read, does=roles(read), ends=blank_lines(read) | (found.blocks & ~found.comments & visible(text)))


def inside_double_quotes(text: str) -> Mask:
    """Between double quotes, "straight", “curly” or «angled», in the text's own convention; a blank line ends a quotation."""
    found = quoted(text)
    straight, curly, low = found.are(STRAIGHT) & ~matched(_GERSHAYIM, found.read), found.are(CURLY), found.are(LOW_DOUBLE)
    closes = (curly & (found.does < 0)) | found.ends
    is_first = _count(straight, low | found.ends) == 1
    typed = straight & (found.does < 0) & is_first & held(low, closes)  # as in „so"
    within = held(curly & (found.does > 0), closes | typed) | found.between(ANGLED)
    within |= _count(straight & ~typed, found.ends) % 2 == 1
    if main_language(text) == TEX:
        within |= held(matched(_TEX_OPENING, found.read), matched(_TEX_CLOSING, found.read) | found.ends)
    return within | marked(text).doubles


def _count(marks: Mask, resets: Mask) -> npt.NDArray[np.int64]:
    """How many marks `(N,)` there were since the last reset."""
    total = np.append(0, marks.cumsum(dtype=np.int64))
    count: npt.NDArray[np.int64] = total[1:] - total[latest(resets) + 1]
    return count


def inside_single_quotes(text: str) -> Mask:
    """Between 'single' quotes, ‘curly’ or ‹angled›, but not apostrophes (looks ahead for the closing one); not in code."""
    found = quoted(text)
    opens, closes = _single_marks(found, is_tex=main_language(text) == TEX)
    within = held(opens & _ahead(closes, found.ends), closes | found.ends) | found.between(ANGLED_SINGLE)
    return within & ~marked(text).blocks


def _single_marks(found: Quoted, *, is_tex: bool) -> tuple[Mask, Mask]:
    """Of single marks that have no angle those that open and those that close, `(N,)` each."""
    read, high, low = found.read, found.are("‘"), found.are(LOW_SINGLE)
    curly = matched(_OPENING_CURLY, read)
    index = np.flatnonzero(curly | matched(_APOSTROPHE, read))
    curly[index] &= nearby(np.where(curly[index], 1, -1).astype(np.int8)) > 0  # where ’ opens, it is seldom an apostrophe
    is_followed = np.append(visible(read)[1:], [False])[: len(read)]
    opens = matched(_OPENING_STRAIGHT, read) | curly | low | (high & (found.does > 0) & is_followed)
    if is_tex:
        opens |= matched(_TEX_SINGLE, read)
    high_closes = high & (found.does < 0)
    closes = matched(_CLOSING_SINGLE, read) & ~opens
    closes &= ~(held(low, high_closes | found.ends) & _ahead(high_closes, found.ends | low))  # in ‚so‘ it is an apostrophe
    closes |= high_closes
    possessive = matched(_POSSESSIVE, read) & closes
    return opens, closes & ~(possessive & _ahead(closes & ~possessive, found.ends | opens))


def _ahead(marks: Mask, stops: Mask) -> Mask:
    """Whether one of the marks comes before the next stop, `(N,)`, the character itself included."""
    return held(marks[::-1], stops[::-1])[::-1]


def inside_quotes(text: str) -> Mask:
    """Between quotation marks of any kind, 「corner」 marks too, and in the strings of code (looks ahead as single ones do)."""
    found = quoted(text)
    corner = found.are(CORNER)
    within = depth(corner & (found.does > 0), corner & (found.does < 0), found.ends) > 0  # 「so 『and』 so」
    return within | inside_double_quotes(text) | inside_single_quotes(text) | marked(text).strings
