"""A run's score without the choice of its epochs."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.analysis.epoch_choice import cross_fit_epochs, epoch_choice
from core.metrics.scores import get_metric
from core.specs.recipe import Recipe
from core.store.runs import EpochRow

ACCURACY, LOG_LOSS = get_metric("accuracy"), get_metric("log_loss")


def rows(*curves: list[float], metric: str = "accuracy") -> list[EpochRow]:
    return [
        EpochRow(1, fold, 1, epoch, 0.5, 0.5, {metric: score}, 0.1, 1.0)
        for fold, curve in enumerate(curves)
        for epoch, score in enumerate(curve, start=1)
    ]


def test_each_fold_is_scored_at_the_epoch_that_the_others_chose() -> None:
    curves = [0.5, 0.9, 0.6], [0.5, 0.6, 0.9], [0.5, 0.6, 0.8]
    scores, epochs = cross_fit_epochs(rows(*curves), ACCURACY, 3, range(3))
    # Fold 0: the others are at .5, .6, .85, so epoch 3; folds 1 and 2: at .5, .75, .7 and .5, .75, .75, so epoch 2.
    assert epochs == {0: 3, 1: 2, 2: 2}
    assert scores == {0: 0.6, 1: 0.6, 2: 0.6}


def test_the_least_loss_is_the_best() -> None:
    _, epochs = cross_fit_epochs(rows([1.0, 0.5, 0.7], [1.0, 0.9, 0.2], metric="log_loss"), LOG_LOSS, 2, range(2))
    assert epochs == {0: 3, 1: 2}


def test_epochs_that_are_chosen_by_the_loss_are_cross_fitted_by_it() -> None:
    accuracies, losses = ([0.5, 0.9, 0.6], [0.5, 0.6, 0.9]), ([1.0, 0.9, 0.2], [0.3, 0.9, 0.8])
    known = [replace(row, scores={**row.scores, "log_loss": losses[row.fold][row.epoch - 1]}) for row in rows(*accuracies)]
    scores, epochs = cross_fit_epochs(known, ACCURACY, 2, range(2), LOG_LOSS)
    assert (scores, epochs) == ({0: 0.5, 1: 0.9}, {0: 1, 1: 3})


@pytest.mark.parametrize("keep", ["last", "swa", "best_mean", "soup"])
def test_of_a_run_that_keeps_no_best_epoch_nothing_is_said(keep: str) -> None:
    recipe = Recipe.model_validate({"average": {"keep": keep}})
    run: Any = SimpleNamespace(recipe=recipe, seeds=(), is_imported=False, cv_score=lambda _: 0.9)
    contest: Any = SimpleNamespace(spec=SimpleNamespace(metric="accuracy"))
    nothing: Any = None
    assert epoch_choice(nothing, contest, nothing, run) is None


def test_a_fold_that_stopped_before_counts_with_its_last_epoch() -> None:
    scores, epochs = cross_fit_epochs(rows([0.5, 0.7], [0.5, 0.6, 0.7, 0.9]), ACCURACY, 2, range(2))
    assert (scores, epochs) == ({0: 0.7, 1: 0.6}, {0: 2, 1: 2})


def test_a_repeated_deal_does_not_choose_for_the_one_that_validates_the_same_rows() -> None:
    first, again = ([0.9, 0.1], [0.9, 0.1]), ([0.1, 0.9], [0.1, 0.9])
    _, epochs = cross_fit_epochs(rows(*first, *again), ACCURACY, 2, range(4))
    assert epochs == {0: 1, 1: 1, 2: 2, 3: 2}


@pytest.mark.parametrize("finished", [[0], [0, 5], []], ids=["alone", "not recorded", "none"])
def test_where_nobody_can_say_nothing_is_said(finished: list[int]) -> None:
    assert cross_fit_epochs(rows([0.5, 0.6], [0.5, 0.6]), ACCURACY, 6, finished) == ({}, {})


def test_of_noise_the_best_epoch_is_optimistic_and_the_choice_of_the_others_is_not() -> None:
    rng = np.random.default_rng(0)
    chosen, crossed = [], []
    for _ in range(200):
        curves = rng.normal(0.8, 0.02, (5, 10))
        scores, _ = cross_fit_epochs(rows(*curves.tolist()), ACCURACY, 5, range(5))
        chosen.append(curves.max(axis=1).mean())
        crossed.append(np.mean(list(scores.values())))
    assert np.mean(chosen) > 0.82
    assert abs(np.mean(crossed) - 0.8) < 0.003
