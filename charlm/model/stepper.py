"""The same model one character at a time, where every unit can be seen and held. For sampling and inspection.

`nn.LSTM` packs its weights at every call, which costs more than one step gains. Here everything that does not depend on the
character is done once: a table holds what each symbol adds to the first layer's gates, and the weights are laid out for the
processor. Shapes: B streams, V vocabulary, H hidden units, G gates of a cell.
"""

import contextlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.config import HeldUnit, check_unit
from charlm.errors import UsageError
from charlm.model.capture import CAPTURE_AFTER, Captured
from charlm.model.cells import Clamp, Gates, State
from charlm.model.kernels import Product
from charlm.model.network import Network
from charlm.model.stack import ModelState, flat, unflat

LayerClamps = Sequence[Sequence[Clamp]]  # each layer's, lowest first


def layer_clamps(model: Network, held: Sequence[HeldUnit]) -> LayerClamps:
    """Clamps that hold units in every stream. Raises `UsageError` for a unit or a part that the model lacks."""
    clamps: list[list[Clamp]] = [[] for _ in model.layers]
    for each in held:
        check_unit("--clamp", each.layer, each.unit, model.config)
        parts = model.layers[each.layer].parts
        if each.part not in (None, *parts):
            held_part, cell = f"{each.layer}:{each.unit}:{each.part}", model.config.cell.upper()
            raise UsageError(f"--clamp {held_part}: the state of this {cell} has no {each.part}", f"hold its {parts[-1]}")
        unit, value = torch.tensor([each.unit], device=model.device), model.head.weight.new_tensor([each.value])
        clamps[each.layer].append(Clamp(each.part or parts[-1], slice(None), unit, value))
    return clamps


class Stepper:
    """A model made ready for single steps, with its weights as they are now."""

    def __init__(self, model: Network) -> None:
        self.cells = model.layers
        self.input_table = F.linear(model.embedding.weight, *self.cells[0].input_weights).detach()  # (V, G*H)
        self.from_below = [Product(*cell.input_weights) for cell in self.cells[1:]]
        self.from_past = [Product(*cell.past_weights) for cell in self.cells]
        self.head = Product(model.head.weight, model.head.bias)

    def step(self, ids: Tensor, state: ModelState, clamps: LayerClamps | None = None) -> tuple[Tensor, ModelState]:
        """One character: ids `(B,)` and a state -> logits `(B, V)` and the state after it, as `forward` on a window of one.

        The values that `clamps` hold reach the next layer, the next step and the head.
        """
        state, _ = self.advance(ids, state, clamps)
        return self.head(state[-1][0]), state

    def advance(
        self, ids: Tensor, state: ModelState, clamps: LayerClamps | None = None
    ) -> tuple[ModelState, tuple[Gates, ...]]:
        """One character without logits: ids `(B,)` and a state -> the state after it and each layer's gates."""
        return self.advance_from(0, self.input_table[ids], state, clamps)

    def advance_from(
        self, layer: int, from_input: Tensor, state: ModelState, clamps: LayerClamps | None = None
    ) -> tuple[ModelState, tuple[Gates, ...]]:
        """The same for the layers from `layer` on only, given their states and clamps. `from_input` is what `layer` gets from
        below, W x + b `(B, G*H)`, or `(1, G*H)` where all streams get the same.
        """
        new_state: list[State] = []
        all_gates: list[Gates] = []
        for number, (cell, before) in enumerate(zip(self.cells[layer:], state, strict=True), start=layer):
            if number > layer:
                from_input = self.from_below[number - 1](new_state[-1][0])  # (B, G*H)
            all_gates.append(cell.gates(from_input, self.from_past[number](before[0])))
            new_state.append(cell.advance(all_gates[-1], before, clamps[number - layer] if clamps else ()))
        return tuple(new_state), tuple(all_gates)


class CapturedStepper(Stepper):
    """A stepper for a GPU: after a few plain steps one is captured, and then replayed. A call overwrites what the last gave.

    Every call must have the same number of streams and the same clamps. Without gradients.
    """

    def __init__(self, model: Network, capture: Callable[..., Callable[..., Sequence[Tensor]]] = Captured) -> None:
        super().__init__(model)
        self.capture, self.steps = capture, 0
        self.captured: Callable[..., Sequence[Tensor]] | None = None

    def step(self, ids: Tensor, state: ModelState, clamps: LayerClamps | None = None) -> tuple[Tensor, ModelState]:
        """As `Stepper.step`."""

        def on_parts(ids: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
            logits, after = super(CapturedStepper, self).step(ids, unflat(parts, len(self.cells)), clamps)
            return logits, *flat(after)

        if self.steps == CAPTURE_AFTER:
            with contextlib.suppress(RuntimeError):  # where capturing fails, steps stay plain
                self.captured = self.capture(on_parts, (ids, *flat(state)))
        self.steps += 1
        logits, *parts = (self.captured or on_parts)(ids, *flat(state))
        return logits, unflat(parts, len(self.cells))
