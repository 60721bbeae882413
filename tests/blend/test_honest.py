"""The honest score sees no truth of the rows it scores, and finds no gain where there is none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn import metrics as reference

from core.blend.honest import bootstrap, honest_score
from core.blend.scorer import Scorer, make_scorer
from core.blend.search import equal, greedy, optimal_log_loss
from core.metrics import METRICS, get_metric


def make(metric: str, *, skills: Sequence[float], seed: int, n_rows: int = 400, n_classes: int = 3) -> Scorer:
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, n_classes, n_rows)
    logits = rng.normal(size=(len(skills), n_rows, n_classes))
    logits[:, np.arange(n_rows), y_true] += np.array(skills)[:, None]
    prob = np.exp(logits)
    oof = (prob / prob.sum(axis=2, keepdims=True)).astype(np.float32)
    return make_scorer(oof, y_true, np.arange(n_rows) % 4, get_metric(metric))


def test_each_refit_sees_every_fold_but_its_own() -> None:
    scorer = make("log_loss", skills=[1.0, 1.0], seed=0)
    seen: list[set[int]] = []

    def fit(part: Scorer) -> tuple[float, ...]:
        seen.append(set(part.fold_of.tolist()))
        return equal(part)

    honest_score(scorer, fit)
    assert [set(range(4)) - folds for folds in seen[:4]] == [{0}, {1}, {2}, {3}]


def test_equal_weights_gain_nothing_over_themselves() -> None:
    scorer = make("macro_f1", skills=[1.0, 0.5, 0.2], seed=1)
    honest = honest_score(scorer, equal)
    assert honest.score == honest.equal == honest.optimistic == scorer.score(equal(scorer))
    assert (honest.gain, honest.gain_low, honest.gain_high) == (0, 0, 0) and not honest.is_clear


def test_pure_noise_shows_no_gain_on_average_though_the_optimistic_score_does() -> None:
    def fit(part: Scorer) -> tuple[float, ...]:
        return greedy(part, n_rounds=8).weights

    gains, optimism = [], []
    for seed in range(20):
        scorer = make("accuracy", skills=[0.0] * 6, seed=seed)
        honest = honest_score(scorer, fit, seed=seed)
        gains.append(honest.gain)
        optimism.append(honest.optimistic - honest.score)
    assert abs(np.mean(gains)) < 2.5 * np.std(gains, ddof=1) / np.sqrt(20)
    assert np.mean(optimism) > 0.02


def test_a_real_gain_is_clear() -> None:
    scorer = make("log_loss", skills=[3.0, 0.0, 0.0, 0.0], seed=3, n_rows=1000)
    honest = honest_score(scorer, lambda part: optimal_log_loss(part).weights)
    assert honest.is_clear and honest.gain > 0.1 and honest.low < honest.score < honest.high


@pytest.mark.parametrize("metric", list(METRICS))
def test_a_bootstrap_draw_is_the_metric_of_repeated_rows(metric: str) -> None:
    scorer = make(metric, skills=[1.0, 0.3], seed=5, n_rows=60)
    outcome = scorer.outcome([0.7, 0.3])
    draws = bootstrap(scorer, [outcome], seed=9, n_draws=3)[0]
    rng = np.random.default_rng(9)
    for draw in draws:
        rows = np.repeat(np.arange(60), rng.multinomial(60, np.full(60, 1 / 60)))
        y_true, y_pred = scorer.y_true[rows], outcome.y_pred[rows]
        if metric == "log_loss":
            expected = float(-np.log(outcome.p_true[rows]).mean())
        elif metric == "accuracy":
            expected = reference.accuracy_score(y_true, y_pred)
        else:
            expected = reference.f1_score(y_true, y_pred, average="macro")
        assert draw == pytest.approx(expected, abs=1e-6)


def test_groups_are_drawn_together() -> None:
    scorer = make("accuracy", skills=[1.0], seed=2, n_rows=40)
    outcome = scorer.outcome([1.0])
    one_group = bootstrap(scorer, [outcome], groups=np.zeros(40, dtype=int), n_draws=20)
    assert np.ptp(one_group) == 0
