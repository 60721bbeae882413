"""The metrics of contests, in plain NumPy: they are computed at every step of a slider, and equal scikit-learn's to 1e-6.

A metric is one entry of METRICS; everything else looks it up. Where a row has one class, `y_true` holds class indices (n,) and
`y_prob` class probabilities (n, n_classes); ties in the argmax go to the lowest class. Where it may have several (multi-label),
`y_true` holds 0 or 1 for each (n, n_classes), and `y_prob` a probability for each by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from core.base.errors import NotFoundError

THRESHOLD = 0.5
SUM_TOLERANCE = 1e-3


def decide(prob: NDArray[np.floating], *, multilabel: bool = False, thresholds: Sequence[float] = ()) -> NDArray[np.integer]:
    """Labels of predictions (n, n_classes): class indices (n,), ties to the lowest; multi-label 0 or 1 for each class (n, n_classes).

    A class is given where its probability is greater than its threshold: `thresholds` (n_classes,), one half when left out.
    """
    if not multilabel:
        return prob.argmax(axis=1)
    return (prob > (np.asarray(thresholds, dtype=np.float64) if len(thresholds) else THRESHOLD)).astype(np.int8)


def invalid_rows(prob: NDArray[np.floating], *, multilabel: bool = False) -> NDArray[np.bool_]:
    """Rows (n,) that hold something not finite or negative, or do not sum to one (within 1e-3); multi-label: or exceed one."""
    with np.errstate(invalid="ignore"):
        total = np.abs(prob.sum(axis=1, dtype=np.float64) - 1)
        fits = (prob <= 1).all(axis=1) if multilabel else total <= SUM_TOLERANCE
        return np.asarray(~(fits & np.isfinite(prob).all(axis=1) & (prob >= 0).all(axis=1)))


Labels = NDArray[np.integer]
Probabilities = NDArray[np.floating]
Counts = NDArray[np.integer] | NDArray[np.floating]
PRODUCT_BLOCK = 16


@dataclass(frozen=True)
class Metric:
    """A named score: what it reads, which direction is better, its bounds, and how it is computed for each kind of labels.

    `reads` says what the functions take: "labels" (y_true, y_pred, n_classes), "p_true" the probabilities of the truth (see
    `p_true_of`), "probabilities" (y_true, y_prob). `one` is for rows of one class, `several` for rows that may have several; None
    where the metric is not defined. `bounds` are its lowest and its highest value. Its name on the screen is `metric_<name>` in
    app/words/screen/common.yaml, and `several_<name>` where it scores rows that may have several classes. A blend cannot be scored by
    one that reads "probabilities".

    What a score is a mean of, where it is one, makes a bootstrap and the fit of thresholds quick; both are None for any other metric.
    `by_row` gives a value for each row (n,) from (y_true, y_pred, p_true): of a metric of labels 1 where they are right, else 0. `by_class`
    gives a value for each class, each counting the same, from two counts: rows that rightly have it, and rows that have it plus rows that
    are given it.
    """

    name: str
    title: str
    reads: Literal["labels", "p_true", "probabilities"]
    greater_is_better: bool
    bounds: tuple[float, float]
    one: Callable[..., float] | None
    several: Callable[..., float] | None
    by_row: Callable[[Labels, Labels, Probabilities], NDArray[np.float64]] | None = None
    by_class: Callable[[Counts, Counts], NDArray[np.float64]] | None = None

    @property
    def fits_labels(self) -> bool:
        """Offsets and thresholds by class can be fitted for it, each cut scored exactly in one sorted pass."""
        return self.reads == "labels" and bool(self.by_row or self.by_class)

    def holds_for(self, *, multilabel: bool) -> bool:
        """Whether it is defined for rows of one class, or for rows that may have several."""
        return (self.several if multilabel else self.one) is not None

    def score(self, y_true: Labels, y_prob: Probabilities, *, multilabel: bool = False, thresholds: Sequence[float] = ()) -> float:
        """The score of predictions (n, n_classes); labels are those of `decide`. Raises NotFoundError where it is not defined."""
        if self.reads == "labels":
            y_pred = decide(y_prob, multilabel=multilabel, thresholds=thresholds)
            return self.of_labels(y_true, y_pred, y_prob.shape[1], multilabel=multilabel)
        if self.reads == "p_true":
            return self.of_true(p_true_of(y_true, y_prob, multilabel=multilabel), multilabel=multilabel)
        return self._function(multilabel)(y_true, y_prob)

    def of_labels(self, y_true: Labels, y_pred: Labels, n_classes: int, *, multilabel: bool = False) -> float:
        """The score of labels, for a metric that reads labels: class indices (n,), or 0 and 1 for each class (n, n_classes)."""
        assert self.reads == "labels"
        return self._function(multilabel)(y_true, y_pred, n_classes)

    def of_true(self, p_true: Probabilities, *, multilabel: bool = False) -> float:
        """The score of the probabilities of the truth, for a metric that reads nothing else; see `p_true_of`."""
        assert self.reads == "p_true"
        return self._function(multilabel)(p_true)

    def is_better(self, a: float, b: float) -> bool:
        """True when score `a` is strictly better than `b`."""
        return a > b if self.greater_is_better else a < b

    def best(self, scores: list[float]) -> float:
        """The best of some scores."""
        return max(scores) if self.greater_is_better else min(scores)

    def _function(self, multilabel: bool) -> Callable[..., float]:
        function = self.several if multilabel else self.one
        if function is None:
            raise NotFoundError.among("metric", self.name, metrics_for(multilabel=multilabel))
        return function


def p_true_of(y_true: Labels, y_prob: Probabilities, *, multilabel: bool = False) -> Probabilities:
    """The probability of the true class (n,); multi-label of each answer, "has this class" or "has it not" (n * n_classes,)."""
    if multilabel:
        return np.where(y_true, y_prob, 1 - y_prob).ravel()
    return y_prob[np.arange(len(y_true)), y_true]


def log_loss_of_true(p_true: Probabilities) -> float:
    """Mean negative log-probability of the truth, clipped at the dtype's epsilon as `sklearn.metrics.log_loss` does.

    Multi-label it is the binary cross-entropy over all rows and classes. The logarithm of a product is the sum of logarithms, and
    sixteen clipped probabilities have a product that a float64 holds.
    """
    epsilon = np.finfo(p_true.dtype).eps
    clipped = np.clip(p_true, epsilon, 1 - epsilon)
    whole = len(clipped) // PRODUCT_BLOCK * PRODUCT_BLOCK
    products = np.multiply.reduce(clipped[:whole].reshape(PRODUCT_BLOCK, -1), axis=0, dtype=np.float64)
    return float(-(np.log(products).sum() + np.log(clipped[whole:], dtype=np.float64).sum()) / len(clipped))


def macro_f1_of_labels(y_true: Labels, y_pred: Labels, n_classes: int) -> float:
    """Unweighted mean F1 of classes, from indices (n,); a class that occurs in neither is left out, as in scikit-learn."""
    actual = np.bincount(y_true, minlength=n_classes)
    predicted = np.bincount(y_pred, minlength=n_classes)
    hit = np.bincount(y_true[y_true == y_pred], minlength=n_classes)
    total = actual + predicted
    return float(f1_of_counts(hit[total > 0], total[total > 0]).mean())


def macro_f1_of_sets(y_true: Labels, y_pred: Labels, _n_classes: int = 0) -> float:
    """Mean F1 of all classes, from 0 and 1 (n, n_classes); one that occurs in neither counts as 0, as in scikit-learn."""
    total = y_true.sum(axis=0, dtype=np.int64) + y_pred.sum(axis=0, dtype=np.int64)
    return float(f1_of_counts(((y_true == 1) & (y_pred == 1)).sum(axis=0), total).mean())


def f1_of_counts(hit: Counts, total: Counts) -> NDArray[np.float64]:
    """F1 from rows that rightly have a class, and rows that have it plus rows that are given it; 0 where there is neither."""
    return 2 * hit / np.maximum(total, 1)


def _loss_of_rows(y_true: Labels, _y_pred: Labels, p_true: Probabilities) -> NDArray[np.float64]:
    epsilon = np.finfo(p_true.dtype).eps
    return -np.log(np.clip(p_true, epsilon, 1 - epsilon).astype(np.float64)).reshape(len(y_true), -1).mean(axis=1)


def _right_rows(y_true: Labels, y_pred: Labels, _p_true: object = None) -> NDArray[np.float64]:
    return (y_pred == y_true).reshape(len(y_true), -1).all(axis=1).astype(np.float64)


def accuracy(y_true: Labels, y_pred: Labels, _n_classes: int = 0) -> float:
    """Share of rows whose class is the true one, or of rows (n, n_classes) with every class right (subset accuracy)."""
    return float(_right_rows(y_true, y_pred).mean())


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("log_loss", "log loss", "p_true", False, (0.0, np.inf), log_loss_of_true, log_loss_of_true, by_row=_loss_of_rows),
        Metric("accuracy", "accuracy", "labels", True, (0.0, 1.0), accuracy, accuracy, by_row=_right_rows),
        Metric("macro_f1", "macro F1", "labels", True, (0.0, 1.0), macro_f1_of_labels, macro_f1_of_sets, by_class=f1_of_counts),
    )
}

LABEL_METRICS = tuple(name for name, metric in METRICS.items() if metric.reads == "labels")
"""Those that thresholds and offsets can change, and that weights may be in proportion to."""
OUTCOME_METRICS = tuple(name for name, metric in METRICS.items() if metric.reads != "probabilities")
"""Those that follow from labels and the probability of the truth, without the probabilities of all classes."""

if TYPE_CHECKING:
    MetricName = LabelMetricName = GoalName = str
else:
    # A settings model and its form take their choices from a type: these are the registry as types.
    MetricName, LabelMetricName = Literal[tuple(METRICS)], Literal[LABEL_METRICS]
    GoalName = Literal[("contest", *OUTCOME_METRICS)]


def get_metric(name: str) -> Metric:
    """Look a metric up by name; NotFoundError lists what exists."""
    try:
        return METRICS[name]
    except KeyError:
        raise NotFoundError.among("metric", name, METRICS) from None


def metrics_for(*, multilabel: bool) -> dict[str, Metric]:
    """The metrics that are defined for rows of one class, or for rows that may have several, by name."""
    return {name: metric for name, metric in METRICS.items() if metric.holds_for(multilabel=multilabel)}


def all_scores(y_true: Labels, y_prob: Probabilities, *, multilabel: bool = False, thresholds: Sequence[float] = ()) -> dict[str, float]:
    """Every metric that is defined for the kind of labels, of one set of predictions, by name."""
    found = metrics_for(multilabel=multilabel)
    return {name: metric.score(y_true, y_prob, multilabel=multilabel, thresholds=thresholds) for name, metric in found.items()}
