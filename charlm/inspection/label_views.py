"""The views of a model that gives labels, over several texts. They are shown one a line, each text's own label after it.

So what is shown has more characters than the model read: those that come after a text have the values of its last character.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from charlm.inspection.findings import Passage
from charlm.inspection.trace import Trace
from charlm.inspection.views import EXPECTED, VIEWED, Traced, Viewer, pieces
from charlm.model.heads import Labeller
from charlm.text.batches import NO_LABEL, batch_of
from charlm.text.examples import UNLABELLED, Examples
from charlm.text.vocab import Vocab


def first_texts(examples: Examples, most_characters: int) -> Examples:
    """As many of the first texts as have at most so many characters, though at least one, if there is one."""
    number = int(np.searchsorted(examples.bounds, most_characters, side="right")) - 1
    return examples.part(0, min(len(examples), max(1, number)))


class LabelViewer(Viewer):
    """The units of a model over texts, the first with 100,000 characters in all, and their labels, whose `names` go by id.

    `place` `(M,)` is where in the texts' ids each of the M characters shown is, or the one before it that is.
    """

    def __init__(self, model: Labeller, vocab: Vocab, examples: Examples, names: Sequence[str]) -> None:
        self.model, self.vocab, self.start, self.names = model, vocab, 0, names
        self.examples = first_texts(examples, VIEWED)
        self.ids, bounds = self.examples.ids, self.examples.bounds
        self.trace, _ = Trace.over(model, self.ids, (0, len(self.ids)), starts=bounds[:-1])
        (self.chapter,) = self.trace.chapters
        shown, after = pieces(vocab, self.ids), [self._after(text) for text in range(len(self.examples))]
        self.pieces = tuple(
            piece for text, more in enumerate(after) for piece in (*shown[bounds[text] : bounds[text + 1]], *more)
        )
        times = np.ones(len(self.ids), dtype=np.int64)
        times[bounds[1:] - 1] += [len(more) for more in after]
        self.place = np.repeat(np.arange(len(self.ids)), times)

    def _after(self, text: int) -> tuple[str, ...]:
        """What is shown after a text: its label, where it has one, and a line end."""
        if self.model.by_character or (label := int(self.examples.labels[text])) == UNLABELLED:
            return ("\n",)
        return "\t", self.names[label], "\n"

    def values(self, units: Sequence[tuple[int, int]]) -> list[Traced]:
        """As `Viewer.values`, for the characters shown."""
        return [(signals, rows[:, self.place]) for signals, rows in super().values(units)]

    def passage(self, start: int, length: int) -> Passage:
        """The `length` characters shown from `start` on, the labels that the model expected there, and the loss on its own."""
        places = self.place[start : start + length]
        texts = np.searchsorted(self.examples.bounds, places[[0, -1]], side="right") - 1
        found = [self._expected(text) for text in range(texts[0], texts[1] + 1)]
        probabilities, nats = (
            np.concatenate(same)[places - self.examples.bounds[texts[0]]] for same in zip(*found, strict=True)
        )
        expected = np.argsort(-probabilities, axis=1, kind="stable")[:, :EXPECTED]
        return Passage(
            start=start,
            pieces=self.pieces[start : start + length],
            surprise=nats,
            expected=expected,
            probabilities=np.take_along_axis(probabilities, expected, axis=1),
            symbols=tuple(self.names),
            has_labels=True,
        )

    @torch.inference_mode()
    def _expected(self, text: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The probability of each label at each character of a text, `(T, C)`, and the loss on its own, `(T,)`."""
        batch = batch_of(self.examples, np.array([text]), self.model.device)
        logits = self.model.decide_so_far(self.model.directions(batch.ids, batch.lengths), batch.lengths)[:, 0].float()
        labels = batch.labels.flatten().expand(len(logits))
        is_known = (labels != NO_LABEL) & (labels != UNLABELLED)
        nats = -logits.log_softmax(dim=-1).gather(1, torch.where(is_known, labels, 0).unsqueeze(1)).squeeze(1)
        return logits.softmax(dim=-1).cpu().numpy(), nats.where(is_known, torch.nan).cpu().numpy()
