"""The learning rate as a function of the step; what a fold will do before it does it; how long it takes as it goes (Pace), and what it needs
as a dry run measured it (Costs). Imports no torch: pages show it."""

import math
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.tokens import TokenLengths
from core.specs.recipe import Recipe
from core.specs.training_settings import OptimSettings
from core.training.sampling import class_counts, edited_counts, group_rows

EVALUATION_COST = 0.4  # a row that is only predicted costs about this share of a row that is trained on
WINDOW = 40
ONE_CYCLE_START = 25
"""One cycle begins at the peak divided by this, as in torch."""


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
        return lr_at(self.steps_done(epoch, step) - 1, self, settings)


def lr_at(step: int, plan: EpochPlan, settings: OptimSettings) -> float:
    """The learning rate of a step of a plan (from 0): linear to the peak over the warm-up, then as the schedule says, down to its end.

    It is a function of the step, so there is no state of a schedule to save. Sources: cosine and warm restarts, Loshchilov and Hutter 2017
    (cycles of whole epochs, begun after the warm-up); one cycle, Smith and Topin 2018, in torch's form (it rises by a cosine, and the
    momentum stays); wsd, Hu et al. 2024, falling by 1 - sqrt as in Hägele et al. 2024.
    """
    n_steps, low = plan.total_steps, settings.lr * settings.min_lr_ratio
    if settings.schedule == "one_cycle":
        return _one_cycle(step, n_steps, settings)
    n_warmup = round(settings.warmup * n_steps)
    if step < n_warmup:
        return settings.lr * (step + 1) / n_warmup
    done, last = step - n_warmup, max(1, n_steps - 1 - n_warmup)
    match settings.schedule:
        case "cosine":
            above = _half_cosine(min(1.0, done / last))
        case "restarts":
            length = settings.restart_epochs * plan.n_steps
            while done >= length:
                done, length = done - length, length * settings.restart_mult
            above = _half_cosine(done / length)
        case "wsd":
            n_falling = max(1, min(last, round(settings.cooldown * n_steps)))
            above = 1 - math.sqrt(max(0, done - (last - n_falling)) / n_falling)
        case "linear":
            above = 1 - min(1.0, done / last)
        case "constant":
            above = 1.0
    return low + (settings.lr - low) * above


def _half_cosine(share: float) -> float:
    """From 1 at the start to 0 at the end."""
    return (1 + math.cos(math.pi * share)) / 2


def _one_cycle(step: int, n_steps: int, settings: OptimSettings) -> float:
    top = max(0.0, settings.warmup * n_steps - 1)
    if step < top:
        first = settings.lr / ONE_CYCLE_START
        return settings.lr + (first - settings.lr) * _half_cosine(step / top)
    low, left = settings.lr * settings.min_lr_ratio, n_steps - 1 - top
    return low + (settings.lr - low) * _half_cosine((step - top) / left if left > 0 else 0.0)


def lr_shares(recipe: Recipe, n_groups: int) -> tuple[float, ...]:
    """The share of the learning rate that each group of layers has which learns, of a network with `n_groups`, the head's (1) first: what
    `make_groups` calls `lr_scale`. One share where all have the same."""
    decay = recipe.optim.layer_decay
    return tuple(decay**n for n in range(max(1, n_groups - recipe.model.freeze))) if decay < 1 else (1.0,)


def plan_epochs(recipe: Recipe, labels: NDArray[np.integer]) -> EpochPlan:
    """The epochs over training rows with these labels, (n,) or (n, K): each takes every row once, or as many as a sampler says. A single row
    left over joins the step before it, unless every step is one row."""
    batch_size, n_rows = recipe.train.batch_size, sum(group.n_taken for group in group_rows(recipe.sampling, labels))
    n_steps = math.ceil(n_rows / batch_size)
    if n_steps > 1 and batch_size > 1 and n_rows - (n_steps - 1) * batch_size == 1:
        n_steps -= 1
    return EpochPlan(recipe.train.epochs, n_rows, n_steps, batch_size)


@dataclass(frozen=True)
class FoldPlan:
    """What one fold of a run will do: its epochs, the rows it validates, and the schedule's curve.

    `taken_rows` (K,) are the rows of each class in an epoch, and `edited_rows` (K,) how many of these have their words
    changed. `curve_epochs` and `curve_lr` have one point each for up to 200 steps.
    """

    epochs: EpochPlan
    n_valid: int
    taken_rows: NDArray[np.float64]
    edited_rows: NDArray[np.float64]
    curve_epochs: tuple[float, ...]
    curve_lr: tuple[float, ...]


def plan_fold(recipe: Recipe, labels: NDArray[np.integer], n_valid: int, n_classes: int) -> FoldPlan:
    """What a fold that trains on rows with these labels, (n,) or (n, K), and validates `n_valid` will do."""
    plan = plan_epochs(recipe, labels)
    taken = group_rows(recipe.sampling, labels)
    shown = np.unique(np.linspace(0, plan.total_steps - 1, num=min(plan.total_steps, 200)).round().astype(int))
    return FoldPlan(
        epochs=plan,
        n_valid=n_valid,
        taken_rows=class_counts(taken, labels, n_classes),
        edited_rows=edited_counts(taken, labels, n_classes, recipe.augment),
        curve_epochs=tuple(float((step + 1) / plan.n_steps) for step in shown),
        curve_lr=tuple(lr_at(int(step), plan, recipe.optim) for step in shown),
    )


class Pace:
    """Counts rows against all the rows of a fold: training rows as one, predicted rows as EVALUATION_COST."""

    def __init__(self, n_train_rows: int, n_predicted_rows: int) -> None:
        self._left = n_train_rows + EVALUATION_COST * n_predicted_rows
        self._steps: deque[tuple[float, int, float]] = deque(maxlen=WINDOW)
        self._last = time.monotonic()

    def start(self) -> None:
        """Forget the time since the last step, after something that is not a step."""
        self._last = time.monotonic()

    def did(self, rows: int, *, training: bool) -> None:
        """Count one finished step."""
        now = time.monotonic()
        work = rows if training else EVALUATION_COST * rows
        self._steps.append((now - self._last, rows, work))
        self._last = now
        self._left = max(0.0, self._left - work)

    def drop(self, n_train_rows: int, n_predicted_rows: int) -> None:
        """Rows that will not be done after all, because training stopped early."""
        self._left = max(0.0, self._left - n_train_rows - EVALUATION_COST * n_predicted_rows)

    def expect(self, n_predicted_rows: int) -> None:
        """From now on nothing but so many rows will be predicted."""
        self._left = EVALUATION_COST * n_predicted_rows

    @property
    def rows_per_s(self) -> float | None:
        """Rows a second over the last steps; None before the second step, since the first one also warms up."""
        return self._rate(1)

    @property
    def eta_s(self) -> float | None:
        """Seconds until the fold ends at this pace."""
        rate = self._rate(2)
        return None if not rate else self._left / rate

    def _rate(self, column: int) -> float | None:
        if len(self._steps) < 2:
            return None
        steps = list(self._steps)[1:]
        seconds = sum(step[0] for step in steps)
        return sum(step[column] for step in steps) / seconds if seconds > 0 else None


@dataclass(frozen=True)
class Costs:
    """The figures of a few real steps on a device.

    `peak_bytes` is the most memory the fold takes: of the device, or of its process on the processor (`above_start_bytes` of it were
    not there before the network was built; `loaders_bytes` more are in loader processes). `free_bytes` were free before.

    `step_s` is the mean of `n_timed` steps after the first ones; `train_row_s` and `valid_row_s` are seconds per row, `score_s`
    those of scoring all validation rows, `setup_s` those of building everything. `n_means` of weights are made in the end, each with a pass over
    the rows. `others` is the share of the processor (0 to 1)
    that other programs used meanwhile.

    `tokens` are the lengths of the training rows where these are texts. Of `n_logits` that were predicted, in `precision`, `n_not_finite` were infinite or not a number.

    `checkpoint_bytes` and `weights_bytes` are what a checkpoint and the published weights hold. `halvings` of the micro-batch were
    needed because memory ran out.
    """

    precision: str
    precision_reason: str
    n_params: int
    weights: str
    batch_size: int
    micro_batch: int
    halvings: int
    peak_bytes: int
    above_start_bytes: int
    loaders_bytes: int
    free_bytes: int
    total_bytes: int
    n_timed: int
    step_s: float
    train_row_s: float
    valid_row_s: float
    score_s: float
    setup_s: float
    others: float | None
    checkpoint_bytes: int
    weights_bytes: int
    n_trainable: int = 0
    n_means: int = 0
    n_logits: int = 0
    n_not_finite: int = 0
    tokens: TokenLengths | None = None

    def epoch_s(self, n_train: float, n_valid: int) -> float:
        """Seconds of an epoch over so many rows, with its validation; a row of a smaller input counts by its area."""
        return n_train * self.train_row_s + n_valid * self.valid_row_s + self.score_s

    def fold_s(self, n_train: float, n_valid: int, n_test: int, n_epochs: int) -> float:
        """Seconds of a fold that trains all its epochs: building, epochs, means of weights, and the predictions of those that are kept."""
        last = (n_valid + n_test) * self.valid_row_s + self.score_s
        last += self.n_means * ((n_train + n_valid) * self.valid_row_s + self.score_s)
        return self.setup_s + n_epochs * self.epoch_s(n_train, n_valid) + last
