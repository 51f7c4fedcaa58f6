"""Several files as one corpus: each gives its own end to the parts that are held back."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.config import CorpusConfig
from charlm.text import decoding
from charlm.text.corpus import Corpus, encode_corpus

FRACTIONS = [(0.1, 0.0), (0.25, 0.25), (0.0, 0.0), (0.0, 0.5), (0.9, 0.0)]


def encoded(texts: list[str], config: CorpusConfig, place: Path) -> tuple[Corpus, list[str]]:
    files = [str(place / str(number)) for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        Path(file).write_bytes(text.encode())
    return encode_corpus(files, config, place / "ids")


def parts_of(corpus: Corpus) -> list[str]:
    text, bounds = corpus.vocab.decode(corpus.ids), corpus.splits
    return [text[: bounds.train], text[bounds.train : bounds.validation], text[bounds.validation :]]


def joined(texts: list[str], config: CorpusConfig) -> list[str]:
    """The parts that are expected, cut from each text by itself."""
    pieces: list[list[str]] = [[], [], []]
    for text in texts:
        last = int(len(text) * (1 - config.test_fraction))
        first = min(last, int(len(text) * (1 - config.test_fraction - config.validation_fraction)))
        for part, piece in zip(pieces, (text[:first], text[first:last], text[last:]), strict=True):
            part.extend([piece] if piece else [])
    if config.separator is not None:
        return [config.separator.join(part) for part in pieces]
    ended = [[piece if piece.endswith("\n") else f"{piece}\n" for piece in part[:-1]] + part[-1:] for part in pieces]
    return ["".join(part) for part in ended]


@pytest.fixture(params=[1 << 20, 3], ids=["whole", "in pieces"])
def _chunks(request, monkeypatch):
    monkeypatch.setattr(decoding, "CHUNK_BYTES", request.param)


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("separator", [None, "", "--", "\n", "Ω"])
@pytest.mark.parametrize(("validation", "test"), FRACTIONS)
def test_each_file_is_cut_by_itself(separator, validation, test, tmp_path):
    """The parts are those of each file in turn, with what is wanted between."""
    texts = ["one file\n", "", "äné ther", "x", "and\none more\n\n", "last"]
    config = CorpusConfig(validation_fraction=validation, test_fraction=test, separator=separator)
    assert parts_of(encoded(texts, config, tmp_path)[0]) == joined(texts, config)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(st.sampled_from("ab\néЖ"), max_size=12), min_size=1, max_size=6).filter(
        lambda each: len(set("".join(each))) > 1
    ),
    st.sampled_from(FRACTIONS),
    st.sampled_from([None, "", "\n", "--"]),
)
def test_whatever_the_files_each_is_cut_by_itself(tmp_path_factory, texts, fractions, separator):
    """Also where files are empty, or shorter than their share."""
    config = CorpusConfig(validation_fraction=fractions[0], test_fraction=fractions[1], separator=separator)
    assert parts_of(encoded(texts, config, tmp_path_factory.mktemp("files"))[0]) == joined(texts, config)


LATIN = "the sea was quiet and the river ran past a mill. " * 40
OTHERS = {
    "russian": "тихое море и быстрая река. ",
    "greek": "η θάλασσα ήταν ήσυχη. ",
    "hebrew": "הים היה שקט מאוד. ",
    "arabic": "كان البحر هادئا جدا. ",
    "hindi": "समुद्र शांत था। ",
    "thai": "ทะเลเงียบสงบ ",
    "korean": "바다는 조용했다. ",
    "japanese": "海は静かだった。",
    "chinese": "大海很平静。",
    "armenian": "ծովը հանգիստ էր։ ",
    "emoji": "🌊🤫🏞️🐟 ",
}


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("is_last", [True, False])
def test_of_two_languages_both_are_validated(language, is_last, tmp_path):
    """Each in the share that it has of the whole, so that a model is chosen that knows both; nothing is warned of."""
    other = OTHERS[language] * 20
    texts = [LATIN, other] if is_last else [other, LATIN]
    corpus, notices = encoded(texts, CorpusConfig(), tmp_path)
    validation = corpus.vocab.decode(corpus.validation_ids).replace("\n", "")
    latin = sum(character in LATIN for character in validation)
    assert latin >= len(LATIN) // 10
    assert len(validation) - latin >= 1
    assert len(validation) == pytest.approx((len(LATIN) + len(other)) / 10, abs=2)
    assert (
        "each of 2 files gives its own end to the parts that are held back; --documents file would hold back whole ones"
        in notices
    )
    assert not any("training lacks" in notice for notice in notices)


@pytest.mark.parametrize("language", OTHERS)
def test_of_one_file_that_ends_in_another_language_it_is_said(language, tmp_path):
    """How many symbols of the validation part training lacks, in how many places, and which come most often."""
    other = OTHERS[language]
    text = LATIN + other * (len(LATIN) // 9 // len(other))
    _, notices = encoded([text], CorpusConfig(), tmp_path)
    (notice,) = notices
    validation = text[int(len(text) * 0.9) :]
    only = {character for character in validation if character not in text[: int(len(text) * 0.9)]}
    assert f"has {len(only)} symbols that training lacks" in notice
    assert f"in {sum(map(validation.count, only))} places of {len(validation)}" in notice
    assert repr(max(sorted(only), key=validation.count)) in notice
    assert "another kind of text" in notice


JOINED = {
    "words": (["start alpha\nend", "start beta\nend"], "start alpha\nend\nstart beta\nend"),
    "lines": (["a b\n", "c d\n"], "a b\nc d\n"),
    "carriage returns": (["ab\r\n", "cd"], "ab\r\ncd"),
    "old Macintosh": (["ab\r", "cd"], "ab\r\ncd"),
    "tunes": (["X:1\nK:D\n|:ABc:|", "X:2\nK:G\n|:dBG:|"], "X:1\nK:D\n|:ABc:|\nX:2\nK:G\n|:dBG:|"),
    "blank line": (["ab\n\n", "cd\n\n"], "ab\n\ncd\n\n"),
    "tweets": (["gm 🌞", "gn 🌚", "ok"], "gm 🌞\ngn 🌚\nok"),
    "korean": (["안녕", "세상\n", "끝"], "안녕\n세상\n끝"),
    "empty between": (["ab", "", "cd"], "ab\ncd"),
    "one letter": (["a", "b", "c"], "a\nb\nc"),
    "line separator": (["ab\u2028", "cd"], "ab\u2028\ncd"),
}


@pytest.mark.parametrize("kind", JOINED)
def test_files_are_not_glued_together(kind, tmp_path):
    """A newline stands where a file does not end in one, and it is said; a separator that is empty glues them."""
    texts, expected = JOINED[kind]
    corpus, notices = encoded(texts, CorpusConfig(validation_fraction=0), tmp_path)
    assert corpus.vocab.decode(corpus.ids) == expected
    added = len(expected) - len("".join(texts))
    places = f"{added} place" + "s" * (added > 1)
    assert [notice for notice in notices if "newline" in notice] == [
        f"a newline was put in {places} where a file follows another that does not end in one; --separator names something else"
    ] * bool(added)
    glued, _ = encoded(texts, CorpusConfig(validation_fraction=0, separator=""), tmp_path)
    assert glued.vocab.decode(glued.ids) == "".join(texts)


def test_of_each_newline_that_was_put_in_it_is_said(tmp_path):
    """In any of the three parts; of a separator that was asked for nothing is said, nor of files that end in a newline."""
    texts = ["abcdefg hi\n", "abcdefg\nab", "abcd efghi", "aaaaaaaaa\n"]
    config = CorpusConfig(validation_fraction=0.2, test_fraction=0.2)
    corpus, notices = encoded(texts, config, tmp_path)
    added = "".join(parts_of(corpus)).count("\n") - "".join(texts).count("\n")
    assert parts_of(corpus) == joined(texts, config)
    assert [notice.partition(" where ")[0] for notice in notices if "newline" in notice] == [
        f"a newline was put in {added} places"
    ]
    assert added == 3 + 3 + 1
    for files, separator in ((texts, "--"), ([f"{text}\n\n" for text in texts], None)):
        _, said = encoded(files, CorpusConfig(validation_fraction=0, separator=separator), tmp_path)
        assert not [notice for notice in said if "newline" in notice or "--separator" in notice]
