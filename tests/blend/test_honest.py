"""The cross-fitted score: no row is scored by a blend that has seen its truth; and the bootstrap beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as reference

from core.base.errors import NotFoundError, StateError
from core.blend.honest import bootstrap, compare, honest_score, parts_of, refitted
from core.blend.procedure import BlendProcedure, fit_of
from core.blend.scorer import Outcome, Scorer, ScorerOf, Truth, make_scorer
from core.blend.weights import equal
from core.metrics.scores import METRICS, Metric, get_metric
from core.specs.blend import BlendSteps
from tests.blend.blend_data import matrix_of, skilled, under_any_mean


def make(metric: str, *, skills: Sequence[float], seed: int, n_rows: int = 400, n_classes: int = 3) -> Scorer:
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, n_classes, n_rows)
    logits = rng.normal(size=(len(skills), n_rows, n_classes))
    logits[:, np.arange(n_rows), y_true] += np.array(skills)[:, None]
    prob = np.exp(logits)
    oof = (prob / prob.sum(axis=2, keepdims=True)).astype(np.float32)
    return make_scorer(matrix_of(oof, y_true, np.arange(n_rows) % 4, get_metric(metric)))


def test_each_refit_sees_every_fold_but_its_own() -> None:
    seen: list[set[int]] = []

    def fit(scorer_of: ScorerOf) -> BlendSteps:
        part = scorer_of("arithmetic")
        seen.append(set(part.fold_of.tolist()))
        return BlendSteps(weights=equal(part))

    honest_score(under_any_mean(make("log_loss", skills=[1.0, 1.0], seed=0)), fit, n_draws=10)
    assert [set(range(4)) - folds for folds in seen] == [{0}, {1}, {2}, {3}, set()]


def test_no_row_is_scored_by_a_blend_that_saw_its_truth() -> None:
    """Change the truth of one fold: what is said of that fold's rows may not move."""
    scorer = make("log_loss", skills=[1.0, 0.8, 0.4], seed=4)
    inside = scorer.fold_of == 2
    other = scorer.y_true.copy()
    other[inside] = (other[inside] + 1) % 3
    procedure = BlendProcedure(way="greedy", mean="auto", temperature=True, chooses_members=True)
    first = honest_score(under_any_mean(scorer), fit_of(procedure), n_draws=10)
    second = honest_score(
        under_any_mean(make_scorer(matrix_of(scorer.oof, other, scorer.fold_of, scorer.metric))), fit_of(procedure), n_draws=10
    )
    assert first.refits[2] == second.refits[2] and first.steps != second.steps


def test_folds_that_tear_groups_give_way_to_parts_that_do_not() -> None:
    """Change the truth of one group, which lies in every fold: what is said of its rows may not move."""
    scorer = make("log_loss", skills=[1.0, 0.8, 0.4], seed=4)
    groups = np.random.default_rng(0).integers(0, 40, scorer.n_rows)
    inside = groups == 7
    assert len(set(scorer.fold_of[inside].tolist())) > 1
    other = scorer.y_true.copy()
    other[inside] = (other[inside] + 1) % 3
    fit = fit_of(BlendProcedure(way="optimal"))
    _, steps = refitted(under_any_mean(replace(scorer, groups=groups)), fit)
    _, changed = refitted(under_any_mean(make_scorer(matrix_of(scorer.oof, other, scorer.fold_of, scorer.metric, groups=groups))), fit)
    part_of = parts_of(scorer.fold_of, groups)
    (own,) = set(part_of[inside].tolist())
    assert len(steps) == 4 and [one == two for one, two in zip(steps, changed, strict=True)] == [part == own for part in range(4)]


def test_folds_that_keep_groups_together_are_the_parts() -> None:
    fold_of = np.array([2, 0, 1, 2, 0])
    np.testing.assert_array_equal(parts_of(fold_of, None), fold_of)
    np.testing.assert_array_equal(parts_of(fold_of, np.array([5, 1, 9, 6, 1])), fold_of)
    assert len(set(parts_of(fold_of, np.array([5, 5, 9, 9, 9])).tolist())) == 2


def test_rows_of_a_single_group_cannot_be_judged() -> None:
    scorer = make("log_loss", skills=[1.0, 0.8], seed=0)
    with pytest.raises(StateError, match="cross-fitted score"):
        honest_score(under_any_mean(replace(scorer, groups=np.zeros(scorer.n_rows, dtype=np.int64))), fit_of(BlendProcedure(way="optimal")))


def test_equal_weights_gain_nothing_over_themselves() -> None:
    scorer = make("macro_f1", skills=[1.0, 0.5, 0.2], seed=1)
    honest = honest_score(under_any_mean(scorer), fit_of(BlendProcedure()))
    assert honest.score == honest.other == honest.optimistic == scorer.score(equal(scorer))
    assert (honest.gain, honest.gain_low, honest.gain_high) == (0, 0, 0) and not honest.is_clear


@pytest.mark.parametrize(
    ("metric", "procedure"),
    [
        ("accuracy", BlendProcedure(way="greedy", n_rounds=8)),
        ("accuracy", BlendProcedure(way="search", n_rounds=5)),
        ("macro_f1", BlendProcedure(offsets=True)),
        ("macro_f1", BlendProcedure(mean="auto", chooses_members=True)),
    ],
    ids=["greedy", "search", "offsets", "auto"],
)
def test_pure_noise_shows_no_gain_on_average_though_the_optimistic_score_does(metric: str, procedure: BlendProcedure) -> None:
    gains, optimism = [], []
    for seed in range(16):
        scorer = make(metric, skills=[0.0] * 5, seed=seed)
        honest = honest_score(under_any_mean(scorer), fit_of(procedure), seed=seed, n_draws=20)
        gains.append(honest.gain)
        optimism.append(honest.optimistic - honest.score)
    assert np.mean(gains) < 2.5 * np.std(gains, ddof=1) / np.sqrt(16)
    assert np.mean(optimism) > 0.015


@pytest.mark.parametrize(
    "procedure",
    [BlendProcedure(way="optimal"), BlendProcedure(way="by_class"), BlendProcedure(way="stacking"), BlendProcedure(way="greedy", n_bags=5)],
    ids=lambda procedure: procedure.way,
)
def test_a_real_gain_is_clear(procedure: BlendProcedure) -> None:
    scorer = make("log_loss", skills=[3.0, 0.0, 0.0, 0.0], seed=3, n_rows=1000)
    honest = honest_score(under_any_mean(scorer), fit_of(procedure))
    assert honest.is_clear and honest.gain > 0.1 and honest.low < honest.score < honest.high


@pytest.mark.parametrize("metric", list(METRICS))
def test_a_bootstrap_draw_is_the_metric_of_repeated_rows(metric: str) -> None:
    scorer = skilled(metric, [1.0, 0.3], seed=5, n_rows=60)
    outcome = scorer.outcome([0.7, 0.3])
    draws = bootstrap(scorer, [outcome], seed=9, n_draws=3)[0]
    rng = np.random.default_rng(9)
    for draw in draws:
        rows = rng.integers(0, 60, 60)
        y_true, y_pred = scorer.y_true[rows], outcome.y_pred[rows]
        if metric == "log_loss":
            expected = float(-np.log(outcome.p_true[rows]).mean())
        elif metric == "accuracy":
            expected = reference.accuracy_score(y_true, y_pred)
        else:
            expected = reference.f1_score(y_true, y_pred, average="macro")
        assert draw == pytest.approx(expected, abs=1e-6)


def brier_score(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    return float(((np.eye(y_prob.shape[1])[y_true] - y_prob) ** 2).sum(axis=1).mean())


def test_a_new_metric_of_labels_is_redrawn_on_repeated_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    kappa = Metric(
        "kappa", "kappa", "labels", True, (-1.0, 1.0), lambda y_true, y_pred, _: reference.cohen_kappa_score(y_true, y_pred), None
    )
    monkeypatch.setitem(METRICS, "kappa", kappa)
    scorer = skilled("kappa", [1.0, 0.3], seed=5, n_rows=60)
    outcome = scorer.outcome([0.7, 0.3])
    (draw,) = bootstrap(scorer, [outcome], seed=9, n_draws=1)[0]
    rows = np.random.default_rng(9).integers(0, 60, 60)
    assert draw == pytest.approx(reference.cohen_kappa_score(scorer.y_true[rows], outcome.y_pred[rows]))
    assert scorer.score([0.7, 0.3]) == pytest.approx(kappa.score(scorer.y_true, scorer.prob([0.7, 0.3])))


@pytest.mark.parametrize("n_labels", [0, 2])
def test_a_metric_that_outcomes_are_not_scored_by_is_refused_and_no_other_takes_its_place(n_labels: int) -> None:
    brier = Metric("brier", "Brier score", "probabilities", False, (0.0, 2.0), brier_score, brier_score)
    truth = Truth(np.array([0, 1, 1, 0]), np.zeros(4, dtype=int), 2, brier, n_labels=n_labels)
    outcome = Outcome(np.array([0, 1, 0, 0], np.int32), np.full(4, 0.5, np.float32))
    for scored in (lambda: truth.of(outcome), lambda: truth.of(outcome, "f1"), lambda: bootstrap(truth, [outcome], n_draws=2)):
        with pytest.raises(NotFoundError, match=r"no metric named '(brier|f1)'") as caught:
            scored()
        assert caught.value.why == "known: accuracy, log_loss, macro_f1"
    for name in METRICS:
        assert np.isfinite(truth.of(outcome, name))
        assert np.isfinite(bootstrap(replace(truth, metric=METRICS[name]), [outcome], n_draws=2)).all()


def test_groups_are_drawn_together() -> None:
    scorer = skilled("accuracy", [1.0], seed=2, n_rows=40)
    outcome = scorer.outcome([1.0])
    one_group = bootstrap(replace(scorer, groups=np.zeros(40, dtype=int)), [outcome], n_draws=20)
    assert np.ptp(one_group) == 0


@pytest.mark.parametrize("metric", list(METRICS))
def test_a_gain_is_positive_for_the_better_whatever_the_direction(metric: str) -> None:
    scorer = skilled(metric, [3.0, 0.5])
    good, bad = (scorer.outcome(alone) for alone in scorer.alone())
    there = compare(scorer, good, bad)
    back = compare(scorer, bad, good)
    assert there.is_clear and there.gain > 0 and not back.is_clear
    assert (back.gain, back.gain_low, back.gain_high) == pytest.approx((-there.gain, -there.gain_high, -there.gain_low))


def test_the_interval_is_that_of_the_textbook() -> None:
    """Of accuracy, the normal approximation: 1.96 standard errors to either side."""
    scorer = skilled("accuracy", [1.0, 1.0], n_rows=2000)
    one, other = (scorer.outcome(alone) for alone in scorer.alone())
    found = compare(scorer, one, other)
    difference = (one.y_pred == scorer.y_true).astype(float) - (other.y_pred == scorer.y_true)
    assert found.gain_high - found.gain_low == pytest.approx(2 * 1.96 * difference.std() / np.sqrt(2000), rel=0.15)
