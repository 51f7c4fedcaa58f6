"""Hand-written fast paths for some machines; a plain path that computes the same goes with each. Knows weights, not models.

The device, the arithmetic and the number of rows decide which path runs, never a clock: the same machine gives the same bits.
benchmarks/RESULTS.md says how much each gains.

Shapes: B streams, T steps, E inputs, H hidden units, G gates, each H wide.
"""

from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional as F

Context = Any  # what a window passes from forward to backward; torch leaves it untyped
Floats = npt.NDArray[np.floating]

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


class Product:
    """`F.linear` with a fixed `weight` `(N, K)` and `bias` `(N,)`, laid out once for the processor. Without gradients.

    In float32 on a CPU a single row goes through NumPy, whose library reads the weights as fast as memory delivers them; torch
    took three times as long on an AMD processor with AVX2. More rows go through oneDNN with a packed weight: from 64 rows on,
    three times as fast on an AMD processor with AVX-512.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight.detach(), bias.detach()
        self.is_plain = weight.device.type != "cpu" or weight.dtype != torch.float32 or not len(weight)

    def __call__(self, x: Tensor) -> Tensor:
        """Rows `(B, K)` -> `(B, N)`."""
        if self.is_plain:
            return F.linear(x, self.weight, self.bias)
        if len(x) == 1:
            y = np.dot(x.detach().numpy()[0], self._columns)
            y += self._offset
            return torch.from_numpy(y).unsqueeze(0)
        if _can_pack():
            packed: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")
            return packed
        return F.linear(x, self.weight, self.bias)

    @cached_property
    def _columns(self) -> Floats:  # (K, N): every NumPy library reads this layout from end to end
        return self.weight.t().contiguous().numpy()

    @cached_property
    def _offset(self) -> Floats:
        return self.bias.numpy()

    @cached_property
    def _packed(self) -> Tensor:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(self.weight)
        return packed


@cache
def _can_pack() -> bool:
    """Whether this torch has oneDNN's packed product, which is not a public function, and computes it correctly."""
    x, weight, bias = torch.eye(2, 3), torch.eye(4, 3) + 1, torch.ones(4)
    try:
        laid_out = torch.ops.mkldnn._reorder_linear_weight(weight)
        y = torch.ops.mkldnn._linear_pointwise(x, laid_out, bias, "none", [], "")
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return bool(torch.allclose(y, F.linear(x, weight, bias)))


def is_for_own_windows(x: Tensor) -> bool:
    """Whether gradients are wanted, in full precision on a CPU: the case that the windows below are for.

    Without gradients torch's own loops are as fast; in bfloat16 torch uses oneDNN's products instead.
    """
    return x.device.type == "cpu" and torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")


# On a CPU, torch builds a graph of about ten nodes a step for a window of a GRU or RNN. Here a window is one node. Forward
# keeps the results of the equations. Backward first computes, for all steps at once, everything that does not depend on the
# gradient of h; then it goes through the steps with one product each; one product over all steps gives the weights' gradients.


class RNNWindow(Function):
    """`(T, B, E)` and h `(B, H)` -> h at every step `(T, B, H)` and after the last: h = tanh(W x + b + U h + b')."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, h: Tensor, w: Tensor, u: Tensor, b: Tensor, b_past: Tensor) -> tuple[Tensor, Tensor]:
        """The equation, a step at a time."""
        hs = F.linear(x, w, b + b_past)  # (T, B, H): what the input adds, and below the result
        past, before, ut = torch.empty_like(h), h, u.t()
        for now in hs.unbind():
            torch.mm(before, ut, out=past)
            before = now.add_(past).tanh_()
        ctx.save_for_backward(x, h, w, u, hs)
        return hs, before.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, from_hs: Tensor, from_last: Tensor) -> tuple[Tensor | None, ...]:
        """d(W x + U h) = dh (1 - h^2)."""
        x, h, w, u, hs = ctx.saved_tensors
        d = tanh_backward(hs.new_ones(1).expand_as(hs), hs)  # (T, B, H)
        dh = from_last
        for d_now, from_above in zip(d.unbind()[::-1], from_hs.unbind()[::-1], strict=True):
            d_now.mul_(dh.add_(from_above) if dh is not from_last else dh + from_above)
            dh = torch.mm(d_now, u)
        before = torch.cat([h.unsqueeze(0), hs[:-1]])
        db = d.sum((0, 1))
        return d @ w, dh, _weight_gradient(d, x), _weight_gradient(d, before), db, db


class GRUWindow(Function):
    """`(T, B, E)` and h `(B, H)` -> h at every step `(T, B, H)` and after the last; the equations are those of `cells.GRU`."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, h: Tensor, w: Tensor, u: Tensor, b: Tensor, b_past: Tensor) -> tuple[Tensor, Tensor]:
        """The equations, a step at a time."""
        size, ut = h.shape[1], u.t()
        known, b_new = b_past.clone(), b_past[2 * size :]  # the biases of r and z add the same at every step
        known[2 * size :] = 0
        gates = F.linear(x, w, b + known)  # (T, B, 3 H): what the input adds; below, r, z, n
        news = x.new_empty(*x.shape[:2], size)  # U h + b' for n
        hs = x.new_empty(len(x) + 1, *h.shape)
        hs[0] = h
        past = x.new_empty(len(h), 3 * size)
        past_rz, past_n = past[:, : 2 * size], past[:, 2 * size :]
        steps = zip(gates[..., : 2 * size].unbind(), *_parts(gates, 3), news.unbind(), hs[:-1], hs[1:], strict=True)
        for rz, r, z, n, new, before, now in steps:
            torch.mm(before, ut, out=past)
            rz.add_(past_rz).sigmoid_()
            torch.add(past_n, b_new, out=new)
            n.addcmul_(r, new).tanh_()
            torch.lerp(n, before, z, out=now)
        ctx.save_for_backward(x, w, u, gates, news, hs)
        return hs[1:], hs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, from_hs: Tensor, from_last: Tensor) -> tuple[Tensor | None, ...]:
        """By the chain rule dz = dh (h' - n) z (1 - z), dn = dh (1 - z)(1 - n^2), dr = dn (U h' + b') r (1 - r)."""
        x, w, u, gates, news, hs = ctx.saved_tensors
        size = hs.shape[2]
        r, z, n = gates.chunk(3, dim=-1)
        d = gates.new_empty(*gates.shape[:2], 4 * size)  # for n, r, z, and for the U h + b' in n
        dn, dr, dz, dnew = d.chunk(4, dim=-1)
        tanh_backward(1 - z, n, grad_input=dn)
        torch.mul(dn, sigmoid_backward(news, r), out=dr)
        sigmoid_backward(hs[:-1] - n, z, grad_input=dz)
        torch.mul(dn, r, out=dnew)
        dh = from_last
        steps = zip(d.unflatten(2, (4, size)).unbind(), d[..., size:].unbind(), z.unbind(), from_hs.unbind(), strict=True)
        for d_now, d_past, z_now, from_above in reversed(list(steps)):
            dh = dh + from_above
            d_now.mul_(dh.unsqueeze(1))
            dh = torch.mm(d_past, u).addcmul_(dh, z_now)
        of_input, of_past = d[..., : 3 * size], d[..., size:]
        db = d.sum((0, 1))
        return (
            of_input @ w.roll(size, 0),  # W's rows are those of r, z, n
            dh,
            _weight_gradient(of_input, x).roll(-size, 0),
            _weight_gradient(of_past, hs[:-1]),
            db[: 3 * size].roll(-size),
            db[size:],
        )


def _parts(x: Tensor, number: int) -> list[tuple[Tensor, ...]]:
    """Each of `number` equal parts of the last dimension, step by step."""
    return [part.unbind() for part in x.chunk(number, dim=-1)]


def _weight_gradient(d: Tensor, x: Tensor) -> Tensor:
    """The gradient `(N, K)` of a weight that maps `x` `(T, B, K)` to outputs with the gradient `d` `(T, B, N)`."""
    return d.flatten(0, 1).t() @ x.flatten(0, 1)
