"""What a classifier is measured beside: the commonest label, and logistic regression over character n-grams."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from charlm.errors import CheckpointError
from charlm.labelling import logistic
from charlm.labelling.baseline import Sizes, Tell, Tensors, checked_finite, checked_hashes, checked_labels, spread
from charlm.labelling.logistic import Linear
from charlm.labelling.ngrams import NGrams, Rows, common_ngrams
from charlm.labelling.words import Labels
from charlm.text.examples import Examples

MOST_CHARACTERS = 3_000_000  # that are learned from
MOST_NUMBERS = 4_000_000  # texts times labels, and n-grams times labels
MOST_NGRAMS = 200_000
MOST_RARITY = 100  # more than the logarithm of any number
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # what the loss of one text weighs beside half the sum of squared weights
STRENGTH = 10.0  # where there is no validation part to choose by


@dataclass(frozen=True, slots=True)
class Majority:
    """One label for every text: `label` uint16 `(1,)`, the commonest of the training part."""

    name: ClassVar[str] = "majority"
    about: ClassVar[str] = "the commonest label for every text"
    by_character: ClassVar[bool] = False
    label: Labels

    @classmethod
    def fit(cls, train: Examples) -> "Majority":
        """The commonest label, the least of those that are equally common."""
        return cls(np.array([np.bincount(train.labels).argmax()], dtype=np.uint16))

    def predict(self, examples: Examples) -> Labels:
        """The label `(n,)` of each text."""
        return np.repeat(self.label, len(examples))

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The label."""
        return {"label": self.label}

    @classmethod
    def from_tensors(cls, tensors: Tensors, sizes: Sizes) -> "Majority":
        """What has this label."""
        return cls(checked_labels(tensors, "label", (1,), sizes.num_labels))


@dataclass(frozen=True, slots=True)
class Regression:
    """Logistic regression over F character n-grams: `weights` float16 `(F, C)`, `bias` float32 `(C,)`."""

    name: ClassVar[str] = "n-grams"
    about: ClassVar[str] = "logistic regression over runs of 1 to 5 characters"
    by_character: ClassVar[bool] = False
    ngrams: NGrams
    weights: npt.NDArray[np.float16]
    bias: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, train: Examples, validation: Examples, num_labels: int, tell: Tell) -> "Regression | None":
        """With the penalty made weaker until the loss of the validation part rises; None where texts have no n-gram in common.

        Of a large training part it learns from a sample: at most 3 million characters, and 4 million texts times labels.
        """
        train = spread(train, MOST_NUMBERS // num_labels, MOST_CHARACTERS)
        tell("counting n-grams", 0.0)
        ngrams = common_ngrams(train, min(MOST_NGRAMS, MOST_NUMBERS // num_labels))
        if not len(ngrams.hashes):
            return None
        scales = STRENGTHS if len(validation) else (STRENGTH,)
        fits = logistic.fit(ngrams.rows(train), train.labels, num_labels, [1 / (scale * len(train)) for scale in scales])
        held_out = ngrams.rows(validation)
        best, least = None, float("inf")
        for number, (_, linear) in enumerate(fits, 1):
            tell("fitting n-grams", number / len(scales))
            loss = _loss(linear, held_out, validation.labels) if len(validation) else 0.0
            if best and loss >= least:
                break
            best, least = linear, loss
        return cls(ngrams, best.weights.numpy().astype(np.float16), best.bias.numpy()) if best else None

    def predict(self, examples: Examples) -> Labels:
        """The label `(n,)` of each text."""
        linear = Linear(torch.from_numpy(self.weights.astype(np.float32)), torch.from_numpy(self.bias))
        best: Labels = linear.logits(self.ngrams.rows(examples)).argmax(dim=1).numpy().astype(np.uint16)
        return best

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The table of n-grams, and what is learned of each."""
        return {
            "hashes": self.ngrams.hashes,
            "rarities": self.ngrams.rarities,
            "weights": self.weights,
            "bias": self.bias,
        }

    @classmethod
    def from_tensors(cls, tensors: Tensors, sizes: Sizes) -> "Regression":
        """What has these tensors."""
        hashes = checked_hashes(tensors, "hashes")
        rarities = checked_finite(tensors, "rarities", np.float32, (len(hashes),))
        if rarities.min() <= 0 or rarities.max() > MOST_RARITY:
            raise CheckpointError(f"a baseline's tensor rarities has a number that is not above 0 and at most {MOST_RARITY}")
        return cls(
            NGrams(hashes, rarities),
            checked_finite(tensors, "weights", np.float16, (len(hashes), sizes.num_labels)),
            checked_finite(tensors, "bias", np.float32, (sizes.num_labels,)),
        )


def _loss(linear: Linear, rows: Rows, labels: Labels) -> float:
    return float(F.cross_entropy(linear.logits(rows), torch.from_numpy(labels.astype(np.int64))))
