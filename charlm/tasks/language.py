"""The language model's task: to predict the next character from all before it. Knows nothing of the loop or of files.

A corpus is read as B streams, and the state is carried from window to window: truncated backpropagation through time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from charlm.config import TrainConfig
from charlm.evaluation import Score, TellCount, approximate_cost, approximate_score, ignore, predicted, surprisals, total
from charlm.model.language_model import LanguageModel, next_symbol_nats
from charlm.model.stack import ModelState
from charlm.text.corpus import Corpus
from charlm.text.streams import Streams, Window
from charlm.text.vocab import Ids, Vocab


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageTask:
    """To predict each next character of `streams`. Scored on `validation_ids` `(N,)`; not at all where N is below 2.

    Where an id may stand for more or less than one character, `vocab` says for how many, and a symbol that trains has
    `characters_per_symbol` on average.
    """

    streams: Streams
    validation_ids: Ids
    vocab: Vocab | None = None
    characters_per_symbol: float = 1.0

    model: ClassVar = LanguageModel
    has_one_shape: ClassVar = True

    @classmethod
    def of(cls, corpus: Corpus, training: TrainConfig) -> "LanguageTask":
        """The task over a corpus. Raises `TextError` for one that is too short."""
        ids, vocab = corpus.train_ids, corpus.vocab
        streams = Streams.fitted(ids, training.batch_size, training.seq_len, training.seed)
        ratio = max(1, vocab.num_characters(ids)) / len(ids)
        return cls(streams=streams, validation_ids=corpus.validation_ids, vocab=vocab, characters_per_symbol=ratio)

    @property
    def batch_size(self) -> int:
        """B, the number of streams."""
        return self.streams.batch_size

    @property
    def batches_per_epoch(self) -> int:
        """The number of windows that go through the text once."""
        return self.streams.windows_per_epoch

    @property
    def look_size(self) -> int:
        """About how many characters of the validation part a look reads."""
        return approximate_cost(len(self.validation_ids))

    def initial_state(self, model: LanguageModel) -> ModelState:
        """The zero state of B streams."""
        return model.initial_state(self.batch_size)

    def batches(self, epoch: int, start: int, device: torch.device) -> Iterator[Window]:
        """The windows of `epoch` from number `start` on; each begins where the one before it ended."""
        return self.streams.windows(epoch, start, device)

    def loss(
        self, model: LanguageModel, batch: Window, state: ModelState, generator: torch.Generator | None
    ) -> tuple[Tensor, ModelState]:
        """The mean cross-entropy of a window's T * B predictions, in nats, and the state after its last step."""
        logits, state = model(batch.inputs, state, generator)
        return next_symbol_nats(logits, batch.targets).mean(), state

    def score(self, model: LanguageModel, *, exact: bool, tell: TellCount = ignore) -> Score | None:
        """The loss on the validation part: exact, as one stream, or a look, in lanes side by side."""
        ids, vocab = self.validation_ids, self.vocab
        number = len(ids) - 1 if vocab is None else predicted(vocab, ids)
        if number < 1:  # the first is only read
            return None
        if exact:
            return total(surprisals(model, ids, tell), number)
        return approximate_score(model, ids, None if vocab is None else vocab.widths)
