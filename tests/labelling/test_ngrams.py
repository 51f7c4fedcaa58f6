"""Bags of n-grams, against scikit-learn's; logistic regression, against other ways to its optimum."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from charlm.labelling import ngrams
from charlm.labelling.hashing import PLACES, mixed, rows_of
from charlm.labelling.logistic import Linear, fit
from charlm.labelling.ngrams import Rows, common_ngrams
from tests.labelling.examples import texts

WORDS = ("good", "bad", "a film", "films", "of", "no", "rest", "restless", "x")


def some_texts(number: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 6))) for _ in range(number)]


def dense(rows: Rows) -> np.ndarray:
    matrix = np.zeros((len(rows), rows.width), dtype=np.float32)
    for number, (start, stop) in enumerate(itertools.pairwise(rows.bounds.tolist())):
        matrix[number, rows.columns[start:stop]] = rows.values[start:stop]
    return matrix


def marked(text: str) -> list[str]:
    """All n-grams of a text between marks, but for the marks alone."""
    whole = f"\1{text}\2"
    return [
        gram for n in range(1, 6) for start in range(len(whole) - n + 1) if (gram := whole[start : start + n]) not in "\1\2"
    ]


@pytest.mark.parametrize("piece", [1 << 18, 40, 1])
def test_bags_are_scikit_learns(piece, monkeypatch):
    """The same tf-idf of the same n-grams, of texts known and new, whatever is in memory at a time."""
    monkeypatch.setattr(ngrams, "PIECE", piece)
    known, new = some_texts(41, 0), [*some_texts(7, 1), "unheard", "q"]
    vectoriser = TfidfVectorizer(analyzer=marked, min_df=2, sublinear_tf=True)
    expected = vectoriser.fit_transform(known), vectoriser.transform(new)
    table = common_ngrams(texts(*((text, 0) for text in known)), 10**6)
    assert len(table.hashes) == len(vectoriser.vocabulary_)
    for each, matrix in zip((known, new), expected, strict=True):
        found = dense(table.rows(texts(*((text, 0) for text in each))))
        order = [np.lexsort(np.round(columns, 5)) for columns in (found, matrix.toarray())]  # n-grams are in another order
        np.testing.assert_allclose(found[:, order[0]], matrix.toarray()[:, order[1]], atol=1e-6)


def test_where_there_are_too_many_the_commonest_stay():
    """Those that most texts have, of which each occurs in a table of any size that is larger."""
    known = some_texts(30, 2)
    counts = Counter(gram for text in known for gram in set(marked(text)))
    common = sorted((count for count in counts.values() if count >= 2), reverse=True)
    examples = texts(*((text, 0) for text in known))
    for most in (1, 17, 60):
        table = common_ngrams(examples, most)
        np.testing.assert_allclose(np.sort(table.rarities), np.log(31 / (1 + np.array(common[:most]))) + 1, rtol=1e-6)
        assert set(table.hashes) <= set(common_ngrams(examples, most + 5).hashes)


def test_hashes_tell_sequences_apart():
    """All sequences of up to 3 of 11 ids have hashes of their own, which do not depend on what else is hashed."""
    sequences = [list(each) for n in range(4) for each in itertools.product(range(11), repeat=n)]
    hashes = [int(mixed(np.array(each, np.int64), np.arange(len(each))).sum()) for each in sequences]
    assert len(set(hashes)) == len(sequences)
    assert mixed(np.array([5, 9], np.uint8), 3)[1] == mixed(np.array([9], np.int64), 3)[0]
    assert mixed(np.array([1]), 0) != mixed(np.array([0]), PLACES - 1)


def test_rows_are_those_of_a_sorted_table():
    """The place of what is in it, and -1 for all else, below, between and above."""
    assert rows_of(np.array([-5, 2, 9]), np.array([9, -5, 3, -6, 10, 2])).tolist() == [2, 0, -1, -1, -1, 1]


def sparse(matrix: np.ndarray) -> Rows:
    where = torch.from_numpy(matrix).nonzero()
    bounds = np.append(0, np.cumsum((matrix != 0).sum(axis=1))).astype(np.int32)
    columns = where[:, 1].to(torch.int32)
    return Rows(columns, torch.from_numpy(matrix)[tuple(where.T)], torch.from_numpy(bounds), matrix.shape[1])


def data(n: int, width: int, num_labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    matrix = (rng.random((n, width)) * (rng.random((n, width)) < 0.4)).astype(np.float32)
    matrix[3] = 0  # a text without n-grams that are known
    hidden = rng.standard_normal((width, num_labels)) * 2
    return matrix, (matrix @ hidden + rng.gumbel(size=(n, num_labels))).argmax(axis=1).astype(np.uint16)


def test_sparse_products_are_dense_ones():
    """Also those with the transpose, which turned again is the matrix."""
    matrix, _ = data(23, 11, 3)
    rows, weights = sparse(matrix), torch.from_numpy(np.random.default_rng(1).random((11, 3), dtype=np.float32))
    np.testing.assert_allclose(rows.times(weights), matrix @ weights.numpy(), atol=1e-5)
    np.testing.assert_array_equal(dense(rows.transposed()), matrix.T)
    np.testing.assert_array_equal(dense(rows.transposed().transposed()), matrix)


def loss(matrix: np.ndarray, labels: np.ndarray, weights: np.ndarray, bias: np.ndarray, strength: float) -> float:
    logits = matrix.astype(np.float64) @ weights + bias
    logits = logits - logits.max(axis=1, keepdims=True)
    nats = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    return nats.mean() + strength / 2 * (weights**2).sum()


STRENGTHS = (0.3, 0.03, 0.001)


@pytest.mark.parametrize(("n", "width", "num_labels"), [(53, 13, 2), (61, 17, 5), (19, 29, 3)])
def test_no_direction_lowers_the_loss_of_what_is_fitted(n, width, num_labels):
    """By finite differences in float64 all of the gradient is near 0 for each strength, that of the biases too."""
    matrix, labels = data(n, width, num_labels)
    for strength, found in fit(sparse(matrix), labels, num_labels, STRENGTHS):
        weights, bias = found.weights.double().numpy(), found.bias.double().numpy()
        for values in (weights, bias):
            for index in np.ndindex(values.shape):
                sides = []
                for step in (1e-5, -1e-5):
                    values[index] += step
                    sides.append(loss(matrix, labels, weights, bias, strength))
                    values[index] -= step
                assert abs(sides[0] - sides[1]) / 2e-5 < 2e-3


def test_gradient_descent_comes_to_the_same_weights():
    """Plain steps down the gradient, many of them, in numpy."""
    matrix, labels = data(47, 7, 3)
    (_, found), *_ = fit(sparse(matrix), labels, 3, [0.02])
    weights, bias = np.zeros((7, 3)), np.zeros(3)
    true = np.eye(3)[labels]
    for _ in range(20_000):
        p = np.exp(matrix @ weights + bias)
        excess = (p / p.sum(axis=1, keepdims=True) - true) / len(labels)
        weights -= 0.5 * (matrix.T @ excess + 0.02 * weights)
        bias -= 0.5 * excess.sum(axis=0)
    np.testing.assert_allclose(found.weights, weights, atol=5e-3)
    np.testing.assert_allclose(found.bias - found.bias.mean(), bias - bias.mean(), atol=5e-3)


def test_a_strength_has_the_same_weights_whatever_came_before():
    """A path of strengths saves time and changes nothing else; the same data give the same bits."""
    matrix, labels = data(61, 17, 4)
    path = list(fit(sparse(matrix), labels, 4, STRENGTHS))
    for strength, found in path:
        ((_, alone),) = fit(sparse(matrix), labels, 4, [strength])
        np.testing.assert_allclose(alone.weights, found.weights, atol=2e-2)
    again = list(fit(sparse(matrix), labels, 4, STRENGTHS))
    assert all(torch.equal(one.weights, other.weights) for (_, one), (_, other) in zip(path, again, strict=True))


@pytest.mark.parametrize("count", [1, 2])
def test_rare_and_single_labels_are_fitted_too(count):
    """A label of one text among many, and one label alone: finite weights, and the bias carries the rest."""
    matrix, _ = data(31, 5, 2)
    labels = np.zeros(31, np.uint16)
    labels[0] = count - 1
    for _, found in fit(sparse(matrix), labels, 3, STRENGTHS):
        assert torch.isfinite(found.weights).all()
        assert (found.logits(sparse(matrix)).argmax(dim=1)[1:] == 0).all()


def test_logits_are_those_of_the_weights():
    """X W + b."""
    matrix, _ = data(9, 5, 2)
    linear = Linear(torch.ones(5, 2), torch.tensor([0.5, -1.0]))
    np.testing.assert_allclose(
        linear.logits(sparse(matrix)), matrix.sum(axis=1, keepdims=True) + np.array([0.5, -1]), atol=1e-5
    )
