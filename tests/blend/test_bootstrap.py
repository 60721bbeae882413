"""A redraw is the metric of repeated rows, and two blends are redrawn alike."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from core.blend.bootstrap import bootstrap, compare
from core.metrics import METRICS
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
