"""Parameter groups, the learning-rate schedule and clipping. Knows nothing of windows or of when a run ends."""

import math

import torch
from torch import Tensor, nn

from charlm.config import TrainConfig

BETAS = (0.9, 0.99)
WEIGHT_DECAY = 0.01
WARM_UP = 0.02  # share of the run over which the rate rises
FINAL_RATE = 0.02  # share of the peak rate at which it ends


def make_optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) that decays matrices and leaves biases alone."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=BETAS, fused=True)
    for p in parameters:  # made now rather than at the first step, so that a state always has the same tensors
        optimiser.state[p] = {
            "step": torch.zeros((), device=p.device),
            "exp_avg": torch.zeros_like(p, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(p, memory_format=torch.preserve_format),
        }
    return optimiser


def learning_rate(peak: float, progress: float) -> float:
    """The rate when `progress`, from 0 to 1, of the run is done: a short linear rise, then half a cosine down."""
    if progress < WARM_UP:
        return peak * (progress + 0.001) / (WARM_UP + 0.001)
    share = min(1.0, (progress - WARM_UP) / (1 - WARM_UP))
    return peak * (FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * share)) / 2)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Make the next step take `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def clip_gradients(model: nn.Module, norm: float) -> Tensor:
    """Scale all gradients together so that their norm is at most `norm` (Pascanu et al. 2013); gives the norm before.

    A `norm` of 0 leaves them as they are.
    """
    return nn.utils.clip_grad_norm_(model.parameters(), norm or math.inf)
