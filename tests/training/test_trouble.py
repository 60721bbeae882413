from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.metrics.scores import get_metric
from core.specs.progress import EpochReport
from core.training.trouble import Trouble, find_trouble

ACCURACY, LOG_LOSS = get_metric("accuracy"), get_metric("log_loss")
CALM_TRAIN = (1.0, 0.7, 0.5, 0.4, 0.35, 0.3)
CALM_VALID = (1.1, 0.8, 0.65, 0.6, 0.58, 0.59)


def rows(
    train: Sequence[float] = CALM_TRAIN, valid: Sequence[float] = CALM_VALID, fold: int = 0, score: float = 0.8, log_loss: float = 0.6
) -> list[EpochReport]:
    return [
        EpochReport(fold, number, len(train), losses[0], losses[1], {"accuracy": score, "log_loss": log_loss}, 0.1, 1.0)
        for number, losses in enumerate(zip(train, valid, strict=True), start=1)
    ]


def kind(found: Trouble | None) -> str | None:
    return None if found is None else found.kind


def test_a_calm_run_and_an_empty_one_have_no_trouble() -> None:
    assert find_trouble([], ACCURACY) is None
    for n_done in range(1, 7):
        assert find_trouble(rows(CALM_TRAIN[:n_done], CALM_VALID[:n_done]), ACCURACY) is None
    assert find_trouble([*rows(fold=0), *rows(fold=1, score=0.79), *rows(fold=2, score=0.82)], ACCURACY) is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_the_first_thing_said(value: float) -> None:
    found = find_trouble([*rows(fold=0, score=0.1), *rows((1.0, value, 0.5), (1.1, 0.9, 0.8), fold=1)], ACCURACY)
    assert found and (found.kind, found.fold, found.epoch) == ("nan", 1, 2)
    assert str(found) == "fold 1: the loss is not a number since epoch 2"


def test_a_loss_that_stays_high_diverges_and_one_bad_epoch_does_not() -> None:
    def trained(*losses: float) -> str | None:
        return kind(find_trouble(rows(losses, [loss + 0.1 for loss in losses]), ACCURACY))

    assert trained(1.0, 0.5, 2.0) is None
    assert trained(1.0, 0.5, 2.0, 3.0) == "diverging"
    assert trained(1.0, 0.5, 2.0, 0.45) is None
    assert trained(1.0, 0.04, 0.07, 0.08) is None  # from tiny to tiny
    assert "rose to 3" in str(find_trouble(rows((1.0, 0.5, 2.0, 3.0), (1, 1, 1, 1)), ACCURACY))


def test_a_gap_that_grows_while_the_validation_loss_rises_is_overfitting() -> None:
    train, valid = (1.0, 0.6, 0.4, 0.2, 0.1, 0.05), (1.0, 0.8, 0.7, 0.75, 0.85, 1.0)
    found = find_trouble(rows(train, valid), ACCURACY)
    assert found and (found.kind, found.epoch, found.values["best_epoch"]) == ("overfitting", 6, 3.0)
    assert find_trouble(rows(train[:5], valid[:5]), ACCURACY) is None  # two epochs are not yet a tendency
    assert find_trouble(rows(train, (1.0, 0.8, 0.7, 0.71, 0.72, 0.73)), ACCURACY) is None  # it hardly rises
    assert find_trouble(rows((1.0, 0.6, 0.4, 0.5, 0.52, 0.55), valid), ACCURACY) is None  # it has learnt nothing since


def test_overfitting_compares_plain_cross_entropies_not_the_objective() -> None:
    train, valid = (1.0, 0.6, 0.4, 0.2, 0.1, 0.05), (1.0, 0.8, 0.7, 0.75, 0.85, 1.0)
    smoothed = [EpochReport(0, e, 6, loss + 0.5, valid[e - 1], {}, 0.1, 1.0, loss) for e, loss in enumerate(train, start=1)]
    assert kind(find_trouble(smoothed, ACCURACY)) == "overfitting"
    # The objective falls, as that of a teacher that is copied; the loss against the truth does not.
    level = [replace(report, train_loss=report.train_log_loss or 0.0, train_log_loss=1.0) for report in smoothed]
    assert find_trouble(level, ACCURACY) is None


def test_a_fold_far_from_its_siblings_on_the_worse_side_is_named() -> None:
    steady = [*rows(fold=0, score=0.80), *rows(fold=1, score=0.81), *rows(fold=2, score=0.79)]
    found = find_trouble([*steady, *rows(fold=3, score=0.5)], ACCURACY)
    assert found and (found.kind, found.fold, found.epoch) == ("far_fold", 3, 6)
    assert found.values["siblings"] == pytest.approx(0.8) and "0.5000" in str(found)
    assert find_trouble([*steady, *rows(fold=3, score=0.99)], ACCURACY) is None  # better is no trouble
    assert find_trouble([*rows(fold=0), *rows(fold=1, score=0.1)], ACCURACY) is None  # of two, which one?
    losses = [*rows(fold=0, log_loss=0.60), *rows(fold=1, log_loss=0.61), *rows(fold=2, log_loss=1.5)]
    assert kind(find_trouble(losses, LOG_LOSS)) == "far_fold" and find_trouble(losses, ACCURACY) is None


def test_folds_are_compared_at_an_epoch_that_all_have_reached_or_by_their_results() -> None:
    ahead = [*rows(fold=0, score=0.9), *rows(fold=1, score=0.9)]
    young = rows(CALM_TRAIN[:1], CALM_VALID[:1], fold=2, score=0.2)
    assert find_trouble([*ahead, *young], ACCURACY).epoch == 1  # type: ignore[union-attr]
    assert find_trouble([*ahead, *rows(fold=2, score=0.2)], ACCURACY, {0: 0.9, 1: 0.9, 2: 0.89}) is None


def test_the_order_of_the_rows_does_not_matter() -> None:
    train, valid = (1.0, 0.6, 0.4, 0.2, 0.1, 0.05), (1.0, 0.8, 0.7, 0.75, 0.85, 1.0)
    epochs = [*rows(fold=0), *rows(train, valid, fold=1)]
    assert find_trouble(epochs, ACCURACY) == find_trouble(epochs[::-1], ACCURACY)
