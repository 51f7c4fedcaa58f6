"""The views of a language model over documents, each read from a zero state. They are shown one after the other."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from charlm.inspection.findings import Passage
from charlm.inspection.label_views import first_texts
from charlm.inspection.trace import Trace
from charlm.inspection.views import EXPECTED, VIEWED, Viewer, pieces
from charlm.model.language_model import LanguageModel, next_symbol_nats
from charlm.text.examples import UNLABELLED, Examples
from charlm.text.streams import as_tensor
from charlm.text.vocab import Ids, Vocab

WINDOW = 1024  # characters that are read at a time


def as_lines(vocab: Vocab) -> Vocab:
    """The same symbols, for people and features: START and END are line ends, so that each document begins a line."""
    symbols = tuple(symbol if number not in (vocab.marks or ()) else ord("\n") for number, symbol in enumerate(vocab.symbols))
    return replace(vocab, symbols=symbols)


def as_texts(ids: Ids, vocab: Vocab) -> Examples:
    """Documents without their END, which no model reads, as texts without a label. `ids` must be those of whole documents."""
    start, end = vocab.marks or (-1, -1)
    read = ids[ids != end]
    bounds = np.append(np.flatnonzero(read == start), len(read))
    labels = np.full(len(bounds) - 1, UNLABELLED, dtype=np.uint16)
    return Examples(ids=read, bounds=bounds, labels=labels, places=np.zeros(0, dtype=np.uint8))


class DocumentViewer(Viewer):
    """The units of a model over the first documents, of 100,000 characters in all; `vocab` says how these are shown."""

    def __init__(self, model: LanguageModel, vocab: Vocab, examples: Examples) -> None:
        self.model, self.vocab, self.start = model, vocab, 0
        self.examples = first_texts(examples, VIEWED)
        self.ids = self.examples.ids[:VIEWED]
        self.trace, _ = Trace.over(model, self.ids, (0, len(self.ids)), starts=self.examples.bounds[:-1])
        (self.chapter,) = self.trace.chapters
        self.pieces = pieces(vocab, self.ids)

    def passage(self, start: int, length: int) -> Passage:
        """The `length` characters from `start` on, with the loss on each, but on a START, and what was expected next."""
        stop = min(start + length, len(self.ids))
        bounds = self.examples.bounds
        first, last = np.searchsorted(bounds, [start, stop - 1], side="right") - 1
        read = [self._read(int(bounds[text]), min(int(bounds[text + 1]), stop)) for text in range(first, last + 1)]
        probabilities, nats = (np.concatenate(same)[start - bounds[first] :] for same in zip(*read, strict=True))
        expected = np.argsort(-probabilities, axis=1, kind="stable")[:, :EXPECTED]
        return Passage(
            start=start,
            pieces=self.pieces[start:stop],
            surprise=nats,
            expected=expected,
            probabilities=np.take_along_axis(probabilities, expected, axis=1),
            symbols=pieces(self.vocab, np.arange(len(self.vocab), dtype=self.vocab.dtype), each=True),
        )

    @torch.inference_mode()
    def _read(self, start: int, stop: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """From the START of a document at `start` up to `stop`: what comes next, `(T, V)`, and the losses `(T,)`."""
        ids, state, found = as_tensor(self.ids[start:stop], self.model.device).unsqueeze(1), self.model.initial_state(1), []
        for window in torch.split(ids, WINDOW):
            logits, state = self.model(window, state)
            found.append(logits)
        logits = torch.cat(found)
        nats = next_symbol_nats(logits[:-1], ids[1:]).squeeze(1).cpu().numpy()
        surprise = np.concatenate([[np.nan], nats]).astype(np.float32)
        return logits[:, 0].float().softmax(dim=-1).cpu().numpy(), surprise
