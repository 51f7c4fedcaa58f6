"""What changes when a unit is clamped: held, at every step of the recurrence, at another value than its own.

Clamps run side by side as lanes over one stretch of text: first the model left alone, then each unit at its mean, then each at
values resampled from elsewhere (its own course through the stretch, begun at another place). All stop as soon as the verdict is
settled. Knows nothing of features but where they are present.
"""

import itertools
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.inspection.findings import Delta, UnitId
from charlm.inspection.statistics import Floats, autocorrelation, correlation_time
from charlm.inspection.trace import BLOCK, Chapter, blocks, groups, stream
from charlm.model.cells import Clamp
from charlm.model.language_model import LanguageModel, ModelState, next_symbol_nats
from charlm.model.stepper import Stepper

MOST_CONTROLS = 50
LEAST_CONTROLS = 20
BETTER_THAN = 0.95  # of the controls
RESAMPLES, RESAMPLED_BLOCKS = 2000, 20
LOOKS = 8  # at a verdict: after each eighth of a stretch
PREDICTED = 1 << 10  # characters at a time
LEAST_BLOCK = 50  # characters
SEEN = 0.25  # of the blocks
LOWEST_PERCENT = 0.5  # the lower end of a 99 % interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What two clamps of a unit do: the lesser rise in loss, and whether both tell it from comparable units; from how
    many characters.
    """

    delta: Delta
    is_used: bool
    num_characters: int


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
    looks: int = LOOKS,
) -> Generator[int, None, Effect]:
    """Clamp `unit` and comparable ones over the n + 1 characters of `stretch`, the last of which is only predicted.

    `is_present` `(n,)` says where the feature is, after each of the first n characters. Yields characters.

    After each of `looks` equal parts it is asked whether the verdict is settled. If so, the rest is not read, and the effect is
    that over what was. The units' means and their values from elsewhere are those of the whole stretch all the same.
    """
    ids = stretch.ids.t().flatten()[: len(is_present) + 1].long()
    entering, course, own = yield from _course(model, unit, stretch, ids)
    controls = comparable(model, unit, course)
    units = torch.tensor([unit.unit, *controls], device=ids.device)
    held = course[:, units]  # (n, K)
    offset = int(rng.integers(len(held) // 4, 3 * len(held) // 4 + 1))
    values = torch.cat([held.mean(dim=0).expand_as(held), held.roll(offset, dims=0)], dim=1)  # (n, 2K)
    state, part = stream(stretch.heads, slice(0, 1))[unit.layer :], part_of(model, unit)
    rises = np.zeros((0, 2, len(units)))
    looks = looks if len(controls) >= LEAST_CONTROLS else 1  # fewer give an interval, which is not settled by a part
    for start, stop in itertools.pairwise(sorted({len(own) * look // looks for look in range(looks + 1)})):
        read = model, ids[start : stop + 1], entering[start:stop], state, unit.layer, part, units.repeat(2), values[start:stop]
        nats, state = yield from clamped_nats(*read)
        more = (nats - own[start:stop, None]).cpu().double().numpy()
        rises = np.concatenate([rises, more.reshape(-1, 2, len(units))])
        if stop < len(own) and _is_settled(rises, is_present[:stop], rng):
            yield (len(own) - stop) * 2 * len(units)  # need not be read
            break
    return _judge(rises, is_present[: len(rises)], rng)


def _is_settled(rises: Floats, is_present: npt.NDArray[np.bool_], rng: np.random.Generator) -> bool:
    """Whether reading on is not likely to turn the verdict on rises in loss `(n, 2 clamps, K)`.

    What was read is resampled 2,000 times in 20 blocks: in none of them is the verdict another one. As they spread about as
    the rest of the stretch would move the means, a settled verdict would turn in fewer than 1 of 1,000 cases at each look, if
    blocks were independent; `python -m benchmarks.stopping` counts how many do. Nothing is settled by blocks of fewer than 50
    characters or shorter than the feature's autocorrelation time, nor before the feature has been present in a quarter of
    them, and absent in a quarter.
    """
    number, label = len(rises), is_present[None].astype(np.float64)
    least = max(LEAST_BLOCK, correlation_time(autocorrelation(label, max(1, number // 2))[0]))
    seen = np.array([[part.any(), not part.all()] for part in np.array_split(is_present, RESAMPLED_BLOCKS)])
    if number < least * RESAMPLED_BLOCKS or (seen.mean(axis=0) < SEEN).any():
        return False
    is_used = _beats(_resampled(rises, is_present, rng))
    return bool(is_used.all() or not is_used.any())


def _beats(both: Floats) -> npt.NDArray[np.bool_]:
    """Whether the first of K units' rises `(..., 2 clamps, K)` is above 0 and 95 % of the others' under both clamps."""
    own, others = both[..., :1], both[..., 1:]
    is_above = ((own > others).mean(axis=-1) >= BETTER_THAN) & (own[..., 0] > 0)
    return np.asarray(is_above.all(axis=-1))


def _judge(rises: Floats, is_present: npt.NDArray[np.bool_], rng: np.random.Generator) -> Effect:
    """From rises in loss `(n, 2 clamps, K)`, the unit's own first.

    Both sides of the feature count half: a switch held at its mean is taken for one of its two positions, and by which of the
    two is chance, so that the loss may rise only where the feature is present, or only where it is absent.
    """
    present, absent = rises[is_present].mean(axis=0), rises[~is_present].mean(axis=0)  # (2, K) each
    both = (present + absent) / 2
    lesser = int(both[:, 0].argmin())
    if rises.shape[2] - 1 >= LEAST_CONTROLS:
        is_used = bool(_beats(both))
    else:
        is_used = all(_lowest(rises[:, clamp, 0], is_present, rng) > 0 for clamp in range(2))
    delta = Delta(present=float(present[lesser, 0]), absent=float(absent[lesser, 0]))
    return Effect(delta=delta, is_used=is_used, num_characters=len(rises))


def _lowest(rises: Floats, is_present: npt.NDArray[np.bool_], rng: np.random.Generator) -> float:
    """The lower end of the block-bootstrap 99 % interval of the mean of `rises` `(n,)`, both sides of the feature half each."""
    return float(np.percentile(_resampled(rises, is_present, rng), LOWEST_PERCENT))


def _resampled(rises: Floats, is_present: npt.NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    """Means of `rises` `(n, ...)`, both sides of the feature half each, over 2,000 resamples of 20 blocks: `(2000, ...)`."""
    drawn = rng.integers(0, RESAMPLED_BLOCKS, (RESAMPLES, RESAMPLED_BLOCKS))
    times = (drawn[:, :, None] == np.arange(RESAMPLED_BLOCKS)).sum(axis=1)  # that each block is in each resample
    halves = []
    for side in (is_present, ~is_present):
        blocks_of_side = zip(np.array_split(rises, RESAMPLED_BLOCKS), np.array_split(side, RESAMPLED_BLOCKS), strict=True)
        sums = np.array([part[mine].sum(axis=0) for part, mine in blocks_of_side])
        counts = times @ np.array([part.sum() for part in np.array_split(side, RESAMPLED_BLOCKS)])
        halves.append((np.tensordot(times, sums, 1).T / np.maximum(counts, 1)).T / 2)
    means: Floats = np.sum(halves, axis=0)
    return means


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
