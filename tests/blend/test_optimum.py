"""The optimum meets its conditions, whatever the runs, and rows may count more than once."""

from __future__ import annotations

import numpy as np
import pytest

from core.base.errors import StateError
from core.blend.optimum import gap_at, optimal_log_loss, optimal_of_true
from core.specs.blend import MeanName
from tests.blend.blend_data import skilled


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("skills", [[1.0], [2.0, 0.0], [1.0, 1.5, 2.0, 0.1], [1.0] * 9])
def test_the_optimum_meets_its_conditions(skills: list[float], seed: int) -> None:
    scorer = skilled("log_loss", skills, seed=seed)
    found = optimal_log_loss(scorer)
    w, q = np.array(found.weights), scorer.true
    assert w.sum() == pytest.approx(1) and (w >= 0).all() and found.gap <= 1e-8
    ratio = (q / (w @ q)).mean(axis=1)
    assert (ratio <= 1 + 1e-8).all()
    np.testing.assert_allclose(ratio[w > 1e-6], 1, atol=1e-6)
    for rival in np.random.default_rng(seed).dirichlet(np.ones(len(w)), size=200):
        assert found.log_loss <= -np.log(rival @ q).mean() + 1e-9


def test_equal_members_have_an_optimum_too() -> None:
    q = np.full((3, 50), 0.4)
    assert optimal_of_true(q).gap <= 1e-9
    assert optimal_of_true(np.array([[0.9, 0.8], [0.1, 0.1]])).weights[0] == pytest.approx(1)


def test_a_row_that_counts_thrice_is_three_rows() -> None:
    rng = np.random.default_rng(0)
    q = rng.uniform(0.05, 1, size=(4, 60))
    times = rng.integers(1, 4, 60)
    np.testing.assert_allclose(
        optimal_of_true(q, times=times.astype(float)).weights, optimal_of_true(np.repeat(q, times, axis=1)).weights, atol=1e-6
    )


@pytest.mark.parametrize("mean", ["arithmetic", "logit"])
def test_the_gap_bounds_what_any_other_weights_could_gain(mean: MeanName) -> None:
    scorer = skilled("log_loss", [1.0, 2.0, 0.2], mean=mean)
    best = optimal_log_loss(scorer)
    assert gap_at(scorer, best.weights) <= 1e-6
    for weights in np.random.default_rng(0).dirichlet(np.ones(3), size=50):
        assert gap_at(scorer, weights.tolist()) >= scorer.score(weights.tolist()) - best.log_loss - 1e-6
    assert gap_at(scorer, [5, 5, 5]) == gap_at(scorer, [1, 1, 1])


def test_no_gap_is_claimed_where_nothing_is_convex() -> None:
    with pytest.raises(StateError, match="no optimum that can be proved"):
        gap_at(skilled("log_loss", [1.0, 2.0], mean="power"), [1, 1])
