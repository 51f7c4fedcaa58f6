"""How well labels are predicted: accuracy, F1, the confusion matrix, accuracy by word, and bootstrap intervals.

What is resampled are texts: the characters of one text are not independent. Knows no models and no names of labels.
n texts, N characters, C labels.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.errors import TextError
from charlm.labelling.words import Labels, word_labels_right, words_of, words_right
from charlm.text.examples import UNLABELLED, Examples

RESAMPLES = 1000
TAILS = (0.025, 0.975)

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A score, and the bounds between which 95 % of its bootstrap resamples lie."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """How well one label is found. `support` is how often it is true; what has no denominator is 0."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelReport:
    """All scores of one way of labelling `num_texts` texts, or their characters, of which `num_labelled` have a label.

    `confusion` `(C, C)` has a row for each true label and a column for each predicted one; `labels` has C scores. `macro_f1` is
    the mean over the labels that occur, true or predicted. `word_accuracy` is None where no words are known.
    """

    num_texts: int
    num_labelled: int
    accuracy: Interval
    macro_f1: Interval
    labels: tuple[LabelScore, ...]
    confusion: Counts
    by_character: bool = False
    num_words: int = 0
    word_accuracy: Interval | None = None


@dataclass(frozen=True, slots=True)
class _Tally:
    """What each text adds to the counts that scores are made of: entry i adds `amounts[i]` to `columns[i]`, for `texts[i]`.

    The columns: how often each label is true, predicted, and rightly predicted; words; words that are right: 3C + 2.
    """

    texts: Counts
    columns: Counts
    amounts: Floats
    num_texts: int
    num_labels: int

    def counts(self, weights: npt.NDArray[np.number]) -> Floats:
        """The sums `(3C + 2,)` with each text counted `weights` `(n,)` times."""
        weighted = weights[self.texts] * self.amounts
        return np.bincount(self.columns, weighted, minlength=3 * self.num_labels + 2).astype(np.float64)


def report_on_texts(true: Labels, predicted: Labels, num_labels: int, *, seed: int = 0) -> LabelReport:
    """The scores of labels `(n,)` for n texts, against the true ones `(n,)`. Raises `TextError` where there are none."""
    each = np.arange(len(true))
    return _report(each, true, predicted, num_labels, len(true), None, seed)


def report_on_characters(
    examples: Examples, predicted: Labels, num_labels: int, *, votes: npt.NDArray[np.floating] | None = None, seed: int = 0
) -> LabelReport:
    """The scores of labels `(N,)` for the characters of `examples`; what is unlabelled is not scored.

    A word is right when all its characters are. Where words have one label each (`one_label_a_word`), give `votes` `(N, C)`,
    the log probabilities: a word's label is that with the highest sum. Raises `TextError` where nothing has a label.
    """
    labelled = np.flatnonzero(examples.labels != UNLABELLED)
    texts = np.repeat(np.arange(len(examples)), examples.lengths)
    words = words_of(examples)
    scored, right = words_right(examples, words, predicted) if votes is None else word_labels_right(examples, words, votes)
    by_word = (words.texts[scored], words.texts[right])
    true = examples.labels[labelled]
    return _report(texts[labelled], true, predicted[labelled], num_labels, len(examples), by_word, seed)


def confusion_of(true: Labels, predicted: Labels, num_labels: int) -> Counts:
    """How often each label `(n,)` is predicted `(n,)` for each: `(C, C)`, a row for each true label."""
    cells = true.astype(np.int64) * num_labels + predicted
    return np.bincount(cells, minlength=num_labels**2).reshape(num_labels, num_labels)


def label_scores(confusion: Counts) -> tuple[LabelScore, ...]:
    """Precision, recall and F1 of each label, from a confusion matrix `(C, C)`."""
    right, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    columns = (_share(right, predicted), _share(right, true), _share(2 * right, true + predicted))
    return tuple(
        LabelScore(precision=float(precision), recall=float(recall), f1=float(f1), support=int(support))
        for precision, recall, f1, support in zip(*columns, true, strict=True)
    )


def _report(
    texts: Counts,
    true: Labels,
    predicted: Labels,
    num_labels: int,
    num_texts: int,
    by_word: tuple[Counts, Counts] | None,
    seed: int,
) -> LabelReport:
    """The scores of labels that are in `texts`; `by_word` has the texts of all words, and of those that are right."""
    if not len(true):
        raise TextError("there is nothing with a label to score", "give a text with labels")
    confusion = confusion_of(true, predicted, num_labels)
    tally = _tally(texts, true, predicted, num_labels, num_texts, by_word)
    intervals = _intervals(tally, seed)
    num_words = len(by_word[0]) if by_word else 0
    return LabelReport(
        num_texts=num_texts,
        num_labelled=len(true),
        accuracy=intervals[0],
        macro_f1=intervals[1],
        labels=label_scores(confusion),
        confusion=confusion,
        by_character=by_word is not None,
        num_words=num_words,
        word_accuracy=intervals[2] if num_words else None,
    )


def _tally(
    texts: Counts, true: Labels, predicted: Labels, num_labels: int, num_texts: int, by_word: tuple[Counts, Counts] | None
) -> _Tally:
    right = true == predicted
    parts = [(texts, true), (texts, predicted + np.int64(num_labels)), (texts[right], true[right] + np.int64(2 * num_labels))]
    for column, of_words in enumerate(by_word or (), 3 * num_labels):
        parts.append((of_words, np.full(len(of_words), column)))
    width = 3 * num_labels + 2
    keys = np.concatenate([part_texts.astype(np.int64) * width + columns for part_texts, columns in parts])
    keys, amounts = np.unique(keys, return_counts=True)  # what a text has often is one entry
    return _Tally(keys // width, keys % width, amounts.astype(np.float64), num_texts, num_labels)


def _intervals(tally: _Tally, seed: int) -> list[Interval]:
    """Accuracy, macro-F1 and accuracy by word, each with its bounds, from as many texts drawn with replacement."""
    rng, n = np.random.default_rng(seed), tally.num_texts
    draws = (np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(RESAMPLES))
    resampled = np.array([_scores(tally.counts(weights), tally.num_labels) for weights in draws])
    values = _scores(tally.counts(np.ones(n)), tally.num_labels)
    lows, highs = np.quantile(resampled, TAILS, axis=0)
    return [
        Interval(value=value, low=float(low), high=float(high)) for value, low, high in zip(values, lows, highs, strict=True)
    ]


def _scores(counts: Floats, num_labels: int) -> tuple[float, float, float]:
    """Accuracy, macro-F1 and accuracy by word, from the counts `(3C + 2,)` of a tally."""
    true, predicted, right = counts[: 3 * num_labels].reshape(3, num_labels)
    occurs = true + predicted
    f1 = _share(2 * right, occurs)
    words, right_words = counts[3 * num_labels :]
    macro_f1 = f1.sum() / max(1, np.count_nonzero(occurs))
    return float(right.sum() / max(1, true.sum())), float(macro_f1), float(right_words / max(1, words))


def _share(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
    return shares
