"""Blends of rows that may have several classes: every mean, way and score is what the full blend and scikit-learn say, class by class."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn import metrics as reference
from sklearn.linear_model import LogisticRegression

from core.analysis.compare import carried_classes, class_f1, member_labels
from core.base.errors import AlignmentError, StateError
from core.base.settings import parse_settings
from core.blend.calibrate import fit_thresholds
from core.blend.ensemble import Ensemble
from core.blend.honest import bootstrap, honest_score
from core.blend.optimum import gap_at, optimal_log_loss
from core.blend.procedure import BlendProcedure, fit_of, fit_procedure
from core.blend.scorer import make_scorer
from core.blend.steps import FLOOR, apply_steps, arranged
from core.metrics.scores import METRICS, decide, get_metric, macro_f1_of_sets
from core.specs.blend import BlendSteps, MeanName
from tests.blend.blend_data import leave_one_out, matrix_of, several, under_any_mean

MEANS: tuple[MeanName, ...] = get_args(MeanName)
Array = NDArray[np.float64]


def f1(y_true: NDArray[np.integer], y_pred: NDArray[np.bool_]) -> float:
    """scikit-learn's F1 of one class."""
    return float(reference.f1_score(y_true, y_pred, zero_division=0))  # pyright: ignore[reportArgumentType]


def plainly(members: list[NDArray[np.float32]], weights: Array, mean: MeanName) -> Array:
    """The mean of each class's probabilities, written out."""
    w = weights / weights.sum()
    p = np.stack(members).astype(np.float64)
    if mean == "logit":
        odds = np.log(np.maximum(np.stack(members), FLOOR).astype(np.float64)) - np.log(
            np.maximum(1 - np.stack(members), FLOOR).astype(np.float64)
        )
        return 1 / (1 + np.exp(-np.einsum("m,mnk->nk", w, odds)))
    if mean == "power":
        yes, no = (np.sqrt(np.einsum("m,mnk->nk", w, side**2)) for side in (p, 1 - p))
        return yes / (yes + no)
    if mean == "rank":
        return np.einsum("m,mnk->nk", w, np.stack([rankdata(member, axis=0) / len(member) for member in members]))
    if mean == "hard":
        return np.einsum("m,mnk->nk", w, (p > 0.5).astype(np.float64))
    return np.einsum("m,mnk->nk", w, p)


@given(st.integers(1, 5), st.integers(4, 60), st.integers(2, 6), st.sampled_from(MEANS), st.integers(0, 2**31), st.booleans())
@settings(max_examples=150, deadline=None)
def test_fast_scores_are_those_of_the_full_blend(n_runs: int, n_rows: int, n_labels: int, mean: MeanName, seed: int, coarse: bool) -> None:
    oof, y_true = several(n_runs, n_rows, n_labels, seed)
    rng = np.random.default_rng(seed)
    if coarse:  # many ties, at one half too
        oof = [(np.round(member * 4) / 4).astype(np.float32) for member in oof]
        oof[-1] = oof[0]
    weights = rng.random(n_runs) * (rng.random(n_runs) < 0.7)
    weights = weights if weights.sum() else np.ones(n_runs)
    steps = BlendSteps(weights=tuple(weights.tolist()), mean=mean)
    blend = apply_steps(steps, oof, multilabel=True)
    np.testing.assert_allclose(blend, plainly(oof, weights, mean), atol=2e-6)
    for name, metric in METRICS.items():
        scorer = make_scorer(matrix_of(oof, y_true, np.arange(n_rows) % 3, metric, is_multilabel=True), mean)
        outcome = scorer.outcome(steps)
        np.testing.assert_array_equal(scorer.table(outcome.y_pred), decide(blend, multilabel=True))
        assert scorer.score(steps) == pytest.approx(metric.score(y_true, blend, multilabel=True), rel=1e-6, abs=1e-9), name
        assert scorer.of(outcome, name) == pytest.approx(scorer.score(steps), rel=1e-9)


@pytest.mark.parametrize("mean", MEANS)
def test_the_packed_questions_never_miss_an_answer(mean: MeanName) -> None:
    oof, y_true = several(4, 300, 5, 3)
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(300) % 5, get_metric("macro_f1"), is_multilabel=True), mean)
    rng = np.random.default_rng(5)
    for weights in rng.dirichlet(np.full(4, 0.5), 300):
        blend = apply_steps(BlendSteps(weights=tuple(weights.tolist()), mean=mean), oof, multilabel=True)
        np.testing.assert_array_equal(scorer.table(scorer.labels(weights.tolist())), decide(blend, multilabel=True))


@pytest.mark.parametrize("mean", ["arithmetic", "logit"])
def test_the_optimum_is_proved_and_no_other_weights_are_better(mean: MeanName) -> None:
    oof, y_true = several(4, 500, 3, 1)
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(500) % 5, get_metric("log_loss"), is_multilabel=True), mean)
    found = optimal_log_loss(scorer)
    assert found.gap < 1e-6 and gap_at(scorer, found.weights) < 1e-6
    blend = apply_steps(BlendSteps(weights=found.weights, mean=mean), oof, multilabel=True)
    best = scorer.metric.score(y_true, blend, multilabel=True)
    for weights in np.random.default_rng(0).dirichlet(np.ones(4), 200):
        assert scorer.score(weights.tolist()) >= best - 1e-6


WAYS: dict[str, dict[str, object]] = {
    "equal": {},
    "hand": {"weights": (0.5, 0.2, 0.3)},
    "by_score": {},
    "optimal": {"mean": "auto"},
    "greedy": {"n_bags": 3},
    "search": {},
    "by_class": {"shrinkage": 0.3},
    "stacking": {},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "macro_f1"])
def test_every_way_gives_steps_that_do_the_same_to_scorer_and_arrays(way: str, metric: str) -> None:
    oof, y_true = several(3, 240, 4, 7)
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(240) % 4, get_metric(metric), is_multilabel=True))
    after = {"temperature": True, "thresholds": metric != "log_loss"}
    procedure = parse_settings(BlendProcedure, {"way": way, **after, **WAYS[way]}, where="test")
    steps = fit_procedure(procedure, under_any_mean(scorer))
    blend = apply_steps(steps, oof, multilabel=True)
    assert ((blend >= 0) & (blend <= 1)).all()
    of_mean = under_any_mean(scorer)(steps.mean)
    labels = decide(blend, multilabel=True, thresholds=steps.thresholds)
    np.testing.assert_array_equal(of_mean.table(of_mean.outcome(steps).y_pred), labels)
    order = [2, 0, 1]
    turned = apply_steps(arranged(steps, order), [oof[run] for run in order], multilabel=True)
    np.testing.assert_allclose(turned, blend, atol=1e-6)
    kept = BlendSteps.model_validate(steps.to_dict())
    np.testing.assert_array_equal(apply_steps(kept, oof, multilabel=True), blend)


def test_stacking_is_a_regression_for_each_class() -> None:
    oof, y_true = several(2, 400, 3, 2)
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(400) % 4, get_metric("log_loss"), is_multilabel=True))
    steps = fit_procedure(BlendProcedure(way="stacking", stack_strength=1.0), under_any_mean(scorer))
    blend = apply_steps(steps, oof, multilabel=True)
    odds = np.stack([np.log(member / (1 - member)) for member in oof], axis=-1).astype(np.float64)
    for label in range(3):
        x = odds[:, label]
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        model = LogisticRegression(C=1.0, max_iter=300).fit(x, y_true[:, label])
        np.testing.assert_allclose(blend[:, label], model.predict_proba(x)[:, 1], atol=1e-3)


@given(st.integers(3, 80), st.integers(1, 4), st.integers(0, 2**31), st.booleans())
@settings(max_examples=100, deadline=None)
def test_no_threshold_gives_a_better_macro_f1(n_rows: int, n_labels: int, seed: int, coarse: bool) -> None:
    (prob,), y_true = several(1, n_rows, n_labels, seed)
    prob = (np.round(prob * 5) / 5).astype(np.float32) if coarse else prob
    thresholds = fit_thresholds(prob, y_true, get_metric("macro_f1"))
    assert ((thresholds >= 0) & (thresholds <= 1)).all()
    for label in range(n_labels):
        tries = [0.0, 0.5, *prob[:, label].tolist()]
        best = max(f1(y_true[:, label], prob[:, label] > cut) for cut in tries)
        ours = f1(y_true[:, label], prob[:, label] > thresholds[label])
        assert ours == pytest.approx(best)


@given(st.integers(3, 60), st.integers(1, 4), st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_thresholds_for_accuracy_are_never_worse_and_no_single_one_can_be_bettered(n_rows: int, n_labels: int, seed: int) -> None:
    (prob,), y_true = several(1, n_rows, n_labels, seed)
    thresholds = fit_thresholds(prob, y_true, get_metric("accuracy"))

    def right(cuts: NDArray[np.float64]) -> float:
        return float(((prob > cuts) == y_true).all(axis=1).mean())

    assert right(thresholds) >= right(np.full(n_labels, 0.5))
    for label in range(n_labels):
        for cut in prob[:, label].tolist():
            moved = thresholds.copy()
            moved[label] = cut
            assert right(moved) <= right(thresholds) + 1e-12


def test_a_threshold_that_helps_nothing_stays_at_one_half() -> None:
    prob = np.array([[0.9, 0.2], [0.8, 0.1], [0.1, 0.7], [0.2, 0.9]], np.float32)
    np.testing.assert_array_equal(fit_thresholds(prob, (prob > 0.5).astype(np.int8), get_metric("macro_f1")), [0.5, 0.5])


def test_thresholds_help_a_rare_class_and_the_honest_score_says_so() -> None:
    oof, y_true = several(3, 3000, 4, 11, skill=1.2)
    oof = [(member * 0.5).astype(np.float32) for member in oof]  # everybody is too shy to say yes
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(3000) % 5, get_metric("macro_f1"), is_multilabel=True))
    found = honest_score(under_any_mean(scorer), fit_of(BlendProcedure(thresholds=True)), n_draws=100)
    assert found.is_clear and found.score > found.other + 0.1
    assert found.score <= found.optimistic + 1e-9
    assert max(found.steps.thresholds) < 0.45


def test_noise_gains_nothing_honestly() -> None:
    gains = []
    for seed in range(12):
        oof, y_true = several(3, 300, 3, seed, skill=0.0)
        scorer = make_scorer(matrix_of(oof, y_true, np.arange(300) % 5, get_metric("accuracy"), is_multilabel=True))
        found = honest_score(under_any_mean(scorer), fit_of(BlendProcedure(way="greedy")), n_draws=20)
        gains.append(found.gain)
        assert not found.gain_low > 0.05
    assert float(np.mean(gains)) < 0.02


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "macro_f1"])
def test_a_redraw_counts_rows_not_questions(metric: str) -> None:
    oof, y_true = several(1, 40, 3, 4)
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(40) % 4, get_metric(metric), is_multilabel=True))
    outcome = scorer.outcome([1.0])
    draws = bootstrap(scorer, [outcome], seed=9, n_draws=3)[0]
    rng = np.random.default_rng(9)
    for draw in draws:
        rows = np.repeat(np.arange(40), np.bincount(rng.integers(0, 40, 40), minlength=40))
        assert draw == pytest.approx(get_metric(metric).score(y_true[rows], oof[0][rows], multilabel=True), rel=1e-5)


def test_a_class_is_carried_by_the_run_that_alone_knows_it_and_none_by_noise() -> None:
    oof, y_true = several(2, 600, 5, 8)
    noise = np.random.default_rng(0).random(y_true.shape).astype(np.float32)
    blind = oof[0].copy()
    blind[:, 3] = noise[:, 3]
    scorer = make_scorer(matrix_of([blind, oof[1], noise], y_true, np.arange(600) % 4, get_metric("macro_f1"), is_multilabel=True))
    carried = carried_classes(under_any_mean(scorer), BlendSteps(weights=(1, 2, 1)))
    assert carried.is_carried[1, 3] and not carried.is_carried[0, 3] and not carried.is_carried[2].any()


def test_members_are_understood_by_class() -> None:
    oof, y_true = several(3, 400, 4, 6)
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(400) % 4, get_metric("macro_f1"), is_multilabel=True))
    by_class = class_f1(member_labels(scorer), scorer)
    np.testing.assert_allclose(by_class[1], reference.f1_score(y_true, oof[1] > 0.5, average=None, zero_division=0))  # pyright: ignore[reportArgumentType]
    carried = carried_classes(under_any_mean(scorer), BlendSteps(weights=(1, 1, 1)))
    with_all, alone = (scorer.table(scorer.labels(weights)) == y_true for weights in ((1, 1, 1), (0, 1, 1)))
    np.testing.assert_array_equal(carried.right_only_with[0], (with_all & ~alone).sum(axis=0))
    np.testing.assert_array_equal(carried.right_only_without[0], (alone & ~with_all).sum(axis=0))
    assert len(leave_one_out(under_any_mean(scorer), BlendProcedure(way="by_class"))) == 3


def test_offsets_are_refused_where_rows_have_several_classes_and_thresholds_where_they_have_one() -> None:
    oof, y_true = several(2, 60, 3, 0)
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(60) % 3, get_metric("macro_f1"), is_multilabel=True))
    with pytest.raises(StateError, match="thresholds"):
        fit_procedure(BlendProcedure(offsets=True), under_any_mean(scorer))
    one = make_scorer(matrix_of(oof, y_true.argmax(axis=1), np.arange(60) % 3, get_metric("macro_f1")))
    with pytest.raises(StateError, match="offsets"):
        fit_procedure(BlendProcedure(thresholds=True), under_any_mean(one))
    with pytest.raises(StateError, match="temperature"):
        fit_thresholds(oof[0], y_true, get_metric("log_loss"))
    with pytest.raises(AlignmentError, match="do not fit"):
        apply_steps(BlendSteps(weights=(1, 1), thresholds=(0.5, 0.5)), oof, multilabel=True)
    with pytest.raises(AlignmentError, match="do not fit"):
        apply_steps(BlendSteps(weights=(1, 1), thresholds=(0.5,) * 3), oof)
    with pytest.raises(AlignmentError, match="do not fit"):
        apply_steps(BlendSteps(weights=(1, 1), offsets=(0.1,) * 3), oof, multilabel=True)


def test_an_ensemble_answers_in_the_form_of_the_truth() -> None:
    oof, y_true = several(2, 90, 3, 8)
    ensemble = Ensemble(matrix_of(oof, y_true, np.arange(90) % 3, get_metric("macro_f1"), is_multilabel=True))
    steps = BlendSteps(weights=(2, 1), thresholds=(0.3, 0.5, 0.6))
    assert ensemble.prob(steps).shape == y_true.shape
    np.testing.assert_array_equal(ensemble.prob(steps), apply_steps(steps, oof, multilabel=True))
    labels = ensemble.labels(ensemble.outcome(steps))
    np.testing.assert_array_equal(labels, decide(ensemble.prob(steps), multilabel=True, thresholds=steps.thresholds))
    assert ensemble.score(steps).oof_score == pytest.approx(macro_f1_of_sets(y_true, labels))
    assert len(ensemble.score(steps).fold_scores) == 3
