"""What is shown of single units: their values along a passage, what they are like in the whole, where they are highest.

A view is taken from one stretch of text, of at most 100,000 characters, that begins in a known state.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from charlm.inspection.findings import Finding, Passage, Snippet, UnitView, low
from charlm.inspection.statistics import Floats
from charlm.inspection.trace import Chapter, blocks, chapters, groups, stream
from charlm.model.language_model import LanguageModel, ModelState, next_symbol_nats
from charlm.text.vocab import Ids, Vocab

VIEWED = 100_000  # characters
EXPECTED = 5  # of the next characters, the likeliest
HISTOGRAM_BINS = 50
SNIPPETS, BEFORE, AFTER = 4, 60, 20  # of each kind, and the characters before and after the one that they are for
APART = 400  # characters, at least, from one snippet to the next

Floats32 = npt.NDArray[np.float32]


class Viewer:
    """The units of a model over `ids` `(N,)`, read from `state`; only the first 100,000 are looked at."""

    def __init__(self, model: LanguageModel, vocab: Vocab, ids: Ids, state: ModelState | None = None, start: int = 0) -> None:
        self.model, self.vocab, self.start = model, vocab, start
        self.ids = ids[:VIEWED]
        self.chapter: Chapter
        ((self.chapter, _),) = chapters(model, self.ids, (0, len(self.ids)), state)
        self.pieces = pieces(vocab, self.ids)

    def values(self, units: Sequence[tuple[int, int]]) -> list[tuple[tuple[str, ...], Floats32]]:
        """For each (layer, unit) its signals' names and values `(S, N)`, c as tanh(c)."""
        mine = [
            [(place, group) for place, group in enumerate(groups(self.model)) if group.layer == layer] for layer, _ in units
        ]
        result = [np.zeros((len(own), len(self.ids)), dtype=np.float32) for own in mine]
        for block in blocks(self.model, self.chapter):
            for (_, unit), own, array in zip(units, mine, result, strict=True):
                rows = torch.stack([group.ranged(block.values[place][unit]) for place, group in own])
                array[:, block.positions] = rows.cpu().numpy()
        return [(tuple(group.signal for _, group in own), array) for own, array in zip(mine, result, strict=True)]

    def passage(self, start: int, length: int) -> Passage:
        """The characters from `start` on, with what each cost and what the model expected next."""
        stop = min(start + length, len(self.ids))
        steps, lanes = self.chapter.ids.shape
        lane = min(max(start - 1, 0) // steps, lanes - 1)  # of the character before, which says what the first one cost
        begin = lane * steps  # where the state is known
        ids = torch.from_numpy(self.ids[begin:stop].astype(np.int64)).to(self.model.device).unsqueeze(1)
        state, pieces_of = stream(self.chapter.heads, slice(lane, lane + 1)), []
        with torch.inference_mode():
            for window in torch.split(ids, 1024):
                logits, state = self.model(window, state)
                pieces_of.append(logits)
            logits = torch.cat(pieces_of)  # (stop - begin, 1, V)
            nats = next_symbol_nats(logits[:-1], ids[1:]).squeeze(1).cpu().numpy()
            likely = logits[start - begin :, 0].float().softmax(dim=-1).topk(min(EXPECTED, len(self.vocab)))
        surprise = np.concatenate([[np.nan], nats]).astype(np.float32)[start - begin :]
        return Passage(
            start=self.start + start,
            pieces=self.pieces[start:stop],
            surprise=surprise,
            expected=likely.indices.cpu().numpy(),
            probabilities=likely.values.cpu().numpy(),
            symbols=pieces(self.vocab, np.arange(len(self.vocab), dtype=self.vocab.dtype), each=True),
        )

    def unit_view(
        self,
        unit: tuple[int, int],
        signals: tuple[str, ...],
        values: Floats32,
        findings: Sequence[Finding],
        bounds: tuple[int, int],
    ) -> UnitView:
        """Everything about a unit, given what `values` says of it; its values only between two bounds."""
        lows = [low(signal) for signal in signals]
        layer, number = unit
        return UnitView(
            layer=layer,
            unit=number,
            signals=signals,
            values=values[:, slice(*bounds)],
            histogram=np.stack(
                [np.histogram(row, HISTOGRAM_BINS, (least, 1.0))[0] for row, least in zip(values, lows, strict=True)]
            ),
            snippets=tuple((*self.snippets(row), *self.snippets(row, -1)) for row in values),
            share_on=np.array([(row > (least + 1) / 2).mean() for row, least in zip(values, lows, strict=True)]),
            findings=tuple(found for found in findings if (found.unit.layer, found.unit.unit) == unit),
        )

    def snippets(self, values: Floats32, sign: int = 1) -> tuple[Snippet, ...]:
        """Where `values` `(N,)` are highest, the highest first, none near another; lowest where the sign is -1."""
        found: list[int] = []
        left = sign * values
        while len(found) < SNIPPETS and np.isfinite(left).any():
            peak = int(left.argmax())
            found.append(peak)
            left[max(0, peak - APART) : peak + APART] = -np.inf
        spans = [(peak, slice(max(0, peak - BEFORE), min(len(values), peak + AFTER))) for peak in found]
        return tuple(
            Snippet(start=self.start + span.start, pieces=self.pieces[span], values=values[span], peak=peak - span.start)
            for peak, span in spans
        )

    def liveliest(self, values: Floats32, length: int) -> int:
        """Where `length` characters begin, at a line's start, over which `values` `(N,)` vary most."""
        length = min(length, len(values))
        sums = np.concatenate([[0], values.astype(np.float64).cumsum()])
        squares = np.concatenate([[0], (values.astype(np.float64) ** 2).cumsum()])
        mean: Floats = (sums[length:] - sums[:-length]) / length
        variance = (squares[length:] - squares[:-length]) / length - mean**2
        newline = np.array([piece == "\n" for piece in self.pieces[: len(variance) - 1]], dtype=bool)
        is_start = np.concatenate([[True], newline]) if newline.any() else np.ones(len(variance), dtype=bool)
        return int(np.where(is_start, variance, -1.0).argmax())


def pieces(vocab: Vocab, ids: Ids, *, each: bool = False) -> tuple[str, ...]:
    """What to show for each of `ids`; for bytes a whole character at its last one, or, with `each`, each by itself."""
    if vocab.kind == "char":
        return tuple(vocab.decode(ids))
    if each:
        return tuple(chr(number) if number < 0x80 else f"\\x{number:02x}" for number in ids.tolist())
    decode = vocab.decoder()
    return tuple(decode([number], False) for number in ids.tolist())
