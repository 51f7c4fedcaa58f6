"""The labels of a text, however it is cut."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.features import labels as labels_module
from charlm.features.labels import MOST_LEVELS, Labels, characters
from charlm.features.registry import FEATURES, from_regex, known, missing
from charlm.text.vocab import Vocab
from tests.conftest import AUSTEN
from tests.features.hand import cases
from tests.inspection import reference

TEXT = AUSTEN.read_text(encoding="utf-8")[3000:5000]
CHARS = Vocab(kind="char", symbols=tuple(sorted(set(map(ord, TEXT)))), start=0)
BYTES = Vocab(kind="byte", symbols=tuple(range(256)), start=10)
IDS = CHARS.encode(TEXT)
NEAR = [FEATURES[name] for name in ("word_start", "position_in_word", "column", "capital_run", "next_is_newline")]
NEAR.append(from_regex("the", r"the\b"))
WHOLE = [feature.label(TEXT) for feature in NEAR]


@contextmanager
def small_volumes() -> Iterator[Labels]:
    """Volumes of 100 characters, with as much around them as a line and a word need."""
    with pytest.MonkeyPatch.context() as patch:
        for name, size in {"VOLUME": 100, "BEFORE": 160, "AFTER": 20}.items():
            patch.setattr(labels_module, name, size)
        yield Labels(IDS, CHARS, NEAR)


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 400)), min_size=1, max_size=6))
def test_any_cut_of_a_text_in_volumes_is_that_of_the_whole(cuts):
    """Wherever one looks, and in what order, the labels are those of the text labelled in one go."""
    with small_volumes() as labels:
        for start, size in cuts:
            stop = min(2000, start + size)
            found = labels.between(start, stop)
            assert len(labels.volumes) <= 2
            for whole, label in zip(WHOLE, found, strict=True):
                assert label.dtype == np.int64
                np.testing.assert_array_equal(label, whole[start:stop])


def test_the_whole_text_in_volumes_is_the_whole_text():
    """Joined from all volumes at once, no character is lost or comes twice."""
    with small_volumes() as labels:
        for whole, label in zip(WHOLE, labels.between(0, 2000), strict=True):
            np.testing.assert_array_equal(label, whole)


MIXED = "".join(case.text + "\n\n" for group in ("readmes", "scripts") for case in cases(group) if "closed" not in case.name)


def test_a_mixed_text_in_volumes_is_that_in_one_go(monkeypatch):
    """Markdown with code in many languages, and prose in many more: read in volumes of a few pages, all labels are the same."""
    vocab = Vocab(kind="char", symbols=tuple(sorted(set(map(ord, MIXED)))), start=0)
    ids, every = vocab.encode(MIXED), list(FEATURES.values())
    expected = Labels(ids, vocab, every).between(0, len(ids))
    for name, size in {"VOLUME": 3000, "BEFORE": 2500, "AFTER": 1500}.items():
        monkeypatch.setattr(labels_module, name, size)
    for feature, label, whole in zip(every, Labels(ids, vocab, every).between(0, len(ids)), expected, strict=True):
        np.testing.assert_array_equal(label, whole, feature.name)


def test_some_features_labels_are_those_among_all():
    """`only` gives the same text's labels in the order that is asked, whether or not they are known yet, and none for none."""
    for look_before in (True, False):
        every = Labels(IDS, CHARS, NEAR)
        expected = every.between(50, 250) if look_before else Labels(IDS, CHARS, NEAR).between(50, 250)
        some = every.only([4, 0, 5])
        assert [feature.name for feature in some.features] == ["next_is_newline", "word_start", "the"]
        for label, number in zip(some.between(50, 250), (4, 0, 5), strict=True):
            np.testing.assert_array_equal(label, expected[number])
        assert every.only([]).between(50, 250) == []


def test_a_bytes_label_is_that_of_the_last_character_read_whole():
    """Bytes that are UTF-8 are labelled as their text is, others as characters of their own."""
    text = 'She said "no" – “né” (7)\n한국 😀'
    raw = text.encode() + b"\xff(\x80)"
    ids = np.frombuffer(raw, dtype=np.uint8)
    found = Labels(ids, BYTES, list(FEATURES.values())).between(0, len(ids))
    for feature, label in zip(FEATURES.values(), found, strict=True):
        expected = np.concatenate([[0], feature.label(raw.decode("utf-8", "surrogateescape"))])
        wholes = [len(raw[:end].decode("utf-8", "surrogateescape")) for end in range(len(raw) + 1)]
        for end in range(1, len(raw) + 1):
            if is_whole(raw[:end]):
                assert label[end - 1] == expected[wholes[end]]
            else:
                assert label[end - 1] == (label[end - 2] if end > 1 else 0)


def is_whole(raw: bytes) -> bool:
    """Whether no character of UTF-8 is cut at the end."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    decoder.decode(raw)
    return not decoder.getstate()[0]


def test_characters_are_those_of_the_text():
    """A character vocabulary gives its text back, each character read with its id."""
    text, num_read = characters(CHARS, IDS)
    assert text == TEXT
    assert num_read.tolist() == list(range(1, len(IDS) + 1))


def test_what_is_higher_than_the_highest_level_counts_as_that():
    """Levels stay within MOST_LEVELS, however long a line is, and are counted each."""
    ids = reference.random_ids(5000)
    tall = Labels(ids, reference.letters(13), [FEATURES["column"], FEATURES["digit"]])
    column, _ = levels = tall.between(0, 5000)
    np.testing.assert_array_equal(column, np.minimum(np.arange(1, 5001), MOST_LEVELS - 1))
    counts = Labels.counts(levels)
    assert counts.shape == (2, MOST_LEVELS)
    assert counts[0].tolist() == [0] + [1] * (MOST_LEVELS - 2) + [5000 - MOST_LEVELS + 2]
    assert counts[1][0] == 5000


def test_what_is_missing_is_what_the_features_say_of_the_halves():
    """The reasons are those for the labels of the two stretches that are given."""
    labels = Labels(IDS, CHARS, list(FEATURES.values()))
    found = labels.missing((0, 900), (900, 2000))
    expected = [missing(feature, feature.label(TEXT)[:900], feature.label(TEXT)[900:]) for feature in FEATURES.values()]
    assert found == expected
    assert None in found
    assert "not in the text" in found


PIECES = ['She said "no', "(7", "한국 😀 Was it?", "A", "yes, so. And", "plain"]
PIECE_VOCAB = Vocab(kind="char", symbols=tuple(sorted(set(map(ord, "".join(PIECES))))), start=0)


def several(kind: str) -> tuple[np.ndarray, Vocab, np.ndarray]:
    """The ids of all pieces, joined, and where each begins."""
    if kind == "char":
        return PIECE_VOCAB.encode("".join(PIECES)), PIECE_VOCAB, np.cumsum([0, *map(len, PIECES)])[:-1]
    raws = [piece.encode() for piece in PIECES]
    return np.frombuffer(b"".join(raws), dtype=np.uint8), BYTES, np.cumsum([0, *map(len, raws)])[:-1]


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_each_of_several_texts_is_labelled_as_if_it_stood_alone(kind):
    """Between blank lines: no quotation, bracket, sentence or column goes on from one text into the next."""
    ids, vocab, starts = several(kind)
    every = list(FEATURES.values())
    found = Labels(ids, vocab, every, starts).between(0, len(ids))
    for number, piece in enumerate(PIECES):
        start, size = starts[number], len(piece) if kind == "char" else len(piece.encode())
        wholes = [len(piece.encode()[:end].decode("utf-8", "ignore")) for end in range(1, size + 1)]
        last = np.arange(1, size + 1) if kind == "char" else np.array(wholes)
        for feature, label in zip(every, found, strict=True):
            own = feature.label("\n\n" + piece + "\n\n")[1:]
            np.testing.assert_array_equal(label[start : start + size], own[last], feature.name)


def test_several_texts_in_volumes_are_those_in_one_go(monkeypatch):
    """Wherever volumes end, also within a text, the labels are the same."""
    starts = np.array([0, *range(30, 2000, 70)])
    expected = Labels(IDS, CHARS, NEAR, starts).between(0, 2000)
    for name, size in {"VOLUME": 100, "BEFORE": 160, "AFTER": 20}.items():
        monkeypatch.setattr(labels_module, name, size)
    labels = Labels(IDS, CHARS, NEAR, starts)
    np.testing.assert_array_equal(labels.between(0, 2000), expected)
    np.testing.assert_array_equal(labels.only([1]).between(150, 350), [expected[1][150:350]])


def test_what_is_known_is_not_asked_of_the_text(monkeypatch):
    """Labels that somebody else knows are there at every symbol, in one volume or several, beside a text's own."""
    monkeypatch.setattr(labels_module, "VOLUME", 100)
    mine = np.random.default_rng(0).random(2000) < 0.3
    labels = Labels(IDS, CHARS, [NEAR[0], known("label=good", "what is good", mine)])
    word_start, found = labels.between(30, 1999)
    np.testing.assert_array_equal(found, mine[30:1999])
    np.testing.assert_array_equal(word_start, Labels(IDS, CHARS, NEAR[:1]).between(30, 1999)[0])
    np.testing.assert_array_equal(labels.only([1]).between(150, 350), [mine[150:350]])
