"""What a way to weights is really worth: it is refitted without each fold, and scored on the fold it did not see.

Weights that were tuned on out-of-fold predictions have seen the truth of every row they are scored on. Here no row is scored
by weights that its own truth had a part in, and the gain over equal weights comes with a bootstrap interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.blend.scorer import Outcome, Scorer
from core.blend.search import equal

N_DRAWS = 500
LEVEL = 0.95
Fit = Callable[[Scorer], Sequence[float]]


@dataclass(frozen=True)
class HonestScore:
    """`score` of the refitted procedure and `optimistic`, of the same procedure on the rows that it was fitted on.

    `gain` is how much better than equal weights it is (positive is better, whatever the metric's direction), with its
    interval; `is_clear` when the interval does not reach zero. `weights` (n_folds, n_runs) are those of each refit.
    """

    score: float
    low: float
    high: float
    optimistic: float
    equal: float
    gain: float
    gain_low: float
    gain_high: float
    weights: tuple[tuple[float, ...], ...]

    @property
    def is_clear(self) -> bool:
        return self.gain_low > 0


def honest_score(scorer: Scorer, fit: Fit, *, groups: NDArray[np.integer] | None = None, seed: int = 0) -> HonestScore:
    """Refit `fit` without each fold in turn and score it there; folds keep groups together, and so does the bootstrap.

    `groups` (n_rows,) numbers rows that are drawn together; by default each row stands alone. Percentile intervals at 95 %.
    """
    y_pred = np.empty(scorer.n_rows, dtype=np.int32)
    p_true = np.empty(scorer.n_rows, dtype=np.float32)
    weights: list[tuple[float, ...]] = []
    for fold in np.unique(scorer.fold_of):
        inside = scorer.fold_of == fold
        chosen = tuple(float(weight) for weight in fit(scorer.take(~inside)))
        outcome = scorer.take(inside).outcome(chosen)
        y_pred[inside], p_true[inside] = outcome.y_pred, outcome.p_true
        weights.append(chosen)
    honest, flat = Outcome(y_pred, p_true), scorer.outcome(equal(scorer))
    sign = 1.0 if scorer.metric.greater_is_better else -1.0
    score, plain = scorer.of(honest, scorer.metric.name), scorer.of(flat, scorer.metric.name)
    draws = bootstrap(scorer, (honest, flat), groups=groups, seed=seed)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws[0], [tail, 1 - tail])
    gain_low, gain_high = np.quantile(sign * (draws[0] - draws[1]), [tail, 1 - tail])
    return HonestScore(
        score=score,
        low=float(low),
        high=float(high),
        optimistic=scorer.score(fit(scorer)),
        equal=plain,
        gain=sign * (score - plain),
        gain_low=float(gain_low),
        gain_high=float(gain_high),
        weights=tuple(weights),
    )


def bootstrap(
    scorer: Scorer, outcomes: Sequence[Outcome], *, groups: NDArray[np.integer] | None = None, seed: int = 0, n_draws: int = N_DRAWS
) -> NDArray[np.float64]:
    """Scores (n_outcomes, n_draws) of outcomes on the same random redraws of the rows, so that differences are paired."""
    rng = np.random.default_rng(seed)
    unit = np.arange(scorer.n_rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_units = int(unit.max()) + 1
    scores = np.empty((len(outcomes), n_draws))
    for draw in range(n_draws):
        times = rng.multinomial(n_units, np.full(n_units, 1 / n_units))[unit].astype(np.float64)
        for number, outcome in enumerate(outcomes):
            scores[number, draw] = _weighted(scorer, outcome, times)
    return scores


def _weighted(scorer: Scorer, outcome: Outcome, times: NDArray[np.float64]) -> float:
    """The contest's metric when row i counts `times[i]` times."""
    if scorer.metric.name == "log_loss":
        epsilon = np.finfo(np.float32).eps
        return float(-(times * np.log(np.clip(outcome.p_true, epsilon, 1 - epsilon).astype(np.float64))).sum() / times.sum())
    hit = outcome.y_pred == scorer.y_true
    if scorer.metric.name == "accuracy":
        return float((times * hit).sum() / times.sum())
    n = scorer.n_classes
    actual = np.bincount(scorer.y_true, weights=times, minlength=n)
    predicted = np.bincount(outcome.y_pred, weights=times, minlength=n)
    right = np.bincount(scorer.y_true[hit], weights=times[hit], minlength=n)
    occurs = (actual + predicted) > 0
    return float((2 * right[occurs] / (actual + predicted)[occurs]).mean())
