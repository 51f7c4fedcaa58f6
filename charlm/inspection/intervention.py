"""What changes when a unit is clamped: held, at every step of the recurrence, at another value than its own.

The model first reads a stretch of text without clamps. Then the clamps run side by side as lanes over the same stretch: each
unit at its mean, and each at its own values from elsewhere (its course through the stretch, shifted). All stop when the verdict
is settled. Of features this knows only where they are present, and nothing of how a verdict is reached.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.inspection.findings import UnitId
from charlm.inspection.stretch import Stretch
from charlm.inspection.telling import TellMore, tell_nobody
from charlm.inspection.trace import BLOCK, Trace
from charlm.inspection.verdict import LEAST_CONTROLS, Effect, is_settled, judge
from charlm.model.cells import Clamp
from charlm.model.language_model import next_symbol_nats
from charlm.model.network import Network
from charlm.model.stack import ModelState, streams
from charlm.model.stepper import Stepper

MOST_CONTROLS = 50
LOOKS = 8  # after each eighth of a stretch: is the verdict settled?
PREDICTED = 1 << 10  # characters whose losses are computed at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Units of one layer, each held in its own lane: at step t, lane k holds the `part` of `units[k]` at `values[t, k]`.

    `units` is `(K,)`, `values` `(n, K)`.
    """

    layer: int
    part: str
    units: Tensor
    values: Tensor


def part_of(model: Network, unit: UnitId) -> str:
    """The part of the state in which a signal is clamped: the signal itself, or for a gate the part that it writes to."""
    parts = model.layers[unit.layer].parts
    return unit.signal if unit.signal in parts else parts[-1]


@torch.inference_mode()
def intervene(
    trace: Trace,
    unit: UnitId,
    stretch: Stretch,
    rng: np.random.Generator,
    tell: TellMore = tell_nobody,
    looks: int = LOOKS,
) -> Effect:
    """Clamp `unit` and comparable ones over the n + 1 characters of a stretch; the last character is predicted but not read.

    Once the verdict is settled after one of `looks` equal parts, the rest is not read, and the effect is over the characters
    read. The units' means and their values from elsewhere always come from the whole stretch.
    """
    model, is_present = trace.model, stretch.is_present
    ids = stretch.text.ids.t().flatten()[: len(is_present) + 1].long()
    entering, course, own = _course(trace, unit, stretch, ids, tell)
    controls = comparable(model, unit, course)
    units = torch.tensor([unit.unit, *controls], device=ids.device)
    courses = course[:, units]  # (n, K)
    offset = int(rng.integers(len(courses) // 4, 3 * len(courses) // 4 + 1))
    values = torch.cat([courses.mean(dim=0).expand_as(courses), courses.roll(offset, dims=0)], dim=1)  # (n, 2K)
    state, part = streams(stretch.text.entries, slice(0, 1))[unit.layer :], part_of(model, unit)
    rises = np.zeros((0, 2, len(units)))
    looks = looks if len(controls) >= LEAST_CONTROLS else 1  # fewer are judged by an interval, which needs it all
    for start, stop in itertools.pairwise(sorted({len(own) * look // looks for look in range(looks + 1)})):
        held = Held(layer=unit.layer, part=part, units=units.repeat(2), values=values[start:stop])
        nats, state = clamped_nats(model, ids[start : stop + 1], entering[start:stop], state, held, tell)
        more = (nats - own[start:stop, None]).cpu().double().numpy()
        rises = np.concatenate([rises, more.reshape(-1, 2, len(units))])
        if stop < len(own) and is_settled(rises, is_present[:stop], rng):
            tell((len(own) - stop) * 2 * len(units))  # the rest, which need not be read
            break
    return judge(rises, is_present[: len(rises)], rng)


def comparable(model: Network, unit: UnitId, course: Tensor) -> list[int]:
    """Up to 50 other units of the layer: those nearest in the logarithms of variance over `course` `(n, H)` and of outgoing
    weight.
    """
    above = model.layers[unit.layer + 1].input_weights[0] if unit.layer + 1 < len(model.layers) else model.outgoing
    numbers = torch.stack([course.var(dim=0), above.square().sum(dim=0)]).clamp_min(1e-12).log()  # (2, H)
    scale = numbers.std(dim=1, keepdim=True).clamp_min(1e-6) if numbers.shape[1] > 1 else torch.ones_like(numbers)
    distance = ((numbers - numbers[:, unit.unit : unit.unit + 1]) / scale).square().sum(dim=0)
    nearest = distance.argsort(stable=True).tolist()
    return [other for other in nearest if other != unit.unit][:MOST_CONTROLS]


def _course(trace: Trace, unit: UnitId, stretch: Stretch, ids: Tensor, tell: TellMore) -> tuple[Tensor, Tensor, Tensor]:
    """The model without clamps over all `ids` `(n + 1,)` but the last: what enters the unit's layer, `(n, E)` or `(n, H)`; all
    of the layer in the part that will be clamped, `(n, H)`; and the loss on the next character, `(n,)`.
    """
    model = trace.model
    names = [(unit.layer, part_of(model, unit)), (len(model.layers) - 1, "h"), (unit.layer - 1, "h")]
    wanted = [number for name in names for number, group in enumerate(trace.groups) if (group.layer, group.signal) == name]
    found = [model.head.weight.new_empty(len(ids), model.config.hidden_size) for _ in wanted]
    for block in trace.blocks(stretch.text):
        places = torch.from_numpy(block.positions - stretch.text.start).to(ids.device)
        for number, values in zip(wanted, found, strict=True):
            values[places] = block.values[number].t()
        tell(len(places))
    course, top, *below = (values[:-1] for values in found)
    parts = zip(torch.split(top, PREDICTED), torch.split(ids[1:], PREDICTED), strict=True)
    nats = [next_symbol_nats(model.head(outputs).unsqueeze(0), targets.unsqueeze(0))[0] for outputs, targets in parts]
    return below[0] if below else model.embedding(ids[:-1]), course, torch.cat(nats)


def clamped_nats(
    model: Network,
    ids: Tensor,
    entering: Tensor,
    state: ModelState,
    held: Held,
    tell: TellMore = tell_nobody,
) -> tuple[Tensor, ModelState]:
    """The losses `(n, K)` on `ids` `(n + 1,)` in K lanes with a unit held in each, and the state after them.

    A clamp does not affect the layers below: `entering` `(n, E)` is what they give to every lane. `state`, of one stream or of
    the K lanes, begins with the unit's layer.
    """
    lanes = torch.arange(len(held.units), device=ids.device)
    if len(state[0][0]) == 1:
        state = streams(state, torch.zeros_like(lanes))
    stepper, nats = Stepper(model), []
    clamps: list[Sequence[Clamp]] = [()] * len(state)
    for start in range(0, len(held.values), BLOCK):
        outputs = []
        inputs = F.linear(entering[start : start + BLOCK], *model.layers[held.layer].input_weights)
        for step, from_input in enumerate(inputs, start):
            clamps[0] = [Clamp(held.part, lanes, held.units, held.values[step])]
            state, _ = stepper.advance_from(held.layer, from_input.unsqueeze(0), state, clamps)
            outputs.append(state[-1][0])
            tell(len(lanes))
        targets = ids[start + 1 : start + 1 + len(outputs), None].expand(-1, len(lanes))
        nats.append(next_symbol_nats(stepper.head(torch.stack(outputs)), targets))  # (BLOCK, K)
    return torch.cat(nats), state
