"""Temperature and offsets are the best there are, by brute force; reliability is what its bins say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn import metrics as reference

from core.base.errors import StateError
from core.blend.calibrate import fit_offsets, fit_temperature, reliability
from core.blend.steps import afterwards
from core.metrics.scores import get_metric
from core.specs.blend import BlendSteps, MeanName
from tests.blend.blend_data import skilled


def predictions(seed: int, *, n_rows: int = 500, n_classes: int = 4, skew: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, n_classes, n_rows)
    logits = rng.normal(size=(n_rows, n_classes))
    logits[np.arange(n_rows), y_true] += 1.2
    logits[:, 0] += skew
    prob = np.exp(logits)
    return (prob / prob.sum(axis=1, keepdims=True)).astype(np.float32), y_true


def changed(prob: np.ndarray, **after: object) -> np.ndarray:
    return afterwards(prob, BlendSteps.model_validate({"weights": (1,), **after}))


@pytest.mark.parametrize("wanted", [0.3, 0.8, 1.0, 3.0])
def test_the_temperature_is_where_log_loss_is_least(wanted: float) -> None:
    prob, y_true = predictions(1)
    prob = changed(prob, temperature=1 / wanted)  # what was calibrated is made too sure or too unsure

    def loss(temperature: float) -> float:
        return get_metric("log_loss").score(y_true, changed(prob, temperature=temperature).astype(float))

    found = fit_temperature(prob, y_true)
    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-6})
    assert found == pytest.approx(best.x, rel=2e-3) and loss(found) <= best.fun + 1e-6


@pytest.mark.parametrize("mean", ["hard", "arithmetic"])
def test_a_temperature_makes_no_log_loss_worse_where_probabilities_are_zero(mean: MeanName) -> None:
    for seed in range(5):
        scorer = skilled("log_loss", [1.5, 1.0, 0.5], seed=seed, mean=mean)
        scorer = scorer if mean == "hard" else skilled("log_loss", [40.0, 30.0], seed=seed)
        plain = BlendSteps(weights=(1.0,) * scorer.n_runs, mean=mean)
        tempered = plain.model_copy(update={"temperature": fit_temperature(scorer.prob(plain), scorer.y_true)})
        assert tempered.temperature != 1 and scorer.score(tempered) <= scorer.score(plain) + 1e-9


def test_zeros_and_certainty_do_not_break_the_temperature() -> None:
    prob = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]] * 10, dtype=np.float32)
    assert 0.05 <= fit_temperature(prob, np.array([0, 1, 2] * 10)) <= 20
    assert 0.05 <= fit_temperature(prob, np.array([1, 2, 0] * 10)) <= 20


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
@pytest.mark.parametrize("seed", range(4))
def test_offsets_undo_a_class_that_is_named_too_often(metric: str, seed: int) -> None:
    prob, y_true = predictions(seed, skew=1.0)
    offsets = fit_offsets(prob, y_true, get_metric(metric))
    score = get_metric(metric).score
    assert score(y_true, changed(prob, offsets=tuple(offsets))) > score(y_true, prob) + 0.01
    assert offsets[0] < offsets[1:].mean() and (np.abs(offsets) <= 1.5).all()


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
@pytest.mark.parametrize("seed", range(6))
def test_no_single_offset_could_be_moved_to_gain_more(metric: str, seed: int) -> None:
    """Coordinate-wise optimal, against every offset on a fine grid, scored by scikit-learn."""
    prob, y_true = predictions(seed, n_rows=80, n_classes=3, skew=0.5)
    offsets = fit_offsets(prob, y_true, get_metric(metric))

    def score(of: np.ndarray) -> float:
        y_pred = changed(prob, offsets=tuple(of)).argmax(axis=1)
        return reference.accuracy_score(y_true, y_pred) if metric == "accuracy" else reference.f1_score(y_true, y_pred, average="macro")

    reached = score(offsets)
    for label in range(3):
        for value in np.linspace(-1.5, 1.5, 301):
            rival = offsets.copy()
            rival[label] = value
            assert score(rival) <= reached + 1e-9


def test_offsets_are_refused_for_log_loss() -> None:
    with pytest.raises(StateError, match="labels"):
        fit_offsets(*predictions(0), get_metric("log_loss"))


def test_reliability_counts_every_row_once() -> None:
    prob, y_true = predictions(2)
    found = reliability(prob, y_true, n_bins=10)
    assert found.count.sum() == len(y_true) and len(found.edges) == 11
    confidence = prob.max(axis=1)
    rows = (confidence >= 0.6) & (confidence < 0.7)
    place = 6
    assert found.count[place] == rows.sum()
    assert found.confidence[place] == pytest.approx(confidence[rows].mean())
    assert found.accuracy[place] == pytest.approx((prob.argmax(axis=1) == y_true)[rows].mean())
    assert np.isnan(found.accuracy[0])
    too_sure = reliability(changed(prob, temperature=0.3), y_true)
    assert too_sure.error > found.error + 0.05


def test_reliability_of_sets_counts_every_class_of_every_row() -> None:
    rng = np.random.default_rng(3)
    prob = rng.random((400, 5)).astype(np.float32)
    y_true = (rng.random(prob.shape) < prob).astype(np.int8)
    found = reliability(prob, y_true, multilabel=True, n_bins=10)
    assert found.count.sum() == prob.size
    inside = (prob >= 0.2) & (prob < 0.3)
    assert found.count[2] == inside.sum()
    assert found.confidence[2] == pytest.approx(prob[inside].mean())
    assert found.accuracy[2] == pytest.approx(y_true[inside].mean()), "the share that has the class, not the share that is right"
    assert found.error < 0.06, "what was drawn with these probabilities is as frequent as it is probable"
    assert reliability(np.sqrt(prob), y_true, multilabel=True).error > 0.1
