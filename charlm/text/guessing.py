"""Bytes that are not what they were taken for -> the encoding that they are probably in. Knows nothing of files.

Each encoding that decodes the bytes is asked how unexpected its text is in the languages that it is used for: the least wins.
"""

import codecs
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from charlm.text.alphabets import EASTERN_MARKS, LANGUAGES, MARKS, costs

MOST_BYTES = 1 << 18  # that an encoding must decode
SAMPLE = 2048  # bytes whose characters are weighed
NEAR = 60  # bytes before the first that is no ASCII, from where a long line is looked at
MOST_SHOWN = 30  # characters of a line
MOST_CONTROLS = 0.03  # the share of control characters that a text may have
PLAUSIBLE = 5.4  # nats a byte, at most; of bytes drawn at random each has 5.5
CERTAIN, MARGIN, FEWEST = 3.0, 20.0, 3  # nats a byte, nats below UTF-8, characters: for what decodes as UTF-8 to be another
LATER = 0.15  # nats that an encoding costs for each that is likelier before anything is read
MOST_BAD = 0.1  # the share of bad bytes that a text of UTF-8 may have, of its characters beyond ASCII

WESTERN = (
    "English",
    "French",
    "German",
    "Spanish",
    "Italian",
    "Portuguese",
    "Dutch",
    "Swedish",
    "Danish",
    "Icelandic",
    "Catalan",
)
CENTRAL = ("Polish", "Czech", "Slovak", "Hungarian", "Croatian", "Romanian")
CYRILLIC = ("Russian", "Ukrainian", "Bulgarian", "Serbian", "Macedonian", "Belarusian")
# By encoding, the likeliest first, the languages that it is used for. Of several that give one text the first is named.
ENCODINGS: dict[str, Sequence[str]] = {
    "cp1252": WESTERN,
    "cp1250": CENTRAL,
    "cp1251": CYRILLIC,
    "cp932": ("Japanese",),
    "gb18030": ("Chinese",),
    "big5": ("Chinese, traditional",),
    "cp949": ("Korean",),
    "euc_jp": ("Japanese",),
    "koi8-r": ("Russian", "Bulgarian"),
    "koi8-u": ("Ukrainian", "Russian"),
    "cp1253": ("Greek",),
    "cp1254": ("Turkish",),
    "cp1255": ("Hebrew",),
    "cp1256": ("Arabic", "Persian"),
    "cp1257": ("Lithuanian", "Latvian", "Estonian"),
    "cp874": ("Thai",),
    "cp1258": ("Vietnamese",),
    "latin-1": WESTERN,
    "iso8859-2": CENTRAL,
    "iso8859-5": CYRILLIC,
    "iso8859-6": ("Arabic",),
    "iso8859-7": ("Greek",),
    "iso8859-8": ("Hebrew",),
    "iso8859-9": ("Turkish",),
    "iso8859-15": WESTERN,
    "mac_roman": WESTERN,
    "mac_cyrillic": CYRILLIC,
    "cp437": WESTERN,
    "cp850": WESTERN,
    "cp852": CENTRAL,
    "cp866": CYRILLIC,
    "cp737": ("Greek",),
    "cp857": ("Turkish",),
    "cp862": ("Hebrew",),
    "cp950": ("Chinese, traditional",),
    "big5hkscs": ("Chinese, traditional",),
    "johab": ("Korean",),
}
WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")  # their bytes are often those of ASCII and control characters
ESCAPED = ("iso2022_jp", "iso2022_jp_2004", "iso2022_kr")  # all of their bytes are
ESCAPES = re.compile(rb"\x1b\$[@B(]|\x1b\$\)C|\x1b\(J")  # with which these turn to characters that are not ASCII

ALL_BUT_CONTROLS = bytes({*range(256)} - {*range(9), *range(14, 27), *range(28, 32)})
BEYOND_ASCII = re.compile("[^\x00-\x7f]")
ASCII = "".join(map(chr, range(128)))
WITHIN = {"’": 2.0, "–": 3.0, "—": 3.0} | dict.fromkeys(EASTERN_MARKS + "·״׳\u200c\u200d", 0.0)  # marks within words


def guess(raw: bytes, first: int = 0) -> tuple[str, str] | None:
    """The encoding that `raw` is probably in, and how a line reads in it, in part; None where no text comes out in any.

    `raw` may end amid a character. The line is that of the byte at `first`, before which all others may be ASCII.
    """
    if is_wide(raw):
        near, found = raw, _wide(raw[:MOST_BYTES])
    else:  # no character has white space in it, but those of the other encodings
        near = raw[1 + max(raw.rfind(b"\n", 0, first), raw.rfind(b" ", 0, max(0, first - NEAR))) :][:MOST_BYTES]
        found = "utf-8" if _is_utf8(raw[max(0, first - MOST_BYTES) : first + MOST_BYTES]) else _narrow(near)
    return None if found is None else (found, _line(near, found))


def is_wide(raw: bytes) -> bool:
    """Whether there are so many control characters that this may be text in an encoding like UTF-16, and in no other."""
    return _has_controls(raw[:MOST_BYTES]) or ESCAPES.search(raw[:MOST_BYTES]) is not None


def is_utf8(raw: bytes) -> bool:
    """Whether there are characters beyond ASCII, and all are UTF-8; the last may be cut off."""
    text = _decoded(raw, "utf-8")
    return text is not None and not text.isascii()


def _is_utf8(raw: bytes) -> bool:
    """Whether all is UTF-8 but for a few bytes."""
    found = Counter(BEYOND_ASCII.findall(raw.decode("utf-8", "replace")))
    return found["\ufffd"] < MOST_BAD * found.total()


def _wide(raw: bytes) -> str | None:
    if ESCAPES.search(raw):
        return next((each for each in ESCAPED if _decoded(raw, each) is not None), None)
    sample = raw[:SAMPLE]
    found = _best(sample, dict.fromkeys(WIDE, LANGUAGES))
    if found is None or _has_controls((_decoded(raw, found) or "\0").encode()):
        return None
    as_utf8, as_found = _decoded(sample, "utf-8"), _decoded(sample, found)
    if as_utf8 and as_found:  # what is UTF-8 is in UTF-8, unless all speaks against it
        most = min(CERTAIN * len(sample), _cost(as_utf8, LANGUAGES) - MARGIN)
        return found if 0 in sample and len(as_found) >= FEWEST and _cost(as_found, LANGUAGES) < most else None
    return found


def _narrow(raw: bytes) -> str | None:
    # Words in ASCII read alike in all of these.
    words = b" ".join(word for word in raw.split() if not word.isascii())[:SAMPLE]
    return _best(words, {each: of for each, of in ENCODINGS.items() if _decoded(raw, each) is not None})


def _line(raw: bytes, encoding: str) -> str:
    """Some words of the line in which `raw` begins, or of that after white space: about the first that is not ASCII."""
    text = (_decoded(raw[:SAMPLE], encoding) or "").lstrip()
    line = " ".join(text.splitlines()[0].split()) if text else ""
    found = BEYOND_ASCII.search(line)
    start = found.start() if found else 0
    if start > MOST_SHOWN // 2:
        line = "…" + line[1 + line.rfind(" ", 0, start - MOST_SHOWN // 4) :]
    return line if len(line) <= MOST_SHOWN else line[:MOST_SHOWN] + "…"


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)("strict").decode(raw)
    except UnicodeError:
        return None


def _has_controls(raw: bytes) -> bool:
    return len(raw.translate(None, ALL_BUT_CONTROLS)) > MOST_CONTROLS * len(raw)


def _best(raw: bytes, encodings: dict[str, Sequence[str]]) -> str | None:
    """The encoding whose text is the least unexpected, if it is a text."""
    found = []
    for number, (encoding, languages) in enumerate(encodings.items()):
        if text := _decoded(raw, encoding):
            found.append((_cost(text, languages) + LATER * number, number, encoding))
    cost, _, best = min(found, default=(math.inf, 0, None))
    return best if cost < PLAUSIBLE * len(raw) else None


def _cost(text: str, languages: Sequence[str]) -> float:
    """How unexpected the text is in the language that fits it best, in nats."""
    counts = Counter(text)
    strange = {character: _strangeness(character) for character in counts}
    if math.inf in strange.values():
        return math.inf

    def cost(language: str) -> float:
        known = costs(language)
        return sum(n * known.get(c, known.get(c.lower(), strange[c])) for c, n in counts.items())

    return min(map(cost, languages)) + _breaks(text)


def _strangeness(character: str) -> float:
    """What a character costs where it is not one of the language's; infinite for what no text has."""
    point, category = ord(character), unicodedata.category(character)
    if 0x20 <= point < 0x7F or character in "\t\n\r\f":
        return 3.5
    if 0x80 <= point < 0xA0 or category in ("Cn", "Co", "Cs"):
        return math.inf
    if category[0] in "LM":
        return 9.0 if point < 0x250 else 12.0
    return 11.0


def _breaks(text: str) -> float:
    """What it costs that characters stand where they do not in any language."""
    cost = 6.0 * abs(text.count("«") - text.count("»"))
    for match in BEYOND_ASCII.finditer(text):
        place, character = match.start(), match.group()
        before, after = text[place - 1 : place] or " ", text[place + 1 : place + 2] or " "
        if character.isalpha():
            is_alone = not (before + after).strip(ASCII)
            near = sum(each.isascii() and each.isalpha() for each in (before, after))
            if character.isupper() and before.islower():
                cost += 6
            if 0x250 <= ord(character) < 0x1E00:  # an alphabet of its own
                cost += 6 * near or 1.5 * is_alone
            elif ord(character) > 0x2E80:  # a script without spaces, or almost
                cost += 4 * near * is_alone
        elif character in "„‚" and before.isalnum():
            cost += 6
        elif character == "’" and not before.strip() and after.isalpha():
            cost += 2
        elif before.isalpha() and after.isalpha():
            cost += WITHIN.get(character, 6 if character in MARKS else 0 if unicodedata.category(character) == "Mn" else 3)
    return cost
