"""Which classes are taken for which, and the rows behind each cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class ConfusedPair:
    """How often class `true` was predicted as class `pred`."""

    true: int
    pred: int
    count: int
    share: float


def confusion_matrix(y_true: NDArray[np.integer], y_pred: NDArray[np.integer], n_classes: int) -> NDArray[np.int64]:
    """Counts (n_classes, n_classes); the row is the true class, the column the predicted one."""
    cell = y_true.astype(np.int64) * n_classes + y_pred
    return np.bincount(cell, minlength=n_classes * n_classes).reshape(n_classes, n_classes)


def class_report(matrix: NDArray[np.int64], classes: tuple[str, ...]) -> pd.DataFrame:
    """Precision, recall, F1 and support of each class; a rate without a denominator is NaN, not zero."""
    hit = np.diag(matrix).astype(np.float64)
    actual, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame(
            {
                "class": list(classes),
                "precision": hit / predicted,
                "recall": hit / actual,
                "f1": 2 * hit / (actual + predicted),
                "support": actual,
                "predicted": predicted,
            }
        )


def confused_pairs(matrix: NDArray[np.int64], *, most: int = 50) -> list[ConfusedPair]:
    """The off-diagonal cells with the highest counts; `share` is the count over the rows of the true class."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    support = matrix.sum(axis=1)
    pairs = []
    for flat in order:
        true, pred = divmod(int(flat), len(matrix))
        count = int(wrong[true, pred])
        if count == 0:
            break
        pairs.append(ConfusedPair(true, pred, count, count / int(support[true])))
    return pairs


def most_confused_classes(matrix: NDArray[np.int64], *, most: int = 40) -> NDArray[np.int64]:
    """Up to `most` classes that take part in the most errors, in class order; all of them when there are no more."""
    if len(matrix) <= most:
        return np.arange(len(matrix))
    wrong = matrix.sum(axis=1) + matrix.sum(axis=0) - 2 * np.diag(matrix)
    return np.sort(np.argsort(-wrong, kind="stable")[:most])


def cell_rows(y_true: NDArray[np.integer], y_prob: NDArray[np.floating], true: int, pred: int) -> NDArray[np.int64]:
    """Rows of one cell, the most confident prediction first; ties in row order."""
    rows = np.flatnonzero((y_true == true) & (y_prob.argmax(axis=1) == pred))
    return rows[np.argsort(-y_prob[rows, pred], kind="stable")]
