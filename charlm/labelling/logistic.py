"""Logistic regression of labels on sparse rows, for several strengths of its penalty.

What is minimised is the mean cross-entropy plus strength / 2 times the sum of squared weights; biases are free. As in any such
problem the best weights are a sum of rows, X^T A, so points are kept as A `(n, C)` and their logits Z = X X^T A: then a step takes
one product with X and one with X^T, and a search along a line takes none. Knows no texts.
n rows, C labels, F columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.labelling.ngrams import Rows

MOST_STEPS = 200
TOLERANCE = 1e-3  # of the gradient's length at the start, where training ends
LINE_STEPS = 10
BIAS = 0.1  # the scale of biases, so that a step changes them about as fast as weights
LINE_TOLERANCE = 0.005  # of the slope along a line


@dataclass(frozen=True, slots=True)
class Linear:
    """Logits X W + b: `weights` float32 `(F, C)`, `bias` float32 `(C,)`."""

    weights: Tensor
    bias: Tensor

    def logits(self, rows: Rows) -> Tensor:
        """Logits `(n, C)` for n rows."""
        return rows.times(self.weights) + self.bias


@torch.no_grad()
def fit(
    rows: Rows, labels: npt.NDArray[np.integer], num_labels: int, strengths: Sequence[float]
) -> Iterator[tuple[float, Linear]]:
    """The best weights for labels `(n,)`, for each strength in turn, each search beginning where the last one ended."""
    problem = _Problem.of(rows, labels, num_labels)
    point = torch.zeros(2 * len(rows) + 1, num_labels)
    gradient = problem.gradient(point, 0.0)
    enough = TOLERANCE**2 * problem.product(gradient, gradient)
    for strength in strengths:
        point = _minimised(problem, point, strength, enough)
        weights = problem.by_column.times(point[: len(rows)].contiguous())
        yield strength, Linear(weights, point[-1] * BIAS - rows.times(weights).mean(0))


@dataclass(frozen=True, slots=True)
class _Problem:
    """The data. A point, gradient or direction is `(2n + 1, C)`: A, then Z = X X^T A, then the biases."""

    by_row: Rows
    by_column: Rows
    true: Tensor

    @classmethod
    def of(cls, rows: Rows, labels: npt.NDArray[np.integer], num_labels: int) -> "_Problem":
        true = torch.nn.functional.one_hot(torch.from_numpy(labels.astype(np.int64)), num_labels).float()
        return cls(rows, rows.transposed(), true)

    def logits(self, point: Tensor) -> Tensor:
        n = len(self.by_row)
        return point[n : 2 * n] + point[-1] * BIAS

    def excess(self, logits: Tensor) -> Tensor:
        """What the mean cross-entropy's gradient is with respect to logits `(n, C)`."""
        return (torch.softmax(logits, dim=1) - self.true) / len(logits)

    def gradient(self, point: Tensor, strength: float) -> Tensor:
        """The gradient of weights X^T A, by its own A, with its logits and that of the biases."""
        n = len(self.by_row)
        gradient = point * strength
        excess = self.excess(self.logits(point))
        gradient[-1] = excess.sum(0) * BIAS
        excess = _centred(excess)
        gradient[:n] += excess
        gradient[n : 2 * n] += _centred(self.by_row.times(self.by_column.times(excess)))
        return gradient

    def product(self, one: Tensor, other: Tensor) -> float:
        """The inner product of two points, of all their weights and biases."""
        return self.product_of_weights(one, other) + float((one[-1] * other[-1]).sum())

    def product_of_weights(self, one: Tensor, other: Tensor) -> float:
        n = len(self.by_row)
        return float((one[:n] * other[n : 2 * n]).sum())

    def step(self, point: Tensor, direction: Tensor, strength: float) -> float:
        """How far along `direction` the loss is least: Newton's method, kept between bounds that close in."""
        at, along = self.logits(point), self.logits(direction)
        slope_of_penalty = strength * self.product_of_weights(point, direction)
        bend_of_penalty = strength * self.product_of_weights(direction, direction)
        low, high, t, first = 0.0, float("inf"), 0.0, 0.0
        for count in range(LINE_STEPS):
            p = torch.softmax(at + t * along, dim=1)
            slope = float(((p - self.true) * along).sum()) / len(at) + slope_of_penalty + t * bend_of_penalty
            mean = (p * along).sum(1)
            bend = float((p * along.square()).sum() - mean.square().sum()) / len(at) + bend_of_penalty
            first = first if count else slope
            if abs(slope) <= LINE_TOLERANCE * abs(first) and count or bend <= 0:
                break
            low, high = (t, high) if slope < 0 else (low, t)
            t -= slope / bend
            if not low < t < high:
                t = (low + high) / 2 if high < float("inf") else 2 * low + 1
        return t


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(0)


def _minimised(problem: _Problem, point: Tensor, strength: float, enough: float) -> Tensor:
    """The point of the least loss, by conjugate gradients (Polak and Ribière 1969)."""
    gradient = problem.gradient(point, strength)
    size = problem.product(gradient, gradient)
    direction = -gradient
    for _ in range(MOST_STEPS):
        if size <= enough:
            break
        point = point + problem.step(point, direction, strength) * direction
        after = problem.gradient(point, strength)
        turn = max(0.0, (problem.product(after, after) - problem.product(after, gradient)) / size)
        gradient, size = after, problem.product(after, after)
        direction = turn * direction - gradient
        if problem.product(direction, gradient) >= 0:
            direction = -gradient
    return point
