"""How sure a difference is: the same rows are drawn again and again for both blends, and the spread of the gain is read off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.blend.scorer import Outcome, score_of
from core.metrics import Metric

N_DRAWS = 500
LEVEL = 0.95
RESOLUTION = 1e-7
"""Predictions are float32: a gain below this may be the order in which a sum was made."""


@dataclass(frozen=True)
class Comparison:
    """Scores of two blends on the same rows: `gain` is how much better the first is (positive is better, whatever the metric).

    Percentile intervals at 95 %, of a bootstrap that redraws the same rows for both.
    """

    score: float
    low: float
    high: float
    other: float
    gain: float
    gain_low: float
    gain_high: float

    @property
    def is_clear(self) -> bool:
        """The interval of the gain lies above zero."""
        return self.gain_low > RESOLUTION


def compare(
    metric: Metric,
    y_true: NDArray[np.int64],
    n_classes: int,
    one: Outcome,
    other: Outcome,
    *,
    groups: NDArray[np.integer] | None = None,
    seed: int = 0,
    n_draws: int = N_DRAWS,
) -> Comparison:
    """Two outcomes on the same rows, by a paired bootstrap over rows or over groups (n_rows,) of rows that belong together."""
    sign = 1.0 if metric.greater_is_better else -1.0
    score, rival = (score_of(metric.name, y_true, outcome, n_classes) for outcome in (one, other))
    draws = bootstrap(metric, y_true, n_classes, (one, other), groups=groups, seed=seed, n_draws=n_draws)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws[0], [tail, 1 - tail])
    gain_low, gain_high = np.quantile(sign * (draws[0] - draws[1]), [tail, 1 - tail])
    return Comparison(
        score=score,
        low=float(low),
        high=float(high),
        other=rival,
        gain=sign * (score - rival),
        gain_low=float(gain_low),
        gain_high=float(gain_high),
    )


def bootstrap(
    metric: Metric,
    y_true: NDArray[np.int64],
    n_classes: int,
    outcomes: Sequence[Outcome],
    *,
    groups: NDArray[np.integer] | None = None,
    seed: int = 0,
    n_draws: int = N_DRAWS,
) -> NDArray[np.float64]:
    """Scores (n_outcomes, n_draws) of outcomes on the same random redraws of the rows, so that differences are paired."""
    rng = np.random.default_rng(seed)
    unit = None if groups is None else np.unique(groups, return_inverse=True)[1]
    n_units = len(y_true) if unit is None else int(unit.max()) + 1
    scores = np.empty((len(outcomes), n_draws))
    tallies = [_Tally.of(metric, y_true, n_classes, outcome) for outcome in outcomes]
    for draw in range(n_draws):
        times = np.bincount(rng.integers(0, n_units, n_units), minlength=n_units).astype(np.float64)
        counts = times if unit is None else times[unit]
        for number, tally in enumerate(tallies):
            scores[number, draw] = tally.score(counts)
    return scores


@dataclass(frozen=True)
class _Tally:
    """What a redraw needs of an outcome: a value per row whose weighted mean is the score; for macro F1 the labels."""

    value: NDArray[np.float64]
    y_true: NDArray[np.int64]
    y_pred: NDArray[np.int32]
    n_classes: int
    is_f1: bool

    @classmethod
    def of(cls, metric: Metric, y_true: NDArray[np.int64], n_classes: int, outcome: Outcome) -> _Tally:
        epsilon = np.finfo(np.float32).eps
        value = (outcome.y_pred == y_true).astype(np.float64)
        if metric.name == "log_loss":
            value = -np.log(np.clip(outcome.p_true, epsilon, 1 - epsilon).astype(np.float64))
        return cls(value, y_true, outcome.y_pred, n_classes, metric.name == "macro_f1")

    def score(self, times: NDArray[np.float64]) -> float:
        """The metric when row i counts `times[i]` times."""
        if not self.is_f1:
            return float(times @ self.value / times.sum())
        total = np.bincount(self.y_true, weights=times, minlength=self.n_classes)
        total += np.bincount(self.y_pred, weights=times, minlength=self.n_classes)
        right = np.bincount(self.y_true, weights=times * self.value, minlength=self.n_classes)
        occurs = total > 0
        return float((2 * right[occurs] / total[occurs]).mean())
