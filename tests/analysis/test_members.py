"""What a run is worth is what is lost without it; who errs alike is told apart from who errs alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from core.analysis.members import (
    carried_classes,
    class_f1,
    disagreement,
    error_correlation,
    member_labels,
    worth_in,
)
from core.blend.honest import honest_score
from core.blend.procedure import BlendProcedure, fit_of, fit_procedure
from core.blend.scorer import make_scorer
from core.blend.spec import BlendSteps
from core.blend.truth import Truth
from core.metrics import get_metric
from tests.blend.blend_data import leave_one_out, skilled, under_any_mean


@pytest.mark.parametrize("way", ["equal", "optimal", "hand"])
def test_the_worth_of_a_run_is_the_difference_of_two_honest_scores(way: str) -> None:
    scorer = skilled("log_loss", [1.5, 1.2, 0.0], n_rows=400)
    given = {"weights": (0.6, 0.4, 0.0)} if way == "hand" else {}
    procedure = BlendProcedure.model_validate({"way": way, **given})
    worths = leave_one_out(under_any_mean(scorer), procedure)
    best = worths[0].with_and_without
    assert best.is_clear and best.gain > worths[2].with_and_without.gain
    rest = BlendProcedure(way="hand", weights=(0.4, 0.0)) if way == "hand" else procedure
    without = honest_score(under_any_mean(scorer.of_runs([1, 2])), fit_of(rest))
    assert best.other == pytest.approx(without.score, abs=1e-6)
    assert best.score == pytest.approx(honest_score(under_any_mean(scorer), fit_of(procedure)).score, abs=1e-6)


def test_a_single_run_has_no_worth_and_a_twin_is_worth_nothing() -> None:
    assert leave_one_out(under_any_mean(skilled("accuracy", [1.0])), BlendProcedure()) == ()
    scorer = skilled("log_loss", [1.5, 1.0])
    twins = make_scorer((*scorer.oof, scorer.oof[0]), scorer.y_true, scorer.fold_of, scorer.metric)
    worth = leave_one_out(under_any_mean(twins), BlendProcedure(way="optimal"))
    assert worth[0].with_and_without.gain == pytest.approx(0, abs=1e-5) and not worth[0].with_and_without.is_clear


def test_pairs_of_runs() -> None:
    y_true = np.array([0, 1, 2, 0, 1, 2])
    labels = np.array([[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 1, 0], [0, 1, 2, 2, 1, 1], [1, 0, 2, 0, 1, 2]])
    different = disagreement(labels)
    assert different[0, 0] == 0 and different[0, 1] == pytest.approx(2 / 6) and different[1, 2] == pytest.approx(2 / 6)
    together = error_correlation(labels, y_true)
    assert together[1, 2] == pytest.approx(1) and together[1, 3] == pytest.approx(np.corrcoef([0, 0, 0, 1, 0, 1], [1, 1, 0, 0, 0, 0])[0, 1])
    assert np.isnan(together[0]).all()
    np.testing.assert_allclose(
        class_f1(labels, Truth(y_true, 3, get_metric("macro_f1")))[1], reference.f1_score(y_true, labels[1], average=None)
    )


@pytest.mark.parametrize("way", ["equal", "by_class", "stacking"])
def test_a_class_is_carried_by_the_run_that_knows_it(way: str) -> None:
    rng = np.random.default_rng(0)
    y_true = np.arange(1200) % 4
    oof = []
    for run in (0, 1):
        logits = rng.normal(0, 1, (1200, 4))
        logits[np.arange(1200), y_true] += np.where(y_true // 2 == run, 3, 0)
        oof.append((np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32))
    scorer = make_scorer(oof, y_true, np.arange(1200) % 5, get_metric("macro_f1"))
    carried = carried_classes(scorer, fit_procedure(BlendProcedure.model_validate({"way": way}), under_any_mean(scorer)))
    assert carried[0, :2].min() > carried[0, 2:].max() and carried[1, 2:].min() > carried[1, :2].max()


def test_a_run_without_weight_carries_nothing_and_the_only_run_has_no_other() -> None:
    scorer = skilled("macro_f1", [1.0, 0.5])
    carried = carried_classes(scorer, BlendSteps(weights=(1, 0)))
    assert np.isnan(carried[0]).all() and (carried[1] == 0).all()
    assert member_labels(scorer).shape == (2, scorer.n_rows)


def test_the_worth_in_steps_that_stay_is_the_difference_of_two_scores() -> None:
    scorer = skilled("log_loss", [1.5, 1.2, 0.0], n_rows=400)
    steps = BlendSteps(weights=(6, 4, 0), temperature=1.3)
    everyone = scorer.outcome(steps)
    worths = [worth_in(scorer, steps, run, everyone).with_and_without for run in range(3)]
    alone = BlendSteps(weights=(4, 0), temperature=1.3)
    assert worths[0].other == pytest.approx(scorer.of_runs([1, 2]).score(alone), abs=1e-6)
    assert worths[0].score == pytest.approx(scorer.score(steps), abs=1e-6) and worths[0].gain > 0
    assert worths[2].gain == pytest.approx(0, abs=1e-7)
    only = BlendSteps(weights=(0, 0, 1))
    left = worth_in(scorer, only, 2, scorer.outcome(only)).with_and_without
    assert left.other == pytest.approx(scorer.of_runs([0, 1]).score((1, 1)), abs=1e-6), "the others share equally"
