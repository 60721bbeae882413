"""What the Train page says a fold will do is what the fold does."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from core.data.batches import cut
from core.specs.recipe import OptimSettings, Recipe
from core.training.schedule import lr_at, plan_epochs, plan_fold


@given(st.integers(1, 400), st.integers(1, 64))
def test_the_number_of_steps_is_that_of_the_loader(n_rows: int, batch_size: int) -> None:
    recipe = Recipe.model_validate({"train": {"batch_size": batch_size, "epochs": 3}})
    plan, parts = plan_epochs(recipe, np.zeros(n_rows, dtype=int)), cut(n_rows, batch_size)
    assert plan.n_steps == len(parts)
    for step, part in enumerate(parts, start=1):
        assert plan.steps_done(2, step) == len(parts) + step
        assert plan.rows_done(2, step) == n_rows + part.stop
    assert plan.rows_done(4, 0) == plan.total_rows == 3 * n_rows


@given(st.integers(2, 500), st.floats(0, 0.9), st.floats(0, 1))
def test_the_rate_rises_to_its_peak_and_falls_to_its_end(n_steps: int, warmup: float, low: float) -> None:
    settings = OptimSettings(lr=0.01, warmup=warmup, min_lr_ratio=low)
    rates = [lr_at(step, n_steps, settings) for step in range(n_steps)]
    n_warmup = round(warmup * n_steps)
    assert max(rates) <= 0.01 + 1e-12
    assert all(a < b for a, b in pairwise(rates[:n_warmup]))
    assert all(a >= b - 1e-12 for a, b in pairwise(rates[n_warmup:]))
    if n_steps - n_warmup > 1:
        assert math.isclose(rates[-1], 0.01 * low, abs_tol=1e-9)


def test_a_plan_counts_rows_and_steps() -> None:
    plan = plan_fold(Recipe.model_validate({"train": {"epochs": 4, "batch_size": 32}}), np.arange(200) % 4, 100, 4)
    assert (plan.epochs.n_rows, plan.n_valid) == (200, 100)
    assert (plan.epochs.n_steps, plan.epochs.total_steps) == (7, 28)
    assert len(plan.curve_lr) == len(plan.curve_epochs) == 28
    assert plan.curve_epochs[-1] == pytest.approx(4)
    long = plan_fold(Recipe.model_validate({"train": {"epochs": 1000, "batch_size": 1}}), np.arange(200) % 4, 100, 4)
    assert len(long.curve_lr) == 200
