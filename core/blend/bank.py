"""The arrays of the chosen runs, aligned once, and the score of any weights on them.

All scores here are on out-of-fold predictions; weights that were tuned by looking at them are scored optimistically.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.blend.mean import MeanName, mix
from core.blend.scorer import BlendScore, make_scorer
from core.contest.table import load_labels
from core.errors import InputError
from core.folds import load_folds
from core.metrics import Metric, get_metric
from core.predictions import check_alignment, load_oof
from core.store.contests import Contest
from core.store.folds import get_folds
from core.store.runs import Run
from core.workspace import Workspace


class Bank:
    """Aligned out-of-fold predictions (n_runs, n_rows, n_classes), and the scorer made from them once; read only."""

    def __init__(
        self,
        runs: Sequence[Run],
        oof: NDArray[np.float32],
        y_true: NDArray[np.int64],
        fold_of: NDArray[np.integer],
        metric: Metric,
        mean: MeanName = "arithmetic",
    ) -> None:
        self.runs = tuple(runs)
        self.oof = oof
        self.y_true = y_true
        self.fold_of = fold_of
        self.metric = metric
        self.mean: MeanName = mean
        self.scorer = make_scorer(oof, y_true, fold_of, metric, mean)

    @property
    def equal_weights(self) -> tuple[float, ...]:
        return (1 / len(self.runs),) * len(self.runs)

    def prob(self, weights: Sequence[float]) -> NDArray[np.float32]:
        """The blend's out-of-fold predictions (n_rows, n_classes)."""
        return mix(self.oof, weights, self.mean)

    def score(self, weights: Sequence[float]) -> BlendScore:
        """Score non-negative weights, one per run, in the order of `runs`."""
        return self.scorer.report(self.scorer.outcome(weights))

    def member_scores(self) -> tuple[BlendScore, ...]:
        """The score of each run alone."""
        return tuple(self.score(np.eye(len(self.runs))[i].tolist()) for i in range(len(self.runs)))


def open_bank(workspace: Workspace, contest: Contest, runs: Sequence[Run], mean: MeanName = "arithmetic") -> Bank:
    """Load and align the runs' out-of-fold predictions; AlignmentError says which run does not fit and why."""
    if not runs:
        raise InputError(
            "no run was chosen", where="blend", why="a blend needs at least one run", fix="choose finished runs with equal folds"
        )
    folds = get_folds(workspace.store, runs[0].folds_id)
    check_alignment(runs, folds)
    oof = np.stack([load_oof(workspace, run, contest) for run in runs])
    fold_of = load_folds(workspace, folds)
    return Bank(runs, oof, load_labels(workspace, contest), fold_of, get_metric(contest.spec.metric), mean)
