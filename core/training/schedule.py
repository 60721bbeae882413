"""The learning rate as a function of the step, and what a run will do before it does it. Imports no torch: the Train page draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.specs.recipe import OptimSettings, Recipe


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


def steps_per_epoch(n_rows: int, batch_size: int) -> int:
    """Batches of one epoch over `n_rows`; a single row left over joins the batch before it, unless every batch is one row."""
    n_batches = math.ceil(n_rows / batch_size)
    n_last = n_rows - (n_batches - 1) * batch_size
    return n_batches - 1 if n_batches > 1 and batch_size > 1 and n_last == 1 else n_batches


@dataclass(frozen=True)
class Plan:
    """What one fold of a run will do: rows it learns from and validates, steps, and the schedule's curve.

    `curve_epochs` and `curve_lr` have one point each for up to 200 steps.
    """

    n_train: int
    n_valid: int
    steps_per_epoch: int
    n_steps: int
    curve_epochs: tuple[float, ...]
    curve_lr: tuple[float, ...]


def plan_fold(recipe: Recipe, n_train: int, n_valid: int) -> Plan:
    """What a fold will do that trains on `n_train` rows and validates `n_valid`."""
    per_epoch = steps_per_epoch(n_train, recipe.train.batch_size)
    n_steps = per_epoch * recipe.train.epochs
    shown = np.unique(np.linspace(0, n_steps - 1, num=min(n_steps, 200)).round().astype(int))
    return Plan(
        n_train=n_train,
        n_valid=n_valid,
        steps_per_epoch=per_epoch,
        n_steps=n_steps,
        curve_epochs=tuple(float((step + 1) / per_epoch) for step in shown),
        curve_lr=tuple(lr_at(int(step), n_steps, recipe.optim) for step in shown),
    )
