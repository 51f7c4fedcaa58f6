"""Symbols and ids."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import TextError
from charlm.text.vocab import NUM_CODE_POINTS, Vocab, code_points, with_start


def vocab_of(text: str, kind: str = "char") -> Vocab:
    symbols = np.frombuffer(text.encode(), np.uint8) if kind == "byte" else code_points(text)
    return Vocab.from_counts(np.bincount(symbols, minlength=NUM_CODE_POINTS), kind)


@given(st.text(min_size=1), st.sampled_from(["char", "byte"]))
def test_encode_then_decode_is_the_identity(text, kind):
    """Any Unicode text comes back as it was, whatever the symbols are."""
    vocab = vocab_of(text, kind)
    ids = vocab.encode(text)
    assert vocab.decode(ids) == text
    assert vocab.symbols_for(ids) == text.encode()
    assert len(ids) == (len(text) if kind == "char" else len(text.encode()))


@given(st.text(min_size=1))
def test_pieces_decode_to_the_whole(text):
    """Byte by byte, with unfinished characters held back, the text is the same."""
    vocab = vocab_of(text, "byte")
    decode = vocab.decoder()
    assert "".join(decode([symbol], False) for symbol in vocab.encode(text)) + decode([], True) == text


def test_symbols_are_sorted_and_ids_count_them():
    """Id n is the n-th symbol by code point."""
    vocab = vocab_of("ßab\n가a")
    assert vocab.symbols == tuple(map(ord, "\nabß가"))
    assert vocab.encode("가a").tolist() == [4, 1]


def test_an_unknown_symbol_is_named():
    """The error has the character, its code point and its position; skip drops it."""
    vocab = vocab_of("hello")
    with pytest.raises(TextError, match=r"'é' \(U\+00E9\), at position 2 of the prompt"):
        vocab.encode("heéllo", of="prompt")
    assert vocab.decode(vocab.encode("heé😀llo", skip_unknown=True)) == "hello"
    with pytest.raises(TextError, match=r"U\+D800"):
        vocab.encode("\ud800")


@pytest.mark.parametrize("kind", ["char", "byte"])
@pytest.mark.parametrize(("text", "start"), [("ab\nb", "\n"), ("abbb", "b")])
def test_a_text_starts_after_a_newline_or_the_commonest_symbol(text, start, kind):
    """With no prompt, the model first reads what most likely came before a beginning: no byte that its text has not."""
    vocab = vocab_of(text, kind)
    assert vocab.decode(with_start(vocab, vocab.encode(""))) == start
    assert vocab.decode(with_start(vocab, vocab.encode("a"))) == "a"


@pytest.mark.parametrize(
    ("size", "dtype"), [(2, np.uint8), (256, np.uint8), (257, np.uint16), (65536, np.uint16), (65537, np.uint32)]
)
def test_ids_are_stored_in_the_smallest_type(size, dtype):
    """One byte for up to 256 symbols, two for up to 65,536."""
    counts = np.zeros(NUM_CODE_POINTS, dtype=np.int64)
    counts[:size] = 1
    vocab = Vocab.from_counts(counts, "char")
    ids = vocab.encode_symbols(np.array([size - 1], dtype=np.uint32))
    assert vocab.dtype == ids.dtype == dtype
    assert int(ids[0]) == size - 1


def test_bytes_that_are_no_text_become_replacement_characters():
    """A byte model may draw anything, and what it draws can be shown."""
    vocab = vocab_of("ab", "byte")
    assert vocab.decode([0xFF, 0x61]) == "\ufffda"
    assert vocab.symbols_for([0xFF, 0x61]) == b"\xffa"


@pytest.mark.parametrize("kind", ["char", "byte"])
@pytest.mark.parametrize("lone", [0xD800, 0xDBFF, 0xDFFF], ids=hex)
def test_a_lone_surrogate_is_refused(kind, lone):
    """What is no character, and stands for no byte either, is a TextError for either kind of symbols."""
    with pytest.raises(TextError):
        vocab_of("hello", kind).encode(f"he{chr(lone)}llo")


FORMS = [
    ("cafe\u0301 noir", "café", "NFD", "U+0065 U+0301"),
    ("café noir", "cafe\u0301", "NFC", "U+00E9"),
    ("finale", "ﬁnale", "NFKC", "U+0066 U+0069"),
    ("ABC", "ＡBC", "NFKC", "U+0041"),
    ("ABC", "AＢC", "NFKC", "U+0042"),
    ("Ångström", "\u212bngström", "NFC", "U+00C5"),
    ("Viê\u0323t", "Việt", None, None),
    ("Vie\u0323\u0302t", "Việt", "NFD", "U+0065 U+0323 U+0302"),
    ("Việt", "Vie\u0323\u0302t", "NFC", "U+1EC7"),
    ("한글", "\u1112\u1161\u11ab글", "NFC", "U+D55C"),
    ("\u1112\u1161\u11ab", "한", "NFD", "U+1112 U+1161 U+11AB"),
    ("カナ", "ｶナ", "NFKC", "U+30AB"),
    ("cafe", "café", None, None),
    ("one", "on1", None, None),
]


@pytest.mark.parametrize(("known", "asked", "form", "points"), FORMS)
def test_a_letter_that_is_known_in_another_form_is_told(known, asked, form, points):
    """The error has the form that the model knows, and in that form the text can be encoded."""
    counts = np.bincount(code_points(known), minlength=NUM_CODE_POINTS)
    vocab = Vocab.from_counts(counts, "char")
    with pytest.raises(TextError, match="the model has never seen") as error:
        vocab.encode(asked, of="prompt")
    assert (form is not None) == ("but knows" in error.value.message) == ("--normalize" in error.value.hint)
    assert ("--unknown skip" in error.value.hint) == (form is None)
    if form:
        assert f"({points}), which is the same in the normal form {form}" in error.value.message
        assert f"write the prompt in {form}" in error.value.hint
        assert vocab.decode(vocab.encode(unicodedata.normalize(form, asked))) == unicodedata.normalize(form, asked)
