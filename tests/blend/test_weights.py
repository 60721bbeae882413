"""Ways to weights: greedy selection, and climbing, against what they must never be worse than."""

from __future__ import annotations

import numpy as np
import pytest

from core.blend.optimum import optimal_log_loss
from core.blend.steps import mix
from core.blend.weights import bagged_greedy, by_score, equal, greedy, search
from core.specs.blend import MeanName
from tests.blend.blend_data import skilled


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "macro_f1"])
def test_greedy_is_at_least_the_best_single_run(metric: str) -> None:
    scorer = skilled(metric, [1.0, 1.4, 0.2])
    path = greedy(scorer, n_rounds=12)
    best_single = scorer.metric.best([scorer.score(alone) for alone in scorer.alone()])
    assert not scorer.metric.is_better(best_single, scorer.score(path.weights))
    assert path.scores[0] == best_single and len(path.members) == 12
    assert sum(path.weights) == pytest.approx(1)


@pytest.mark.parametrize("mean", ["arithmetic", "logit", "power"])
@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "macro_f1"])
def test_each_round_takes_the_run_that_helps_most(metric: str, mean: MeanName) -> None:
    scorer = skilled(metric, [1.0, 0.9, 0.5, 0.1], n_rows=150, mean=mean)
    path = greedy(scorer, n_rounds=6)
    counts = np.zeros(4)
    for run, score in zip(path.members, path.scores, strict=True):
        tried = [scorer.metric.score(scorer.y_true, mix(scorer.oof, (counts + alone).tolist(), mean)) for alone in np.eye(4)]
        assert tried[run] == pytest.approx(scorer.metric.best(tried), abs=1e-6)
        counts[run] += 1
        assert score == pytest.approx(tried[run], abs=1e-6)


def test_greedy_comes_near_the_convex_optimum() -> None:
    scorer = skilled("log_loss", [1.0, 1.2, 0.8, 0.0])
    assert scorer.score(greedy(scorer, n_rounds=40).weights) == pytest.approx(optimal_log_loss(scorer).log_loss, abs=2e-3)


def test_bags_spread_the_weight_over_more_runs() -> None:
    scorer = skilled("accuracy", [1.0, 1.0, 1.0, 1.0, 0.0])
    bagged = bagged_greedy(scorer, n_rounds=5, n_bags=12, bag_share=0.6, seed=1)
    assert sum(bagged) == pytest.approx(1) and sum(weight > 0.05 for weight in bagged) >= 4
    assert bagged == bagged_greedy(scorer, n_rounds=5, n_bags=12, bag_share=0.6, seed=1)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1"])
def test_weights_by_score_follow_the_scores_whatever_the_contests_metric(name: str) -> None:
    scorer = skilled("log_loss", [2.0, 0.5, 0.0])
    weights = by_score(scorer, name)  # pyright: ignore[reportArgumentType]
    scores = [scorer.of(scorer.outcome(alone), name) for alone in scorer.alone()]
    assert weights == pytest.approx([score / sum(scores) for score in scores])
    assert equal(scorer) == pytest.approx((1 / 3,) * 3)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "macro_f1"])
@pytest.mark.parametrize("seed", range(3))
def test_a_climb_never_ends_below_its_start_and_finds_the_useless_run(metric: str, seed: int) -> None:
    scorer = skilled(metric, [1.5, 1.5, 0.0, 0.0], n_rows=400, seed=seed)
    start = equal(scorer)
    found = search(scorer, [start])
    assert sum(found) == pytest.approx(1) and min(found) >= 0
    assert scorer.metric.is_better(scorer.score(found), scorer.score(start))
    assert found[0] + found[1] > found[2] + found[3]
    assert search(scorer, [start]) == found


def test_one_run_needs_no_climb() -> None:
    assert search(skilled("accuracy", [1.0]), [(1.0,)]) == (1.0,)
