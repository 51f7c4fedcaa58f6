"""Logistic regression of labels on sparse rows, for several strengths of its penalty. Knows no texts.

What is least is the mean cross-entropy plus strength / 2 times the sum of squared weights; biases are free. Free biases make it
the same problem when every column is less its mean, which has a better condition. As in any such problem the best weights are a
sum of rows, X^T A. So a point is kept as A `(n, C)` and its logits Z = X X^T A, both less their means, and biases: then a step
takes one product with X and one with X^T, and the search along a line takes none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.labelling.ngrams import Rows

MOST_STEPS = 200
TOLERANCE = 5e-4  # of the gradient's length at zero, where steps end; accuracy does not change below 1e-2
BIAS = 0.1  # the scale of a bias, so that steps change it about as fast as weights
LINE_STEPS = 10
LINE_TOLERANCE = 0.01  # of the slope along a line


@dataclass(frozen=True, slots=True)
class Linear:
    """Logits X W + b, `weights` float32 `(F, C)`, `bias` float32 `(C,)`."""

    weights: Tensor
    bias: Tensor

    @torch.no_grad()
    def logits(self, rows: Rows) -> Tensor:
        """Logits `(n, C)` of n rows."""
        return rows.times(self.weights) + self.bias


@torch.no_grad()
def fit(
    rows: Rows, labels: npt.NDArray[np.uint16], num_labels: int, strengths: Sequence[float]
) -> Iterator[tuple[float, Linear]]:
    """The best weights for labels `(n,)` of n rows, for each strength in turn; a search begins where the last one ended."""
    true = F.one_hot(torch.from_numpy(labels.astype(np.int64)), num_labels).float()
    problem = _Problem(rows, rows.transposed(), true)
    point = torch.zeros(2 * len(rows) + 1, num_labels)
    gradient = problem.gradient(point, 0.0)
    enough = TOLERANCE**2 * problem.product(gradient, gradient)
    for strength in strengths:
        point = _least(problem, point, strength, enough)
        weights = problem.by_column.times(point[: len(rows)].contiguous())
        yield strength, Linear(weights, point[-1] * BIAS - rows.times(weights).mean(0))


def _least(problem: "_Problem", point: Tensor, strength: float, enough: float) -> Tensor:
    """The point of the least loss, from `point` by conjugate gradients (Polak and Ribière 1969)."""
    gradient = problem.gradient(point, strength)
    direction, square = -gradient, problem.product(gradient, gradient)
    for _ in range(MOST_STEPS):
        if square <= enough:
            break
        point = point + problem.step(point, direction, strength) * direction
        before, gradient = gradient, problem.gradient(point, strength)
        after = problem.product(gradient, gradient)
        turn = max(0.0, (after - problem.product(gradient, before)) / square)
        direction, square = turn * direction - gradient, after
    return point


@dataclass(frozen=True, slots=True)
class _Problem:
    """The data. A point, and what is added to one, is `(2n + 1, C)`: A, Z, and the biases over BIAS."""

    by_row: Rows
    by_column: Rows
    true: Tensor

    def gradient(self, point: Tensor, strength: float) -> Tensor:
        """The gradient of the loss at a point."""
        n = len(self.true)
        gradient = point * strength
        excess = (torch.softmax(self.logits(point), dim=1) - self.true) / n
        gradient[-1] = excess.sum(0) * BIAS
        excess = _centred(excess)
        gradient[:n] += excess
        gradient[n:-1] += _centred(self.by_row.times(self.by_column.times(excess)))
        return gradient

    def logits(self, point: Tensor) -> Tensor:
        """The logits `(n, C)` at a point, or how fast they change along a direction."""
        return point[len(self.true) : -1] + point[-1] * BIAS

    def product(self, one: Tensor, other: Tensor) -> float:
        """The inner product of all weights and biases of two points."""
        return self.product_of_weights(one, other) + float((one[-1] * other[-1]).sum())

    def product_of_weights(self, one: Tensor, other: Tensor) -> float:
        """The inner product of their weights, (X^T A) . (X^T B) = A . (X X^T B)."""
        n = len(self.true)
        return float((one[:n] * other[n:-1]).sum())

    def step(self, point: Tensor, direction: Tensor, strength: float) -> float:
        """How far along `direction` the loss is least, by Newton's method between bounds that close in."""
        at, along = self.logits(point), self.logits(direction)
        penalty = strength * self.product_of_weights(point, direction)
        bend_of_penalty = strength * self.product_of_weights(direction, direction)
        t, low, high, enough = 0.0, 0.0, float("inf"), 0.0
        for _ in range(LINE_STEPS):
            p = torch.softmax(at + t * along, dim=1)
            slope = float(((p - self.true) * along).sum()) / len(at) + penalty + t * bend_of_penalty
            spread = (p * along**2).sum() - (p * along).sum(1).square().sum()
            bend = float(spread) / len(at) + bend_of_penalty
            if abs(slope) <= enough or bend <= 0:
                break
            enough = enough or LINE_TOLERANCE * abs(slope)
            low, high = (t, high) if slope < 0 else (low, t)
            t -= slope / bend
            if not low < t < high:
                t = (low + high) / 2 if high < float("inf") else 2 * low + 1
        return t


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(0)
