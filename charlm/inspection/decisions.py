"""What changes in the labels that a model gives when a unit is clamped, from the first character of each text to its last.

The texts are first read without clamps. Then each unit is held, in lanes side by side, at its mean, and at its own values from
another text of about the same length. What the model reads backward stays as it is. Of features this knows only where they are
present, and nothing of how a verdict is reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.inspection.findings import UnitId
from charlm.inspection.intervention import comparable, part_of
from charlm.inspection.telling import TellMore, tell_nobody
from charlm.inspection.verdict import Effect, judge
from charlm.model.cells import Clamp
from charlm.model.heads import Labeller
from charlm.model.stepper import Stepper
from charlm.text.batches import NO_LABEL, LabelledBatch, Places, batch_of, rounded
from charlm.text.examples import UNLABELLED, Examples

TEXTS = 8  # that are read at a time, at least, where there are as many
MOST_NUMBERS = 1 << 24  # of the top layer, in all lanes, that are kept at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """B texts, the numbers `which`, as the model reads them without clamps. Of a layer: what enters it, `(T, B, E)` or
    `(T, B, H)`, and the `course` of all its units in one part of the state, `(T, B, H)`. Of the top layer, the outputs
    `backward` `(T, B, H)`, if it reads backward. The losses `nats` are those of `losses`.
    """

    which: Places
    batch: LabelledBatch
    entering: Tensor
    course: Tensor
    backward: list[Tensor]
    nats: Tensor


def batches(examples: Examples) -> list[Places]:
    """The numbers of the texts of each batch, texts of about the same length."""
    order = np.argsort(examples.lengths, kind="stable")
    return np.array_split(order, max(1, len(order) // TEXTS))


def padded(examples: Examples) -> int:
    """How many characters all batches have, with what fills up."""
    return sum(len(which) * rounded(int(examples.lengths[which].max())) for which in batches(examples))


@torch.inference_mode()
def intervene_on_labels(
    model: Labeller,
    examples: Examples,
    is_present: npt.NDArray[np.bool_],
    unit: UnitId,
    rng: np.random.Generator,
    tell: TellMore = tell_nobody,
) -> Effect:
    """Clamp `unit` and comparable ones while all of `examples` are read. `is_present` is the feature at each text, `(n,)`, or
    at each character, `(N,)`, whichever has labels; what has none does not count.
    """
    stepper, part = Stepper(model), part_of(model, unit)
    readings = [read(model, stepper, examples, which, unit.layer, part, tell) for which in batches(examples)]
    course = torch.cat([reading.course[is_text(reading.batch)] for reading in readings])  # (N, H)
    units = torch.tensor([unit.unit, *comparable(model, unit, course)], device=course.device)
    mean = course.mean(dim=0)
    rises = np.zeros((len(is_present), 2, len(units)))
    for reading in readings:
        values = torch.stack([mean.expand_as(reading.course), elsewhere(reading, rng)], dim=2)  # (T, B, 2, H)
        some = torch.split(units, max(1, MOST_NUMBERS // values.numel()))
        nats = [clamped_nats(model, stepper, reading, unit.layer, part, few, values[..., few], tell) for few in some]
        more = (torch.cat(nats, dim=-1) - reading.nats[..., None, None]).cpu().double().numpy()
        if model.by_character:
            steps, real = np.arange(len(more))[:, None], is_text(reading.batch).cpu().numpy()
            rises[(examples.bounds[reading.which] + steps)[real]] = more[real]
        else:
            rises[reading.which] = more
    counts = examples.labels != UNLABELLED
    return judge(rises[counts], is_present[counts], rng)


def is_text(batch: LabelledBatch) -> Tensor:
    """Which places of a batch are characters, and do not fill up: `(T, B)`."""
    return torch.arange(len(batch.ids), device=batch.ids.device).unsqueeze(1) < batch.lengths


def read(
    model: Labeller, stepper: Stepper, examples: Examples, which: Places, layer: int, part: str, tell: TellMore
) -> Reading:
    """Read some of the texts without clamps."""
    batch = batch_of(examples, which, model.device)
    state, entering, course, top = model.initial_state(len(which)), [], [], []
    place = model.layers[layer].parts.index(part)
    for ids in batch.ids:
        state, _ = stepper.advance(ids, state)
        entering.append(state[layer - 1][0] if layer else model.embedding(ids))
        course.append(state[layer][place])
        top.append(state[-1][0])
        tell(len(which))
    backward = model.directions(batch.ids, batch.lengths)[1:]
    nats = losses(model, [torch.stack(top), *backward], batch.lengths, batch.labels)
    return Reading(
        which=which,
        batch=batch,
        entering=torch.stack(entering),
        course=torch.stack(course),
        backward=backward,
        nats=nats,
    )


def losses(model: Labeller, directions: list[Tensor], lengths: Tensor, labels: Tensor) -> Tensor:
    """The loss on each of `labels`, `(B,)` or `(T, B)`, in nats, float32; 0 where there is none."""
    logits = model.decide(directions, lengths).float()
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none", ignore_index=NO_LABEL).view(labels.shape)


def elsewhere(reading: Reading, rng: np.random.Generator) -> Tensor:
    """The course `(T, B, H)` of all units in another text of the batch, at whose end they stay where it is the shorter one."""
    lengths = reading.batch.lengths
    others = torch.arange(len(lengths), device=lengths.device).roll(int(rng.integers(1, max(2, len(lengths)))))
    steps = torch.arange(len(reading.course), device=lengths.device).unsqueeze(1)
    return reading.course[torch.minimum(steps, lengths[others] - 1), others]


def clamped_nats(
    model: Labeller,
    stepper: Stepper,
    reading: Reading,
    layer: int,
    part: str,
    units: Tensor,
    values: Tensor,
    tell: TellMore = tell_nobody,
) -> Tensor:
    """The losses under each of C clamps of each of K `units` of a layer: held, in `part`, at `values` `(T, B, C, K)`. Gives
    `(B, C, K)` or, of characters, `(T, B, C, K)`.

    A clamp does not affect the layers below: what enters the layer is as it was.
    """
    each = values[0, 0].numel()  # lanes of a text
    lanes = torch.arange(values[0].numel(), device=units.device)
    held = units.expand(values.shape[1:]).flatten()
    state, outputs = model.initial_state(len(lanes))[layer:], []
    clamps: list[Sequence[Clamp]] = [()] * len(state)
    from_inputs = F.linear(reading.entering, *model.layers[layer].input_weights)  # (T, B, G*H)
    for from_input, now in zip(from_inputs, values, strict=True):
        clamps[0] = [Clamp(part, lanes, held, now.flatten())]
        state, _ = stepper.advance_from(layer, from_input.repeat_interleave(each, dim=0), state, clamps)
        outputs.append(state[-1][0])
        tell(len(lanes))
    directions = [torch.stack(outputs), *(h.repeat_interleave(each, dim=1) for h in reading.backward)]
    lengths, labels = (given.repeat_interleave(each, dim=-1) for given in (reading.batch.lengths, reading.batch.labels))
    nats = losses(model, directions, lengths, labels)
    return nats.view(*nats.shape[:-1], *values.shape[1:])
