"""RNN, GRU, LSTM: one recurrent layer each, with one signature. Knows nothing of the layers above and below it.

A cell is defined by its equations, in `gates` and `advance`; together they make one step. Whole windows of these three cells
run through torch's fused kernel or through ours (kernels.py), over the same weights; the tests check that all ways agree.
State goes in and comes out: `(h, c)` for the LSTM, `(h,)` for the others, always with h first, so that code which carries,
detaches or gathers states never asks which cell it has.

Shapes: B streams, T steps, E inputs, H hidden units, G gates, each H wide.

A new cell is a class here with `num_gates`, `signals`, `gates` and `advance`, and an entry in CELLS at the end. Its windows run
step by step until somebody writes something faster.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import Function
from torch.nn import functional as F

from charlm.model.kernels import GRUWindow, RNNWindow, is_for_own_windows

State = tuple[Tensor, ...]
Gates = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Clamp:
    """Holds units of one part of a state at values: in stream `streams[k]`, unit `units[k]` is `values[k]`, all `(K,)`.

    Where `streams` is a slice, all K units are held in each of its streams.
    """

    part: str
    streams: Tensor | slice
    units: Tensor
    values: Tensor


def hold(part: str, x: Tensor, clamps: Sequence[Clamp]) -> Tensor:
    """`x` `(B, H)` after the clamps on this part of the state. Writes into `x`, which must be freshly computed."""
    for clamp in clamps:
        if clamp.part == part:
            x[clamp.streams, clamp.units] = clamp.values
    return x


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that can be seen of a unit: a part of its state, or a gate. Its values lie between `low` and 1.

    A signal that `is_squashed` is unbounded itself, and is ranked and shown as its tanh.
    """

    name: str
    meaning: str
    low: float = -1.0
    is_squashed: bool = False

    @property
    def label(self) -> str:
        """The name of the values that people see: `tanh(c)` for a squashed c."""
        return f"tanh({self.name})" if self.is_squashed else self.name


class Cell(nn.Module):
    """One layer: weights W `(G*H, E)` and U `(G*H, H)`, and a bias for each. Its equations are `gates` and `advance`."""

    num_gates: ClassVar[int]  # G: the rows of W and U, in units of H
    parts: ClassVar[tuple[str, ...]] = ("h",)  # of the state
    signals: ClassVar[tuple[Signal, ...]]  # the parts, alphabetically, then what `gates` returns, in that order

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.add_weights(input_size)

    def add_weights(self, input_size: int) -> None:
        """Make the parameters that `input_weights` and `past_weights` return."""
        self.from_input = nn.Linear(input_size, self.num_gates * self.hidden_size)
        self.from_past = nn.Linear(self.hidden_size, self.num_gates * self.hidden_size)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw every weight and bias from U(-1/sqrt(H), 1/sqrt(H)), torch's own default for these layers."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def gather_weights(self) -> None:
        """Lay the weights out in memory as the cell computes fastest with them; for weights that were copied."""

    def initial_state(self, batch_size: int) -> State:
        """Zeros: one `(B, H)` for each part of the state, on the weights' device."""
        weight, _ = self.input_weights
        return tuple(weight.new_zeros(batch_size, self.hidden_size) for _ in self.parts)

    @property
    def input_weights(self) -> tuple[Tensor, Tensor]:
        """W `(G*H, E)` and b `(G*H,)`: the input adds W x + b to the gates."""
        return self.from_input.weight, self.from_input.bias

    @property
    def past_weights(self) -> tuple[Tensor, Tensor]:
        """U `(G*H, H)` and b' `(G*H,)`: the past adds U h + b' to the gates; `(0, H)` and `(0,)` where they do not see it."""
        return self.from_past.weight, self.from_past.bias

    def gates(self, from_input: Tensor, from_past: Tensor) -> Gates:
        """What a step computes before the state changes, gates and candidates, `(B, H)` each: from W x + b and U h + b', both
        `(B, G*H)`.
        """
        raise NotImplementedError

    def advance(self, gates: Gates, state: State, clamps: Sequence[Clamp] = ()) -> State:
        """The state after the step. Clamped units are held before anything is computed from them."""
        raise NotImplementedError

    def step(self, x: Tensor, state: State) -> tuple[State, Gates]:
        """One step: x `(B, E)` and a state -> the new state and the gates that made it. Differentiable."""
        gates = self.gates(F.linear(x, *self.input_weights), F.linear(state[0], *self.past_weights))
        return self.advance(gates, state), gates

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """A whole window, step by step: `(T, B, E)` and a state -> h at every step `(T, B, H)` and the state after the last."""
        outputs = []
        for x in inputs:
            state, _ = self.step(x, state)
            outputs.append(state[0])
        return torch.stack(outputs), state

    def seen(self, state: State, gates: Gates) -> tuple[Tensor, ...]:
        """The values of all `signals` after a step, `(B, H)` each, from the state and the gates that made it."""
        alphabetical = sorted(zip(self.parts, state, strict=True), key=lambda named: named[0])
        seen = (*(part for _, part in alphabetical), *gates)
        return seen[: len(self.signals)]  # what the plain RNN's `gates` returns is its new h, and already there


class FusedCell(Cell):
    """A cell whose windows go through torch's fused `kernel`, which owns the weights, or through ours over the same weights."""

    kernel: ClassVar[type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]]
    own_kernel: ClassVar[type[Function] | None] = None  # for learning on a CPU, in full precision

    def add_weights(self, input_size: int) -> None:
        """Let torch's kernel make the parameters."""
        self.fused: Any = self.kernel(input_size, self.hidden_size)  # Any: torch names its parameters at run time

    def gather_weights(self) -> None:
        """Put the weights into one piece of memory: a copy has them apart, and cuDNN would gather them at every call."""
        self.fused.flatten_parameters()

    @property
    def input_weights(self) -> tuple[Tensor, Tensor]:
        """As every cell's."""
        return self.fused.weight_ih_l0, self.fused.bias_ih_l0

    @property
    def past_weights(self) -> tuple[Tensor, Tensor]:
        """As every cell's."""
        return self.fused.weight_hh_l0, self.fused.bias_hh_l0

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """A whole window at once: `(T, B, E)` and a state -> h at every step `(T, B, H)` and the state after the last."""
        if self.own_kernel is not None and is_for_own_windows(inputs):
            (w, b), (u, b_past) = self.input_weights, self.past_weights
            outputs, *own_state = self.own_kernel.apply(inputs, *state, w, u, b, b_past)  # type: ignore[no-untyped-call]
            return outputs, tuple(own_state)
        return self.through_torch(inputs, state)

    def through_torch(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """The same through torch's kernel, on any device."""
        stacked = tuple(part.unsqueeze(0).contiguous() for part in state)  # torch counts layers first: (1, B, H)
        outputs, last = self.fused(inputs, stacked if len(stacked) > 1 else stacked[0])
        parts = last if isinstance(last, tuple) else (last,)
        return outputs, tuple(part.squeeze(0) for part in parts)


class RNN(FusedCell):
    """The plain recurrent network (Elman 1990): h = tanh(W x + U h + b)."""

    num_gates = 1
    signals = (Signal("h", "hidden state"),)
    kernel, own_kernel = nn.RNN, RNNWindow

    def gates(self, from_input: Tensor, from_past: Tensor) -> Gates:
        """The one equation: h = tanh(W x + U h)."""
        return (torch.tanh(from_input + from_past),)

    def advance(self, gates: Gates, state: State, clamps: Sequence[Clamp] = ()) -> State:  # noqa: ARG002 (h is all new)
        """The new state: h, which `gates` has computed already."""
        (h,) = gates
        return (hold("h", h, clamps),)


class GRU(FusedCell):
    """The gated recurrent unit (Cho et al. 2014), with the reset gate applied after the recurrent product, as in cuDNN."""

    num_gates = 3
    signals = (
        Signal("h", "hidden state"),
        Signal("r", "reset gate", low=0.0),
        Signal("z", "update gate", low=0.0),
        Signal("n", "candidate"),
    )
    kernel, own_kernel = nn.GRU, GRUWindow

    def gates(self, from_input: Tensor, from_past: Tensor) -> Gates:
        """r, z = sigmoid(W x + U h); n = tanh(W x + r * U h)."""
        reset_x, update_x, new_x = from_input.chunk(3, dim=-1)
        reset_h, update_h, new_h = from_past.chunk(3, dim=-1)
        r = torch.sigmoid(reset_x + reset_h)
        z = torch.sigmoid(update_x + update_h)
        n = torch.tanh(new_x + r * new_h)
        return r, z, n

    def advance(self, gates: Gates, state: State, clamps: Sequence[Clamp] = ()) -> State:
        """The new state: h = (1 - z) * n + z * h."""
        _, z, n = gates
        (h,) = state
        return (hold("h", (1 - z) * n + z * h, clamps),)


class LSTM(FusedCell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), with the forget gate of Gers et al. 2000."""

    num_gates = 4
    parts = ("h", "c")
    signals = (
        Signal("c", "cell state, as tanh(c)", is_squashed=True),
        Signal("h", "hidden state"),
        Signal("i", "input gate", low=0.0),
        Signal("f", "forget gate", low=0.0),
        Signal("o", "output gate", low=0.0),
        Signal("g", "candidate"),
    )
    kernel = nn.LSTM

    def initialise(self, generator: torch.Generator) -> None:
        """As every cell, except for a forget bias of 1, so that a new cell remembers (Jozefowicz et al. 2015)."""
        super().initialise(generator)
        forget = slice(self.hidden_size, 2 * self.hidden_size)
        with torch.no_grad():
            self.input_weights[1][forget] = 1.0
            self.past_weights[1][forget] = 0.0

    def gates(self, from_input: Tensor, from_past: Tensor) -> Gates:
        """i, f, o = sigmoid(W x + U h); g = tanh(W x + U h)."""
        input_gate, forget_gate, candidate, output_gate = (from_input + from_past).chunk(4, dim=-1)
        i, f, o = torch.sigmoid(input_gate), torch.sigmoid(forget_gate), torch.sigmoid(output_gate)
        return i, f, o, torch.tanh(candidate)

    def advance(self, gates: Gates, state: State, clamps: Sequence[Clamp] = ()) -> State:
        """The new state: c = f * c + i * g; h = o * tanh(c)."""
        i, f, o, g = gates
        _, c = state
        c = hold("c", f * c + i * g, clamps)
        h = hold("h", o * torch.tanh(c), clamps)
        return h, c


CELLS: dict[str, type[Cell]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
