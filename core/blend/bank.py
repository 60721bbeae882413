"""The arrays of the chosen runs, aligned once, and the score of any weights on them.

All scores here are on out-of-fold predictions; weights that were tuned by looking at them are scored optimistically.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.blend.mean import mix, normalise
from core.blend.winners import find_winners
from core.contest.table import load_labels
from core.errors import InputError
from core.folds import load_folds
from core.metrics import Metric, get_metric, log_loss_of_true, macro_f1_of_labels
from core.predictions import check_alignment, load_oof
from core.store.contests import Contest
from core.store.folds import get_folds
from core.store.runs import Run
from core.workspace import Workspace


@dataclass(frozen=True)
class BlendScore:
    """Scores of one set of weights: the contest's metric on all rows, by fold with mean and spread, and every metric."""

    oof_score: float
    fold_scores: tuple[float, ...]
    cv_score: float
    cv_sd: float
    scores: dict[str, float]


class Bank:
    """Aligned out-of-fold predictions (n_runs, n_rows, n_classes) with the truth; read only.

    What no weight can change is taken out once: the probabilities of the true class, which are all that the log loss needs, and
    the classes that can win a row, which are all that a label needs.
    """

    def __init__(
        self, runs: Sequence[Run], oof: NDArray[np.float32], y_true: NDArray[np.int64], fold_of: NDArray[np.integer], metric: Metric
    ) -> None:
        self.runs = tuple(runs)
        self.oof = oof
        self.y_true = y_true
        self.fold_of = fold_of
        self.metric = metric
        self.p_true = oof[:, np.arange(len(y_true)), y_true].astype(np.float64)
        self.winners = find_winners(oof)

    @property
    def equal_weights(self) -> tuple[float, ...]:
        return (1 / len(self.runs),) * len(self.runs)

    def prob(self, weights: Sequence[float]) -> NDArray[np.float32]:
        """The blend's out-of-fold predictions (n_rows, n_classes)."""
        return mix(self.oof, weights)

    def score(self, weights: Sequence[float]) -> BlendScore:
        """Score non-negative weights, one per run, in the order of `runs`."""
        share = normalise(weights, len(self.runs))
        y_pred = self.winners.labels(weights)
        p_true = (share @ self.p_true).astype(np.float32)
        n_classes = self.oof.shape[2]

        def of(rows: NDArray[np.bool_] | slice, name: str) -> float:
            if name == "log_loss":
                return log_loss_of_true(p_true[rows])
            if name == "macro_f1":
                return macro_f1_of_labels(self.y_true[rows], y_pred[rows], n_classes)
            return float((y_pred[rows] == self.y_true[rows]).mean())

        by_fold = tuple(of(self.fold_of == fold, self.metric.name) for fold in np.unique(self.fold_of))
        scores = {name: of(slice(None), name) for name in ("log_loss", "accuracy", "macro_f1")}
        return BlendScore(
            oof_score=scores[self.metric.name],
            fold_scores=by_fold,
            cv_score=float(np.mean(by_fold)),
            cv_sd=float(np.std(by_fold, ddof=1)),
            scores=scores,
        )

    def member_scores(self) -> tuple[BlendScore, ...]:
        """The score of each run alone."""
        return tuple(self.score(np.eye(len(self.runs))[i].tolist()) for i in range(len(self.runs)))


def open_bank(workspace: Workspace, contest: Contest, runs: Sequence[Run]) -> Bank:
    """Load and align the runs' out-of-fold predictions; AlignmentError says which run does not fit and why."""
    if not runs:
        raise InputError(
            "no run was chosen", where="blend", why="a blend needs at least one run", fix="choose finished runs with equal folds"
        )
    folds = get_folds(workspace.store, runs[0].folds_id)
    check_alignment(runs, folds)
    oof = np.stack([load_oof(workspace, run, contest) for run in runs])
    fold_of = load_folds(workspace, folds)
    return Bank(runs, oof, load_labels(workspace, contest), fold_of, get_metric(contest.spec.metric))
