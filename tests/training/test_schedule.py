"""What the Train page says a fold will do is what the fold does."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from timm.scheduler.wsd_lr import WSDLRScheduler
from torch.optim import lr_scheduler as schedulers
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import register_optimizer_step_pre_hook

from core.data.batches import cut
from core.specs.recipe import Recipe
from core.specs.training_settings import OptimSettings
from core.training.schedule import EpochPlan, lr_at, lr_shares, plan_epochs, plan_fold
from models.catalog import find_backbone
from tests.training.small_tasks import IMAGE, make_task, recipe_of, train


@given(st.integers(1, 400), st.integers(1, 64))
def test_the_number_of_steps_is_that_of_the_loader(n_rows: int, batch_size: int) -> None:
    recipe = Recipe.model_validate({"train": {"batch_size": batch_size, "epochs": 3}})
    plan, parts = plan_epochs(recipe, np.zeros(n_rows, dtype=int)), cut(n_rows, batch_size)
    assert plan.n_steps == len(parts)
    for step, part in enumerate(parts, start=1):
        assert plan.steps_done(2, step) == len(parts) + step
        assert plan.rows_done(2, step) == n_rows + part.stop
    assert plan.rows_done(4, 0) == plan.total_rows == 3 * n_rows


def rates_of(n_epochs: int, n_steps: int, **settings: Any) -> list[float]:
    """The learning rates of all steps, of a peak of 0.01."""
    plan, optim = EpochPlan(n_epochs, n_steps, n_steps, 1), OptimSettings(lr=0.01, **settings)
    return [lr_at(step, plan, optim) for step in range(plan.total_steps)]


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "wsd", "linear"])
@given(n_steps=st.integers(1, 500), warmup=st.floats(0, 0.9), low=st.floats(0, 1))
def test_the_rate_rises_to_its_peak_and_falls_to_its_end(schedule: str, n_steps: int, warmup: float, low: float) -> None:
    rates = rates_of(1, n_steps, schedule=schedule, warmup=warmup, min_lr_ratio=low)
    peak = rates.index(max(rates))
    assert max(rates) <= 0.01 + 1e-12 and abs(peak - warmup * n_steps) <= 2
    assert all(a < b for a, b in pairwise(rates[: peak + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(rates[peak:]))
    if n_steps - round(warmup * n_steps) > 1:
        assert math.isclose(rates[-1], 0.01 * low, abs_tol=1e-9)


def torch_rates(n_steps: int, of: Callable[[torch.optim.Optimizer], LRScheduler]) -> list[float]:
    """The learning rates of torch's scheduler over a peak of 0.01, step by step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    scheduler, rates = of(optimizer), list[float]()
    for _ in range(n_steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("settings", "of"),
    [
        ({"schedule": "cosine"}, lambda optimizer: schedulers.CosineAnnealingLR(optimizer, 69, eta_min=1e-4)),
        ({"schedule": "linear"}, lambda optimizer: schedulers.LinearLR(optimizer, 1.0, 0.01, 69)),
        ({"schedule": "constant"}, lambda optimizer: schedulers.ConstantLR(optimizer, 1.0)),
        ({"schedule": "restarts", "restart_epochs": 2}, lambda optimizer: schedulers.CosineAnnealingWarmRestarts(optimizer, 20, 2, 1e-4)),
        (
            {"schedule": "restarts", "restart_epochs": 3, "restart_mult": 1},
            lambda optimizer: schedulers.CosineAnnealingWarmRestarts(optimizer, 30, 1, 1e-4),
        ),
        (
            {"schedule": "one_cycle", "warmup": 0.3},
            lambda optimizer: schedulers.OneCycleLR(optimizer, 0.01, total_steps=70, pct_start=0.3, final_div_factor=4),
        ),
    ],
    ids=["cosine", "linear", "constant", "restarts", "restarts of equal length", "one cycle"],
)
def test_a_schedule_is_that_of_torch(settings: dict[str, Any], of: Callable[[torch.optim.Optimizer], LRScheduler]) -> None:
    assert rates_of(7, 10, **{"warmup": 0.0, "min_lr_ratio": 0.01, **settings}) == pytest.approx(torch_rates(70, of), rel=1e-6)


def test_wsd_is_that_of_timm() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    timm = WSDLRScheduler(optimizer, t_initial=69, decay_t=14, lr_min=1e-4)
    assert rates_of(7, 10, schedule="wsd", warmup=0.0) == pytest.approx([timm._get_lr(step)[0] for step in range(70)])  # pyright: ignore[reportPrivateUsage]


def test_after_the_warm_up_the_first_cycle_begins() -> None:
    rates = rates_of(10, 10, schedule="restarts", restart_epochs=3, restart_mult=1, warmup=0.1)
    assert [step for step, rate in enumerate(rates) if rate == pytest.approx(0.01)] == [9, 10, 40, 70]


def test_a_plan_counts_rows_and_steps() -> None:
    plan = plan_fold(Recipe.model_validate({"train": {"epochs": 4, "batch_size": 32}}), np.arange(200) % 4, 100, 4)
    assert (plan.epochs.n_rows, plan.n_valid) == (200, 100)
    assert (plan.epochs.n_steps, plan.epochs.total_steps) == (7, 28)
    assert len(plan.curve_lr) == len(plan.curve_epochs) == 28
    assert plan.curve_epochs[-1] == pytest.approx(4)
    long = plan_fold(Recipe.model_validate({"train": {"epochs": 1000, "batch_size": 1}}), np.arange(200) % 4, 100, 4)
    assert len(long.curve_lr) == 200


@pytest.mark.parametrize(
    ("schedule", "layer_decay", "freeze"),
    [("cosine", 1.0, 0), ("cosine", 0.7, 2), *((name, 0.7, 0) for name in ("restarts", "one_cycle", "wsd", "linear", "constant"))],
)
def test_the_curve_of_every_group_is_what_its_optimiser_steps_with(schedule: str, layer_decay: float, freeze: int, tmp_path: Path) -> None:
    optim = {"schedule": schedule, "layer_decay": layer_decay, "warmup": 0.3}
    recipe = recipe_of(IMAGE, optim=optim, model={"freeze": freeze})
    task = make_task(tmp_path, recipe)
    stepped: list[set[float]] = []

    def watch(optimizer: torch.optim.Optimizer, *_: object) -> None:
        stepped.append({group["lr"] for group in optimizer.param_groups})

    hook = register_optimizer_step_pre_hook(watch)
    try:
        train(task)
    finally:
        hook.remove()
    plan = plan_fold(recipe, task.labels[task.train_idx], len(task.valid_idx), 3)
    shares = lr_shares(recipe, find_backbone(recipe.model.backbone).n_groups)
    assert len(plan.curve_lr) == len(stepped) == plan.epochs.total_steps
    assert [pytest.approx(sorted(rate * share for share in shares)) for rate in plan.curve_lr] == [sorted(rates) for rates in stepped]
