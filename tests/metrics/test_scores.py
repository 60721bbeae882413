"""Our metrics equal scikit-learn's to 1e-6, also where predictions are certain, classes absent, or probabilities tied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn import metrics as reference

from core.base.errors import NotFoundError
from core.metrics.scores import METRICS, Metric, all_scores, get_metric, metrics_for


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n_classes = draw(st.integers(2, 7))
    n_rows = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sharpness = draw(st.sampled_from([0.1, 1.0, 8.0, 60.0]))
    logits = sharpness * rng.normal(size=(n_rows, n_classes))
    prob = np.exp(logits - logits.max(axis=1, keepdims=True))
    prob /= prob.sum(axis=1, keepdims=True)
    if draw(st.booleans()):
        prob = np.eye(n_classes)[prob.argmax(axis=1)]
    return rng.integers(0, n_classes, n_rows), prob.astype(np.float32)


@given(predictions())
@settings(max_examples=200, deadline=None)
def test_metrics_equal_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    y_true, y_prob = case
    labels = list(range(y_prob.shape[1]))
    y_pred = y_prob.argmax(axis=1)
    found = all_scores(y_true, y_prob)
    assert found["log_loss"] == pytest.approx(reference.log_loss(y_true, y_prob, labels=labels), rel=1e-6, abs=1e-6)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(y_true, y_pred), abs=1e-6)
    assert found["macro_f1"] == pytest.approx(reference.f1_score(y_true, y_pred, average="macro"), abs=1e-6)


@given(st.integers(2, 7), st.integers(1, 60), st.integers(0, 2**32 - 1), st.sampled_from([0.3, 3.0, 60.0]))
@settings(max_examples=100, deadline=None)
def test_multilabel_metrics_equal_scikit_learn(n_classes: int, n_rows: int, seed: int, sharpness: float) -> None:
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_rows, n_classes)) < 0.3).astype(np.int8)
    y_prob = (1 / (1 + np.exp(-sharpness * rng.normal(size=(n_rows, n_classes))))).astype(np.float32)
    y_pred = y_prob > 0.5
    by_class = [reference.log_loss(y_true[:, k], y_prob[:, k], labels=[0, 1]) for k in range(n_classes)]
    found = all_scores(y_true, y_prob, multilabel=True)
    assert found["log_loss"] == pytest.approx(np.mean(by_class), rel=1e-6, abs=1e-6)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(y_true, y_pred), abs=1e-6)
    assert found["macro_f1"] == pytest.approx(reference.f1_score(y_true, y_pred, average="macro", zero_division=0), abs=1e-6)
    thresholds = rng.random(n_classes).tolist()
    assert all_scores(y_true, y_prob, multilabel=True, thresholds=thresholds)["accuracy"] == (y_true == (y_prob > thresholds)).all(1).mean()


def test_ties_go_to_the_lowest_class() -> None:
    assert all_scores(np.array([0, 1]), np.full((2, 2), 0.5, np.float32))["accuracy"] == 0.5


def test_an_unknown_metric_lists_what_exists() -> None:
    with pytest.raises(NotFoundError, match="log_loss"):
        get_metric("auc")


@pytest.mark.parametrize("metric", METRICS.values(), ids=list(METRICS))
@pytest.mark.parametrize("multilabel", [False, True])
def test_perfect_predictions_reach_the_better_bound_and_no_predictions_leave_the_bounds(metric: Metric, multilabel: bool) -> None:
    rng = np.random.default_rng(0)
    y_true = (rng.random((200, 5)) < 0.4).astype(np.int8) if multilabel else rng.integers(0, 5, 200)
    perfect = y_true.astype(np.float64) if multilabel else np.eye(5)[y_true]
    low, high = metric.bounds
    assert metric.score(y_true, perfect, multilabel=multilabel) == pytest.approx(high if metric.greater_is_better else low, abs=1e-9)
    for prob in (rng.dirichlet(np.ones(5), 200), 1 - perfect):
        assert low <= metric.score(y_true, prob, multilabel=multilabel) <= high


def test_direction_is_known() -> None:
    assert not METRICS["log_loss"].greater_is_better
    assert METRICS["macro_f1"].is_better(0.9, 0.8)
    assert METRICS["log_loss"].best([0.2, 0.1]) == 0.1


def test_a_metric_of_one_kind_of_labels_is_not_computed_for_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    only_one = Metric("brier", "Brier", "probabilities", False, (0.0, 2.0), lambda y_true, y_prob: float(y_prob[0, y_true[0]]), None)
    monkeypatch.setitem(METRICS, "brier", only_one)
    assert "brier" in metrics_for(multilabel=False) and "brier" not in metrics_for(multilabel=True)
    assert all_scores(np.array([1]), np.array([[0.25, 0.75]]))["brier"] == 0.75
    assert set(all_scores(np.array([[0, 1]]), np.array([[0.25, 0.75]]), multilabel=True)) == {"log_loss", "accuracy", "macro_f1"}
    with pytest.raises(NotFoundError, match="brier"):
        only_one.score(np.array([[0, 1]]), np.array([[0.25, 0.75]]), multilabel=True)
