"""What a way to a blend is really worth: it is refitted without each fold, and scored on the fold it did not see.

Weights that were tuned on out-of-fold predictions have seen the truth of every row they are scored on. Here no row is scored
by a blend that its own truth had a part in, and the gain over equal weights comes with a bootstrap interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.blend.mean import MeanName
from core.blend.procedure import Fit
from core.blend.scorer import Outcome, Scorer, ScorerOf
from core.blend.search import equal
from core.blend.spec import BlendSteps
from core.metrics import Metric

N_DRAWS = 500
LEVEL = 0.95


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
        return self.gain_low > 0


@dataclass(frozen=True)
class HonestScore(Comparison):
    """`score` of the refitted procedure, against equal weights (`other`) under the arithmetic mean and nothing after it.

    `optimistic` is the score of `steps`, fitted on all rows, on those very rows; `refits` are the steps without each fold.
    """

    optimistic: float
    steps: BlendSteps
    refits: tuple[BlendSteps, ...]

    @property
    def equal(self) -> float:
        """The score of equal weights."""
        return self.other


def honest_score(
    scorer_of: ScorerOf, fit: Fit, *, groups: NDArray[np.integer] | None = None, seed: int = 0, n_draws: int = N_DRAWS
) -> HonestScore:
    """Refit `fit` without each fold in turn and score it there; folds keep groups together, and so does the bootstrap.

    `groups` (n_rows,) numbers rows that are drawn together; by default each row stands alone. A choice among means or members
    is refitted like any weight, as `fit` makes it anew each time.
    """
    flat = scorer_of("arithmetic")
    y_pred = np.empty(flat.n_rows, dtype=np.int32)
    p_true = np.empty(flat.n_rows, dtype=np.float32)
    refits: list[BlendSteps] = []
    for fold in np.unique(flat.fold_of):
        inside = flat.fold_of == fold
        steps = fit(_on(scorer_of, ~inside))
        outcome = scorer_of(steps.mean).take(inside).outcome(steps)
        y_pred[inside], p_true[inside] = outcome.y_pred, outcome.p_true
        refits.append(steps)
    steps = fit(scorer_of)
    compared = compare(flat, Outcome(y_pred, p_true), flat.outcome(equal(flat)), groups=groups, seed=seed, n_draws=n_draws)
    return HonestScore(**compared.__dict__, optimistic=scorer_of(steps.mean).score(steps), steps=steps, refits=tuple(refits))


def _on(scorer_of: ScorerOf, rows: NDArray[np.bool_]) -> ScorerOf:
    """Scorers of some rows only, each cut once."""
    cut: dict[MeanName, Scorer] = {}

    def get(mean: MeanName) -> Scorer:
        if mean not in cut:
            cut[mean] = scorer_of(mean).take(rows)
        return cut[mean]

    return get


def compare(
    scorer: Scorer, one: Outcome, other: Outcome, *, groups: NDArray[np.integer] | None = None, seed: int = 0, n_draws: int = N_DRAWS
) -> Comparison:
    """Two outcomes on all rows of the scorer, by a paired bootstrap over rows or groups."""
    sign = 1.0 if scorer.metric.greater_is_better else -1.0
    score, rival = scorer.of(one, scorer.metric.name), scorer.of(other, scorer.metric.name)
    draws = bootstrap(scorer.metric, scorer.y_true, scorer.n_classes, (one, other), groups=groups, seed=seed, n_draws=n_draws)
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


def without_after(steps: BlendSteps) -> BlendSteps:
    """The same blend before temperature and offsets, to compare what they did."""
    return steps.model_copy(update={"temperature": 1.0, "offsets": ()})
