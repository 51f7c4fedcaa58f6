"""Bytes into characters: what is said of a text that is in another encoding than was thought, and normal forms."""

import hashlib
import io
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import NORMAL_FORMS, CorpusConfig
from charlm.errors import TextError, UsageError
from charlm.text import decoding
from charlm.text.finding import find_files
from charlm.text.source import read_symbols, read_text
from tests.text.test_guessing import MORE, PROSE, TWO_KILOBYTES, kept
from tests.text.test_normalising import HOSTILE

CASES = [*TWO_KILOBYTES[:10], *MORE[::4]]


class Pipe(io.BytesIO):
    """A pipe, from which what was read cannot be read again, and of which little comes at a time."""

    def seekable(self):
        return False

    def read1(self, size=-1):
        return super().read1(min(size, 700))


@pytest.fixture(params=[64, 1001, 1 << 20], ids="chunks-of-{}".format)
def any_chunk(request, monkeypatch) -> int:
    """Files are read in chunks of this many bytes."""
    monkeypatch.setattr(decoding, "CHUNK_BYTES", request.param)
    return request.param


def refused(raw: bytes, **config: str) -> TextError:
    """What is said of a file with these bytes."""
    Path("t.txt").write_bytes(raw)
    with pytest.raises(TextError) as error:
        read_text("t.txt", CorpusConfig(**config))
    return error.value


def advised(error: TextError) -> str:
    return re.search(r"--encoding (\S+), in which line \d+ reads “", error.hint)[1]


def noticed(raw: bytes, **config: str) -> list[str]:
    Path("t.txt").write_bytes(raw)
    notices: list[str] = []
    read_text("t.txt", CorpusConfig(**config), notices=notices)
    return notices


@pytest.mark.parametrize(("name", "encoding"), CASES)
def test_whoever_follows_the_hint_reads_the_text(any_chunk, name, encoding):
    """The encoding in the hint gives the text as it was written, and nothing more is to be said of it."""
    text = kept(PROSE[name], encoding)
    found = advised(refused(text.encode(encoding)))
    assert read_text("t.txt", CorpusConfig(encoding=found)) == text
    assert noticed(text.encode(encoding), encoding=found) == []


@pytest.mark.parametrize(("name", "encoding"), CASES[:7])
def test_a_pipe_is_guessed_from_what_has_come(monkeypatch, name, encoding):
    """Nothing more is waited for, and that is enough."""
    text = kept(PROSE[name], encoding)
    pipe = Pipe(text.encode(encoding))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
    with pytest.raises(TextError, match="standard input is not utf-8") as error:
        read_text("-", CorpusConfig())
    assert pipe.tell() <= 700
    assert text.encode(encoding).decode(advised(error.value)) == text


def test_the_place_is_shown_where_it_is():
    """A file that is ASCII for long is shown where it is not, and the file and the line are named."""
    error = refused(b"plain words\n" * 200_000 + b"at the end a na\xefve one")
    assert error.message == "t.txt is not utf-8: byte 0xEF at offset 2400015, line 200001"
    assert error.hint == "try --encoding cp1252, in which line 200,001 reads “at the end a naïve one”"
    error = refused(b"some words and more of them, and a caf\xe9 at last\n")
    assert error.hint == "try --encoding cp1252, in which line 1 reads “…and a café at last”"


def test_one_mistake_in_utf8_is_no_other_encoding():
    """What is advised would spoil nothing of what is right."""
    error = refused(PROSE["french"].encode() + b"un caf\xe9\n" + PROSE["french"].encode())
    assert error.hint == "all else near it is utf-8: mend that place"


@pytest.mark.parametrize(("may_be_bytes", "hint"), [(True, "--symbols byte takes any file"), (False, "try another --encoding")])
def test_what_is_no_text_is_said_to_be_none(may_be_bytes, hint):
    """A binary file is no text in any encoding; bytes are advised where bytes can be read."""
    Path("t.bin").write_bytes(b"\x7fELF\x02\x01\x01\0\0\0\xff\xfe\xc0" * 30)
    with pytest.raises(TextError, match="it is no text in any other encoding that is known here") as error:
        read_text("t.bin", CorpusConfig(), may_be_bytes=may_be_bytes)
    assert error.value.hint == hint


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "iso2022_jp"])
def test_what_hides_in_utf8_is_refused(encoding):
    """Bytes that are UTF-8 too, if full of control characters, are not trained on in silence; who means them says ascii."""
    text = "明日は" * 40 if encoding == "iso2022_jp" else "It rains; we stay at home.\n" * 9
    raw = text.encode(encoding)
    assert raw.isascii()
    error = refused(raw)
    assert error.message == f"t.txt is not utf-8, but seems to be {encoding}"
    assert advised(error) == encoding
    assert read_text("t.txt", CorpusConfig(encoding="ascii")).encode() == raw


@pytest.mark.parametrize(
    "raw", [b"one\0two\0three, which is longer\0", b"\x1b[31mred\x1b[0m\n" * 9, b"a\x08ab\x08b bold\n" * 9]
)
def test_control_characters_alone_make_no_other_encoding(raw):
    """Names parted by NUL and what was meant for a screen are the text that they are."""
    assert [notice for notice in noticed(raw) if "--encoding" in notice] == []
    assert read_text("t.txt", CorpusConfig()).encode() == raw


CONTROLS = [
    ("latin-1", "She said “no” — it’s late.\n" * 70, "cp1252", 4 * 70),
    ("iso8859-2", "„Nie” – powiedziała żółta żaba.\n" * 9, "cp1250", 3 * 9),
    ("latin-1", kept(PROSE["russian"], "cp866"), "cp866", None),
    ("iso8859-9", "“Olmaz” dedi küçük kız, şaşırdı.\n" * 5, "cp1254", 10),
]


@pytest.mark.parametrize(("encoding", "text", "right", "number"), CONTROLS)
def test_control_characters_of_another_encoding_are_counted(encoding, text, right, number):
    """One line says how many there are, and in which encoding the text reads well."""
    (notice,) = noticed(text.encode(right), encoding=encoding)
    assert number is None or f"{number} control characters from U+0080 to U+009F" in notice
    found = advised(TextError("", notice))
    assert text.encode(right).decode(found) == text


def test_control_characters_that_no_encoding_explains_are_counted_alone():
    """In UTF-8 they are what the text has, wherever it comes from."""
    assert noticed("a \u0093b\u0094 c\u0085".encode()) == [
        "t.txt has 3 control characters from U+0080 to U+009F, which no text has"
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "koi8-r", "mac_roman", "gb18030"])
def test_utf8_that_is_read_as_something_else_is_said_to_be_utf8(encoding):
    """It can be read, and it would be trained on: one line says what it looks like, and what would be right."""
    (notice,) = noticed("Les œufs déjà brouillés, où ça ?\n".encode(errors="strict") * 4, encoding=encoding)
    assert advised(TextError("", notice)) == "utf-8"
    assert "“Les œufs déjà brouillés, où ça…" in notice


@pytest.mark.parametrize("raw", [b"", b"a", b"\xe9", b"\x93", b"\0", b"\xff\xfe", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp932", "utf-16-le"])
def test_the_smallest_files_are_read_or_refused(raw, encoding):
    """No byte and one byte are a text or an error, and nothing else."""
    Path("t.txt").write_bytes(raw)
    notices: list[str] = []
    try:
        text = read_text("t.txt", CorpusConfig(encoding=encoding), notices=notices)
    except TextError as error:
        assert error.hint  # noqa: PT017
    else:
        assert len(text) <= 3


def test_of_a_folder_the_file_is_named():
    """Where files are in several encodings, the one that is wrong is the one that is named."""
    Path("in").mkdir()
    Path("in/a.txt").write_text("fine\n")
    Path("in/b.txt").write_bytes("nicht schön\n".encode("latin-1"))
    read = []
    with pytest.raises(TextError, match=r"^in/b\.txt is not utf-8") as error:
        read += [read_text(name, CorpusConfig()) for name in find_files(["in"], CorpusConfig())]
    assert advised(error.value) == "cp1252"


@pytest.mark.parametrize("form", NORMAL_FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_text_is_normalised_as_it_is_read(any_chunk, form, encoding):
    """Whatever the chunks, it is the whole text in its normal form, and the hash is that of the file's bytes."""
    text = (HOSTILE + "\n") * 60
    Path("t.txt").write_bytes(text.encode(encoding))
    digest = hashlib.sha256()
    parts = read_symbols("t.txt", CorpusConfig(normalize=form, encoding=encoding), digest=digest)
    points = np.concatenate(list(parts))
    assert points.tobytes().decode("utf-32-le") == unicodedata.normalize(form, text)
    assert digest.hexdigest() == hashlib.sha256(Path("t.txt").read_bytes()).hexdigest()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_without_a_form_every_character_stays(text):
    """By default a text is read as it is, in no other form, whatever is in it."""
    Path("any.txt").write_bytes(b"x" + text.encode())
    config = CorpusConfig()
    assert config.normalize == ""
    try:
        assert read_text("any.txt", config) == "x" + text
    except TextError as error:
        assert "seems to be" in error.message  # noqa: PT017


def test_half_a_character_is_none():
    """UTF-7 can spell lone surrogates, which are refused; the hint is of bytes, that any file has."""
    assert refused(b"ab+2AA-", encoding="utf-7").message == "t.txt holds lone surrogates, which are not characters"


def test_bytes_have_no_normal_form():
    """With --symbols byte nothing is added or left out, so a form is refused in one line."""
    with pytest.raises(UsageError, match="--normalize NFC was given with --symbols byte"):
        CorpusConfig(symbols="byte", normalize="NFC")
