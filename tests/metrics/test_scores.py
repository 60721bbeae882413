"""Our metrics equal scikit-learn's to 1e-6, also where predictions are certain, classes absent, or probabilities tied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from core.base.errors import NotFoundError
from core.metrics.scores import METRICS, accuracy, all_scores, get_metric, log_loss, macro_f1


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
    assert log_loss(y_true, y_prob) == pytest.approx(reference.log_loss(y_true, y_prob, labels=labels), rel=1e-6, abs=1e-6)
    assert accuracy(y_true, y_prob) == pytest.approx(reference.accuracy_score(y_true, y_pred), abs=1e-6)
    assert macro_f1(y_true, y_prob) == pytest.approx(reference.f1_score(y_true, y_pred, average="macro"), abs=1e-6)


@given(st.integers(2, 7), st.integers(1, 60), st.integers(0, 2**32 - 1), st.sampled_from([0.3, 3.0, 60.0]))
@settings(max_examples=100, deadline=None)
def test_multilabel_metrics_equal_scikit_learn(n_classes: int, n_rows: int, seed: int, sharpness: float) -> None:
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_rows, n_classes)) < 0.3).astype(np.int8)
    y_prob = (1 / (1 + np.exp(-sharpness * rng.normal(size=(n_rows, n_classes))))).astype(np.float32)
    y_pred = y_prob > 0.5
    by_class = [reference.log_loss(y_true[:, k], y_prob[:, k], labels=[0, 1]) for k in range(n_classes)]
    assert log_loss(y_true, y_prob) == pytest.approx(np.mean(by_class), rel=1e-6, abs=1e-6)
    assert accuracy(y_true, y_prob) == pytest.approx(reference.accuracy_score(y_true, y_pred), abs=1e-6)
    assert macro_f1(y_true, y_prob) == pytest.approx(reference.f1_score(y_true, y_pred, average="macro", zero_division=0), abs=1e-6)


def test_ties_go_to_the_lowest_class() -> None:
    assert accuracy(np.array([0, 1]), np.full((2, 2), 0.5, np.float32)) == 0.5


def test_an_unknown_metric_lists_what_exists() -> None:
    with pytest.raises(NotFoundError, match="log_loss"):
        get_metric("auc")


def test_direction_is_known() -> None:
    assert not METRICS["log_loss"].greater_is_better
    assert METRICS["macro_f1"].is_better(0.9, 0.8)
    assert METRICS["log_loss"].best([0.2, 0.1]) == 0.1
    assert set(all_scores(np.array([0]), np.array([[0.9, 0.1]]))) == set(METRICS)
