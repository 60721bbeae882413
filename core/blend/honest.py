"""What a way to a blend is really worth: it is refitted without each fold, and scored on the fold it did not see (cross-fitted).

Weights that were tuned on out-of-fold predictions have seen the truth of every row they are scored on. Here no row is scored
by a blend that its own truth had a part in, and the gain over equal weights comes with a bootstrap interval: the same rows are drawn
again and again for both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    seed: int = 0,
    n_draws: int = N_DRAWS,
) -> Comparison:
    """Two outcomes on the same rows, by a paired bootstrap over rows, or over groups of rows that belong together."""
    sign = 1.0 if truth.metric.greater_is_better else -1.0
    score, rival = (truth.of(outcome) for outcome in (one, other))
    draws = bootstrap(truth, (one, other), seed=seed, n_draws=n_draws)
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
    seed: int = 0,
    n_draws: int = N_DRAWS,
) -> NDArray[np.float64]:
    """Scores (n_outcomes, n_draws) of outcomes on the same random redraws of the rows, so that differences are paired."""
    rng = np.random.default_rng(seed)
    n_answers = truth.n_labels or 1
    unit = None if truth.groups is None else np.unique(truth.groups[::n_answers], return_inverse=True)[1]
    n_units = truth.n_rows // n_answers if unit is None else int(unit.max()) + 1
    scores = np.empty((len(outcomes), n_draws))
    score_of = [_score_of(truth, outcome) for outcome in outcomes]
    for draw in range(n_draws):
        times = np.bincount(rng.integers(0, n_units, n_units), minlength=n_units).astype(np.float64)
        counts = times if unit is None else times[unit]
        scores[:, draw] = [score(counts) for score in score_of]
    return scores


def _score_of(truth: Truth, outcome: Outcome) -> Callable[[NDArray[np.float64]], float]:
    """The metric as a function of how often each row of the contest counts (n,)."""
    metric, y_true, y_pred = truth.metric, truth.table(truth.y_true), truth.table(outcome.y_pred)
    by_class = metric.by_class
    if metric.by_row:
        value = metric.by_row(y_true, y_pred, outcome.p_true)
        # Not `@`: BLAS shares so short a sum out among threads, which wait for cores that train.
        return lambda times: float(np.einsum("n,n->", times, value) / times.sum())
    if by_class and truth.n_labels:
        hit, total = ((y_true == 1) & (y_pred == 1)).astype(np.float64), y_true.astype(np.float64) + y_pred
        return lambda times: float(by_class(times @ hit, times @ total).mean())

    def by_counts(times: NDArray[np.float64]) -> float:
        assert by_class
        right = times * (y_true == y_pred)
        actual, predicted, found = (
            np.bincount(labels, weights=each, minlength=truth.n_classes)
            for labels, each in ((y_true, times), (y_pred, times), (y_true, right))
        )
        occurs = actual + predicted > 0
        return float(by_class(found[occurs], (actual + predicted)[occurs]).mean())

    def repeated(times: NDArray[np.float64]) -> float:
        places = np.arange(truth.n_rows).reshape(len(y_true), -1)
        return truth.of(outcome, rows=np.repeat(places, times.astype(np.int64), axis=0).ravel())

    return by_counts if by_class else repeated


@dataclass(frozen=True)
class HonestScore(Comparison):
    """`score` of the refitted procedure, against equal weights (`other`) under the arithmetic mean and nothing after it.

    `score`, its interval and the gain are OOF: of all rows together; `fold_scores` are those of each fold. `optimistic` is the OOF score of
    `steps`, fitted on all rows, on those very rows; `refits` are the steps without each part.
    """

    fold_scores: tuple[float, ...]
    optimistic: float
    steps: BlendSteps
    refits: tuple[BlendSteps, ...]

    @property
    def cv_score(self) -> float:
        """The mean of the folds' scores."""
        return float(np.mean(self.fold_scores))

    @property
    def cv_sd(self) -> float:
        """Their sample standard deviation."""
        return float(np.std(self.fold_scores, ddof=1))


def honest_score(scorer_of: ScorerOf, fit: Fit, *, seed: int = 0, n_draws: int = N_DRAWS) -> HonestScore:
    """Refit `fit` without each fold in turn and score it there; no group is on both sides, nor torn by the bootstrap.

    A choice among means or members is refitted like any weight, as `fit` makes it anew each time.
    """
    flat = scorer_of("arithmetic")
    outcome, refits = refitted(scorer_of, fit)
    steps = fit(scorer_of)
    compared = compare(flat, outcome, flat.outcome(equal(flat)), seed=seed, n_draws=n_draws)
    fold_scores = flat.by_fold(outcome)
    return HonestScore(
        **compared.__dict__, fold_scores=fold_scores, optimistic=scorer_of(steps.mean).score(steps), steps=steps, refits=refits
    )


def refitted(scorer_of: ScorerOf, fit: Fit) -> tuple[Outcome, tuple[BlendSteps, ...]]:
    """What the procedure says of each row when its part (see `parts_of`) was left out of the fit, and the steps without each part.

    Raises StateError when the rows are of one fold, or one group, only.
    """
    flat = scorer_of("arithmetic")
    part_of = parts_of(flat.fold_of, flat.groups)
    parts = np.unique(part_of)
    if len(parts) < 2:
        raise StateError(
            "a cross-fitted score needs two folds",
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
