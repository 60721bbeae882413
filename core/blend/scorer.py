"""The score of any weights, from what no weight can change: the true class's probabilities, and the classes that can win.

The first are all that the log loss needs, the second all that a label needs; so a step costs neither the classes nor a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.blend.mean import MeanName, add_up, finish, normalise, transform
from core.blend.winners import Winners, find_winners
from core.metrics import Metric, log_loss_of_true, macro_f1_of_labels

CHUNK_VALUES = 4_000_000
LOGIT_SLACK = 1e-5


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
    """What scoring needs of a set of runs under one mean.

    `true` (n_runs, n_rows) float64 is what each run adds to the true class's sum; `winners` the candidates of every row;
    `y_true` and `fold_of` (n_rows,). `values` (n_runs, n_all_rows, n_classes) are the transformed members where the finish of
    the mean needs every class (logit, power, rank), of which this scorer sees `rows`.
    """

    mean: MeanName
    true: NDArray[np.float64]
    winners: Winners
    y_true: NDArray[np.int64]
    fold_of: NDArray[np.integer]
    n_classes: int
    metric: Metric
    values: NDArray[np.float32] | None
    rows: NDArray[np.int64]

    @property
    def n_runs(self) -> int:
        return len(self.true)

    @property
    def n_rows(self) -> int:
        return len(self.y_true)

    def take(self, rows: NDArray[np.bool_]) -> Scorer:
        """The same for some rows only (a mask (n_rows,))."""
        return replace(
            self,
            true=self.true[:, rows],
            winners=self.winners.take(rows),
            y_true=self.y_true[rows],
            fold_of=self.fold_of[rows],
            rows=self.rows[rows],
        )

    def labels(self, weights: Sequence[float]) -> NDArray[np.int32]:
        """The labels (n_rows,) of the blend, ties to the lowest class."""
        if self.values is None:
            return self.winners.labels(weights)
        share = normalise(weights, self.n_runs)
        return self.winners.labels(weights, lambda rows: self._finished(share, rows).argmax(axis=1))

    def p_true(self, weights: Sequence[float]) -> NDArray[np.float32]:
        """The probability (n_rows,) that the blend gives to the true class."""
        share = normalise(weights, self.n_runs)
        if self.values is None:
            return (share @ self.true).astype(np.float32)
        p_true = np.empty(self.n_rows, dtype=np.float32)
        step = max(1, CHUNK_VALUES // self.n_classes)
        for start in range(0, self.n_rows, step):
            rows = np.arange(start, min(start + step, self.n_rows))
            p_true[rows] = self._finished(share, rows)[np.arange(len(rows)), self.y_true[rows]]
        return p_true

    def logit_loss(self, w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Log loss of the logit mean in float64 at weights (n_runs,) that sum to one, and its gradient (n_runs,)."""
        assert self.values is not None and self.mean == "logit"
        value, gradient = 0.0, -self.true.sum(axis=1)
        step = max(1, CHUNK_VALUES // self.n_classes)
        for start in range(0, self.n_rows, step):
            block = self.values[:, self.rows[start : start + step]]
            total = add_up(block, w)
            top = total.max(axis=1, keepdims=True)
            prob = np.exp(total - top)
            norm = prob.sum(axis=1, keepdims=True)
            value += float((top + np.log(norm)).sum() - (w @ self.true[:, start : start + step]).sum())
            prob /= norm
            gradient += [float(np.vdot(prob, member)) for member in block.astype(np.float64)]
        return value / self.n_rows, gradient / self.n_rows

    def _finished(self, share: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        assert self.values is not None
        return finish(add_up(self.values[:, self.rows[rows]], share), self.mean)

    def outcome(self, weights: Sequence[float]) -> Outcome:
        """Labels and true-class probabilities of the blend under non-negative weights."""
        return Outcome(self.labels(weights), self.p_true(weights))

    def score(self, weights: Sequence[float]) -> float:
        """The contest's metric on all rows, and nothing that it does not need."""
        if self.metric.name == "log_loss":
            return log_loss_of_true(self.p_true(weights))
        return self.of(Outcome(self.labels(weights), np.empty(0, dtype=np.float32)), self.metric.name)

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


def make_scorer(
    oof: NDArray[np.float32], y_true: NDArray[np.int64], fold_of: NDArray[np.integer], metric: Metric, mean: MeanName = "arithmetic"
) -> Scorer:
    """Take out of predictions (n_runs, n_rows, n_classes) what scoring needs; done once for a set of runs and a mean."""
    values = oof if mean == "arithmetic" else np.stack([transform(prob, mean) for prob in oof])
    n_rows = len(y_true)
    return Scorer(
        mean=mean,
        true=values[:, np.arange(n_rows), y_true].astype(np.float64),
        winners=find_winners(values, slack=LOGIT_SLACK if mean == "logit" else 0.0),
        y_true=y_true,
        fold_of=fold_of,
        n_classes=oof.shape[2],
        metric=metric,
        values=None if mean in ("arithmetic", "hard") else values,
        rows=np.arange(n_rows),
    )
