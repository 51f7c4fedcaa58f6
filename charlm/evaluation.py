"""The loss of a text under a model. Knows nothing of files or of training.

Exact means: one stream, from a zero state at the text's start, with each of the N-1 predictions counted once. A look during
training reads lanes side by side instead: much faster and about right, since each lane starts in the middle of the text.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.model.language_model import LanguageModel, next_symbol_nats
from charlm.model.relay import relay
from charlm.model.stack import ModelState, detach
from charlm.text.streams import as_tensor
from charlm.text.vocab import Ids, Vocab

CHAPTER = 1 << 16  # characters that are read at a time
LANES, LEAST_LANE = 16, 512  # of a chapter, and the least characters in a lane
WINDOW = 1024
LOOK_LANES = 64
WARM_UP = 64  # characters that each lane of a look reads before its predictions count
MOST_CHARACTERS = 50_000  # that a look scores
MOST_LOGITS = 1 << 24  # in memory at a time, whatever the vocabulary
DYNAMIC_WINDOW = 32  # characters that are scored before the model learns from them
DYNAMIC_RATE = 3e-4
DYNAMIC_DECAY = 1e-3  # share of the way back to the trained weights, at each window


TellCount = Callable[[int], None]


def ignore(count: int) -> None:
    """Ignore how many characters have been read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The summed loss of a text, in nats, and the number of characters that were predicted.

    Where labels are predicted it is of those, per character too, and `accuracy` is the share of them that came out right.
    """

    nats: float
    num_characters: int
    accuracy: float | None = None

    @property
    def nats_per_character(self) -> float:
        """Cross-entropy in nats per character."""
        return self.nats / self.num_characters

    @property
    def bits_per_character(self) -> float:
        """Cross-entropy in bits per character."""
        return self.nats_per_character / math.log(2)

    @property
    def perplexity(self) -> float:
        """exp(cross-entropy in nats): the number of equally likely characters that would be as hard to predict."""
        return math.exp(min(self.nats_per_character, 700.0))


@torch.inference_mode()
def surprisals(model: LanguageModel, ids: Ids, tell: TellCount = ignore, at_a_time: int = CHAPTER) -> Iterator[Tensor]:
    """The loss in nats of each character of `ids` `(N,)` except the first: float32 tensors on the CPU, N-1 numbers in all.

    The text counts as one stream, whose state is carried from start to end. It is read in lanes (model/relay.py), which is
    faster and gives the same within rounding. `tell` hears how many characters have been read, some of them to be read again.
    Losses come for `at_a_time` characters, or a few fewer, at a time.
    """
    state, start, end = model.initial_state(1), 0, len(ids) - 1
    while start < end:
        length = min(end - start, at_a_time)
        lanes = LANES if length >= LANES * LEAST_LANE else 1
        stop = start + length // lanes * lanes
        nats, state = _read_chapter(model, ids[start : stop + 1], lanes, state, partial(tell_from, tell, start))
        yield nats
        start = stop


def tell_from(tell: TellCount, start: int, count: int) -> None:
    """Tell how many characters have been read, counted from `start` on."""
    tell(start + count)


def _read_chapter(
    model: LanguageModel, ids: Ids, num_lanes: int, state: ModelState, tell: TellCount
) -> tuple[Tensor, ModelState]:
    """The losses of all `ids` but the first, and the state after them. There must be a multiple of `num_lanes` losses."""
    symbols, targets = (as_tensor(each, model.device).view(num_lanes, -1).t() for each in (ids[:-1], ids[1:]))  # (T, B)
    nats = torch.empty(targets.shape, device=model.device)

    def score(start: int, lanes: Tensor, outputs: Tensor) -> None:
        for piece in torch.split(outputs, max(1, MOST_LOGITS // (len(lanes) * model.vocab_size))):
            steps = slice(start, start + len(piece))
            nats[steps, lanes] = next_symbol_nats(model.head(piece), targets[steps, lanes])
            start += len(piece)
            tell(start * num_lanes if len(lanes) == num_lanes else len(ids) - 1)  # all lanes are read the first time only

    _, after = relay(model, symbols, state, score)
    return nats.t().flatten().cpu(), after


def dynamic_surprisals(
    model: LanguageModel, ids: Ids, tell: TellCount = ignore, *, rate: float = DYNAMIC_RATE, decay: float = DYNAMIC_DECAY
) -> Iterator[Tensor]:
    """As `surprisals`, by a copy of `model` that goes on learning: dynamic evaluation (Krause et al. 2018).

    Each window is scored first and learned from afterwards, so that no character is predicted from itself. A step divides the
    gradient by its root mean square over the text so far, and draws the weights back towards the trained ones.
    """
    model = copy.deepcopy(model)
    for cell in model.layers:
        cell.gather_weights()
    weights = list(model.parameters())
    trained = [p.detach().clone() for p in weights]
    squares = [torch.zeros_like(p) for p in weights]
    state = model.initial_state(1)
    for count, start in enumerate(range(0, len(ids) - 1, DYNAMIC_WINDOW), 1):
        lane = as_tensor(ids[start : start + DYNAMIC_WINDOW + 1], model.device).unsqueeze(1)
        logits, state = model(lane[:-1], detach(state))
        losses = next_symbol_nats(logits, lane[1:])
        yield losses.detach().squeeze(1).cpu()
        tell(start + len(losses))
        gradients = torch.autograd.grad(losses.mean(), weights)
        with torch.no_grad():
            for p, p0, square, gradient in zip(weights, trained, squares, gradients, strict=True):
                square.addcmul_(gradient, gradient)
                p.lerp_(p0, decay).addcdiv_(gradient, (square / count).sqrt_().add_(1e-8), value=-rate)


def total(nats: Iterator[Tensor], num_characters: int | None = None) -> Score:
    """The sum of losses that come piece by piece, in float64: of as many characters as there are, or of `num_characters`."""
    total_nats, count = 0.0, 0
    for piece in nats:
        total_nats += piece.double().sum().item()
        count += piece.numel()
    return Score(nats=total_nats, num_characters=count if num_characters is None else num_characters)


def predicted(vocab: Vocab, ids: Ids) -> int:
    """How many characters of a text `ids` `(N,)` are predicted: all but those of the first id, which is only read."""
    return vocab.num_characters(ids[1:])


def approximate_cost(num_characters: int) -> int:
    """About how many of `num_characters` characters `approximate_score` reads."""
    return min(num_characters, MOST_CHARACTERS)


@torch.inference_mode()
def approximate_score(model: LanguageModel, ids: Ids, widths: npt.NDArray[np.int64] | None = None) -> Score:
    """A look at the loss of `ids`: up to 64 lanes side by side, each warmed up on the text before it, over at most 50,000
    symbols spread evenly over the text. `widths` `(V,)` are the characters each stands for, where that is not one.
    """
    lanes = max(1, min(LOOK_LANES, len(ids) // (4 * WARM_UP)))
    length = min(len(ids) - 1, MOST_CHARACTERS) // lanes  # predictions that count, in each lane
    warm_up = min(WARM_UP, len(ids) - 1 - length)
    counted_from = np.linspace(0, len(ids) - 1 - length, lanes).astype(np.int64)
    read_from = np.maximum(counted_from - warm_up, 0)  # nothing precedes the text's start, so its lane warms up on less
    steps = np.arange(warm_up + length + 1)[:, None]
    block = as_tensor(ids[read_from + steps], model.device)  # (warm_up + length + 1, lanes)
    predicted = (read_from + steps)[1:] - counted_from  # 1 to `length` for those that count
    counts = torch.from_numpy((predicted >= 1) & (predicted <= length))
    window = max(1, min(WINDOW, MOST_LOGITS // (lanes * model.vocab_size)))
    state: ModelState = model.initial_state(lanes)
    nats = 0.0
    for start in range(0, len(block) - 1, window):
        chunk = block[start : start + window + 1]
        logits, state = model(chunk[:-1], state)
        losses = next_symbol_nats(logits, chunk[1:]).cpu().double()
        nats += (losses * counts[start : start + window]).sum().item()
    if widths is None:
        return Score(nats=nats, num_characters=lanes * length)
    read = widths[ids[read_from + steps]][1:]
    return Score(nats=nats, num_characters=max(1, int(read[counts.numpy()].sum())))
