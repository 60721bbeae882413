"""What a way to a blend is really worth: it is refitted without each fold, and scored on the fold it did not see (cross-fitted).

Weights that were tuned on out-of-fold predictions have seen the truth of every row they are scored on. Here no row is scored
by a blend that its own truth had a part in, and the gain over equal weights comes with a bootstrap interval: the same rows are drawn
again and again for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.base.errors import StateError
from core.blend.procedure import Fit
from core.blend.scorer import Outcome, Scorer, ScorerOf, Truth
from core.blend.weights import equal
from core.specs.blend import BlendSteps, MeanName

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
    truth: Truth,
    one: Outcome,
    other: Outcome,
    *,
    groups: NDArray[np.integer] | None = None,
    seed: int = 0,
    n_draws: int = N_DRAWS,
) -> Comparison:
    """Two outcomes on the same rows, by a paired bootstrap over rows or over groups (n_rows,) of rows that belong together."""
    sign = 1.0 if truth.metric.greater_is_better else -1.0
    score, rival = (truth.score(outcome) for outcome in (one, other))
    draws = bootstrap(truth, (one, other), groups=groups, seed=seed, n_draws=n_draws)
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
    truth: Truth,
    outcomes: Sequence[Outcome],
    *,
    groups: NDArray[np.integer] | None = None,
    seed: int = 0,
    n_draws: int = N_DRAWS,
) -> NDArray[np.float64]:
    """Scores (n_outcomes, n_draws) of outcomes on the same random redraws of the rows, so that differences are paired."""
    rng = np.random.default_rng(seed)
    unit = None if groups is None else np.unique(groups, return_inverse=True)[1]
    n_units = truth.n_rows if unit is None else int(unit.max()) + 1
    scores = np.empty((len(outcomes), n_draws))
    tallies = [_tally_of(truth, outcome) for outcome in outcomes]
    for draw in range(n_draws):
        times = np.bincount(rng.integers(0, n_units, n_units), minlength=n_units).astype(np.float64)
        counts = times if unit is None else times[unit]
        for number, tally in enumerate(tallies):
            scores[number, draw] = tally.score(counts)
    return scores


class _Tally(Protocol):
    """What a redraw needs of an outcome."""

    def score(self, times: NDArray[np.float64]) -> float:
        """The metric when row i counts `times[i]` times."""
        ...


def _tally_of(truth: Truth, outcome: Outcome) -> _Tally:
    name, y_true, y_pred = truth.metric.name, truth.table(truth.y_true), truth.table(outcome.y_pred)
    if name == "log_loss":
        epsilon = np.finfo(np.float32).eps
        loss = -np.log(np.clip(outcome.p_true, epsilon, 1 - epsilon).astype(np.float64))
        return _Mean(loss.reshape(truth.n_rows, -1).mean(axis=1))
    if name == "accuracy":
        return _Mean((y_pred == y_true).reshape(truth.n_rows, -1).all(axis=1).astype(np.float64))
    if name != "macro_f1":
        return _Repeated(truth, outcome)
    if truth.n_labels:
        return _F1OfSets(((y_true == 1) & (y_pred == 1)).astype(np.float64), y_true.astype(np.float64) + y_pred)
    return _F1(y_true, y_pred, truth.n_classes)


@dataclass(frozen=True)
class _Mean:
    """A value per row (n_rows,) whose weighted mean is the score."""

    value: NDArray[np.float64]

    def score(self, times: NDArray[np.float64]) -> float:
        return float(times @ self.value / times.sum())


@dataclass(frozen=True)
class _Repeated:
    """Any other metric, computed anew on the repeated rows."""

    truth: Truth
    outcome: Outcome

    def score(self, times: NDArray[np.float64]) -> float:
        answers = np.arange(len(self.truth.y_true)).reshape(self.truth.n_rows, -1)
        at = np.repeat(answers, times.astype(np.int64), axis=0).ravel()
        truth = replace(self.truth, y_true=self.truth.y_true[at])
        return truth.score(Outcome(self.outcome.y_pred[at], self.outcome.p_true[at]))


@dataclass(frozen=True)
class _F1:
    """Macro F1 of labels (n_rows,)."""

    y_true: NDArray[np.integer]
    y_pred: NDArray[np.integer]
    n_classes: int

    def score(self, times: NDArray[np.float64]) -> float:
        total = np.bincount(self.y_true, weights=times, minlength=self.n_classes)
        total += np.bincount(self.y_pred, weights=times, minlength=self.n_classes)
        right = np.bincount(self.y_true, weights=times * (self.y_true == self.y_pred), minlength=self.n_classes)
        occurs = total > 0
        return float((2 * right[occurs] / total[occurs]).mean())


@dataclass(frozen=True)
class _F1OfSets:
    """Macro F1 of several classes per row: what was found, and what was true plus what was given (n_rows, n_labels)."""

    found: NDArray[np.float64]
    total: NDArray[np.float64]

    def score(self, times: NDArray[np.float64]) -> float:
        total = times @ self.total
        return float((2 * (times @ self.found) / np.maximum(total, 1)).mean())


@dataclass(frozen=True)
class HonestScore(Comparison):
    """`score` of the refitted procedure, against equal weights (`other`) under the arithmetic mean and nothing after it.

    `optimistic` is the score of `steps`, fitted on all rows, on those very rows; `refits` are the steps without each part.
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
    """Refit `fit` without each fold in turn and score it there; no group is on both sides, nor torn by the bootstrap.

    `groups` (n_rows,) numbers rows of the contest that belong together; by default each row stands alone. A choice among means or
    members is refitted like any weight, as `fit` makes it anew each time.
    """
    flat = scorer_of("arithmetic")
    outcome, refits = refitted(scorer_of, fit, groups=groups)
    steps = fit(scorer_of)
    compared = compare(flat.truth, outcome, flat.outcome(equal(flat)), groups=groups, seed=seed, n_draws=n_draws)
    return HonestScore(**compared.__dict__, optimistic=scorer_of(steps.mean).score(steps), steps=steps, refits=refits)


def refitted(scorer_of: ScorerOf, fit: Fit, *, groups: NDArray[np.integer] | None = None) -> tuple[Outcome, tuple[BlendSteps, ...]]:
    """What the procedure says of each row when its part (see `parts_of`) was left out of the fit, and the steps without each part.

    `groups` is as in `honest_score`. Raises StateError when the rows are of one fold, or one group, only.
    """
    flat = scorer_of("arithmetic")
    part_of = parts_of_scorer(flat, groups)
    parts = np.unique(part_of)
    if len(parts) < 2:
        raise StateError(
            "an honest score needs two folds",
            where="fold {fold}",
            why="all rows are of one fold, so nothing is left to fit on when it is left out",
            fix="finish another fold in every run, or take equal weights, which need no judge",
            fold=flat.fold_of[0],
        )
    y_pred = np.empty(flat.n_rows, dtype=np.int32)
    p_true = np.empty(flat.n_rows, dtype=np.float32)
    refits: list[BlendSteps] = []
    for part in parts:
        inside = part_of == part
        steps = fit(_on(scorer_of, ~inside))
        outcome = scorer_of(steps.mean).take(inside).outcome(steps)
        y_pred[inside], p_true[inside] = outcome.y_pred, outcome.p_true
        refits.append(steps)
    return Outcome(y_pred, p_true), tuple(refits)


def parts_of_scorer(scorer: Scorer, groups: NDArray[np.integer] | None) -> NDArray[np.integer]:
    """`parts_of` for the rows of a scorer, which are questions where a row of the contest may have several classes."""
    n_answers = scorer.n_labels or 1
    return np.repeat(parts_of(scorer.fold_of[::n_answers], groups), n_answers)


def parts_of(fold_of: NDArray[np.integer], groups: NDArray[np.integer] | None) -> NDArray[np.integer]:
    """The part (n_rows,) that each row is left out with: its fold, or where folds (n_rows,) tear groups (n_rows,) as many of whole groups.

    Rows of one group are alike, so weights that have seen some of them have seen the others too.
    """
    if groups is None:
        return fold_of
    names, number = np.unique(groups, return_inverse=True)
    folds, fold = np.unique(fold_of, return_inverse=True)
    if len(np.unique(number * len(folds) + fold)) == len(names):
        return fold_of
    n_parts = min(len(folds), len(names))
    part_of = np.zeros(len(groups), dtype=np.int64)
    if n_parts > 1:
        from sklearn.model_selection import GroupKFold

        for part, (_, inside) in enumerate(GroupKFold(n_parts).split(part_of, groups=groups)):
            part_of[inside] = part
    return part_of


def _on(scorer_of: ScorerOf, rows: NDArray[np.bool_]) -> ScorerOf:
    """Scorers of some rows only, each cut once."""
    cut: dict[MeanName, Scorer] = {}

    def get(mean: MeanName) -> Scorer:
        if mean not in cut:
            cut[mean] = scorer_of(mean).take(rows)
        return cut[mean]

    return get
