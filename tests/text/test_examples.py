"""Labelled texts into ids, labels and parts, and what cannot be learned from."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError
from charlm.text.dataset import encode_examples, open_examples, read_examples, unlabelled
from charlm.text.examples import UNLABELLED, Dataset, Examples, ids_of
from charlm.text.gathering import TEST, TRAIN, VALIDATION, part_of
from charlm.text.parts import Splits
from charlm.text.vocab import Vocab

ROWS = [(f"text {number} {'é가'[number % 2]}", "abc"[number % 3]) for number in range(97)]
CHARACTERS = "".join(
    "".join(f"{letter}\t{'XYZ'[(ord(letter) + number) % 3] if letter != ' ' else ''}\n" for letter in f"word {number}") + "\n"
    for number in range(31)
)
TARGET = Path("examples.bin")
CONFIG = CorpusConfig(test_fraction=0.2, validation_fraction=0.3)
CHARACTER = Vocab(kind="char", symbols=(10, 97, 98, 0xFFFD), start=0)


def tsv(rows: list[tuple[str, ...]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def encoded(contents: str, config: CorpusConfig = CONFIG, *, by_character: bool = False) -> tuple[Dataset, list[str]]:
    Path("f.tsv").write_text(contents, encoding="utf-8", newline="")
    return encode_examples(["f.tsv"], config, TARGET, by_character=by_character)


def opened(found: Dataset, **other) -> Dataset:
    facts = {"num_characters": found.examples.num_characters, "by_character": found.examples.by_character}
    facts |= {name: getattr(found, name) for name in ("vocab", "labels", "splits", "sha256", "ids_sha256")}
    return open_examples(TARGET, **(facts | other))


def texts_of(found: Examples, vocab: Vocab) -> list[str]:
    return [vocab.decode(found.part(number, number + 1).ids) for number in range(len(found))]


def assert_same(first: Examples, second: Examples) -> None:
    for name in ("ids", "bounds", "labels", "places"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist(), name


@pytest.mark.parametrize("by_character", [False, True])
def test_what_is_written_is_what_is_opened(by_character):
    """The file holds every text and label, in the order of the parts; its own hash, and that of the source, are given."""
    contents = CHARACTERS if by_character else tsv(ROWS)
    found, notices = encoded(contents, by_character=by_character)
    assert_same(opened(found).examples, found.examples)
    assert found.sha256 == hashlib.sha256(contents.encode()).hexdigest()
    assert found.ids_sha256 == hashlib.sha256(TARGET.read_bytes()).hexdigest()
    parts = [found.train, found.validation, found.test]
    assert sum(map(len, parts)) == len(found.examples) == (31 if by_character else 97)
    assert all(map(len, parts))
    assert np.concatenate([each.labels for each in parts]).tolist() == found.examples.labels.tolist()
    assert all(each.by_character == by_character for each in parts)
    assert len(notices) == 1
    assert f"{len(found.examples)} examples with 3 labels: {len(found.train)} for training" in notices[0]


def test_texts_and_labels_stay_together():
    """Each text has the label that its line gave it; each character too, and a blank has none."""
    found, _ = encoded(tsv(ROWS))
    of_text = dict(ROWS)
    whole = dict(zip(texts_of(found.examples, found.vocab), found.examples.labels.tolist(), strict=True))
    rare = {text for text in of_text if text not in whole}
    assert len(rare) < 10  # those in which a character is read as U+FFFD
    assert {text: found.labels[label] for text, label in whole.items() if text in of_text}.items() <= of_text.items()
    found, _ = encoded(CHARACTERS, by_character=True)
    assert found.labels == ("X", "Y", "Z")
    for number in range(len(found.examples)):
        one = found.examples.part(number, number + 1)
        text = found.vocab.decode(one.ids)
        line = int(text.split()[1]) if "\ufffd" not in text else None
        assert one.labels[4] == UNLABELLED
        assert one.places.tolist()[:6] == [2, 1, 1, 1, 0, 2]
        if line is not None:
            assert one.labels.tolist() == [UNLABELLED if c == " " else (ord(c) + line) % 3 for c in text]


def test_within_a_part_examples_stay_as_they_came():
    """The order of the source is that of each part."""
    found, _ = encoded(tsv(ROWS))
    for part, examples in zip((TRAIN, VALIDATION, TEST), (found.train, found.validation, found.test), strict=True):
        want = [ids_of(found.vocab, text).tolist() for text, _ in ROWS if part_of(text, CONFIG) == part]
        assert [examples.part(number, number + 1).ids.tolist() for number in range(len(examples))] == want


@given(st.text(), st.floats(0, 0.45), st.floats(0, 0.45), st.floats(0, 0.45))
def test_a_text_s_part_depends_on_nothing_else(text, test, validation, more):
    """A larger fraction only adds to a part; what is tested on is never learned from because validation grew."""
    part = part_of(text, CorpusConfig(test_fraction=test, validation_fraction=validation))
    assert (part == TEST) == (part_of(text, CorpusConfig(test_fraction=test, validation_fraction=more)) == TEST)
    if part == TEST:
        larger = min(0.9, test + more)
        assert part_of(text, CorpusConfig(test_fraction=larger, validation_fraction=0)) == TEST


def test_parts_have_about_their_fractions():
    """Of many texts, a tenth and two tenths are held out, give or take four standard deviations."""
    config = CorpusConfig(test_fraction=0.1, validation_fraction=0.2)
    counts = np.bincount([part_of(str(number), config) for number in range(10_000)])
    assert np.abs(counts - [7000, 2000, 1000]).max() < 4 * 46


def test_equal_texts_and_groups_share_a_part():
    """Said to people, with the first contradiction; a group decides in place of the text."""
    twice = [*ROWS, *ROWS[:5], (ROWS[7][0], "b"), (ROWS[8][0], "a")]
    found, notices = encoded(tsv(twice))
    parts = [set(texts_of(part, found.vocab)) for part in (found.train, found.validation, found.test)]
    assert not parts[0] & parts[1]
    assert "7 examples with a text that came before; equal texts share a part" in notices
    assert "1 example with a text that had another label before; the first is f.tsv, line 104" in notices
    grouped = [(*row, f"by {number % 7}") for number, row in enumerate([*ROWS, ROWS[0]])]
    config = CorpusConfig(test_fraction=0.2, validation_fraction=0.3, columns="text=1,label=2,group=3")
    found, notices = encoded(tsv(grouped), config)
    assert "1 example with a text that came before; rows of a group share a part, equal texts of two groups may not" in notices
    groups = {part_of(f"by {number}", config): 0 for number in range(7)}
    assert len(groups) > 1
    for row in grouped:
        groups[part_of(row[2], config)] += 1
    assert [groups.get(part, 0) for part in (TRAIN, VALIDATION, TEST)] == [
        len(found.train),
        len(found.validation),
        len(found.test),
    ]


def test_parts_of_a_text_are_contiguous():
    """Where labels are made from a text, its beginning is learned from, and its end is the test part."""
    text = "".join(f"Line {number}, as it  is. " + "\n" * (number % 3) for number in range(400))
    found, _ = encoded(text, CorpusConfig(restore="spaces", validation_fraction=0.2, test_fraction=0.1), by_character=True)
    assert found.vocab.decode(found.examples.ids) == text.replace(" ", "") + "\n" * (not text.endswith("\n"))
    assert found.labels == ("1 space", "2 spaces", "none")
    share = [part.num_characters / found.examples.num_characters for part in (found.train, found.validation, found.test)]
    assert np.abs(np.array(share) - [0.7, 0.2, 0.1]).max() < 0.05
    assert "\ufffd" not in found.vocab.decode(found.train.ids)


def test_what_occurs_once_in_training_is_an_unknown_character():
    """It is read as U+FFFD, which is always known; so is what only the held-out texts have."""
    found, _ = encoded(tsv([*ROWS, *(("日本本", "a") for _ in range(1))]))
    assert 0xFFFD in found.vocab.symbols
    in_train = [text for text, _ in [*ROWS, ("日本本", "a")] if part_of(text, CONFIG) == TRAIN]
    whole = "".join(in_train)
    assert set(map(chr, found.vocab.symbols)) == {c for c in whole if whole.count(c) > 1} | {"\ufffd"}


def test_bytes_are_all_known():
    """With bytes there are 256 symbols, and a length is that of the UTF-8 form."""
    found, _ = encoded(tsv(ROWS), CorpusConfig(symbols="byte", test_fraction=0.2))
    assert len(found.vocab) == 256
    assert sorted(texts_of(found.examples, found.vocab)) == sorted(text for text, _ in ROWS)
    assert_same(opened(found).examples, found.examples)
    with pytest.raises(UsageError, match="--symbols"):
        encoded(CHARACTERS, CorpusConfig(symbols="byte"), by_character=True)


def test_ids_of_any_text():
    """What a vocabulary lacks is U+FFFD; where it lacks that too, its start."""
    assert ids_of(CHARACTER, "b\na😀\udcff\x00").tolist() == [2, 0, 1, 3, 3, 3]
    without = Vocab(kind="char", symbols=(97, 98), start=1)
    assert ids_of(without, "ab😀").tolist() == [0, 1, 1]
    assert ids_of(Vocab(kind="byte", symbols=tuple(range(256)), start=10), "é").tolist() == [0xC3, 0xA9]
    assert ids_of(CHARACTER, "").tolist() == []


def test_parts_are_views_with_bounds_of_their_own():
    """A part of a part is the same as one part, whatever is labelled."""
    for by_character in (False, True):
        bounds = np.array([0, 2, 5, 6, 10])
        labels = np.arange(10 if by_character else 4, dtype=np.uint16)
        places = np.arange(10 if by_character else 0, dtype=np.uint8)
        whole = Examples(ids=np.arange(10, dtype=np.uint8), bounds=bounds, labels=labels, places=places)
        assert (len(whole), whole.num_characters, whole.lengths.tolist()) == (4, 10, [2, 3, 1, 4])
        assert_same(whole.part(1, 4).part(1, 3), whole.part(2, 4))
        last = whole.part(3, 4)
        assert (last.ids.tolist(), last.bounds.tolist()) == ([6, 7, 8, 9], [0, 4])
        assert last.labels.tolist() == ([6, 7, 8, 9] if by_character else [3])
        assert len(whole.part(2, 2)) == 0


def test_texts_without_labels_are_examples_too():
    """They have the ids of their texts, in order, and labels that are none."""
    for by_character in (False, True):
        found = unlabelled(["ab", "😀", "aaa"], CHARACTER, by_character=by_character)
        assert found.ids.tolist() == [1, 2, 3, 1, 1, 1]
        assert found.bounds.tolist() == [0, 2, 3, 6]
        assert found.labels.tolist() == [UNLABELLED] * (6 if by_character else 3)
        assert found.by_character == by_character
    assert len(unlabelled([], CHARACTER, by_character=False)) == 0


def test_other_texts_are_read_for_a_model():
    """Nothing is split or written; labels are the model's, and one that it lacks is named with its line."""
    Path("g.tsv").write_text("bx\tno\nab\tyes\n")
    found = read_examples(["g.tsv"], CorpusConfig(), CHARACTER, ("no", "yes"), by_character=False)
    assert (found.ids.tolist(), found.bounds.tolist(), found.labels.tolist()) == ([2, 3, 1, 2], [0, 2, 4], [0, 1])
    with pytest.raises(TextError, match=r"g\.tsv, line 2: the model has no label 'yes'") as error:
        read_examples(["g.tsv"], CorpusConfig(), CHARACTER, ("maybe", "no"), by_character=False)
    assert error.value.hint == "it has maybe, no"
    Path("g.tsv").write_text("a\t\n")
    with pytest.raises(TextError, match="no labelled text"):
        read_examples(["g.tsv"], CorpusConfig(), CHARACTER, ("no", "yes"), by_character=True)
    Path("g.txt").write_text("a   b?!")
    found = read_examples(
        ["g.txt"], CorpusConfig(restore="spaces"), CHARACTER, ("1 space", "2 spaces", "none"), by_character=True
    )
    assert found.labels.tolist() == [2, 1, 2, 2, 2]
    found = read_examples(["g.txt"], CorpusConfig(restore="punctuation"), CHARACTER, ("none", "other"), by_character=True)
    assert found.labels.tolist() == [0, 0, 0, 0, 0, 1]


NOT_LEARNABLE = [
    ("", False, {}, "f.tsv has no labelled text"),
    ("a\tx\nb\tx\n", False, {}, "one label only, 'x'"),
    ("a\tx\nb\tx\nc\ty\n", False, {}, "f.tsv, line 3: the label 'y' occurs only once"),
    ("a\tX\nb\tX\n\nc\tX\nd\tY\n", True, {}, "f.tsv, line 4: the label 'Y' is that of one character only"),
    ("a\t\nb\t\n", True, {}, "no labelled text"),
    ("aa bb", True, {"restore": "spaces"}, "too little of spaces to restore"),
    ("none of them " * 9, True, {"restore": "case"}, "too little of case to restore"),
    ("none of them " * 9, True, {"restore": "punctuation"}, "too little of punctuation to restore"),
    ("", True, {"restore": "case"}, "no labelled text"),
    (tsv([(str(n // 2), f"label {n // 2}") for n in range(2004)]), False, {}, "line 2001: this is label number 1,001"),
]


@pytest.mark.parametrize(("contents", "by_character", "options", "says"), NOT_LEARNABLE)
def test_what_cannot_be_learned_is_refused(contents, by_character, options, says):
    """No example, one label, a label that occurs once, or too many labels; the error names a line where there is one."""
    with pytest.raises(TextError, match=says) as error:
        encoded(contents, CorpusConfig(**options), by_character=by_character)
    assert error.value.hint


def test_exchanged_columns_are_thought_of():
    """Where most labels occur once, and in the first line, the hint says what people probably meant."""
    exchanged = tsv([(label, text) for text, label in ROWS])
    with pytest.raises(TextError, match=r"line 1: .* occurs only once") as error:
        encoded(exchanged)
    assert "--columns text=2,label=1" in error.value.hint
    assert len(encoded(exchanged, CorpusConfig(columns="text=2,label=1"))[0].labels) == 3
    with pytest.raises(TextError, match="line 1: the label 'label' occurs only once") as error:
        encoded("text\tlabel\n" + tsv(ROWS))
    assert "--columns text=NAME,label=NAME" in error.value.hint
    assert len(encoded("text\tlabel\n" + tsv(ROWS), CorpusConfig(columns="text=text,label=label"))[0].labels) == 3


def test_parts_that_came_out_empty_are_said():
    """An empty training part is an error; another, or a label that is not in training, is a notice."""
    few = [(text, "ab"[number % 2]) for number, (text, _) in enumerate(ROWS[:8])]
    _, notices = encoded(tsv(few), CorpusConfig(validation_fraction=0.01))
    assert any("no example fell into the validation part" in notice for notice in notices)
    config = CorpusConfig(validation_fraction=0.98)
    held_out = [(text, "a") for text, _ in ROWS if part_of(text, config) != TRAIN]
    with pytest.raises(TextError, match="none fell into the training part"):
        encoded(tsv([*held_out, (held_out[0][0], "b"), (held_out[0][0], "b")]), config)
    held_out = [(text, "z") for text, _ in ROWS if part_of(text, CONFIG) != TRAIN]
    _, notices = encoded(tsv([*ROWS, *held_out]))
    assert "no example in the training part has the label 'z'" in notices


def test_a_tag_of_one_word_is_said():
    """It is no error, for treebanks have such; nor are examples without any label, which are left out."""
    _, notices = encoded(CHARACTERS + "n\tQ\no\tQ\n\nu\t\n", by_character=True)
    assert any(notice.startswith("only one word has the label 'Q' (f.tsv, line") for notice in notices)
    assert "1 example without any label left out" in notices


@pytest.mark.parametrize("options", [{"columns": "text=1,label=2"}, {"symbols": "byte"}, {}])
def test_options_that_do_not_fit_restoring_are_refused(options):
    """Labels of characters are made from a text alone."""
    with pytest.raises(UsageError, match="--restore case was given with "):
        encoded("Some Text\n", CorpusConfig(restore="case", **options), by_character=bool(options))


def written(raw: bytes) -> str:
    TARGET.write_bytes(raw)
    return hashlib.sha256(raw).hexdigest()


HOSTILE = [
    ("bounds", [0, 3, 3, 6], "bounds that do not rise"),
    ("bounds", [0, 4, 2, 6], "bounds that do not rise"),
    ("bounds", [1, 2, 3, 6], "bounds that do not rise"),
    ("bounds", [0, 2, 3, 5], "bounds that do not rise"),
    ("bounds", [0, 2**63 - 1, -(2**63), 6], "bounds that do not rise"),
    ("ids", [0, 1, 2, 3, 4, 0], "symbols beyond the 4"),
    ("labels", [0, 1, 2, 0, 0, 0], "labels beyond its 2"),
    ("places", [0, 1, 2, 3, 0, 0], "places in words that there are not"),
]


@pytest.mark.parametrize(("name", "values", "says"), HOSTILE)
@pytest.mark.parametrize("by_character", [False, True])
def test_a_hostile_file_is_refused(name, values, says, by_character):
    """A file whose hash is right may still hold anything."""
    arrays = {
        "bounds": np.array([0, 2, 3, 6], dtype="<i8"),
        "labels": np.array([0, 1, 1, UNLABELLED, 0, 0] if by_character else [0, 1, 1], dtype="<u2"),
        "places": np.array([2, 1, 0, 2, 1, 1] if by_character else [], dtype="<u1"),
        "ids": np.array([0, 1, 2, 3, 0, 1], dtype="<u1"),
    }
    facts = {"vocab": CHARACTER, "labels": ("no", "yes"), "num_characters": 6, "by_character": by_character, "sha256": ""}
    facts["splits"] = Splits(train=1, validation=2, test=3)
    good = open_examples(TARGET, **facts, ids_sha256=written(b"".join(each.tobytes() for each in arrays.values())))
    assert len(good.train) == len(good.validation) == len(good.test) == 1
    assert good.test.ids.tolist() == [3, 0, 1]
    if arrays[name].size:
        arrays[name] = np.array(values[: arrays[name].size], dtype=arrays[name].dtype)
        bad = written(b"".join(each.tobytes() for each in arrays.values()))
        with pytest.raises(TextError, match=says):
            open_examples(TARGET, **facts, ids_sha256=bad)
        with pytest.raises(TextError, match="does not match its hash"):
            open_examples(TARGET, **facts, ids_sha256="0" * 64)
    for lengths in ({"num_characters": 7}, {"num_characters": -1}, {"splits": Splits(train=1, validation=2, test=4)}):
        with pytest.raises(TextError, match="does not hold the"):
            open_examples(TARGET, **(facts | lengths), ids_sha256="")


def test_a_text_of_unlabelled_labels_is_no_dataset():
    """For whole texts a label must be one: there UNLABELLED is beyond the labels."""
    raw = np.array([0, 1], "<i8").tobytes() + np.array([UNLABELLED], "<u2").tobytes() + b"\0"
    facts = {"vocab": CHARACTER, "labels": ("no", "yes"), "num_characters": 1, "by_character": False, "sha256": ""}
    with pytest.raises(TextError, match="labels beyond"):
        open_examples(TARGET, **facts, splits=Splits(train=1, validation=1, test=1), ids_sha256=written(raw))
