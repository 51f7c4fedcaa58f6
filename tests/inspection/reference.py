"""What the tests of inspection share: the recurrence written out by hand, whole traces, and a model whose latch is known."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from charlm.config import ModelConfig
from charlm.features.registry import Feature
from charlm.inspection.findings import UnitId
from charlm.inspection.trace import Group, Trace
from charlm.model.cells import CELLS
from charlm.model.language_model import LanguageModel
from charlm.text.vocab import Ids, Vocab
from tests.model.reference import REFERENCES

SIGNALS = {name: tuple(signal.name for signal in cell.signals) for name, cell in CELLS.items()}


def random_ids(number: int, vocab_size: int = 13, seed: int = 0, dtype: str = "uint8") -> Ids:
    return np.random.default_rng(seed).integers(0, vocab_size, number).astype(dtype)


def letters(vocab_size: int) -> Vocab:
    """The first symbols of the alphabet."""
    return Vocab(kind="char", symbols=tuple(range(ord("a"), ord("a") + vocab_size)), start=0)


@dataclass
class Walk:
    """What one stream did: by (layer, signal) `(N, H)`, and the logits after each character `(N, V)`."""

    signals: dict[tuple[int, str], np.ndarray]
    logits: np.ndarray

    def nats(self, ids: Ids) -> np.ndarray:
        """What each of `ids` but the first cost: `(N - 1,)`."""
        scores = self.logits[np.arange(len(ids) - 1), ids[1:].astype(int)]
        return np.log(np.exp(self.logits[: len(ids) - 1]).sum(axis=1)) - scores


def walk(model: LanguageModel, ids: Sequence[int], held: Mapping[tuple[int, str, int], Any] | None = None) -> Walk:
    """One character, one layer, one gate at a time, in float64, from zero. `held[layer, part, unit]` is a value or `(N,)`."""
    size, numpy = model.config.hidden_size, lambda pair: [each.detach().double().numpy() for each in pair]
    held = {key: np.broadcast_to(values, len(ids)) for key, values in (held or {}).items()}
    signals: dict[tuple[int, str], np.ndarray] = {}
    logits = np.zeros((len(ids), model.vocab_size))
    (embedding,), (head, bias) = numpy([model.embedding.weight]), numpy([model.head.weight, model.head.bias])
    weights = [(numpy(cell.input_weights), numpy(cell.past_weights)) for cell in model.layers]
    state = [dict.fromkeys(cell.parts, np.zeros(size)) for cell in model.layers]
    for t, symbol in enumerate(ids):
        x = embedding[int(symbol)]
        for layer, ((w, b), (u, b_past)) in enumerate(weights):

            def clamp(part: str, values: np.ndarray, layer: int = layer, t: int = t) -> np.ndarray:
                for unit in range(size):
                    if (layer, part, unit) in held:
                        values[unit] = held[layer, part, unit][t]
                return values

            gates = len(w) // size
            from_input, from_past = np.split(w @ x + b, gates), np.split(u @ state[layer]["h"] + b_past, gates)
            after = REFERENCES[model.config.cell](from_input, from_past, state[layer], clamp)
            for name, values in after.items():
                signals.setdefault((layer, name), np.zeros((len(ids), size)))[t] = values
            state[layer] = {part: after[part] for part in state[layer]}
            x = after["h"]
        logits[t] = head @ x + bias
    return Walk(signals, logits)


def group_of(all_groups: Sequence[Group], unit: UnitId) -> int:
    """Which of the groups has `unit`."""
    return next(n for n, group in enumerate(all_groups) if (group.layer, group.signal) == (unit.layer, unit.signal))


def read(model: LanguageModel, ids: Ids, workers: int = 1) -> Trace:
    """The trace of a whole text, from a zero state."""
    return Trace.over(model, ids, (0, len(ids)), workers=workers)[0]


def traced(trace: Trace) -> dict[tuple[int, str], torch.Tensor]:
    """By (layer, signal) the values `(N, H)` of a text; every place comes once."""
    start, stop = trace.chapters[0].start, trace.chapters[-1].stop
    dtype = trace.model.head.weight.dtype
    found = [torch.full((stop - start, group.size), torch.nan, dtype=dtype) for group in trace.groups]
    places = []
    for chapter in trace.chapters:
        for block in trace.blocks(chapter):
            places += block.positions.tolist()
            for values, part in zip(found, block.values, strict=True):
                values[torch.from_numpy(block.positions - start)] = part.t()
    assert sorted(places) == list(range(start, stop))
    return {(group.layer, group.signal): values for group, values in zip(trace.groups, found, strict=True)}


def given(name: str, levels: np.ndarray, *, is_graded: bool = False) -> Feature:
    """A feature whose labels are known, for the text that has as many characters."""
    return Feature(name=name, description="", is_graded=is_graded, label=lambda text: levels[: len(text)])


MODES = Vocab(kind="char", symbols=tuple(map(ord, "[]ab\n")), start=4)
LATCH, MUTE = 3, 5
LEANING = 0.65


def mode_text(number: int, seed: int = 0) -> str:
    """A text of two modes: [ begins one in which a is commoner than b, ] the other, in which b is; about 45 characters each."""
    rng = np.random.default_rng(seed)
    text: list[str] = []
    for mode in itertools.cycle([True, False]):
        length = int(rng.integers(25, 65))
        common, rare = "ab" if mode else "ba"
        text += "[" if mode else "]"
        text += [common if lucky else rare for lucky in rng.random(length) < LEANING]
        if len(text) >= number:
            return "".join(text[:number])
    raise AssertionError


def latch_model(hidden_size: int) -> LanguageModel:
    """An LSTM written by hand, which predicts `mode_text` as well as can be.

    Unit LATCH is 1 since a [ and -1 since a ], and all that the head reads but for whispers; unit MUTE reaches nothing.
    """
    config = ModelConfig(cell="lstm", embedding_size=6, hidden_size=hidden_size, num_layers=1)
    model = LanguageModel.initialised(config, len(MODES), generator=torch.Generator().manual_seed(100))
    opening, closing = MODES.encode("[]").tolist()
    gate = {name: number * hidden_size + LATCH for number, name in enumerate("ifgo")}
    with torch.no_grad():
        model.embedding.weight.copy_(torch.eye(len(MODES), 6))
        w, u = model.cells[0].input_weights[0], model.cells[0].past_weights[0]
        b_input, b_past = model.cells[0].input_weights[1], model.cells[0].past_weights[1]
        for row in gate.values():
            w[row], u[row], b_input[row], b_past[row] = 0, 0, 0, 0
        for symbol, sign in ((opening, 1), (closing, -1)):
            w[gate["i"], symbol], w[gate["f"], symbol], w[gate["g"], symbol] = 40, -40, sign * 20
        b_input[gate["i"]], b_input[gate["f"]], b_input[gate["o"]] = -20, 20, 20
        u[:, [LATCH, MUTE]] = 0
        model.head.weight.mul_(0.02)
        lean = np.log(LEANING / (1 - LEANING)) / 2 / np.tanh(1)
        model.head.weight[:, LATCH] = torch.tensor([-2.0, 2.0, lean, -lean, 0.0])
        model.head.weight[:, MUTE] = 0
        model.head.bias.copy_(torch.tensor([-4.8, -4.8, 0.0, 0.0, -9.0]))
    return model
