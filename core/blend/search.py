"""Ways to weights that need no path: equal, by score, and by climbing. Each takes a scorer and gives one weight per run.

What they tune, they tune on the rows it is scored on: `core.blend.honest` says what that is worth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from core.blend.scorer import Scorer
from core.metrics.scores import LabelMetricName

Weights = tuple[float, ...]
STEPS = (0.2, 0.1, 0.05, 0.02, 0.01)
MOST_ROUNDS = 4
SIMPLEX_SIDE = 0.1
TRIES_PER_RUN = 25


def equal(scorer: Scorer) -> Weights:
    """The same weight for each run: nothing is tuned."""
    return (1 / scorer.n_runs,) * scorer.n_runs


def by_score(scorer: Scorer, name: LabelMetricName = "accuracy") -> Weights:
    """Weights in proportion to each run's own score by a metric of labels, divided by the sum of all of them."""
    scores = np.array([scorer.of(scorer.outcome(alone), name) for alone in scorer.alone()])
    return tuple((scores / scores.sum()).tolist()) if scores.sum() else equal(scorer)


def search(scorer: Scorer, starts: Sequence[Weights]) -> Weights:
    """Climb from the best of some weights, for any metric: one weight at a time in shrinking steps, then Nelder and Mead (1965).

    Never worse than the best start. Accuracy and macro F1 are flat between jumps, so no slope is used.
    """
    tries = _Tries(scorer)
    for start in starts:
        tries(np.asarray(start))
    for step in STEPS:
        for _ in range(MOST_ROUNDS):
            before = tries.best
            for run in range(scorer.n_runs):
                for delta in (step, -step):
                    moved = tries.weights.copy()
                    moved[run] = max(0.0, moved[run] + delta)
                    tries(moved)
            if tries.best <= before:
                break
    if scorer.n_runs > 1:
        simplex = np.vstack([tries.weights, tries.weights + SIMPLEX_SIDE * np.eye(scorer.n_runs)])
        options = {"initial_simplex": simplex, "maxfev": TRIES_PER_RUN * scorer.n_runs, "xatol": 1e-4, "fatol": 0.0}
        minimize(lambda x: -tries(np.abs(x)), tries.weights, method="Nelder-Mead", options=options)
    return tuple(tries.weights.tolist())


class _Tries:
    """Scores weights, and keeps the best with the first to reach it; greater is better whatever the metric."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.sign = 1.0 if scorer.metric.greater_is_better else -1.0
        self.best = -np.inf
        self.weights: NDArray[np.float64] = np.asarray(equal(scorer))

    def __call__(self, weights: NDArray[np.float64]) -> float:
        if weights.sum() <= 0:
            return -np.inf
        score = self.sign * self.scorer.score(weights.tolist())
        if score > self.best:
            self.best, self.weights = score, weights / weights.sum()
        return score
