"""Which classes are taken for which, and the rows behind each cell; where rows may have several classes, which were found, missed, or given
falsely; and such tables as CSV.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.metrics.scores import THRESHOLD


@dataclass(frozen=True)
class ClassPair:
    """Two classes, in how many rows the one stands for the other, and the share of those rows among all that could be such."""

    first: int
    second: int
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


def confused_pairs(matrix: NDArray[np.int64], *, most: int = 50) -> list[ClassPair]:
    """The (true, predicted) cells off the diagonal with the highest counts; `share` is the count over the rows of the true class."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    return _largest(wrong, matrix.sum(axis=1), most)


def _largest(counts: NDArray[np.number], of: NDArray[np.integer], most: int) -> list[ClassPair]:
    """The largest cells of a table of counts, none that is zero; ties in the order of the table."""
    places = np.flatnonzero(counts)  # of thousands of classes nearly every cell is zero
    order = places[np.argsort(-counts.flat[places], kind="stable")[:most]]
    cells = [(*divmod(int(place), len(counts)), int(counts.flat[place])) for place in order]
    return [ClassPair(first, second, count, count / int(of[first])) for first, second, count in cells]


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


Outcome = Literal["found", "missed", "false_alarm"]
OUTCOMES: tuple[Outcome, ...] = ("found", "missed", "false_alarm")
Sets = NDArray[np.integer]
"""0 and 1 for each class (n_rows, n_classes)."""


def outcomes(y_true: Sets, y_pred: Sets) -> dict[Outcome, NDArray[np.bool_]]:
    """Where (n_rows, n_classes) a class was found, missed, or given though it is not there; elsewhere it is rightly absent."""
    true, given = y_true == 1, y_pred == 1
    return {"found": true & given, "missed": true & ~given, "false_alarm": ~true & given}


def set_report(y_true: Sets, y_pred: Sets, classes: Sequence[str], thresholds: Sequence[float] = ()) -> pd.DataFrame:
    """Precision, recall, F1, the three counts and the threshold of each class; a rate without a denominator is NaN, not zero."""
    count = {name: where.sum(axis=0, dtype=np.int64) for name, where in outcomes(y_true, y_pred).items()}
    support, predicted = count["found"] + count["missed"], count["found"] + count["false_alarm"]
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame(
            {
                "class": list(classes),
                "precision": count["found"] / predicted,
                "recall": count["found"] / support,
                "f1": 2 * count["found"] / (support + predicted),
                "support": support,
                "predicted": predicted,
                **count,
                "threshold": list(thresholds) or [THRESHOLD] * len(classes),
            }
        )


def outcome_rows(y_true: Sets, y_pred: Sets, y_prob: NDArray[np.floating], label: int, outcome: Outcome) -> NDArray[np.int64]:
    """Row numbers of one outcome of a class, the most confident first: what was missed by the lowest probability, else by the highest."""
    rows = np.flatnonzero(outcomes(y_true[:, [label]], y_pred[:, [label]])[outcome][:, 0])
    prob = y_prob[rows, label]
    return rows[np.argsort(prob if outcome == "missed" else -prob, kind="stable")]


def given_in_place(y_true: Sets, y_pred: Sets, *, most: int = 50) -> list[ClassPair]:
    """The (given, missed) pairs of which one is given falsely most often in rows where the other is missed; `share` is of all false alarms."""
    where = outcomes(y_true, y_pred)
    # In float32, which BLAS multiplies, and which counts exactly up to 16 million rows
    together = where["false_alarm"].T.astype(np.float32) @ where["missed"].astype(np.float32)
    return _largest(together, where["false_alarm"].sum(axis=0), most)


def classes_of(sets: Sets, *, most: int = 5) -> list[tuple[int, int]]:
    """The most frequent classes of some rows (n_rows, n_classes) with their number of rows, the most frequent first."""
    counts = sets.sum(axis=0, dtype=np.int64)
    return [(int(label), int(counts[label])) for label in np.argsort(-counts, kind="stable")[:most] if counts[label]]


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def report_csv(frame: pd.DataFrame) -> bytes:
    """A report as CSV with a byte-order mark; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    safe = frame.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = [_harmless(value) for value in safe[column]]
    safe.columns = [_harmless(name) for name in safe.columns]
    return safe.to_csv(index=False, lineterminator="\n").encode("utf-8-sig")


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
