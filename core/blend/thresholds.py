"""Where a class is given: the threshold of each class of a row that may have several, found exactly on out-of-fold predictions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.base.errors import StateError
from core.blend.calibrate import FITTED_METRICS
from core.metrics.decide import THRESHOLD

MOST_SWEEPS = 10


def fit_thresholds(prob: NDArray[np.float32], y_true: NDArray[np.integer], metric: str) -> NDArray[np.float64]:
    """Thresholds (n_classes,) for predictions (n_rows, n_classes), from 0 and 1 of the same shape, with the best macro F1 or accuracy.

    Macro F1 falls apart into its classes, so each class's best cut is the best of all. Accuracy (every class of a row right) is
    climbed one class at a time, each cut the best while the others stay. Between cuts that are as good the threshold is nearest
    to one half, which is never beaten by chance. Raises StateError for log loss, which no threshold changes.
    """
    if metric not in FITTED_METRICS:
        raise StateError(
            "thresholds by class are for labels",
            where="thresholds",
            why="they are tuned for macro F1 or accuracy, not for {metric}",
            fix="use a temperature",
            metric=metric,
        )
    thresholds = np.full(prob.shape[1], THRESHOLD)
    if metric == "macro_f1":
        for label in range(prob.shape[1]):
            thresholds[label] = _best_cut(prob[:, label], _f1_by_cut(prob[:, label], y_true[:, label]))
        return thresholds
    right = (prob > thresholds) == (y_true == 1)
    n_wrong = (~right).sum(axis=1)
    for _ in range(MOST_SWEEPS):
        before = int((n_wrong == 0).sum())
        for label in range(prob.shape[1]):
            others_right = n_wrong - ~right[:, label] == 0
            some = prob[others_right, label]
            if len(some):
                thresholds[label] = _best_cut(some, _right_by_cut(some, y_true[others_right, label]))
            now = (prob[:, label] > thresholds[label]) == (y_true[:, label] == 1)
            n_wrong += right[:, label].astype(np.int64) - now
            right[:, label] = now
        if int((n_wrong == 0).sum()) == before:
            break
    return thresholds


def _f1_by_cut(prob: NDArray[np.float32], y_true: NDArray[np.integer]) -> NDArray[np.float64]:
    """F1 (n_rows + 1,) when the i most probable rows are given the class."""
    found = np.append(0, np.cumsum(y_true[np.argsort(-prob, kind="stable")], dtype=np.int64))
    return 2 * found / np.maximum(np.arange(len(found)) + found[-1], 1)


def _right_by_cut(prob: NDArray[np.float32], y_true: NDArray[np.integer]) -> NDArray[np.float64]:
    """Rows that are right (n_rows + 1,) when the i most probable ones are given the class."""
    sign = 2 * y_true[np.argsort(-prob, kind="stable")].astype(np.int64) - 1
    return (len(y_true) - int(y_true.sum()) + np.append(0, np.cumsum(sign))).astype(np.float64)


def _best_cut(prob: NDArray[np.float32], score: NDArray[np.float64]) -> float:
    """The threshold of the best score (n_rows + 1,), nearest to one half among those as good; cuts between equal values do not exist."""
    falling = -np.sort(-prob.astype(np.float64))
    above, below = np.append(1.0, falling), np.append(falling, 0.0)
    exists = np.append(np.append(True, falling[1:] < falling[:-1]), falling[-1] > 0)
    # A class is given above its threshold, so one that equals the next lower value still cuts there; one half where that lies between.
    middle = np.where((below <= THRESHOLD) & (above > THRESHOLD), THRESHOLD, (above + below) / 2)
    best = np.flatnonzero(exists & (score >= score[exists].max()))
    return float(middle[best[np.abs(middle[best] - THRESHOLD).argmin()]])
