"""What models are measured beside: each against a plain count, kept as tensors, and read back with suspicion."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from charlm.errors import CheckpointError
from charlm.labelling.baseline import Sizes, commonest, spread
from charlm.labelling.baselines import BASELINES, baselines_for_characters, baselines_for_texts, baselines_from, tensors_of
from charlm.labelling.character_baselines import LONGEST_WORD, CommonestOfCharacter, CommonestOfWord, LongestWord
from charlm.text.examples import BEGINS, INSIDE, OUTSIDE, UNLABELLED, Examples
from tests.labelling.examples import ids_of, random_tagged, tagged, texts

V, C = 96, 3
SIZES = Sizes(num_labels=C, vocab_size=V)
GOOD, BAD = ("good fun", "so good", "goodness me", "all good", "a good one"), ("bad", "too bad", "badly made", "a bad one")


def reviews() -> Examples:
    return texts(*((text, 2) for text in GOOD), *((text, 0) for text in BAD))


def test_the_majority_is_the_commonest_label():
    """Of equally common labels the first."""
    majority, _ = baselines_for_texts(reviews(), reviews(), C)
    assert majority.predict(reviews()).tolist() == [2] * 9
    tied, *_ = baselines_for_texts(texts(("a", 2), ("b", 1)), texts(("a", 1)), C)
    assert tied.predict(texts(("c", 0), ("d", 0))).tolist() == [1, 1]


def test_n_grams_find_what_texts_have_in_common():
    """Texts never seen go by the n-grams that they have; those without any have a label all the same."""
    _, regression = baselines_for_texts(reviews(), texts(("good", 2), ("bad", 0)), C)
    assert regression.predict(texts(("goods", 0), ("so bad", 0), ("bad bad", 1))).tolist() == [2, 0, 0]
    assert regression.predict(texts(("zzz", 0))) in (0, 2)
    assert regression.predict(texts()).tolist() == []


def test_without_a_validation_part_there_is_one_strength():
    """It is fitted all the same."""
    told = []
    _, regression = baselines_for_texts(reviews(), texts(), C, lambda *each: told.append(each))
    assert regression.predict(reviews()).tolist() == [2] * 5 + [0] * 4
    assert told == [("counting n-grams", 0.0), ("fitting n-grams", 1.0)]


def test_where_texts_share_nothing_there_are_no_n_grams():
    """What could not learn anything is not there."""
    assert [each.name for each in baselines_for_texts(texts(("ab", 0), ("cd", 1)), texts(), C)] == ["majority"]


def test_a_character_has_its_commonest_label():
    """As a count says; the unseen have the commonest of all, and what has no label is not counted."""
    rng = np.random.default_rng(0)
    examples = random_tagged(rng, 29, C)
    counts, overall = defaultdict(Counter), Counter()
    for symbol, label in zip(examples.ids.tolist(), examples.labels.tolist(), strict=True):
        if label != UNLABELLED:
            counts[symbol][label] += 1
            overall[label] += 1
    characters = CommonestOfCharacter.fit(examples, V)
    for symbol in range(V):
        count = counts[symbol] or overall
        assert count[characters.labels[symbol]] == max(count.values())


def sequences(examples: Examples) -> list[tuple[str, tuple[int, ...]]]:
    """Each word with its labels, by text and blanks."""
    found = []
    for start, stop in zip(examples.bounds[:-1], examples.bounds[1:], strict=True):
        word: list[int] = []
        for at in [*range(start, stop), None]:
            if at is None or examples.places[at] != INSIDE:
                if word:
                    found.append((bytes(examples.ids[word]).hex(), tuple(examples.labels[word].tolist())))
                word = []
            if at is not None and examples.places[at] != OUTSIDE:
                word.append(at)
    return found


def test_a_word_has_its_commonest_labels():
    """The labels that it had most often, all of them together; a word unseen has those of its characters."""
    examples = random_tagged(np.random.default_rng(1), 150, 2, length=9)
    counts: dict[str, Counter] = defaultdict(Counter)
    for word, labels in sequences(examples):
        if UNLABELLED not in labels:
            counts[word][labels] += 1
    characters, words = baselines_for_characters(examples, V, words_are_seen=True)
    new = random_tagged(np.random.default_rng(2), 40, 2, length=9)
    predicted = Examples(ids=new.ids, bounds=new.bounds, labels=words.predict(new), places=new.places)
    alone = Examples(ids=new.ids, bounds=new.bounds, labels=characters.predict(new), places=new.places)
    seen = 0
    for (word, labels), (_, by_character) in zip(sequences(predicted), sequences(alone), strict=True):
        if word in counts:
            seen += 1
            assert counts[word][labels] == max(counts[word].values())
        else:
            assert labels == by_character
    assert 0 < seen < len(sequences(new))


def test_words_longer_than_the_table_holds_are_unseen():
    """They go by their characters, and so do words that have a character without a label."""
    long = "ab" * LONGEST_WORD
    train = tagged((long, [0, 1] * LONGEST_WORD), ("c d", [1, None, 0]), ("ab", [1, 1]), ("xy", [None, 1]))
    _, words = baselines_for_characters(train, V, words_are_seen=True)
    assert words.predict(tagged((long, [0] * len(long)))).tolist() == [0, 1] * LONGEST_WORD
    assert words.predict(tagged(("ab c", [0] * 4))).tolist() == [1, 1, 1, 1]
    assert len(words.table.hashes) == 3


def test_the_longest_word_seen_goes_first():
    """From left to right, each text for itself; where no word begins that was seen, a character goes by itself."""
    train = tagged(("the cat cats at", [int(at in {0, 4, 8, 13}) for at in range(15)]))
    _, longest = baselines_for_characters(train, V, words_are_seen=False)
    assert isinstance(longest, LongestWord)
    run = tagged(("thecatsat", [0] * 9), ("catthe", [0] * 6), ("ca", [0] * 2), ("t!cat", [0] * 5))
    assert "".join(map(str, longest.predict(run))) == "100100010" + "100100" + "10" + "00100"


def test_of_a_large_part_a_spread_sample_is_taken():
    """Whole texts, evenly from first to last, about as many as asked for; of a small one all."""
    examples = random_tagged(np.random.default_rng(3), 100, C)
    assert spread(examples, 100, 10**6) is examples
    for most_texts, most_characters in ((10, 10**6), (100, examples.num_characters // 10)):
        sample = spread(examples, most_texts, most_characters)
        assert len(sample) in {9, 10}
        for number in range(len(sample)):
            one, other = sample.part(number, number + 1), examples.part(*(number * 100 // len(sample) + np.array([0, 1])))
            for name in ("ids", "labels", "places"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    few = spread(texts(("ab", 0), ("cde", 1), ("f", 2)), 1, 100)
    assert (few.ids.tolist(), few.labels.tolist(), few.bounds.tolist()) == (ids_of("ab").tolist(), [0], [0, 2])


def test_the_commonest_is_that_of_a_counter():
    """By group, in order; of equally common ones the least; the place is the first that has it."""
    rng = np.random.default_rng(4)
    groups, values = rng.integers(0, 9, 200), rng.integers(0, 4, 200)
    for number, place in zip(sorted(set(groups)), commonest(groups, values), strict=True):
        counts = Counter(values[groups == number].tolist())
        best = min(value for value, count in counts.items() if count == max(counts.values()))
        assert place == np.flatnonzero((groups == number) & (values == best))[0]


def all_kinds() -> list[tuple[tuple, Examples]]:
    """Every baseline, and texts to try it on."""
    rng = np.random.default_rng(5)
    train, new = random_tagged(rng, 37, C), random_tagged(rng, 11, C)
    return [
        (baselines_for_texts(reviews(), reviews(), C), texts(("goods", 0), ("so bad", 0))),
        (baselines_for_characters(train, V, words_are_seen=True), new),
        (baselines_for_characters(train, V, words_are_seen=False), new),
    ]


def test_what_is_kept_predicts_the_same():
    """Every baseline comes back from its tensors, of which none is empty; together they are all that there are."""
    kinds = set()
    for baselines, new in all_kinds():
        tensors = tensors_of(baselines)
        assert all(tensor.size and tensor.dtype in (np.float16, np.float32, np.uint16, np.int64) for tensor in tensors.values())
        back = baselines_from(tensors, SIZES)
        assert [type(each) for each in back] == [type(each) for each in baselines]
        for one, other in zip(baselines, back, strict=True):
            np.testing.assert_array_equal(one.predict(new), other.predict(new))
            assert one.predict(new).dtype == np.uint16
            kinds.add(type(one))
    assert kinds == set(BASELINES.values())


def changes(tensor: np.ndarray) -> list[np.ndarray]:
    """Tensors of other types, shapes and numbers."""
    worst = np.inf if tensor.dtype.kind == "f" else np.iinfo(tensor.dtype).max
    numbers = [tensor.copy() for _ in range(3)]
    for each, at, value in zip(numbers, (0, -1, len(tensor) // 2), (worst, worst, -worst), strict=True):
        each[at] = value if tensor.dtype.kind != "u" else worst
    other = np.float32 if tensor.dtype == np.int64 else np.int64
    return [
        tensor.astype(other),
        tensor[None],
        tensor[:0],
        np.concatenate([tensor, tensor[-1:]]),
        np.zeros((), tensor.dtype),
        *numbers,
    ]


def test_no_wrong_tensor_is_used():
    """Of another type, shape or range, missing or too many: refused in one line, or it predicts labels that there are."""
    refused = 0
    for baselines, new in all_kinds():
        tensors = tensors_of(baselines)
        for name, tensor in tensors.items():
            cases = [tensors | {name: each} for each in changes(tensor)] + [
                {key: each for key, each in tensors.items() if key != name},
                tensors | {name + "s": tensor},
                tensors | {"nonsense": tensor},
            ]
            for case in cases:
                try:
                    back = baselines_from(case, SIZES)
                except CheckpointError as error:
                    assert "\n" not in error.message  # noqa: PT017 (a changed number may be as good)
                    refused += 1
                else:
                    for each in back:
                        assert each.predict(new).max() < C
    assert refused > 150


@pytest.mark.parametrize("bounds", [[0, 2, 2, 4], [0, 3, 2, 4], [1, 2, 3, 4], [0, 1, 2, 3], [0, 1, 2, 1 << 62], [0, -1, 2, 4]])
def test_the_words_of_a_table_are_where_it_says(bounds):
    """Bounds that do not rise from 0 to the end of the labels are refused."""
    characters = {"labels": np.zeros(V, np.uint16)}
    table = {"hashes": np.arange(3), "word_labels": np.zeros(4, np.uint16)}
    CommonestOfWord.from_tensors(characters | table | {"bounds": np.array([0, 1, 2, 4])}, SIZES)
    with pytest.raises(CheckpointError, match="bounds"):
        CommonestOfWord.from_tensors(characters | table | {"bounds": np.array(bounds)}, SIZES)


def test_a_text_of_places_alone_is_tagged():
    """Words that no blank parts, as in a treebank, are looked up one by one."""
    train = Examples(
        ids=ids_of("isnt"),
        bounds=np.array([0, 4]),
        labels=np.array([1, 1, 2, 2], np.uint16),
        places=np.array([BEGINS, INSIDE, BEGINS, INSIDE], np.uint8),
    )
    _, words = baselines_for_characters(train, V, words_are_seen=True)
    assert words.predict(train).tolist() == [1, 1, 2, 2]
