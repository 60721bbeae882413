"""Ways to weights: the optimum is one, greedy never loses to its best single run, and nothing depends on the order of runs."""

from __future__ import annotations

import numpy as np
import pytest

from core.blend.scorer import Scorer, make_scorer
from core.blend.search import by_score, equal, greedy, optimal_log_loss, optimal_of_true
from core.errors import StateError
from core.metrics import get_metric


def skilled(metric: str, skills: list[float], *, n_rows: int = 600, n_classes: int = 4, seed: int = 0) -> Scorer:
    """Runs that know the truth to a degree; skill 0 is noise."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, n_classes, n_rows)
    logits = rng.normal(size=(len(skills), n_rows, n_classes))
    logits[:, np.arange(n_rows), y_true] += np.array(skills)[:, None]
    prob = np.exp(logits)
    oof = (prob / prob.sum(axis=2, keepdims=True)).astype(np.float32)
    return make_scorer(oof, y_true, np.arange(n_rows) % 5, get_metric(metric))


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


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "macro_f1"])
def test_greedy_is_at_least_the_best_single_run(metric: str) -> None:
    scorer = skilled(metric, [1.0, 1.4, 0.2])
    path = greedy(scorer, n_rounds=12)
    best_single = scorer.metric.best([scorer.score(alone) for alone in np.eye(3).tolist()])
    assert not scorer.metric.is_better(best_single, scorer.score(path.weights))
    assert path.scores[0] == best_single and len(path.members) == 12
    assert sum(path.weights) == pytest.approx(1)


def test_greedy_comes_near_the_convex_optimum() -> None:
    scorer = skilled("log_loss", [1.0, 1.2, 0.8, 0.0])
    assert scorer.score(greedy(scorer, n_rounds=40).weights) == pytest.approx(optimal_log_loss(scorer).log_loss, abs=2e-3)


def test_weights_by_score_follow_the_scores_and_refuse_a_loss() -> None:
    scorer = skilled("accuracy", [2.0, 0.5])
    weights = by_score(scorer)
    assert weights[0] > weights[1] and sum(weights) == pytest.approx(1)
    assert equal(scorer) == (0.5, 0.5)
    with pytest.raises(StateError, match="mean nothing"):
        by_score(skilled("log_loss", [2.0, 0.5]))
