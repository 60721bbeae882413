"""What the runs of a blend and its thresholds are worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, false_discovery_control
from sklearn import metrics as reference

from core.analysis.compare import (
    carried_classes,
    class_f1,
    disagreement,
    error_correlation,
    labels_across_folds,
    member_labels,
    threshold_gain,
    worth_in,
)
from core.blend.calibrate import fit_thresholds
from core.blend.ensemble import Ensemble
from core.blend.honest import honest_score, refitted
from core.blend.procedure import BlendProcedure, fit_of, fit_procedure
from core.blend.scorer import Truth, make_scorer
from core.metrics.scores import get_metric
from core.specs.blend import BlendSteps
from tests.blend.blend_data import leave_one_out, matrix_of, several, skilled, under_any_mean


@pytest.mark.parametrize("way", ["equal", "optimal", "hand"])
def test_the_worth_of_a_run_is_the_difference_of_two_honest_scores(way: str) -> None:
    scorer = skilled("log_loss", [1.5, 1.2, 0.0], n_rows=400)
    given = {"weights": (0.6, 0.4, 0.0)} if way == "hand" else {}
    procedure = BlendProcedure.model_validate({"way": way, **given})
    worths = leave_one_out(under_any_mean(scorer), procedure)
    best = worths[0]
    assert best.is_clear and best.gain > worths[2].gain
    rest = BlendProcedure(way="hand", weights=(0.4, 0.0)) if way == "hand" else procedure
    without = honest_score(under_any_mean(scorer.of_runs([1, 2])), fit_of(rest))
    assert best.other == pytest.approx(without.score, abs=1e-6)
    assert best.score == pytest.approx(honest_score(under_any_mean(scorer), fit_of(procedure)).score, abs=1e-6)


def test_a_single_run_has_no_worth_and_a_twin_is_worth_nothing() -> None:
    assert leave_one_out(under_any_mean(skilled("accuracy", [1.0])), BlendProcedure()) == ()
    scorer = skilled("log_loss", [1.5, 1.0])
    twins = make_scorer(matrix_of((*scorer.oof, scorer.oof[0]), scorer.y_true, scorer.fold_of, scorer.metric))
    worth = leave_one_out(under_any_mean(twins), BlendProcedure(way="optimal"))
    assert worth[0].gain == pytest.approx(0, abs=1e-5) and not worth[0].is_clear


def test_pairs_of_runs() -> None:
    y_true = np.array([0, 1, 2, 0, 1, 2])
    labels = np.array([[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 1, 0], [0, 1, 2, 2, 1, 1], [1, 0, 2, 0, 1, 2]])
    different = disagreement(labels)
    assert different[0, 0] == 0 and different[0, 1] == pytest.approx(2 / 6) and different[1, 2] == pytest.approx(2 / 6)
    together = error_correlation(labels, y_true)
    assert together[1, 2] == pytest.approx(1) and together[1, 3] == pytest.approx(np.corrcoef([0, 0, 0, 1, 0, 1], [1, 1, 0, 0, 0, 0])[0, 1])
    assert np.isnan(together[0]).all()
    np.testing.assert_allclose(
        class_f1(labels, Truth(y_true, np.zeros_like(y_true), 3, get_metric("macro_f1")))[1],
        reference.f1_score(y_true, labels[1], average=None),
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
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(1200) % 5, get_metric("macro_f1")))
    procedure, scorer_of = BlendProcedure.model_validate({"way": way}), under_any_mean(scorer)
    for steps in (fit_procedure(procedure, scorer_of), refitted(scorer_of, fit_of(procedure))[1]):
        carried = carried_classes(scorer_of, steps)
        assert carried.f1[0, :2].min() > carried.f1[0, 2:].max() and carried.f1[1, 2:].min() > carried.f1[1, :2].max()
        assert carried.is_carried[0, :2].all() and carried.is_carried[1, 2:].all()


def test_what_stands_out_is_mcnemars_test_of_answers_counted_one_by_one() -> None:
    scorer = skilled("macro_f1", [1.0, 0.7, 0.4], n_rows=500, n_classes=5, seed=3)
    carried = carried_classes(under_any_mean(scorer), BlendSteps(weights=(1, 1, 1)))
    everyone = scorer.labels((1, 1, 1))
    for run in range(3):
        without = scorer.labels([float(other != run) for other in range(3)])
        p = []
        for name in range(5):
            right, left = ((labels == name) == (scorer.y_true == name) for labels in (everyone, without))
            counts = int((right & ~left).sum()), int((left & ~right).sum())
            assert counts == (carried.right_only_with[run, name], carried.right_only_without[run, name])
            p.append(binomtest(counts[0], sum(counts)).pvalue)
        np.testing.assert_array_equal(carried.is_clear[run], false_discovery_control(p) <= 0.05)


@pytest.mark.parametrize("skills", [[1.5, 1.2, 0.0], [0.0, 0.0, 0.0]], ids=["good", "noise"])
def test_noise_carries_no_class_more_often_than_it_may(skills: list[float]) -> None:
    n_carried, n_by_points = 0, 0
    for seed in range(200):
        scorer = skilled("macro_f1", skills, n_rows=800, n_classes=12, seed=seed)
        carried = carried_classes(under_any_mean(scorer), BlendSteps(weights=(1, 1, 1)))
        n_carried += bool(carried.is_carried[2].any())
        n_by_points += bool((carried.f1[2] > 0.0005).any())
    assert n_carried <= 0.05 * 200
    assert n_by_points > 0.2 * 200, "the points alone would say that it carries something"


def test_rows_that_belong_together_count_once() -> None:
    scorer = skilled("macro_f1", [0.8, 0.8], n_rows=40, seed=1)
    times = np.repeat(np.arange(40), 50)
    many = make_scorer(matrix_of([member[times] for member in scorer.oof], scorer.y_true[times], scorer.fold_of[times], scorer.metric))
    steps = BlendSteps(weights=(1, 1))
    once, copies = carried_classes(under_any_mean(scorer), steps), carried_classes(under_any_mean(many), steps)
    grouped = carried_classes(under_any_mean(replace(many, groups=times + 7)), steps)
    assert copies.is_clear.any() and not once.is_clear.any()
    np.testing.assert_array_equal(grouped.right_only_with, once.right_only_with)
    np.testing.assert_array_equal(grouped.is_clear, once.is_clear)
    np.testing.assert_allclose(grouped.f1, once.f1)


def test_a_run_without_weight_carries_nothing_and_the_only_run_has_no_other() -> None:
    scorer = skilled("macro_f1", [1.0, 0.5])
    carried = carried_classes(under_any_mean(scorer), BlendSteps(weights=(1, 0)))
    assert np.isnan(carried.f1[0]).all() and (carried.f1[1] == 0).all() and not carried.is_carried.any()
    assert member_labels(scorer).shape == (2, scorer.n_rows)


def test_the_worth_in_steps_that_stay_is_the_difference_of_two_scores() -> None:
    scorer = skilled("log_loss", [1.5, 1.2, 0.0], n_rows=400)
    steps = BlendSteps(weights=(6, 4, 0), temperature=1.3)
    everyone = scorer.outcome(steps)
    worths = [worth_in(scorer, steps, run, everyone) for run in range(3)]
    alone = BlendSteps(weights=(4, 0), temperature=1.3)
    assert worths[0].other == pytest.approx(scorer.of_runs([1, 2]).score(alone), abs=1e-6)
    assert worths[0].score == pytest.approx(scorer.score(steps), abs=1e-6) and worths[0].gain > 0
    assert worths[2].gain == pytest.approx(0, abs=1e-7)
    only = BlendSteps(weights=(0, 0, 1))
    left = worth_in(scorer, only, 2, scorer.outcome(only))
    assert left.other == pytest.approx(scorer.of_runs([0, 1]).score((1, 1)), abs=1e-6), "the others share equally"


def make_ensemble(metric: str, *, n_rows: int = 600, skill: float = 2.0, n_folds: int = 4) -> Ensemble:
    oof, y_true = several(3, n_rows, 5, 2, skill=skill)
    return Ensemble(matrix_of(oof, y_true, np.arange(n_rows) % n_folds, get_metric(metric), is_multilabel=True))


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
def test_every_class_stands_with_what_its_threshold_does(metric: str) -> None:
    ensemble = make_ensemble(metric)
    steps = ensemble.fit(BlendProcedure(way="optimal", thresholds=True))
    found = threshold_gain(ensemble, steps, list("abcde"))
    prob = ensemble.prob(steps)
    after = prob > np.asarray(steps.thresholds)
    assert found.table["class"].tolist() == list("abcde")
    assert found.table["threshold"].tolist() == list(steps.thresholds)
    for name, labels in (("f1_before", prob > 0.5), ("f1", after)):
        expected = reference.f1_score(ensemble.oof.y_true, labels, average=None, zero_division=0)  # pyright: ignore[reportArgumentType]
        np.testing.assert_allclose(found.table[name], expected)
    assert found.table["support"].tolist() == ensemble.oof.y_true.sum(axis=0).tolist()
    assert found.table["predicted"].tolist() == after.sum(axis=0).tolist()
    assert found.after == pytest.approx(ensemble.score(steps).oof_score)
    assert found.before == pytest.approx(get_metric(metric).score(ensemble.oof.y_true, prob, multilabel=True))


def test_no_row_is_judged_by_a_threshold_that_it_had_a_part_in() -> None:
    ensemble = make_ensemble("macro_f1")
    prob = ensemble.prob((1, 1, 1))
    labels = labels_across_folds(prob, ensemble.oof.y_true, ensemble.oof.fold_of, get_metric("macro_f1"))
    assert labels is not None
    inside = ensemble.oof.fold_of == 2
    np.testing.assert_array_equal(
        labels[inside], prob[inside] > fit_thresholds(prob[~inside], ensemble.oof.y_true[~inside], get_metric("macro_f1"))
    )


def test_thresholds_of_noise_gain_on_their_rows_and_lose_honestly() -> None:
    ensemble = make_ensemble("accuracy", n_rows=300, skill=0.0)
    found = threshold_gain(ensemble, ensemble.fit(BlendProcedure(thresholds=True)), list("abcde"))
    assert found.honest is not None
    assert found.after > found.before and found.honest < found.after
    assert found.n_worse == int((found.table["f1_honest"] < found.table["f1_before"]).sum())


def test_a_single_fold_has_no_honest_figure() -> None:
    ensemble = make_ensemble("macro_f1", n_folds=1)
    found = threshold_gain(ensemble, ensemble.fit(BlendProcedure(thresholds=True)), list("abcde"))
    assert found.honest is None and found.table["f1_honest"].isna().all()
