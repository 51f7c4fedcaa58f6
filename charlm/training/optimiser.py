"""Parameter groups, the optimisers, the learning-rate schedule and clipping. Knows nothing of tasks or of a run's end.

A new optimiser is a class with `fresh_state` and `step`, and an entry in OPTIMISERS at the end.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from charlm.config import TrainConfig, chosen
from charlm.model.cells import Cell

BETAS = (0.9, 0.99)
EPSILON = 1e-8
WEIGHT_DECAY = 0.01
MOMENTUM = 0.95  # of Muon
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # a, b, c of Jordan et al. 2024
ITERATIONS = 2  # from a good start; the usual five from a poor one gave no better models and took three times as long
EVERY = 2  # steps from one move of a cell's matrix to the next, which goes as many times as far: no worse, for half of the work
REST = 0.4  # of Muon's rate, for the parameters that Muon does not move
TINY = 1e-14  # added to sums of squared gradients, which may be zero
WARM_UP = 0.02  # share of the run over which the rate rises
FINAL_RATE = 0.02  # share of the peak rate at which it ends


class Optimiser:
    """Parameters in groups, each with a rate and a decay, and the `state` that each parameter carries from step to step.

    All of `state` is made at the start, so that a checkpoint always has the same tensors. On CUDA the rates are tensors, so
    that a captured step follows the schedule too.
    """

    def __init__(self, groups: list[dict[str, Any]], rate: float) -> None:
        self.param_groups = [{"lr": rate, "weight_decay": 0.0, **group} for group in groups]
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        for group in self.param_groups:
            group["peak"] = group["lr"]
            device = group["params"][0].device
            if device.type == "cuda":
                group["lr"] = torch.tensor(group["lr"], device=device)
            for p in group["params"]:
                self.state[p] = self.fresh_state(p, group)

    def fresh_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """The state of a parameter before the first step."""
        raise NotImplementedError

    def step(self) -> None:
        """One step of every parameter that has a gradient."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None


class AdamW(Optimiser):
    """AdamW (Loshchilov and Hutter 2019) by torch's fused kernel.

    Does exactly what `torch.optim.AdamW` does, without loading torch's compiler, which takes a second.
    """

    _step_supports_amp_scaling = True  # a loss scaler then passes `found_inf` to the kernel, and need not wait for it

    def fresh_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:  # noqa: ARG002 (Muon's needs it)
        """A count of steps, and the two moments."""
        return {
            "step": torch.zeros((), device=p.device),
            "exp_avg": torch.zeros_like(p, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(p, memory_format=torch.preserve_format),
        }

    @torch.no_grad()
    def step(self) -> None:
        """One step of every parameter that has a gradient."""
        found_inf = getattr(self, "found_inf", None)
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if not moved:
                continue
            steps, means, squares = ([self.state[p][name] for p in moved] for name in ("step", "exp_avg", "exp_avg_sq"))
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                moved,
                [p.grad for p in moved],
                means,
                squares,
                [],
                steps,
                lr=group["lr"],
                beta1=BETAS[0],
                beta2=BETAS[1],
                weight_decay=group["weight_decay"],
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
                found_inf=found_inf,
            )
            if found_inf is not None:  # the kernel moved nothing then
                torch._foreach_sub_(steps, [found_inf] * len(steps))


class Muon(AdamW):
    """Muon (Jordan et al. 2024) for the groups that say how many `gates` their matrices are made of, AdamW for the others.

    Each gate's matrix moves by its momentum with all singular values made about 1, so that weak directions of the gradient
    count as much as strong ones. Each gate is a matrix of its own: taken as one matrix, as by torch's own Muon, the gates learn
    more slowly.
    """

    def fresh_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """A momentum for a matrix of gates; AdamW's state for any other parameter."""
        return {"momentum": torch.zeros_like(p)} if "gates" in group else super().fresh_state(p, group)

    @torch.no_grad()
    def step(self) -> None:
        """One step. Clears the gradients that Muon used, so that AdamW finds only its own."""
        turn, every = self._turn()
        matrices = [(p, group) for group in self.param_groups if "gates" in group for p in group["params"]]
        for number, (p, group) in enumerate(matrices):
            if p.grad is not None:
                self._learn(p, p.grad, group, every if (turn + number) % every == 0 else 0)
                p.grad = None
        super().step()

    def _turn(self) -> tuple[int, int]:
        """The number of steps taken, by AdamW's count, and after how many steps a matrix moves again.

        On a GPU a matrix moves at every step: reading the count would wait for the GPU, a captured step cannot take turns, and
        there is little to save.
        """
        count = next(state["step"] for state in self.state.values() if "step" in state)
        return (int(count), EVERY) if count.device.type == "cpu" else (0, 1)

    def _learn(self, p: Tensor, gradient: Tensor, group: dict[str, Any], times: int) -> None:
        """Add a gradient to the momentum, and move `p` by `times` the length of a step."""
        momentum = self.state[p]["momentum"]
        overflow = getattr(self, "found_inf", None)  # loss scaling skips such a step, without waiting to know
        if overflow is not None:
            gradient = torch.where(overflow > 0, momentum, gradient)
        momentum.lerp_(gradient, 1 - MOMENTUM)
        if times == 0:
            return
        blocks = gradient.lerp(momentum, MOMENTUM).view(group["gates"], -1, p.shape[1])  # (G, H, E)
        direction = orthogonalised(blocks.to(group["dtype"])).to(p.dtype).flatten(0, 1)
        scale = math.sqrt(max(1.0, blocks.shape[1] / blocks.shape[2]))
        rate = times * (group["lr"] if overflow is None else group["lr"] * (overflow == 0))
        p.mul_(1 - rate * group["weight_decay"]).sub_(direction.mul_(rate * scale))


def orthogonalised(blocks: Tensor) -> Tensor:
    """Matrices `(G, H, E)` with their singular values s brought to about 1: s -> a s + b s^3 + c s^5, repeated.

    First the rows (the columns of a tall matrix) are divided so that no s is above 1, as Prach and Lampert (2022) do, and
    Boissin et al. (2025) for Muon. So s starts nearer to 1 than after a division by the matrix's norm, and fewer rounds do.
    """
    a, b, c = NEWTON_SCHULZ
    tall = blocks.shape[1] > blocks.shape[2]
    x = blocks.mT if tall else blocks
    square = x @ x.mT
    scale = (square.abs().sum(dim=-1, keepdim=True) + TINY).rsqrt()
    x, square = x * scale, square * scale * scale.mT
    for iteration in range(ITERATIONS):
        if iteration:
            square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def schedule(progress: float) -> float:
    """The share of the peak rate at `progress`, from 0 to 1, through the run: a short rise, then half a cosine down."""
    if progress < WARM_UP:
        return (progress + 0.001) / (WARM_UP + 0.001)
    share = min(1.0, (progress - WARM_UP) / (1 - WARM_UP))
    return FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * share)) / 2


def follow_schedule(optimiser: Optimiser, progress: float) -> None:
    """Set the rates of the next step by the schedule."""
    for group in optimiser.param_groups:
        rate = group["peak"] * schedule(progress)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def clip_gradients(model: nn.Module, norm: float) -> Tensor:
    """Scale all gradients together so that their norm is at most `norm` (Pascanu et al. 2013); gives the norm before that.

    A `norm` of 0 leaves them unchanged.
    """
    return nn.utils.clip_grad_norm_(model.parameters(), norm or math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserKind:
    """How to make an optimiser from a model, a configuration and the steps' precision, and what others need to know of it.

    `rate` is the default peak rate; None takes the recipe's, which depends on how much is read. `moments` is how many numbers
    the optimiser keeps for each weight of a cell.
    """

    make: Callable[[nn.Module, TrainConfig, str], Optimiser]
    rate: float | None
    moments: int


def make_optimiser(model: nn.Module, config: TrainConfig, precision: str) -> Optimiser:
    """The optimiser that `config` names. Raises `UsageError` for a name that OPTIMISERS lacks."""
    return chosen("--optimiser", config.optimiser, OPTIMISERS).make(model, config, precision)


def make_adamw(model: nn.Module, config: TrainConfig, precision: str) -> Optimiser:  # noqa: ARG001 (the signature of `make`)
    """AdamW for all parameters."""
    return AdamW(groups_of(model.parameters()), config.learning_rate)


def make_muon(model: nn.Module, config: TrainConfig, precision: str) -> Optimiser:
    """Muon for the cells' matrices, at `learning_rate`, and AdamW for all other parameters, at two fifths of it."""
    cells = [module for module in model.modules() if isinstance(module, Cell)]
    matrices = [[p for p in cell.parameters() if p.ndim == 2 and len(p) == cell.num_gates * cell.hidden_size] for cell in cells]
    moved = {p for mine in matrices for p in mine}
    groups = groups_of(p for p in model.parameters() if p not in moved)
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    for cell, mine in zip(cells, matrices, strict=True):
        groups.append(
            {"params": mine, "gates": cell.num_gates, "dtype": dtype, "lr": config.learning_rate, "weight_decay": WEIGHT_DECAY}
        )
    return Muon(groups, config.learning_rate * REST)


def groups_of(parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
    """Matrices, which decay a little, and biases, which do not."""
    mine = list(parameters)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in mine if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in mine if p.ndim == 1]},
    ]
    return [group for group in groups if group["params"]]


OPTIMISERS = {
    "muon": OptimiserKind(make=make_muon, rate=None, moments=1),
    "adamw": OptimiserKind(make=make_adamw, rate=6e-3, moments=2),
}
