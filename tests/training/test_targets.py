"""Soft targets and weights of rows: what a fold learns where that is not its truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.base.errors import AlignmentError
from core.specs.model_settings import LossSettings
from core.training.loss import Activation, Objective, row_losses
from core.training.setup import make_targets
from tests.training.small_tasks import N_ROWS, TEXT, make_task, recipe_of, train

HARD = np.eye(3, dtype=np.float32)[np.arange(N_ROWS) % 3]


def test_soft_targets_of_one_class_are_a_cross_entropy_and_of_several_a_binary_one() -> None:
    logits, targets = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.full((6, 4), 0.25)
    log_prob, log_yes, log_no = (f.double() for f in (logits.log_softmax(1), logits.sigmoid().log(), (1 - logits.sigmoid()).log()))
    torch.testing.assert_close(row_losses(logits, targets, Objective(LossSettings(), Activation())), -log_prob.mean(1).float())
    binary = -(0.25 * log_yes + 0.75 * log_no).mean(1).float()
    torch.testing.assert_close(row_losses(logits, targets, Objective(LossSettings(), Activation(multilabel=True))), binary)


def test_targets_are_the_truth_unless_a_task_has_others(tmp_path: Path) -> None:
    rows = torch.tensor([4, 2, 2])
    plain = make_targets(make_task(tmp_path, recipe_of(TEXT)))
    assert plain.of(rows).tolist() == plain.truth(rows).tolist() == HARD[rows].tolist()
    assert plain.weights[rows].tolist() == [1, 1, 1]
    mixed = 0.9 * HARD + 0.1 / 3
    soft = make_targets(make_task(tmp_path, recipe_of(TEXT), targets=mixed, row_weights=np.full(N_ROWS, 0.5, np.float32)))
    np.testing.assert_array_equal(soft.of(rows), mixed[rows])
    assert soft.truth(rows).tolist() == HARD[rows].tolist() and soft.weights[rows].tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "given",
    [
        {"targets": HARD[:5]},
        {"targets": HARD * 0.5},
        {"targets": HARD - 0.5},
        {"row_weights": np.full(N_ROWS, -1, np.float32)},
        {"row_weights": np.full(N_ROWS, np.nan, np.float32)},
        {"row_weights": np.ones(3, np.float32)},
    ],
    ids=["rows", "sum", "negative", "negative weight", "no number", "too few weights"],
)
def test_targets_that_do_not_fit_are_refused(given: dict[str, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(AlignmentError):
        make_targets(make_task(tmp_path, recipe_of(TEXT), **given))


@pytest.mark.slow
def test_hard_targets_given_as_floats_train_to_the_bytes_of_labels_and_soft_ones_do_not(tmp_path: Path) -> None:
    recipe = recipe_of(TEXT, train={"accumulate": 2})
    labels, _, epochs = train(make_task(tmp_path, recipe))
    floats, _, _ = train(make_task(tmp_path, recipe, targets=HARD))
    soft, _, _ = train(make_task(tmp_path, recipe, targets=0.8 * HARD + 0.2 / 3))
    assert floats.valid_prob.tobytes() == labels.valid_prob.tobytes() != soft.valid_prob.tobytes()
    assert all(report.train_loss > 0 for report in epochs)


@pytest.mark.slow
def test_a_row_of_no_weight_teaches_nothing(tmp_path: Path) -> None:
    """Rows of class 2 under another class's label, without weight: the fold is that of their true labels, without weight."""
    recipe, weights = recipe_of(TEXT), (np.arange(N_ROWS) % 3 != 2).astype(np.float32)
    wrong = HARD.copy()
    wrong[2::3] = [1, 0, 0]
    silent, _, _ = train(make_task(tmp_path, recipe, targets=wrong, row_weights=weights))
    same, _, _ = train(make_task(tmp_path, recipe, row_weights=weights))
    heard, _, _ = train(make_task(tmp_path, recipe, targets=wrong))
    assert silent.valid_prob.tobytes() == same.valid_prob.tobytes() != heard.valid_prob.tobytes()
