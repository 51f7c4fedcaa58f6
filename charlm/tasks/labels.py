"""To give labels: one to each text (many to one), or one to each character (many to many, in step).

Every text begins with a zero state, and nothing is carried from batch to batch. Knows nothing of the loop or of files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.config import TrainConfig
from charlm.errors import TextError
from charlm.evaluation import MOST_CHARACTERS, Score, TellCount, approximate_cost, ignore
from charlm.labelling.predict import as_read, labelled, score
from charlm.model.heads import Classifier, Labeller, Tagger
from charlm.model.stack import ModelState
from charlm.text.batches import NO_LABEL, Batches, LabelledBatch, some, with_labels
from charlm.text.examples import Dataset, Examples, stand_in

MANY = 500_000  # characters that train: of so many little is learned by heart, and each is worth reading


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTask:
    """To give the labels of the texts in `training`. Scored on `validation`; not at all where that is empty."""

    training: Batches
    validation: Examples

    model: ClassVar[type[Labeller]]
    shortest: ClassVar = 1.0  # share of a text that is read in training, at least
    num_unread: ClassVar = 0.0  # share of its characters that are not read then
    characters_per_symbol: ClassVar = 1.0
    has_one_shape: ClassVar = False  # texts are of any length

    @classmethod
    def of(cls, data: Dataset, training: TrainConfig) -> "LabelTask":
        """The task over labelled texts, each read as `as_read` says. Raises `TextError` where none is left to train on."""
        parts = (data.train, data.validation)
        train, validation = (with_labels(as_read(cls.model, part, training.seq_len)) for part in parts)
        if not len(train):
            raise TextError("no text is left to train on", "give more of them, or a smaller --validation-fraction")
        batches = Batches(
            examples=train,
            batch_size=min(training.batch_size, len(train)),
            seed=training.seed,
            shortest=cls.shortest,
            num_unread=cls.num_unread if train.num_characters < MANY else 0.0,
            unread=stand_in(data.vocab),
        )
        return cls(training=batches, validation=validation)

    @property
    def batch_size(self) -> int:
        """B, the number of texts in a batch."""
        return self.training.batch_size

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches that go through all texts once."""
        return self.training.batches_per_epoch

    @property
    def look_size(self) -> int:
        """About how many characters of the validation part a look reads."""
        return approximate_cost(self.validation.num_characters)

    def initial_state(self, model: Labeller) -> ModelState:  # noqa: ARG002 (the protocol's)
        """Nothing."""
        return ()

    def batches(self, epoch: int, start: int, device: torch.device) -> Iterator[LabelledBatch]:
        """The batches of `epoch` from number `start` on."""
        return self.training.batches(epoch, start, device)

    def loss(
        self, model: Labeller, batch: LabelledBatch, state: ModelState, generator: torch.Generator | None
    ) -> tuple[Tensor, ModelState]:
        """The mean cross-entropy of a batch's labels, in nats."""
        return F.cross_entropy(*labelled(model, batch, generator)), state

    def score(self, model: Labeller, *, exact: bool, tell: TellCount = ignore) -> Score | None:
        """The loss and the accuracy on the validation part: on all of it, or a look, at texts spread evenly over it."""
        examples = self.validation
        if not len(examples):
            return None
        if not exact and (share := MOST_CHARACTERS / examples.num_characters) < 1:
            places = np.linspace(0, len(examples) - 1, max(1, int(share * len(examples))))
            examples = some(examples, places.astype(np.int64))
        return score(model, examples, tell)


class ClassificationTask(LabelTask):
    """A label for each text. It is learned at every character too: target replication (Lipton et al. 2016)."""

    model = Classifier
    shortest = 0.4
    num_unread = 0.1

    def loss(
        self, model: Labeller, batch: LabelledBatch, state: ModelState, generator: torch.Generator | None
    ) -> tuple[Tensor, ModelState]:
        """The mean cross-entropy of a batch's labels, in nats: half of it at the text's end, half as the mean over all of its
        characters, of what the model says so far.
        """
        directions = model.directions(batch.ids, batch.lengths, generator)
        at_end = F.cross_entropy(model.decide(directions, batch.lengths, generator).float(), batch.labels)
        so_far = model.decide_so_far(directions, batch.lengths, generator).float()  # (T, B, C)
        steps = torch.arange(len(so_far), device=so_far.device).unsqueeze(1)
        labels = torch.where(steps < batch.lengths, batch.labels, NO_LABEL)  # (T, B)
        nats = F.cross_entropy(so_far.flatten(0, 1), labels.flatten(), ignore_index=NO_LABEL, reduction="none")
        along = (nats.view(labels.shape).sum(dim=0) / batch.lengths).mean()
        return (at_end + along) / 2, state


class TaggingTask(LabelTask):
    """A label for each character."""

    model = Tagger
    num_unread = 0.2
