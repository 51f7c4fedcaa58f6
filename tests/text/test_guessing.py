"""Which encoding a text is in: that of each prose in prose/, which was written for this, in those that it is kept in."""

import codecs
import random
import struct
import unicodedata
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.text.alphabets import LANGUAGES, costs
from charlm.text.guessing import ENCODINGS, ESCAPED, MOST_BYTES, WIDE, guess

PROSE = {path.stem: path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parent / "prose").glob("*.txt"))}
TONES = "\u0300\u0301\u0303\u0309\u0323"
PLAIN = {"—": "-", "–": "-", "…": "...", "·": ";", "’": "'", "‘": "'", "À": "A", "Ê": "E", "Ô": "O", "ґ": "г", "œ": "oe"}
PLAIN |= dict.fromkeys("“”„«»", '"')

# What the figure asks for: 2 KB of prose in each.
TWO_KILOBYTES = [
    ("japanese", "shift_jis"),
    ("korean", "cp949"),
    ("chinese", "gb18030"),
    ("taiwanese", "big5"),
    ("russian", "koi8-r"),
    ("russian", "cp1251"),
    ("english", "cp1252"),
    ("french", "latin-1"),
    *(
        (name, f"utf-16-{end}")
        for name in ("english", "french", "russian", "japanese", "chinese", "korean")
        for end in ("le", "be")
    ),
]
MORE = [
    ("japanese", "euc_jp"),
    ("japanese", "iso2022_jp"),
    ("korean", "euc_kr"),
    ("korean", "johab"),
    ("korean", "iso2022_kr"),
    ("chinese", "gbk"),
    ("taiwanese", "cp950"),
    ("french", "mac_roman"),
    ("german", "mac_roman"),
    ("german", "cp437"),
    ("german", "cp850"),
    ("french", "cp437"),
    ("german", "cp1252"),
    ("polish", "iso8859-2"),
    ("polish", "cp1250"),
    ("polish", "cp852"),
    ("czech", "cp1250"),
    ("czech", "iso8859-2"),
    ("hungarian", "iso8859-2"),
    ("hungarian", "cp1250"),
    ("greek", "cp1253"),
    ("greek", "iso8859-7"),
    ("greek", "cp737"),
    ("turkish", "cp1254"),
    ("turkish", "iso8859-9"),
    ("hebrew", "cp1255"),
    ("hebrew", "cp862"),
    ("arabic", "cp1256"),
    ("arabic", "iso8859-6"),
    ("thai", "cp874"),
    ("thai", "tis-620"),
    ("ukrainian", "koi8-u"),
    ("ukrainian", "cp1251"),
    ("russian", "cp866"),
    ("russian", "iso8859-5"),
    ("russian", "mac_cyrillic"),
    ("lithuanian", "cp1257"),
    ("vietnamese", "cp1258"),
    ("english", "utf-32-le"),
    ("japanese", "utf-32-be"),
    ("arabic", "utf-16-le"),
    ("thai", "utf-16-be"),
]


def kept(text: str, encoding: str) -> str:
    """The text as people would have kept it: with plain marks where the encoding has none."""
    if encoding == "cp1258":  # which has letters, and tones apart
        apart = ((unicodedata.normalize("NFD", letter)) for letter in text)
        text = "".join(
            unicodedata.normalize("NFC", "".join(c for c in each if c not in TONES)) + "".join(c for c in each if c in TONES)
            for each in apart
        )
    return "".join(c if c.encode(encoding, "ignore") else PLAIN.get(c, c) for c in text)


@pytest.mark.parametrize(("name", "encoding"), TWO_KILOBYTES + MORE)
def test_a_text_is_read_as_it_was_written(name, encoding):
    """The encoding that is named gives the very same text, and the words that are shown are its first."""
    text = kept(PROSE[name], encoding)
    raw = text.encode(encoding)
    found, words = guess(raw, next((place for place, byte in enumerate(raw) if byte > 127), 0))
    assert raw.decode(found) == text
    assert words.strip("…") in " ".join(text.splitlines()[0].split())


@pytest.mark.parametrize(("name", "encoding"), TWO_KILOBYTES + MORE)
def test_a_line_is_enough_and_may_be_cut_anywhere(name, encoding):
    """The first 300 bytes, and one more or less, give the same text as far as they go."""
    text = kept(PROSE[name], encoding)
    for size in (300, 301):
        raw = text.encode(encoding)[:size]
        found, _ = guess(raw, next((place for place, byte in enumerate(raw) if byte > 127), 0))
        assert text.startswith(raw.decode(found, "ignore")[:-2])


SHORT = [
    ("“Yes,” she said.", "cp1252"),
    ("It’s 5 o’clock — already?", "cp1252"),
    ("un café crème, s'il vous plaît", "latin-1"),
    ("Ñandú y cigüeña", "latin-1"),
    ("schöne Grüße aus Köln", "cp1252"),
    ("Привет, как дела?", "koi8-r"),
    ("Привет, как дела?", "cp1251"),
    ("Привет, как дела?", "cp866"),
    ("明日は雨が降るでしょう。", "cp932"),
    ("明日は雨が降るでしょう。", "euc_jp"),
    ("오늘은 날씨가 좋습니다.", "cp949"),
    ("今天下雨，我们在家里看书。", "gb18030"),
    ("今天下雨，我們在家裡看書。", "big5"),
    ("zażółć gęślą jaźń", "cp1250"),
    ("příliš žluťoučký kůň", "iso8859-2"),
    ("καλημέρα σας", "cp1253"),
    ("günaydın, nasılsın? iyi misin? şaşırdım", "cp1254"),
    ("שלום לכולם", "cp1255"),
    ("صباح الخير يا صديقي", "cp1256"),
    ("สวัสดีตอนเช้า", "cp874"),
    ("hello", "utf-16-le"),
    ("hello", "utf-16-be"),
    ("привет всем", "utf-16-le"),
    ("hey", "utf-32-le"),
    ("これはテストです", "iso2022_jp"),
]


@pytest.mark.parametrize(("text", "encoding"), SHORT)
def test_a_short_line_is_read_too(text, encoding):
    """Some words are enough where they are of a common kind."""
    raw = text.encode(encoding)
    assert raw.decode(guess(raw, next((place for place, byte in enumerate(raw) if byte > 127), 0))[0]) == text


NO_TEXT = {
    "noise": random.Random(1).randbytes(3000),
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\x01\0\x08\x06\0\0\0"
    + zlib.compress(random.Random(2).randbytes(999)),
    "a program": b"\x7fELF\x02\x01\x01\0" + struct.pack("<40Q", *range(7, 47)) + random.Random(3).randbytes(500),
    "sound": struct.pack("<900h", *(int(3000 * ((n * n) % 97 / 97 - 0.5)) for n in range(900))),
    "numbers": struct.pack("<300d", *(n / 7 for n in range(300))),
    "small numbers": bytes(n % 23 + 1 for n in range(900)),
    "all bytes": bytes(range(256)) * 3,
    "one byte": b"\xff",
}


@pytest.mark.parametrize("name", NO_TEXT)
def test_what_is_no_text_is_in_no_encoding(name):
    """No encoding is named for it."""
    assert guess(NO_TEXT[name], 0) is None


@pytest.mark.parametrize("bad", [b"\xff", b"\x93", b"\xe9", b"\xf0\x9f\x98"])
@pytest.mark.parametrize("name", ["french", "japanese", "russian"])
def test_utf8_with_a_mistake_is_utf8(name, bad):
    """One place that is broken does not make another encoding of all that is right."""
    start = PROSE[name].encode()[:900].decode("utf-8", "ignore").encode()
    assert guess(start + b" " + bad + b" " + start, len(start) + 1)[0] == "utf-8"


@given(st.binary(max_size=400), st.integers(0, 500))
def test_any_bytes_can_be_asked_about(raw, first):
    """There is an answer, never an error; what is named decodes all of them, but for the last character and for a mistake."""
    found = guess(raw, first)
    assert found is None or found[0] == "utf-8" or codecs.getincrementaldecoder(found[0])("strict").decode(raw[:0]) == ""
    assert found is None or "\n" not in found[1]


@given(st.text(st.sampled_from("\1\2\x07\x1f\x80aeé \n") | st.characters(min_codepoint=1, max_codepoint=0x500), max_size=12))
def test_what_is_utf8_and_has_no_nul_is_not_called_another(text):
    """Control characters are not enough: nothing hides in UTF-8 but what shows itself by NUL or by an escape."""
    found = guess(text.encode())
    assert found is None or found[0] in ("utf-8", *ESCAPED)


HARD = {
    "one long word": b"a" * MOST_BYTES + b"\xe9",
    "accents alone": b"\xe9" * MOST_BYTES,
    "marks alone": b"\xcc\x81" * (MOST_BYTES // 2) + b"\xff",
    "escapes": b"\x1b$B" * (MOST_BYTES // 3),
    "lines": b"\n" * MOST_BYTES + b"\x93",
}


@pytest.mark.parametrize("name", HARD)
def test_what_is_shown_is_short(name):
    """However long the line, and whatever is in it."""
    found = guess(HARD[name], len(HARD[name]) - 1)
    assert found is None or len(found[1]) < 40


def test_the_tables_are_of_each_other():
    """Each encoding has languages that there are, Python has each encoding, and each language is found by some encoding."""
    assert {language for languages in ENCODINGS.values() for language in languages} == set(LANGUAGES)
    assert len({codecs.lookup(name).name for name in (*ENCODINGS, *WIDE, *ESCAPED)}) == len(ENCODINGS) + len(WIDE) + len(
        ESCAPED
    )
    for language in LANGUAGES:
        assert all(cost > 0 for cost in costs(language).values())
        assert not [character for character in costs(language) if character.isascii()]
