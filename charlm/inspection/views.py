"""Which units are shown, and how: their values along a passage, their habits over a text, and where they are highest.

A view is of one stretch of text, of at most 100,000 characters, that begins in a known state.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from charlm.config import ModelConfig
from charlm.inspection.findings import Closeup, Finding, Passage, Snippet, UnitId, UnitView
from charlm.inspection.statistics import Floats
from charlm.inspection.trace import Trace
from charlm.model.cells import Signal
from charlm.model.language_model import LanguageModel, next_symbol_nats
from charlm.model.stack import ModelState, streams
from charlm.text.streams import as_tensor
from charlm.text.vocab import Ids, Vocab

VIEWED = 100_000  # characters
VIEWED_FOR_CLOSEUPS = 50_000  # characters; a closeup is where a unit varies most among these
MOST_UNITS = 64  # in a page
PAGE_CHARACTERS = 20_000
EXPECTED = 5  # likeliest next characters to show
HISTOGRAM_BINS = 50
SNIPPETS = 4  # of each kind
BEFORE = 60  # characters of a snippet before its peak
AFTER = 20  # characters of a snippet from its peak on
APART = 400  # least number of characters between the peaks of two snippets

Floats32 = npt.NDArray[np.float32]
Traced = tuple[tuple[Signal, ...], Floats32]  # a unit's S signals, and their values (S, N)


class Viewer:
    """The units of a model over `ids` `(N,)`, read from `state`; only the first 100,000 are looked at."""

    def __init__(self, model: LanguageModel, vocab: Vocab, ids: Ids, state: ModelState | None = None, start: int = 0) -> None:
        self.vocab, self.start = vocab, start
        self.ids = ids[:VIEWED]
        self.trace, _ = Trace.over(model, self.ids, (0, len(self.ids)), state)
        (self.chapter,) = self.trace.chapters
        self.pieces = pieces(vocab, self.ids)

    def values(self, units: Sequence[tuple[int, int]]) -> list[Traced]:
        """For each (layer, unit) its signals and their values `(S, N)`, as they are shown."""
        mine = [[(place, group) for place, group in enumerate(self.trace.groups) if group.layer == layer] for layer, _ in units]
        result = [np.zeros((len(own), len(self.ids)), dtype=np.float32) for own in mine]
        for block in self.trace.blocks(self.chapter):
            for (_, unit), own, array in zip(units, mine, result, strict=True):
                rows = torch.stack([group.ranged(block.values[place][unit]) for place, group in own])
                array[:, block.positions] = rows.cpu().numpy()
        return [(tuple(group.kind for _, group in own), array) for own, array in zip(mine, result, strict=True)]

    def passage(self, start: int, length: int) -> Passage:
        """The `length` characters from `start` on, with the loss on each and what the model expected next."""
        stop = min(start + length, len(self.ids))
        steps, lanes = self.chapter.ids.shape
        lane = min(max(start - 1, 0) // steps, lanes - 1)  # of the character before, from which the first is predicted
        begin = lane * steps  # where the state is known
        ids = as_tensor(self.ids[begin:stop], self.trace.model.device).unsqueeze(1)
        state, pieces_of = streams(self.chapter.entries, slice(lane, lane + 1)), []
        with torch.inference_mode():
            for window in torch.split(ids, 1024):
                logits, state = self.trace.model(window, state)
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
        signals: tuple[Signal, ...],
        values: Floats32,
        findings: Sequence[Finding],
        bounds: tuple[int, int],
    ) -> UnitView:
        """Everything about a unit, from its `values` `(S, N)`. The view has the values between two `bounds` only."""
        lows = [signal.low for signal in signals]
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
        """Snippets where `values` `(N,)` are highest, or lowest for `sign` -1: the most extreme first, none near another."""
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
        """Where the `length` characters begin over which `values` `(N,)` vary most; at the start of a line, if there is one."""
        length = min(length, len(values))
        sums = np.concatenate([[0], values.astype(np.float64).cumsum()])
        squares = np.concatenate([[0], (values.astype(np.float64) ** 2).cumsum()])
        mean: Floats = (sums[length:] - sums[:-length]) / length
        variance = (squares[length:] - squares[:-length]) / length - mean**2
        newline = np.array([piece.endswith("\n") for piece in self.pieces[: len(variance) - 1]], dtype=bool)
        is_start = np.concatenate([[True], newline]) if newline.any() else np.ones(len(variance), dtype=bool)
        return int(np.where(is_start, variance, -1.0).argmax())


def pieces(vocab: Vocab, ids: Ids, *, each: bool = False) -> tuple[str, ...]:
    """What to show for each of `ids`. A character in bytes is shown at its last byte or, with `each`, byte by byte."""
    if vocab.kind == "char" and not vocab.is_spelt:
        return tuple(vocab.decode(ids))
    if each:
        forms = (vocab.symbols_for([number]) for number in ids.tolist())
        return tuple(form.decode("utf-8", "backslashreplace") for form in forms)
    decode = vocab.decoder()
    return tuple(decode([number], False) for number in ids.tolist())


def best_units(findings: Sequence[Finding], most: int) -> list[UnitId]:
    """At most `most` units, those of the best findings. Each is there once, with the signal of its best finding."""
    best = {(found.unit.layer, found.unit.unit): found for found in reversed(findings)}
    return [found.unit for found in sorted(best.values(), key=findings.index)[:most]]


def units_of_page(config: ModelConfig, wanted: Sequence[tuple[int, int]], findings: Sequence[Finding]) -> list[tuple[int, int]]:
    """A page's units (layer, unit): those wanted, those of the findings, then the first others of all layers, 64 in all."""
    found = [(finding.unit.layer, finding.unit.unit) for finding in findings]
    others = [(layer, unit) for unit in range(MOST_UNITS) for layer in range(config.num_layers)]
    units = dict.fromkeys(unit for unit in (*wanted, *found, *others) if unit[1] < config.hidden_size)
    return list(units)[:MOST_UNITS]


def closeups(
    viewer: Viewer, chosen: Sequence[UnitId], values: Sequence[Traced], findings: Sequence[Finding], length: int
) -> Iterator[Closeup]:
    """Each chosen unit, with its `values`, over the `length` characters in which its signal varies most."""
    for unit, (signals, rows) in zip(chosen, values, strict=True):
        start = viewer.liveliest(rows[[signal.name for signal in signals].index(unit.signal)], length)
        yield Closeup(
            unit=unit,
            view=viewer.unit_view((unit.layer, unit.unit), signals, rows, findings, (start, start + length)),
            passage=viewer.passage(start, length),
            finding=next((found for found in findings if found.unit == unit), None),
        )
