"""What changes when a unit is clamped: held, at every step of the recurrence, at another value than its own.

Clamps run side by side as lanes over one stretch of text: first the model left alone, then each unit at its mean, then each at
values resampled from elsewhere (its own course through the stretch, begun at another place). Knows nothing of features but
where they are present.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.inspection.findings import Delta, UnitId
from charlm.inspection.statistics import Floats
from charlm.inspection.trace import BLOCK, Chapter, blocks, groups, stream
from charlm.model.cells import Clamp
from charlm.model.language_model import LanguageModel, ModelState, next_symbol_nats
from charlm.model.stepper import Stepper

MOST_CONTROLS = 50
LEAST_CONTROLS = 20
BETTER_THAN = 0.95  # of the controls
RESAMPLES, RESAMPLED_BLOCKS = 2000, 20
PREDICTED = 1 << 10  # characters at a time
LOWEST_PERCENT = 0.5  # the lower end of a 99 % interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What two clamps of a unit do: the lesser rise in loss of the two, and whether both tell it from comparable units."""

    delta: Delta
    is_used: bool


def part_of(model: LanguageModel, unit: UnitId) -> str:
    """The part of the state through which a unit is clamped: its own, or for a gate that which it writes to."""
    parts = model.layers[unit.layer].parts
    return unit.signal if unit.signal in parts else parts[-1]


@torch.inference_mode()
def intervene(
    model: LanguageModel,
    unit: UnitId,
    stretch: Chapter,
    is_present: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Generator[int, None, Effect]:
    """Clamp `unit` and comparable ones over the n + 1 characters of `stretch`, the last of which is only predicted.

    `is_present` `(n,)` says where the feature is, after each of the first n characters. Yields characters.
    """
    ids = stretch.ids.t().flatten()[: len(is_present) + 1].long()
    entering, course, own = yield from _course(model, unit, stretch, ids)
    controls = comparable(model, unit, course)
    units = torch.tensor([unit.unit, *controls], device=ids.device)
    held = course[:, units]  # (n, K)
    offset = int(rng.integers(len(held) // 4, 3 * len(held) // 4 + 1))
    values = torch.cat([held.mean(dim=0).expand_as(held), held.roll(offset, dims=0)], dim=1)  # (n, 2K)
    state = stream(stretch.heads, slice(0, 1))[unit.layer :]
    part = part_of(model, unit)
    nats, _ = yield from clamped_nats(model, ids, entering, state, unit.layer, part, units.repeat(2), values)
    rises = (nats - own[:, None]).cpu().double().numpy().reshape(len(own), 2, len(units))  # (n, 2 clamps, K)
    return _judge(rises, is_present, rng)


def _judge(rises: Floats, is_present: npt.NDArray[np.bool_], rng: np.random.Generator) -> Effect:
    """From rises in loss `(n, 2 clamps, K)`, the unit's own first.

    Both sides of the feature count half: a switch held at its mean is taken for one of its two positions, and by which of the
    two is chance, so that the loss may rise only where the feature is present, or only where it is absent.
    """
    present, absent = rises[is_present].mean(axis=0), rises[~is_present].mean(axis=0)  # (2, K) each
    both = (present + absent) / 2
    lesser = int(both[:, 0].argmin())
    if rises.shape[2] - 1 >= LEAST_CONTROLS:
        is_used = all((row[0] > row[1:]).mean() >= BETTER_THAN and row[0] > 0 for row in both)
    else:
        is_used = all(_lowest(rises[:, clamp, 0], is_present, rng) > 0 for clamp in range(2))
    return Effect(delta=Delta(present=float(present[lesser, 0]), absent=float(absent[lesser, 0])), is_used=is_used)


def _lowest(rises: Floats, is_present: npt.NDArray[np.bool_], rng: np.random.Generator) -> float:
    """The lower end of the block-bootstrap 99 % interval of the mean of `rises` `(n,)`, both sides of the feature half each."""
    drawn = rng.integers(0, RESAMPLED_BLOCKS, (RESAMPLES, RESAMPLED_BLOCKS))
    means = np.zeros(RESAMPLES)
    for side in (is_present, ~is_present):
        sums = np.array([part.sum() for part in np.array_split(np.where(side, rises, 0), RESAMPLED_BLOCKS)])
        counts = np.array([part.sum() for part in np.array_split(side, RESAMPLED_BLOCKS)])
        means += sums[drawn].sum(axis=1) / np.maximum(counts[drawn].sum(axis=1), 1) / 2
    return float(np.percentile(means, LOWEST_PERCENT))


def comparable(model: LanguageModel, unit: UnitId, course: Tensor) -> list[int]:
    """Up to 50 other units of the layer, nearest in (the logarithms of) variance over `course` `(n, H)` and outgoing weight."""
    above = model.layers[unit.layer + 1].fused.weight_ih_l0 if unit.layer + 1 < len(model.layers) else model.head.weight
    numbers = torch.stack([course.var(dim=0), above.square().sum(dim=0)]).clamp_min(1e-12).log()  # (2, H)
    scale = numbers.std(dim=1, keepdim=True).clamp_min(1e-6) if numbers.shape[1] > 1 else torch.ones_like(numbers)
    distance = ((numbers - numbers[:, unit.unit : unit.unit + 1]) / scale).square().sum(dim=0)
    nearest = distance.argsort(stable=True).tolist()
    return [other for other in nearest if other != unit.unit][:MOST_CONTROLS]


def _course(
    model: LanguageModel, unit: UnitId, stretch: Chapter, ids: Tensor
) -> Generator[int, None, tuple[Tensor, Tensor, Tensor]]:
    """When nothing is clamped, over all of `ids` `(n + 1,)` but the last: what enters the unit's layer, `(n, E)` or `(n, H)`,
    the part of that layer's whole state that is clamped otherwise, `(n, H)`, and the loss on the next character, `(n,)`.
    """
    names = [(unit.layer, part_of(model, unit)), (len(model.layers) - 1, "h"), (unit.layer - 1, "h")]
    wanted = [number for name in names for number, group in enumerate(groups(model)) if (group.layer, group.signal) == name]
    found = [model.head.weight.new_empty(len(ids), model.config.hidden_size) for _ in wanted]
    for block in blocks(model, stretch):
        places = torch.from_numpy(block.positions - stretch.start).to(ids.device)
        for number, values in zip(wanted, found, strict=True):
            values[places] = block.values[number].t()
        yield len(places)
    course, top, *below = (values[:-1] for values in found)
    parts = zip(torch.split(top, PREDICTED), torch.split(ids[1:], PREDICTED), strict=True)
    nats = [next_symbol_nats(model.head(outputs).unsqueeze(0), targets.unsqueeze(0))[0] for outputs, targets in parts]
    return below[0] if below else model.embedding(ids[:-1]), course, torch.cat(nats)


def clamped_nats(
    model: LanguageModel,
    ids: Tensor,
    entering: Tensor,
    state: ModelState,
    layer: int,
    part: str,
    units: Tensor,
    values: Tensor,
) -> Generator[int, None, tuple[Tensor, ModelState]]:
    """The loss `(n, K)` on `ids` `(n + 1,)` of K lanes, lane k with unit `units[k]` held at `values[t, k]`; the state after it.

    A clamp leaves the layers below alone: `entering` `(n, E)` is what they give to all lanes alike, and `state`, of one stream
    or of the K lanes, is that of `layer` and those above.
    """
    lanes = torch.arange(len(units), device=ids.device)
    if len(state[0][0]) == 1:
        state = stream(state, torch.zeros_like(lanes))
    stepper, nats = Stepper(model), []
    clamps: list[Sequence[Clamp]] = [()] * len(state)
    for start in range(0, len(values), BLOCK):
        outputs = []
        for step, from_input in enumerate(F.linear(entering[start : start + BLOCK], *model.layers[layer].input_weights), start):
            clamps[0] = [Clamp(part, lanes, units, values[step])]
            state, _ = stepper.advance_from(layer, from_input.unsqueeze(0), state, clamps)
            outputs.append(state[-1][0])
            yield len(lanes)
        targets = ids[start + 1 : start + 1 + len(outputs), None].expand(-1, len(lanes))
        nats.append(next_symbol_nats(stepper.head(torch.stack(outputs)), targets))  # (BLOCK, K)
    return torch.cat(nats), state
