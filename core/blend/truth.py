"""What the rows of a blend are, what is said of them, and what that scores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.base.errors import NotFoundError
from core.blend.questions import ask
from core.metrics.scores import OUTCOME_METRICS, Metric, get_metric
from core.predictions.matrix import OofMatrix


@dataclass(frozen=True)
class Outcome:
    """What a blend says: its labels (n,), and the probability it gives to the true class (n,)."""

    y_pred: NDArray[np.int32]
    p_true: NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """The class `y_true` (n,) of each row, of `n_classes`, and the contest's metric.

    Where a row may have several classes, each of its `n_labels` is a question of its own with two answers, no and yes: then there
    are two classes, and `y_true` holds the answers row by row (n_rows * n_labels,).
    """

    y_true: NDArray[np.integer]
    n_classes: int
    metric: Metric
    n_labels: int = 0

    @classmethod
    def of(cls, oof: OofMatrix) -> Truth:
        """The truth of a matrix, its rows as questions where they may have several classes."""
        if oof.is_multilabel:
            return cls(oof.y_true.ravel(), 2, oof.metric, oof.n_classes)
        return cls(oof.y_true, oof.n_classes, oof.metric)

    @property
    def n_rows(self) -> int:
        """Rows of the contest, however many answers each needs."""
        return len(self.y_true) // (self.n_labels or 1)

    def table(self, answers: NDArray[np.integer]) -> NDArray[np.integer]:
        """Answers (n,) as classes of rows (n_rows,), or as 0 and 1 for each class (n_rows, n_labels)."""
        return answers.reshape(-1, self.n_labels) if self.n_labels else answers

    def take(self, rows: NDArray[np.bool_] | slice) -> Truth:
        """The same of some answers only, all those of a row or none."""
        return replace(self, y_true=self.y_true[rows])

    def score(self, outcome: Outcome, name: str = "") -> float:
        """One metric of an outcome, the contest's when none is named. Raises NotFoundError for one that outcomes are not scored by."""
        metric, several = get_metric(name) if name else self.metric, bool(self.n_labels)
        if metric.reads == "p_true":
            return metric.of_true(outcome.p_true, multilabel=several)
        if metric.reads == "labels":
            return metric.of_labels(self.table(self.y_true), self.table(outcome.y_pred), self.n_classes, multilabel=several)
        raise not_scored(metric.name)


def outcome_in(oof: OofMatrix, place: int) -> Outcome:
    """What one source of a matrix says."""
    prob, y_true = (ask(oof.prob[place]) if oof.is_multilabel else oof.prob[place]), Truth.of(oof).y_true
    return Outcome(oof.labels(place).ravel().astype(np.int32), prob[np.arange(len(prob)), y_true])


def not_scored(name: str) -> NotFoundError:
    """The error for a metric that is not computed from an outcome, though `core.metrics` may know it."""
    return NotFoundError.among("metric", name, OUTCOME_METRICS)
