"""A model and a prompt in, sampled symbols out. Knows ids only: no text, no files, no screen."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from charlm.config import SampleConfig
from charlm.model.language_model import LanguageModel
from charlm.model.stack import ModelState
from charlm.model.stepper import CapturedStepper, LayerClamps, Stepper
from charlm.text.streams import as_tensor
from charlm.text.vocab import Ids

PRIME_WINDOW = 1024


@torch.inference_mode()
def generate(
    model: LanguageModel,
    prompt: Ids,
    config: SampleConfig,
    generator: torch.Generator,
    clamps: LayerClamps | None = None,
    marks: tuple[int, int] | None = None,
) -> Iterator[Tensor]:
    """Draw `config.length` symbols that follow `prompt` `(P,)`, P at least 1, for `config.num_samples` streams at once.

    Yields int64 ids `(num_samples,)` on the CPU, one step at a time; `generator` must be on the CPU. `clamps` hold their units
    in every stream, also while the prompt is read.

    `marks` are the ids of the start and the end of a document: the first is never drawn, and drawing is over once each stream
    has drawn the second. What comes after it in a stream means nothing.
    """
    stepper = CapturedStepper(model) if model.device.type == "cuda" else Stepper(model)
    logits, state = prime(model, prompt, config.num_samples, clamps)
    is_over = torch.zeros(config.num_samples, dtype=torch.bool)
    for _ in range(config.length):
        if marks is not None:
            logits = logits.index_fill(-1, torch.tensor(marks[0], device=logits.device), -torch.inf)
        ids = draw(logits, config, generator)
        yield ids
        if marks is not None and (is_over := is_over | (ids == marks[1])).all():
            return
        logits, state = stepper.step(ids.to(model.device), state, clamps)


def prime(model: LanguageModel, prompt: Ids, num_samples: int, clamps: LayerClamps | None = None) -> tuple[Tensor, ModelState]:
    """Read `prompt` once: the logits `(B, V)` and the state after it, copied for B = `num_samples` streams."""
    ids = as_tensor(prompt, model.device).unsqueeze(1)  # (P, 1)
    state = model.initial_state(1)
    if clamps:
        stepper = Stepper(model)
        for symbol in ids:
            last, state = stepper.step(symbol, state, clamps)
    else:
        for window in torch.split(ids, PRIME_WINDOW):
            logits, state = model(window, state)
            last = logits[-1]
    copies = tuple(tuple(part.repeat(num_samples, 1) for part in cell_state) for cell_state in state)
    return last.repeat(num_samples, 1), copies


def draw(logits: Tensor, config: SampleConfig, generator: torch.Generator) -> Tensor:
    """One symbol for each row of logits `(B, V)`: int64 ids `(B,)` on the CPU; the most probable at temperature 0.

    Of exponential clocks with rates p, each is the first to ring with its probability p. `torch.multinomial` draws in the same
    way, after checks that take as long as the draw.
    """
    logits = logits.cpu()
    if config.temperature == 0:
        return logits.argmax(dim=-1)
    p = probabilities(logits, config)
    return p.div_(torch.empty_like(p).exponential_(generator=generator)).argmax(dim=-1)


def probabilities(logits: Tensor, config: SampleConfig) -> Tensor:
    """The distribution that is drawn from, float64 `(B, V)`: softmax(logits / temperature), cut to top-k, then to top-p.

    The greatest logit is subtracted before the division, so that no temperature overflows. Top-k keeps the k most probable
    symbols; top-p keeps the fewest whose probabilities reach p (Holtzman et al. 2020).
    """
    logits = logits.double()
    scaled = (logits - logits.max(dim=-1, keepdim=True).values) / config.temperature
    if 0 < config.top_k < scaled.shape[-1]:
        order = scaled.argsort(dim=-1, descending=True, stable=True)
        scaled = scaled.scatter(-1, order[:, config.top_k :], -torch.inf)
    p = scaled.softmax(dim=-1)
    if config.top_p < 1:
        ranked, order = p.sort(dim=-1, descending=True, stable=True)
        beyond = ranked.cumsum(dim=-1) - ranked >= config.top_p  # what came before already reaches p
        p = p.scatter(-1, order, ranked.masked_fill(beyond, 0.0))
        p /= p.sum(dim=-1, keepdim=True)
    return p


def cut_at(ids: Iterator[int], stops: Sequence[Sequence[int]]) -> Iterator[int]:
    """`ids` up to the first of the sequences `stops` that comes; of several that end together, the longest is left out.

    Symbols that may begin one are held back until that is clear. Empty ones count for nothing.
    """
    stops = sorted(filter(None, map(list, stops)), key=len, reverse=True)
    held: list[int] = []
    for symbol in ids:
        held.append(symbol)
        if found := next((stop for stop in stops if held[-len(stop) :] == stop), None):
            yield from held[: -len(found)]
            return
        while held and not any(stop[: len(held)] == held for stop in stops):
            yield held.pop(0)
    yield from held
