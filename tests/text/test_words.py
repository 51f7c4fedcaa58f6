"""Laws of words and of what is spelt: every text comes back, however it is cut and whatever the vocabulary lacks."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.checkpoint.fields import vocab_from_json, vocab_to_json
from charlm.errors import CheckpointError, TextError
from charlm.tensorfile import MOST_CHARACTERS, MOST_HEADER
from charlm.text import words
from charlm.text.encoding import Encoder
from charlm.text.spelling import BYTE0
from charlm.text.vocab import NUM_CODE_POINTS, Vocab, code_points
from charlm.text.words import LONGEST, Tokens, WordCounts, text_of, token_ends

ANY = st.text(st.characters(exclude_categories=["Cs"]))
PROSE = st.text("ab'’ \n.é한龍\u0301\U0001f600")
RUNS = st.lists(st.tuples(st.sampled_from("ab'’ \n.é한龍"), st.integers(1, 70)), max_size=6).map(
    lambda runs: "".join(character * number for character, number in runs)
)
TEXTS = ANY | PROSE | RUNS


def vocab_of(text: str, kind: str, min_count: int) -> Vocab:
    """The vocabulary of a corpus that is `text`."""
    points, counts = code_points(text), WordCounts()
    counts.add(points, token_ends(points))
    found = counts.common(min_count) if kind == "word" else ()
    return Vocab.from_counts(np.bincount(points, minlength=NUM_CODE_POINTS), kind, min_count, found)


VOCABS = st.builds(vocab_of, TEXTS, st.sampled_from(["char", "word"]), st.integers(2, 3)) | st.builds(
    vocab_of, TEXTS, st.just("word"), st.just(1)
)


def tokens_of(text: str) -> list[str]:
    """The tokens of a whole text."""
    ends = token_ends(code_points(text)).tolist()
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def cut(text: str, places: list[int]) -> list[str]:
    """The text in pieces that end at some places."""
    bounds = sorted({min(place, len(text)) for place in places} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(bounds)]


@given(VOCABS, TEXTS)
def test_every_text_comes_back(vocab: Vocab, text: str):
    """Decoding what any text is encoded as gives the text, also one that the vocabulary has nothing of."""
    ids = vocab.encode(text)
    assert ids.dtype == vocab.dtype
    assert vocab.decode(ids) == text
    assert vocab.symbols_for(ids) == text.encode()
    assert vocab.num_characters(ids) == len(text)
    assert vocab.sizes(ids).sum() == len(text.encode())


@given(VOCABS, TEXTS, st.lists(st.integers(0, 200)), st.lists(st.integers(0, 200)))
def test_pieces_of_any_size_give_the_same(vocab: Vocab, text: str, places: list[int], others: list[int]):
    """Ids do not depend on the pieces that a text comes in, nor the text on the pieces that ids come in."""
    encoder, decode = Encoder(vocab), vocab.decoder()
    ids = np.concatenate([*(encoder.feed(code_points(piece)) for piece in cut(text, places)), encoder.end()])
    assert ids.tolist() == vocab.encode(text).tolist()
    bounds = sorted({min(place, len(ids)) for place in others})
    assert "".join(decode(part, False) for part in np.split(ids, bounds)) + decode([], True) == text
    assert encoder.unseen is None
    assert encoder.skipped == 0


@given(VOCABS, st.data())
def test_nonsense_is_text_too(vocab: Vocab, data):
    """Whatever ids are drawn, they are some text, with U+FFFD for bytes that are no UTF-8."""
    ids = data.draw(st.lists(st.integers(0, len(vocab) - 1)))
    assert vocab.decode(ids) == vocab.symbols_for(ids).decode("utf-8", "replace")


@given(VOCABS)
def test_a_file_gives_the_vocabulary_back(vocab: Vocab):
    """JSON loses nothing of a vocabulary."""
    assert vocab_from_json(json.loads(json.dumps(vocab_to_json(vocab))), "vocab") == vocab


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't stop -- it’s 3.5!", ["Don't", " ", "stop", " ", "-", "-", " ", "it’s", " ", "3", ".", "5", "!"]),
        ("'tis rock 'n' roll'", ["'", "tis", " ", "rock", " ", "'", "n", "'", " ", "roll", "'"]),
        ("a\n\n  b\u3000c", ["a", "\n\n  ", "b", "\u3000", "c"]),
        ("e\u0301te\u0301 हिन्दी", ["e\u0301te\u0301", " ", "हिन्दी"]),
        ("좋아 하다", ["좋아", " ", "하다"]),
        ("我们は東京タワー", ["我", "们", "は", "東", "京", "タワー"]),
        ("snake_case", ["snake", "_", "case"]),
        ("x" * (LONGEST + 3), ["x" * LONGEST, "xxx"]),
        (" " * (2 * LONGEST), [" " * LONGEST] * 2),
        ("", []),
    ],
)
def test_what_a_token_is(text: str, tokens: list[str]):
    """A run of letters with apostrophes inside, of white space, or one other character; at most so long."""
    assert tokens_of(text) == tokens


@given(TEXTS)
def test_tokens_are_held_back_no_further_than_needed(text: str):
    """Joined, tokens are the text; what is not yet certain is never longer than two tokens may be."""
    tokens, given_back = Tokens(), ""
    for character in text:
        given_back += text_of(tokens.feed(code_points(character))[0])
        assert len(tokens.held) <= LONGEST + 1
    assert given_back + text_of(tokens.feed(code_points(""), final=True)[0]) == text


@pytest.mark.parametrize("letters", range(LONGEST - 3, LONGEST + 2))
@pytest.mark.parametrize("following", ["'y", "'", "'' y", "yy"])
def test_a_token_about_as_long_as_any_is_the_same_in_pieces(letters: int, following: str):
    """Wherever a text is cut in two, also between an apostrophe and what decides whether it is inside a word."""
    text = "x" * letters + following + " z"
    for place in range(len(text) + 1):
        tokens = Tokens()
        first, last = tokens.feed(code_points(text[:place])), tokens.feed(code_points(text[place:]), final=True)
        ends = [*first[1].tolist(), *(len(first[0]) + last[1]).tolist()]
        assert ends == token_ends(code_points(text)).tolist(), place


def test_rare_characters_are_bytes_and_rare_words_characters():
    """A word below the count is spelt in its characters, and a character in its bytes; others have ids of their own."""
    vocab = vocab_of("one two one two one é é four", "word", 2)
    assert vocab.words == ("one", "two")
    assert vocab.characters == " enotwé"
    ids = vocab.encode("two tone ü").tolist()
    shown = [vocab.described(number) for number in ids]
    assert shown == [
        "'two'",
        "' ' (U+0020)",
        *(f"{each!r} (U+{ord(each):04X})" for each in "tone"),
        "' ' (U+0020)",
        "byte 0xC3",
        "byte 0xBC",
    ]
    assert [int(vocab.widths[number]) for number in ids] == [3, 1, 1, 1, 1, 1, 1, 1, 0]


def test_no_alphabet_is_too_rare():
    """Where every character is rare there are bytes only, and the model begins after the newline's."""
    vocab = vocab_of("abc", "char", 2)
    assert len(vocab) == 256
    assert vocab.decode([vocab.start]) == "\n"


def test_a_lone_surrogate_has_no_bytes():
    """Half a character cannot be spelt: it is an error, or left out."""
    vocab = vocab_of("aab b", "char", 2)
    with pytest.raises(TextError, match="U\\+D800"):
        vocab.encode("a\ud800b")
    assert vocab.decode(vocab.encode("ç\ud800b", skip_unknown=True)) == "çb"


def test_memory_for_counting_is_bounded(monkeypatch):
    """Of more words than may be counted at a time, the rare ones are forgotten and the common ones kept."""
    monkeypatch.setattr(words, "MOST_COUNTED", 50)
    counts = WordCounts()
    for number in range(300):
        points = code_points(f"common w{number:03} ")
        counts.add(points, token_ends(points))
        assert len(counts.counts) <= 50
    assert counts.common(5) == ("common",)
    counts.add(points := code_points("five more of them here"), token_ends(points))
    monkeypatch.setattr(words, "MOST_WORDS", 4)
    assert counts.common(1) == ("common", "five", "here", "more")
    monkeypatch.setattr(words, "MOST_BYTES", 17)
    assert counts.common(1) == ("common", "five")


GOOD = {"kind": "word", "start": 0, "symbols": "ab", "spells": True, "words": "ab|ba"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"words": "ba|ab"}, "twice, or out of its order"),
        ({"words": "ab|ab"}, "twice, or out of its order"),
        ({"words": "|ab"}, "2 to 64 characters"),
        ({"words": "ab|b"}, "2 to 64 characters"),
        ({"words": "a" * 65}, "2 to 64 characters"),
        ({"words": "a\ud800"}, "half a character"),
        ({"words": "|" * 50_000}, "more than 50,000 words"),
        ({"words": ["ab"]}, "must be str"),
        ({"kind": "char"}, "kind is char"),
        ({"spells": False}, "spells is False"),
        ({"spells": 1}, "must be bool"),
        ({"start": 260}, "there are 260 symbols"),
        ({"kind": "byte"}, "kind is"),
        ({"kind": "byte", "symbols": "", "words": ""}, "spells is True"),
        ({"symbols": "ba"}, "out of its order"),
    ],
)
def test_a_wrong_vocabulary_of_a_file_is_refused(change: dict, named: str):
    """A file's words must be words, each once and in order, and its kind must go with them; the error is one line."""
    assert len(vocab_from_json(GOOD, "vocab")) == 260
    with pytest.raises(CheckpointError) as found:
        vocab_from_json(GOOD | change, "vocab")
    assert named in found.value.message
    assert "\n" not in str(found.value)


def test_bytes_have_room_for_others():
    """The symbols of bytes lie beyond Unicode, and leave some numbers for what is no character."""
    vocab = vocab_of("a a", "char", 2)
    assert vocab.symbols == (ord("a"), *range(BYTE0, BYTE0 + 256))
    assert BYTE0 - NUM_CODE_POINTS == 256


def test_the_largest_vocabulary_fits_a_file():
    """All of Unicode, and the most and longest words there may be, fit the header that a file may have."""
    counts, spaces = WordCounts(), "\x0b\x0c"
    for number in range(20_000):
        counts.counts["".join(spaces[number >> bit & 1] for bit in range(15))] = 1
        counts.counts[f"\U00010400{number:05}"] = 2
    everything = (*range(0xD800), *range(0xE000, 0x110000), *range(BYTE0, BYTE0 + 256))
    vocab = Vocab(kind="word", symbols=everything, start=10, words=counts.common(1))
    assert 20_000 < len(vocab.words) < 40_000
    stored = json.dumps(vocab_to_json(vocab), ensure_ascii=False)
    assert len(stored.encode()) < MOST_HEADER - 100_000
    assert len(stored) < MOST_CHARACTERS - 100_000
    assert stored.count(",") < 100


def test_of_too_many_words_the_rarest_are_forgotten_at_once(monkeypatch):
    """No more than half of what there is room for is left, so that it is not soon done again; the common ones stay."""
    monkeypatch.setattr(words, "MOST_COUNTED", 40)
    counts = WordCounts()
    for word in ["often"] * 3 + [f"twice{number // 2}" for number in range(50)] + [f"once{number}" for number in range(15)]:
        assert len(counts.counts) < 41
        counts.add(points := code_points(word), token_ends(points))
    assert counts.counts == {"often": 3}
