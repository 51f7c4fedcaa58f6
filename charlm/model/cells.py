"""RNN, GRU, LSTM: one recurrent layer each, with one signature. Knows nothing of layers above or below.

A cell is its equations, in `step`; whole windows run through torch's fused kernel over the same weights, and the tests hold
the two equal. State goes in and comes out: `(h, c)` for the LSTM, `(h,)` for the others, always with h first, so that code
which carries, detaches or gathers states never asks which cell it has.

Shapes: B streams, T steps, E inputs, H hidden units, G gates, each H wide.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, ...]


class Cell(nn.Module):
    """One layer: weights W `(G*H, E)`, U `(G*H, H)` and two biases, as torch's fused `kernel` keeps them."""

    kernel: ClassVar[type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]]
    num_states: ClassVar[int] = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.fused: Any = self.kernel(input_size, hidden_size)  # Any: torch names its parameters at run time

    def initialise(self, generator: torch.Generator) -> None:
        """Draw every weight and bias from U(-1/sqrt(H), 1/sqrt(H)), torch's own default for these layers."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def initial_state(self, batch_size: int) -> State:
        """Zeros: one `(B, H)` for each part of the state, where the weights are."""
        weight = self.fused.weight_hh_l0
        return tuple(weight.new_zeros(batch_size, self.hidden_size) for _ in range(self.num_states))

    def project(self, x: Tensor) -> Tensor:
        """What the input adds to the gates: W x + b, `(..., E)` -> `(..., G*H)`."""
        return F.linear(x, self.fused.weight_ih_l0, self.fused.bias_ih_l0)

    def recur(self, h: Tensor) -> Tensor:
        """What the past adds to the gates: U h + b', `(B, H)` -> `(B, G*H)`."""
        return F.linear(h, self.fused.weight_hh_l0, self.fused.bias_hh_l0)

    def step(self, projected: Tensor, state: State) -> State:
        """One time step by the cell's equations: `project`ed input `(B, G*H)` and state in, new state out."""
        raise NotImplementedError

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """A whole window through the fused kernel: `(T, B, E)` and state -> h at every step `(T, B, H)` and new state."""
        stacked = tuple(part.unsqueeze(0).contiguous() for part in state)  # torch counts layers first: (1, B, H)
        outputs, last = self.fused(inputs, stacked if len(stacked) > 1 else stacked[0])
        parts = last if isinstance(last, tuple) else (last,)
        return outputs, tuple(part.squeeze(0) for part in parts)


class RNN(Cell):
    """The plain recurrent network (Elman 1990): h = tanh(W x + U h + b)."""

    kernel = nn.RNN

    def step(self, projected: Tensor, state: State) -> State:
        """One equation: h = tanh(W x + U h)."""
        (h,) = state
        return (torch.tanh(projected + self.recur(h)),)


class GRU(Cell):
    """The gated recurrent unit (Cho et al. 2014), the reset gate applied after the recurrent product, as cuDNN does."""

    kernel = nn.GRU

    def step(self, projected: Tensor, state: State) -> State:
        """r, z = sigmoid(W x + U h); n = tanh(W x + r * U h); h = (1 - z) * n + z * h."""
        (h,) = state
        reset_x, update_x, new_x = projected.chunk(3, dim=-1)
        reset_h, update_h, new_h = self.recur(h).chunk(3, dim=-1)
        r = torch.sigmoid(reset_x + reset_h)
        z = torch.sigmoid(update_x + update_h)
        n = torch.tanh(new_x + r * new_h)
        return ((1 - z) * n + z * h,)


class LSTM(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), with the forget gate of Gers et al. 2000."""

    kernel = nn.LSTM
    num_states = 2

    def initialise(self, generator: torch.Generator) -> None:
        """As every cell, but for a forget bias of 1, so that a new cell remembers (Jozefowicz et al. 2015)."""
        super().initialise(generator)
        forget = slice(self.hidden_size, 2 * self.hidden_size)
        with torch.no_grad():
            self.fused.bias_ih_l0[forget] = 1.0
            self.fused.bias_hh_l0[forget] = 0.0

    def step(self, projected: Tensor, state: State) -> State:
        """i, f, o = sigmoid(W x + U h); g = tanh(W x + U h); c = f * c + i * g; h = o * tanh(c)."""
        h, c = state
        input_gate, forget_gate, candidate, output_gate = (projected + self.recur(h)).chunk(4, dim=-1)
        i, f, o = torch.sigmoid(input_gate), torch.sigmoid(forget_gate), torch.sigmoid(output_gate)
        g = torch.tanh(candidate)
        c = f * c + i * g
        h = o * torch.tanh(c)
        return h, c


CELLS: dict[str, type[Cell]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
