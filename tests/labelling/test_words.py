"""Words among the characters of tagged texts, against plain loops over text."""

import numpy as np
import pytest

from charlm.labelling.words import one_label_a_word, votes_for, word_labels, word_labels_right, words_of, words_right
from charlm.text.examples import BEGINS, INSIDE, OUTSIDE, UNLABELLED, Examples
from tests.labelling.examples import random_tagged, tagged


def loop(examples: Examples) -> list[tuple[int, int, int]]:
    """Start, length and text of each word, character by character."""
    found = []
    for text in range(len(examples)):
        start = None
        first, last = examples.bounds[text : text + 2]
        for at in range(first, last + 1):
            place = examples.places[at] if at < last else OUTSIDE
            if start is not None and place != INSIDE:
                found.append((start, at - start, text))
                start = None
            if place != OUTSIDE and start is None:
                start = at
    return found


@pytest.mark.parametrize("seed", range(4))
def test_words_are_those_of_a_loop(seed):
    """Whatever the places are, a word ends where the next begins, where nothing is, and where its text ends."""
    rng = np.random.default_rng(seed)
    examples = random_tagged(rng, 13, 3)
    places = rng.choice([OUTSIDE, INSIDE, BEGINS], len(examples.ids)).astype(np.uint8)
    for each in (examples.places, places, np.full_like(places, INSIDE), np.full_like(places, OUTSIDE)):
        one = Examples(ids=examples.ids, bounds=examples.bounds, labels=examples.labels, places=each)
        words = words_of(one)
        assert list(zip(words.starts, words.lengths, words.texts, strict=True)) == loop(one)


@pytest.mark.parametrize("seed", range(3))
def test_a_word_is_right_when_all_its_labelled_characters_are(seed):
    """As a loop says; a word without any label is not scored, and blanks do not count."""
    rng = np.random.default_rng(seed)
    examples = random_tagged(rng, 17, 2, length=11)
    predicted = np.where(rng.random(len(examples.ids)) < 0.8, examples.labels % 2, 1).astype(np.uint16)
    scored, right = words_right(examples, words_of(examples), predicted)
    for index, (start, length, _) in enumerate(loop(examples)):
        true, guess = examples.labels[start : start + length], predicted[start : start + length]
        has = true != UNLABELLED
        assert scored[index] == has.any()
        assert right[index] == (has.any() and (true[has] == guess[has]).all())


def test_a_word_has_the_label_with_the_highest_sum_over_its_characters():
    """Votes of blanks do not count; equal sums go to the label that comes first; minus infinity is no trouble."""
    examples = tagged(("ab c", [1, 1, None, 0]), ("de", [2, 2]))
    with np.errstate(divide="ignore"):
        votes = np.log([[0.2, 0.5, 0.3], [0.1, 0.4, 0.5], [1, 0, 0], [0, 0.5, 0.5], [0, 0, 1], [1, 0, 0]])
    assert word_labels(examples, words_of(examples), np.nan_to_num(votes, neginf=-1e4)).tolist() == [1, 1, 0]
    scored, right = word_labels_right(examples, words_of(examples), np.nan_to_num(votes, neginf=-1e4))
    assert (scored.tolist(), right.tolist()) == ([True, True, True], [True, False, False])
    cast = votes_for(np.array([1, 2, 0, 0, 2, 2]), 3)
    assert word_labels(examples, words_of(examples), cast).tolist() == [1, 0, 2]


def test_words_of_one_label_are_told_from_others():
    """One label a word: also where some characters have none; not where one word has two, nor where there is no word."""
    assert one_label_a_word(tagged(("ab c", [1, 1, None, 0]), ("de", [2, None])))
    assert one_label_a_word(tagged(("ab c", [1, 1, 7, None])))
    assert not one_label_a_word(tagged(("ab c", [1, 1, None, 0]), ("de", [2, 1])))
    assert not one_label_a_word(tagged(("  ", [1, 1])))
