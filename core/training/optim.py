"""The optimiser and its schedule: AdamW without decay on norms and biases, a cosine with warm-up, stepped every batch."""

from __future__ import annotations

import math

import torch
from torch import nn

from core.recipe import OptimSettings


def make_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Two parameter groups: matrices and kernels decay; vectors (norms, biases) and what the network excludes do not."""
    excluded: set[str] = getattr(model, "no_weight_decay", set)()
    decayed, free = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (free if parameter.ndim <= 1 or name in excluded else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def make_optimizer(model: nn.Module, settings: OptimSettings) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) over `make_groups`."""
    return torch.optim.AdamW(make_groups(model, settings.weight_decay), lr=settings.lr)


def lr_at(step: int, n_steps: int, settings: OptimSettings) -> float:
    """The learning rate of a step (0 to n_steps - 1): linear to the peak over the warm-up, then half a cosine down.

    It is a function of the step, so there is no state of a schedule to save.
    """
    n_warmup = round(settings.warmup * n_steps)
    if step < n_warmup:
        return settings.lr * (step + 1) / n_warmup
    low = settings.lr * settings.min_lr_ratio
    share = (step - n_warmup) / max(1, n_steps - 1 - n_warmup)
    return low + (settings.lr - low) * (1 + math.cos(math.pi * min(1.0, share))) / 2


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr
