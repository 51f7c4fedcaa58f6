"""The language model's task over documents: none is read on from another. Knows nothing of the loop or of files.

Documents of about equal length are read side by side. The state is zero where a batch begins, and carried from window to window
of it: truncated backpropagation through time, within documents only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.config import TrainConfig
from charlm.document_scores import document_look, document_score
from charlm.evaluation import Score, TellCount, approximate_cost, ignore
from charlm.model.language_model import LanguageModel, next_symbol_nats
from charlm.model.stack import ModelState, flat, streams, unflat
from charlm.text.corpus import Corpus
from charlm.text.documents import DocumentBatches, Documents, DocumentWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsTask:
    """To predict each next symbol of `training`, and where a document ends. Scored on `validation`, if it has any."""

    training: DocumentBatches
    validation: Documents
    characters_per_symbol: float = 1.0

    model: ClassVar = LanguageModel
    has_one_shape: ClassVar = False  # documents are of any length

    @classmethod
    def of(cls, corpus: Corpus, training: TrainConfig) -> "DocumentsTask":
        """The task over a corpus of documents. Raises `TextError` for one that is not sound."""
        documents = Documents.of(corpus.train_ids, corpus.vocab)
        batches = DocumentBatches(
            documents=documents,
            batch_size=min(training.batch_size, len(documents)),
            seq_len=training.seq_len,
            seed=training.seed,
        )
        validation = Documents.of(corpus.validation_ids, corpus.vocab)
        ratio = documents.num_characters / documents.num_predicted
        return cls(training=batches, validation=validation, characters_per_symbol=ratio)

    @property
    def batch_size(self) -> int:
        """B, the number of documents in a batch."""
        return self.training.batch_size

    @property
    def batches_per_epoch(self) -> int:
        """The number of windows that go through all documents once."""
        return self.training.windows_per_epoch

    @property
    def look_size(self) -> int:
        """About how many characters of the validation part a look reads."""
        return approximate_cost(self.validation.num_predicted)

    def initial_state(self, model: LanguageModel) -> ModelState:
        """The zero state of B documents."""
        return model.initial_state(self.batch_size)

    def batches(self, epoch: int, start: int, device: torch.device) -> Iterator[DocumentWindow]:
        """The windows of `epoch` from number `start` on; each goes on with the documents of the last, or begins others."""
        return self.training.windows(epoch, start, device)

    def loss(
        self, model: LanguageModel, batch: DocumentWindow, state: ModelState, generator: torch.Generator | None
    ) -> tuple[Tensor, ModelState]:
        """The mean cross-entropy of all that a window predicts, in nats, and the state after it: zero for what is over."""
        number = batch.inputs.shape[1]
        if batch.begins:
            state = tuple(tuple(torch.zeros_like(part) for part in parts) for parts in state)
        logits, after = model(batch.inputs, streams(state, slice(number)), generator)
        loss = next_symbol_nats(logits, batch.targets).sum() / int(batch.number)
        over = [F.pad(part, (0, 0, 0, self.batch_size - number)) for part in flat(after)]
        return loss, unflat(over, len(after))

    def score(self, model: LanguageModel, *, exact: bool, tell: TellCount = ignore) -> Score | None:
        """The loss on the validation part, each document by itself: of all of them, or a look, at some."""
        if not len(self.validation):
            return None
        return document_score(model, self.validation, tell) if exact else document_look(model, self.validation)
