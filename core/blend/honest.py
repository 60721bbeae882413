"""What a way to a blend is really worth: it is refitted without each fold, and scored on the fold it did not see.

Weights that were tuned on out-of-fold predictions have seen the truth of every row they are scored on. Here no row is scored
by a blend that its own truth had a part in, and the gain over equal weights comes with a bootstrap interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.base.errors import StateError
from core.blend.bootstrap import N_DRAWS, Comparison, compare
from core.blend.procedure import Fit
from core.blend.scorer import Scorer, ScorerOf
from core.blend.search import equal
from core.blend.truth import Outcome
from core.specs.blend import BlendSteps, MeanName


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
