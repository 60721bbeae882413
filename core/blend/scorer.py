"""The score of any weights, from what no weight can change: the true class's probabilities, and the classes that can win.

The first are all that the log loss needs, the second all that a label needs; so a step costs neither the classes nor a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.blend.mean import normalise
from core.blend.winners import Winners, find_winners
from core.metrics import Metric, log_loss_of_true, macro_f1_of_labels


@dataclass(frozen=True)
class Outcome:
    """What a blend says of the rows: its labels (n_rows,), and the probability it gives to the true class (n_rows,)."""

    y_pred: NDArray[np.int32]
    p_true: NDArray[np.float32]


@dataclass(frozen=True)
class BlendScore:
    """Scores of one set of weights: the contest's metric on all rows, by fold with mean and spread, and every metric."""

    oof_score: float
    fold_scores: tuple[float, ...]
    cv_score: float
    cv_sd: float
    scores: dict[str, float]


@dataclass(frozen=True)
class Scorer:
    """`p_true` (n_runs, n_rows) float64, the candidates of every row, the truth and the fold (n_rows,), and the contest's metric."""

    p_true: NDArray[np.float64]
    winners: Winners
    y_true: NDArray[np.int64]
    fold_of: NDArray[np.integer]
    n_classes: int
    metric: Metric

    @property
    def n_runs(self) -> int:
        return len(self.p_true)

    @property
    def n_rows(self) -> int:
        return len(self.y_true)

    def take(self, rows: NDArray[np.bool_]) -> Scorer:
        """The same for some rows only (a mask (n_rows,))."""
        return Scorer(self.p_true[:, rows], self.winners.take(rows), self.y_true[rows], self.fold_of[rows], self.n_classes, self.metric)

    def outcome(self, weights: Sequence[float]) -> Outcome:
        """Labels and true-class probabilities of the arithmetic mean under non-negative weights."""
        share = normalise(weights, self.n_runs)
        return Outcome(self.winners.labels(weights), (share @ self.p_true).astype(np.float32))

    def score(self, weights: Sequence[float]) -> float:
        """The contest's metric on all rows, and nothing that it does not need."""
        share = normalise(weights, self.n_runs)
        if self.metric.name == "log_loss":
            return log_loss_of_true((share @ self.p_true).astype(np.float32))
        y_pred = self.winners.labels(weights)
        return self.of(Outcome(y_pred, np.empty(0, dtype=np.float32)), self.metric.name)

    def of(self, outcome: Outcome, name: str, rows: NDArray[np.bool_] | slice = slice(None)) -> float:
        """One metric of an outcome, of all rows or of some."""
        if name == "log_loss":
            return log_loss_of_true(outcome.p_true[rows])
        if name == "macro_f1":
            return macro_f1_of_labels(self.y_true[rows], outcome.y_pred[rows], self.n_classes)
        return float((outcome.y_pred[rows] == self.y_true[rows]).mean())

    def report(self, outcome: Outcome) -> BlendScore:
        """Every score of an outcome."""
        by_fold = tuple(self.of(outcome, self.metric.name, self.fold_of == fold) for fold in np.unique(self.fold_of))
        scores = {name: self.of(outcome, name) for name in ("log_loss", "accuracy", "macro_f1")}
        return BlendScore(
            oof_score=scores[self.metric.name],
            fold_scores=by_fold,
            cv_score=float(np.mean(by_fold)),
            cv_sd=float(np.std(by_fold, ddof=1)) if len(by_fold) > 1 else 0.0,
            scores=scores,
        )


def make_scorer(oof: NDArray[np.float32], y_true: NDArray[np.int64], fold_of: NDArray[np.integer], metric: Metric) -> Scorer:
    """Take out of predictions (n_runs, n_rows, n_classes) what scoring needs; done once for a set of runs."""
    p_true = oof[:, np.arange(len(y_true)), y_true].astype(np.float64)
    return Scorer(p_true, find_winners(oof), y_true, fold_of, oof.shape[2], metric)
