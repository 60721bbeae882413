"""A redraw is the metric of repeated rows, and two blends are redrawn alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as reference

from core.base.errors import NotFoundError
from core.blend.bootstrap import bootstrap, compare
from core.blend.truth import Outcome, Truth
from core.metrics.scores import METRICS, Metric
from tests.blend.blend_data import skilled


@pytest.mark.parametrize("metric", list(METRICS))
def test_a_bootstrap_draw_is_the_metric_of_repeated_rows(metric: str) -> None:
    scorer = skilled(metric, [1.0, 0.3], seed=5, n_rows=60)
    outcome = scorer.outcome([0.7, 0.3])
    draws = bootstrap(scorer.truth, [outcome], seed=9, n_draws=3)[0]
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
    (draw,) = bootstrap(scorer.truth, [outcome], seed=9, n_draws=1)[0]
    rows = np.random.default_rng(9).integers(0, 60, 60)
    assert draw == pytest.approx(reference.cohen_kappa_score(scorer.y_true[rows], outcome.y_pred[rows]))
    assert scorer.score([0.7, 0.3]) == pytest.approx(kappa.score(scorer.y_true, scorer.prob([0.7, 0.3])))


@pytest.mark.parametrize("n_labels", [0, 2])
def test_a_metric_that_outcomes_are_not_scored_by_is_refused_and_no_other_takes_its_place(n_labels: int) -> None:
    brier = Metric("brier", "Brier score", "probabilities", False, (0.0, 2.0), brier_score, brier_score)
    truth = Truth(np.array([0, 1, 1, 0]), 2, brier, n_labels)
    outcome = Outcome(np.array([0, 1, 0, 0], np.int32), np.full(4, 0.5, np.float32))
    for scored in (lambda: truth.score(outcome), lambda: truth.score(outcome, "f1"), lambda: bootstrap(truth, [outcome], n_draws=2)):
        with pytest.raises(NotFoundError, match=r"no metric named '(brier|f1)'") as caught:
            scored()
        assert caught.value.why == "known: accuracy, log_loss, macro_f1"
    for name in METRICS:
        assert np.isfinite(truth.score(outcome, name))
        assert np.isfinite(bootstrap(replace(truth, metric=METRICS[name]), [outcome], n_draws=2)).all()


def test_groups_are_drawn_together() -> None:
    scorer = skilled("accuracy", [1.0], seed=2, n_rows=40)
    outcome = scorer.outcome([1.0])
    one_group = bootstrap(scorer.truth, [outcome], groups=np.zeros(40, dtype=int), n_draws=20)
    assert np.ptp(one_group) == 0


@pytest.mark.parametrize("metric", list(METRICS))
def test_a_gain_is_positive_for_the_better_whatever_the_direction(metric: str) -> None:
    scorer = skilled(metric, [3.0, 0.5])
    good, bad = (scorer.outcome(alone) for alone in scorer.alone())
    there = compare(scorer.truth, good, bad)
    back = compare(scorer.truth, bad, good)
    assert there.is_clear and there.gain > 0 and not back.is_clear
    assert (back.gain, back.gain_low, back.gain_high) == pytest.approx((-there.gain, -there.gain_high, -there.gain_low))


def test_the_interval_is_that_of_the_textbook() -> None:
    """Of accuracy, the normal approximation: 1.96 standard errors to either side."""
    scorer = skilled("accuracy", [1.0, 1.0], n_rows=2000)
    one, other = (scorer.outcome(alone) for alone in scorer.alone())
    found = compare(scorer.truth, one, other)
    difference = (one.y_pred == scorer.y_true).astype(float) - (other.y_pred == scorer.y_true)
    assert found.gain_high - found.gain_low == pytest.approx(2 * 1.96 * difference.std() / np.sqrt(2000), rel=0.15)
