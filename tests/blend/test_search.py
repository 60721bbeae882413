"""Weights without a path: in proportion to scores, or climbed to, and never worse than where the climb began."""

from __future__ import annotations

import pytest

from core.blend.search import by_score, equal, search
from tests.blend.blend_data import skilled


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
