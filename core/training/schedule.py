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


@dataclass(frozen=True)
class EpochPlan:
    """How long training is: at most `n_epochs`, each of `n_rows` rows in `n_steps` steps. Nothing else derives the length of an epoch."""

    n_epochs: int
    n_rows: int
    n_steps: int
    batch_size: int

    @property
    def total_steps(self) -> int:
        return self.n_epochs * self.n_steps

    @property
    def total_rows(self) -> int:
        return self.n_epochs * self.n_rows

    def steps_done(self, epoch: int, step: int) -> int:
        """Steps that are done after `step` steps of `epoch` (both from 1; step 0 is its start)."""
        return (epoch - 1) * self.n_steps + step

    def rows_done(self, epoch: int, step: int) -> int:
        """Rows that are done then; an epoch after the last adds none."""
        of_epoch = self.n_rows if step == self.n_steps else step * self.batch_size
        return min((epoch - 1) * self.n_rows + of_epoch, self.total_rows)

    def lr(self, epoch: int, step: int, settings: OptimSettings) -> float:
        """The learning rate of one step of an epoch (both from 1)."""
        return lr_at(self.steps_done(epoch, step) - 1, self.total_steps, settings)


def plan_epochs(recipe: Recipe, n_train: int) -> EpochPlan:
    """The epochs over `n_train` training rows: each takes every row once. A single row left over joins the step before it, unless every
    step is one row."""
    batch_size = recipe.train.batch_size
    n_steps = math.ceil(n_train / batch_size)
    if n_steps > 1 and batch_size > 1 and n_train - (n_steps - 1) * batch_size == 1:
        n_steps -= 1
    return EpochPlan(recipe.train.epochs, n_train, n_steps, batch_size)


@dataclass(frozen=True)
class FoldPlan:
    """What one fold of a run will do: its epochs, the rows it validates, and the schedule's curve.

    `curve_epochs` and `curve_lr` have one point each for up to 200 steps.
    """

    epochs: EpochPlan
    n_valid: int
    curve_epochs: tuple[float, ...]
    curve_lr: tuple[float, ...]


def plan_fold(recipe: Recipe, n_train: int, n_valid: int) -> FoldPlan:
    """What a fold that trains on `n_train` rows and validates `n_valid` will do."""
    plan = plan_epochs(recipe, n_train)
    shown = np.unique(np.linspace(0, plan.total_steps - 1, num=min(plan.total_steps, 200)).round().astype(int))
    return FoldPlan(
        epochs=plan,
        n_valid=n_valid,
        curve_epochs=tuple(float((step + 1) / plan.n_steps) for step in shown),
        curve_lr=tuple(lr_at(int(step), plan.total_steps, recipe.optim) for step in shown),
    )
