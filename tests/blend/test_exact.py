"""The fast scorer against scikit-learn on the full blend: log loss to 1e-9, equal labels everywhere, under every mean, ties included."""

from __future__ import annotations

import typing
import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from core.blend.scorer import make_scorer
from core.blend.steps import mix
from core.metrics.scores import get_metric
from core.specs.blend import MeanName
from tests.blend.blend_data import matrix_of

MEANS: tuple[MeanName, ...] = typing.get_args(MeanName)
N_ROWS = 60


@st.composite
def cases(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.int64], list[float]]:
    """Predictions (n_runs, n_rows, n_classes), classes (n_rows,) and weights."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_runs, n_classes = draw(st.integers(1, 6)), draw(st.integers(2, 9))
    oof = rng.dirichlet(np.full(n_classes, draw(st.sampled_from([0.05, 0.5, 5.0]))), size=(n_runs, N_ROWS))
    if draw(st.booleans()):
        oof = np.round(oof * 4) + 0.25  # many exact ties within a run and between runs
        oof /= oof.sum(axis=2, keepdims=True)
    if draw(st.booleans()):
        oof[-1] = oof[0]
    weights = rng.dirichlet(np.ones(n_runs)) * (rng.random(n_runs) > draw(st.sampled_from([0.0, 0.4])))
    if draw(st.booleans()):
        weights = np.round(4 * weights)
    if not weights.sum():
        weights[rng.integers(n_runs)] = draw(st.sampled_from([1.0, 1e-12, 1e6]))
    return oof.astype(np.float32), rng.integers(0, n_classes, N_ROWS), weights.tolist()


@pytest.mark.parametrize("mean", MEANS)
@given(case=cases())
@settings(max_examples=80, deadline=None)
def test_scores_and_labels_are_those_of_the_full_blend(
    mean: MeanName, case: tuple[NDArray[np.float32], NDArray[np.int64], list[float]]
) -> None:
    oof, y_true, weights = case
    prob = mix(oof, weights, mean)
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(N_ROWS) % 5, get_metric("log_loss")), mean)
    outcome = scorer.outcome(weights)
    np.testing.assert_array_equal(outcome.y_pred, prob.argmax(axis=1))
    scores = scorer.report(outcome).scores
    # scikit-learn clips at the epsilon of the dtype that it is given, and sums in it: the blend's epsilon, and a float64 sum.
    epsilon = np.finfo(prob.dtype).eps
    clipped = np.clip(prob, epsilon, 1 - epsilon).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rows of float32 do not sum to one in float64
        expected = reference.log_loss(y_true, clipped, labels=range(oof.shape[2]))
    assert scores["log_loss"] == pytest.approx(expected, rel=1e-9)
    assert scores["accuracy"] == reference.accuracy_score(y_true, prob.argmax(axis=1))
    assert scores["macro_f1"] == pytest.approx(reference.f1_score(y_true, prob.argmax(axis=1), average="macro"), rel=1e-12)


@pytest.mark.parametrize("mean", MEANS)
def test_no_winner_is_missed_over_two_thousand_random_weights(mean: MeanName) -> None:
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(1, 40, 20)) + rng.normal(size=(5, 40, 20))
    prob = np.exp(logits)
    oof = (prob / prob.sum(axis=2, keepdims=True)).astype(np.float32)
    scorer = make_scorer(matrix_of(oof, rng.integers(0, 20, 40), np.arange(40) % 5, get_metric("accuracy")), mean)
    for weights in rng.dirichlet(np.full(5, 0.5), size=2_000).tolist():
        np.testing.assert_array_equal(scorer.labels(weights), mix(oof, weights, mean).argmax(axis=1))
