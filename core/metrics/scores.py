"""The metrics of contests, in plain NumPy: they are computed at every step of a slider, and equal scikit-learn's to 1e-6.

`y_true` holds class indices (n,), `y_prob` class probabilities (n, n_classes). Ties in the argmax go to the lowest class.
Where a row may have several classes (multi-label), `y_true` holds 0 or 1 for each (n, n_classes), and `y_prob` a probability for each by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.base.errors import NotFoundError
from core.metrics.decide import decide

Labels = NDArray[np.integer]
Probabilities = NDArray[np.floating]
PRODUCT = 16


@dataclass(frozen=True)
class Metric:
    """A named score; `greater_is_better` says which direction is up."""

    name: str
    title: str
    function: Callable[[Labels, Probabilities], float]
    greater_is_better: bool

    def is_better(self, a: float, b: float) -> bool:
        """True when score `a` is strictly better than `b`."""
        return a > b if self.greater_is_better else a < b

    def best(self, scores: list[float]) -> float:
        """The best of some scores."""
        return max(scores) if self.greater_is_better else min(scores)


def log_loss(y_true: Labels, y_prob: Probabilities) -> float:
    """Mean negative log-probability of the true class, clipped at the dtype's epsilon as `sklearn.metrics.log_loss` does.

    Multi-label: the same of each answer, "has this class" or "has it not", over all rows and classes (binary cross-entropy).
    """
    if y_true.ndim == 2:
        return log_loss_of_true(np.where(y_true, y_prob, 1 - y_prob).ravel())
    return log_loss_of_true(y_prob[np.arange(len(y_true)), y_true])


def log_loss_of_true(p_true: NDArray[np.floating]) -> float:
    """Log loss from the probabilities of the true class alone (n,), which is all it depends on when rows sum to one.

    The logarithm of a product is the sum of logarithms, and sixteen clipped probabilities have a product that a float64 holds.
    """
    epsilon = np.finfo(p_true.dtype).eps
    clipped = np.clip(p_true, epsilon, 1 - epsilon)
    whole = len(clipped) // PRODUCT * PRODUCT
    products = np.multiply.reduce(clipped[:whole].reshape(PRODUCT, -1), axis=0, dtype=np.float64)
    return float(-(np.log(products).sum() + np.log(clipped[whole:], dtype=np.float64).sum()) / len(clipped))


def accuracy(y_true: Labels, y_prob: Probabilities) -> float:
    """Share of rows whose most probable class is the true one; multi-label: of rows with every class right (subset accuracy)."""
    if y_true.ndim == 2:
        return accuracy_of_sets(y_true, decide(y_prob, multilabel=True))
    return float((decide(y_prob) == y_true).mean())


def macro_f1(y_true: Labels, y_prob: Probabilities) -> float:
    """Unweighted mean of the F1 of each class that occurs as truth or as prediction; multi-label: of every class."""
    if y_true.ndim == 2:
        return macro_f1_of_sets(y_true, decide(y_prob, multilabel=True))
    return macro_f1_of_labels(y_true, decide(y_prob), y_prob.shape[1])


def macro_f1_of_labels(y_true: Labels, y_pred: Labels, n_classes: int) -> float:
    """Macro F1 from class indices (n,); a class that occurs in neither is left out, as in scikit-learn."""
    actual = np.bincount(y_true, minlength=n_classes)
    predicted = np.bincount(y_pred, minlength=n_classes)
    hit = np.bincount(y_true[y_true == y_pred], minlength=n_classes)
    occurs = (actual + predicted) > 0
    return float((2 * hit[occurs] / (actual + predicted)[occurs]).mean())


def accuracy_of_sets(y_true: Labels, y_pred: Labels) -> float:
    """Share of rows (n, n_classes) with every class right."""
    return float((y_true == y_pred).all(axis=1).mean())


def macro_f1_of_sets(y_true: Labels, y_pred: Labels) -> float:
    """Mean F1 of all classes, from 0 and 1 (n, n_classes); one that occurs in neither counts as 0, as in scikit-learn."""
    return float(f1_of_sets(y_true, y_pred).mean())


def f1_of_sets(y_true: Labels, y_pred: Labels) -> NDArray[np.float64]:
    """F1 (n_classes,) of each class, from 0 and 1 (n, n_classes)."""
    total = y_true.sum(axis=0, dtype=np.int64) + y_pred.sum(axis=0, dtype=np.int64)
    hit = ((y_true == 1) & (y_pred == 1)).sum(axis=0)
    return 2 * hit / np.maximum(total, 1)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("log_loss", "log loss", log_loss, greater_is_better=False),
        Metric("accuracy", "accuracy", accuracy, greater_is_better=True),
        Metric("macro_f1", "macro F1", macro_f1, greater_is_better=True),
    )
}


def get_metric(name: str) -> Metric:
    """Look a metric up by name; NotFoundError lists what exists."""
    try:
        return METRICS[name]
    except KeyError:
        raise NotFoundError.among("metric", name, METRICS) from None


def all_scores(y_true: Labels, y_prob: Probabilities) -> dict[str, float]:
    """Every metric of one set of predictions, by name."""
    return {metric.name: metric.function(y_true, y_prob) for metric in METRICS.values()}
