"""Labelled texts in, what a model makes of each out. Knows nothing of files or of training.

Texts are read in batches of about equal length; in which batch a text is read changes nothing beyond rounding.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.evaluation import Score, TellCount, ignore
from charlm.model.heads import Labeller
from charlm.text.batches import NO_LABEL, LabelledBatch, Places, batch_of, beginnings, by_length, pieces
from charlm.text.examples import Examples

AT_A_TIME = 1 << 14  # characters

Probabilities = npt.NDArray[np.float32]


def as_read(model: type[Labeller], examples: Examples, most_characters: int) -> Examples:
    """The texts as a kind of model reads them: for a label each, its beginning; for a label each character, all, in pieces."""
    return pieces(examples, most_characters) if model.by_character else beginnings(examples, most_characters)


@torch.inference_mode()
def probabilities(model: Labeller, examples: Examples, tell: TellCount = ignore) -> Probabilities:
    """The probability of each label for each text, `(n, C)`, or for each character, `(N, C)`, in the order of `examples`.

    `tell` hears how many characters have been read.
    """
    size = examples.num_characters if model.by_character else len(examples)
    result = np.zeros((size, model.num_labels), dtype=np.float32)
    for which, batch in _batches(model, examples, tell):
        found = model(batch.ids, batch.lengths).float().softmax(dim=-1).cpu().numpy()  # (B, C) or (T, B, C)
        if model.by_character:
            steps = np.arange(len(found))[:, None]  # (T, 1)
            is_text = steps < examples.lengths[which]  # (T, B)
            result[(examples.bounds[which] + steps)[is_text]] = found[is_text]
        else:
            result[which] = found
    return result


@torch.inference_mode()
def score(model: Labeller, examples: Examples, tell: TellCount = ignore) -> Score:
    """The summed loss of all labels of `examples`, in nats, and the share of them that come out right."""
    nats, num_right, num_labels = 0.0, 0, 0
    for _, batch in _batches(model, examples, tell):
        logits, labels = labelled(model, batch)
        nats += F.cross_entropy(logits, labels, reduction="none").double().sum().item()
        num_right += int((logits.argmax(dim=-1) == labels).sum())
        num_labels += len(labels)
    return Score(nats=nats, num_characters=num_labels, accuracy=num_right / max(1, num_labels))


def labelled(model: Labeller, batch: LabelledBatch, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Float32 logits `(n, C)` of all that has a label in a batch, and the labels `(n,)`; with a generator there is dropout."""
    logits = model(batch.ids, batch.lengths, generator).float()  # (B, C) or (T, B, C)
    has_label = batch.labels != NO_LABEL
    return logits[has_label], batch.labels[has_label]


def _batches(model: Labeller, examples: Examples, tell: TellCount) -> Iterator[tuple[Places, LabelledBatch]]:
    """Everything once, in batches of about equal length, with the texts' numbers."""
    read = 0
    for which in by_length(examples.lengths, AT_A_TIME):
        yield which, batch_of(examples, which, model.device)
        read += int(examples.lengths[which].sum())
        tell(read)
