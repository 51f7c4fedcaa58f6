"""Scores of labels, against scikit-learn and plain loops."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from charlm.errors import TextError
from charlm.labelling.metrics import confusion_of, label_scores, report_on_characters, report_on_texts
from charlm.labelling.words import votes_for, words_of, words_right
from charlm.text.examples import UNLABELLED
from tests.labelling.examples import random_tagged, tagged, texts

n, C = 131, 5


def labels(seed: int, number: int = n, of: int = C) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted labels `(n,)`, most of them the same."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, of, number)
    return true.astype(np.uint16), np.where(rng.random(number) < 0.6, true, rng.integers(0, of, number)).astype(np.uint16)


@pytest.mark.parametrize(("number", "of"), [(n, C), (3, 4), (40, 2), (1, 7)])
def test_scores_are_scikit_learns(number, of):
    """Accuracy, macro-F1 over what occurs, the confusion matrix, and each label's precision, recall, F1 and support."""
    true, predicted = labels(number, number, of)
    report = report_on_texts(true, predicted, of)
    assert report.accuracy.value == pytest.approx(accuracy_score(true, predicted))
    assert report.macro_f1.value == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0))
    np.testing.assert_array_equal(report.confusion, confusion_matrix(true, predicted, labels=range(of)))
    expected = precision_recall_fscore_support(true, predicted, labels=range(of), zero_division=0)
    found = [(each.precision, each.recall, each.f1, each.support) for each in report.labels]
    np.testing.assert_allclose(found, np.transpose(expected))
    assert (report.num_texts, report.num_labelled, report.num_words, report.word_accuracy) == (number, number, 0, None)


def test_a_label_that_never_occurs_does_not_lower_macro_f1():
    """It has zeros of its own, and is no part of the mean; one that is predicted but never true is."""
    true, predicted = np.array([0, 0, 1, 1], np.uint16), np.array([0, 0, 1, 1], np.uint16)
    assert report_on_texts(true, predicted, 4).macro_f1.value == 1
    predicted[3] = 2
    assert report_on_texts(true, predicted, 4).macro_f1.value == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert label_scores(confusion_of(true, predicted, 4))[3].support == 0


def test_an_interval_is_that_of_resampled_texts():
    """Its bounds are those of resampling the labels themselves, drawn from the same generator."""
    true, predicted = labels(2)
    report = report_on_texts(true, predicted, C, seed=7)
    rng = np.random.default_rng(7)
    draws = [rng.integers(0, n, n) for _ in range(1000)]
    for interval, score in ((report.accuracy, lambda a, b: (a == b).mean()), (report.macro_f1, macro_f1)):
        scores = [score(true[draw], predicted[draw]) for draw in draws]
        assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(scores, [0.025, 0.975])))
        assert interval.low < interval.value < interval.high


def macro_f1(true: np.ndarray, predicted: np.ndarray) -> float:
    """As scikit-learn has it, which is slow."""
    occur = set(true) | set(predicted)
    return np.mean(
        [
            2 * ((true == label) & (predicted == label)).sum() / ((true == label).sum() + (predicted == label).sum())
            for label in occur
        ]
    )


def test_intervals_repeat_and_are_of_the_seed():
    """The same seed gives the same bounds, another seed others; the values are the same."""
    one, same, other = (report_on_texts(*labels(3), C, seed=seed).accuracy for seed in (0, 0, 1))
    assert one == same
    assert one != other
    assert one.value == other.value


def test_characters_are_resampled_by_text():
    """The bounds of tags are those of drawing whole texts, with all their labels and words; what has no label is left out."""
    rng = np.random.default_rng(4)
    examples = random_tagged(rng, 19, 3)
    predicted = np.where(rng.random(len(examples.ids)) < 0.7, examples.labels % 3, 0).astype(np.uint16)
    report = report_on_characters(examples, predicted, 3, seed=5)
    labelled = examples.labels != UNLABELLED
    assert report.accuracy.value == pytest.approx(accuracy_score(examples.labels[labelled], predicted[labelled]))
    assert (report.num_texts, report.num_labelled) == (19, labelled.sum())

    words = words_of(examples)
    scored, right = words_right(examples, words, predicted)
    assert (report.num_words, report.word_accuracy.value) == (scored.sum(), pytest.approx(right.sum() / scored.sum()))
    pieces = [slice(*examples.bounds[text : text + 2]) for text in range(19)]
    draws, by_label, by_word = np.random.default_rng(5), [], []
    for _ in range(1000):
        draw = draws.integers(0, 19, 19)
        rows = np.concatenate([np.arange(*pieces[text].indices(10**6)) for text in draw])
        by_label.append((predicted == examples.labels)[rows].sum() / labelled[rows].sum())
        chosen = np.concatenate([np.flatnonzero(words.texts == text) for text in draw])
        by_word.append(right[chosen].sum() / scored[chosen].sum())
    for interval, scores in ((report.accuracy, by_label), (report.word_accuracy, by_word)):
        assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(scores, [0.025, 0.975])))


def test_texts_of_many_characters_make_wider_intervals_than_characters_alone_would():
    """Where whole texts are right or wrong, the interval is that of the texts, however many characters they have."""
    one = texts(*[("x", 0)] * 40)
    right = np.arange(40) % 4 > 0
    many = tagged(*[("abcde", [0] * 5)] * 40)
    by_text = report_on_texts(one.labels, (~right).astype(np.uint16), 2)
    by_character = report_on_characters(many, np.repeat(~right, 5).astype(np.uint16), 2)
    assert by_character.accuracy == by_text.accuracy
    assert by_character.word_accuracy == by_text.accuracy
    assert by_character.accuracy.high - by_character.accuracy.low > 0.2


def test_words_of_one_label_are_scored_by_their_votes():
    """Two votes of three make a word right that has a wrong character; by characters alone it is wrong."""
    examples = tagged(("abc de", [1, 1, 1, None, 0, 0]))
    predicted = np.array([1, 0, 1, 0, 0, 0], np.uint16)
    alone, voted = (report_on_characters(examples, predicted, 2, votes=votes) for votes in (None, votes_for(predicted, 2)))
    assert (alone.word_accuracy.value, voted.word_accuracy.value) == (0.5, 1.0)
    assert alone.accuracy == voted.accuracy


def test_texts_without_words_have_no_accuracy_by_word():
    """What is in no word is scored by character only."""
    report = report_on_characters(tagged(("   ", [0, 1, 1])), np.ones(3, np.uint16), 2)
    assert (report.num_words, report.word_accuracy) == (0, None)
    assert report.accuracy.value == pytest.approx(2 / 3)


def test_nothing_labelled_is_no_score():
    """It is an error in one line, not a division by zero."""
    with pytest.raises(TextError, match="nothing with a label"):
        report_on_characters(tagged(("ab", [None, None])), np.zeros(2, np.uint16), 2)
    with pytest.raises(TextError, match="nothing with a label"):
        report_on_texts(np.zeros(0, np.uint16), np.zeros(0, np.uint16), 2)
