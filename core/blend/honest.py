"""What a way to a blend is really worth: it is refitted without each fold, and scored on the fold it did not see.

Weights that were tuned on out-of-fold predictions have seen the truth of every row they are scored on. Here no row is scored
by a blend that its own truth had a part in, and the gain over equal weights comes with a bootstrap interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.blend.bootstrap import N_DRAWS, Comparison, compare
from core.blend.mean import MeanName
from core.blend.procedure import Fit
from core.blend.scorer import Scorer, ScorerOf
from core.blend.search import equal
from core.blend.spec import BlendSteps
from core.blend.truth import Outcome
from core.errors import StateError


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

    `groups` (n_rows,) numbers rows of the contest that are drawn together; by default each row stands alone. A choice among means or members
    is refitted like any weight, as `fit` makes it anew each time.
    """
    flat = scorer_of("arithmetic")
    outcome, refits = refitted(scorer_of, fit)
    steps = fit(scorer_of)
    compared = compare(flat.truth, outcome, flat.outcome(equal(flat)), groups=groups, seed=seed, n_draws=n_draws)
    return HonestScore(**compared.__dict__, optimistic=scorer_of(steps.mean).score(steps), steps=steps, refits=refits)


def refitted(scorer_of: ScorerOf, fit: Fit) -> tuple[Outcome, tuple[BlendSteps, ...]]:
    """What the procedure says of each row when its fold had no part in the fit, and the steps without each fold.

    Raises StateError when the rows are of one fold only.
    """
    flat = scorer_of("arithmetic")
    folds = np.unique(flat.fold_of)
    if len(folds) < 2:
        raise StateError(
            "an honest score needs two folds",
            where=f"fold {folds[0]}",
            why="all rows are of one fold, so nothing is left to fit on when it is left out",
            fix="finish another fold in every run, or take equal weights, which need no judge",
        )
    y_pred = np.empty(flat.n_rows, dtype=np.int32)
    p_true = np.empty(flat.n_rows, dtype=np.float32)
    refits: list[BlendSteps] = []
    for fold in folds:
        inside = flat.fold_of == fold
        steps = fit(_on(scorer_of, ~inside))
        outcome = scorer_of(steps.mean).take(inside).outcome(steps)
        y_pred[inside], p_true[inside] = outcome.y_pred, outcome.p_true
        refits.append(steps)
    return Outcome(y_pred, p_true), tuple(refits)


def _on(scorer_of: ScorerOf, rows: NDArray[np.bool_]) -> ScorerOf:
    """Scorers of some rows only, each cut once."""
    cut: dict[MeanName, Scorer] = {}

    def get(mean: MeanName) -> Scorer:
        if mean not in cut:
            cut[mean] = scorer_of(mean).take(rows)
        return cut[mean]

    return get
