"""What is tuned after the mean: a temperature for log loss, offsets or thresholds by class for labels; and how sure is how right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.base.errors import StateError
from core.blend.steps import FLOOR, afterwards
from core.metrics.scores import THRESHOLD, Metric, log_loss_of_true
from core.specs.blend import MAX_TEMPERATURE, MIN_TEMPERATURE, BlendSteps

CHUNK_VALUES = 1_000_000
N_BINS = 15
FAR = 1.5
"""Offsets stay within this of zero, in nats: a class can become at most e^1.5 = 4.5 times as likely, or as unlikely."""

MOST_SWEEPS = 4
MOST_NEWTON = 30


def fit_temperature(prob: NDArray[np.float32], y_true: NDArray[np.integer]) -> float:
    """The temperature with the least log loss, of predictions (n_rows, n_classes) and classes (n_rows,).

    Log loss is convex in one over the temperature, so Newton's method finds it: from a part of the rows, then from all. The metric
    clips what is nearly zero, which is not convex; where that makes the temperature found a worse one than none, it is none.
    """
    beta = 1.0
    if len(prob) >= 20_000:
        beta = _newton(prob[::10], y_true[::10], beta)
    found = float(np.clip(1 / _newton(prob, y_true, beta), MIN_TEMPERATURE, MAX_TEMPERATURE))
    plain = log_loss_of_true(prob[np.arange(len(prob)), y_true])
    return found if _loss(prob, y_true, found) <= plain else 1.0


def _loss(prob: NDArray[np.float32], y_true: NDArray[np.integer], temperature: float) -> float:
    """The log loss under a temperature, as the metric has it."""
    steps = BlendSteps(weights=(1.0,), temperature=temperature)
    p_true = np.empty(len(prob), dtype=np.float32)
    step = max(1, CHUNK_VALUES // prob.shape[1])
    for start in range(0, len(prob), step):
        part = afterwards(prob[start : start + step], steps)
        p_true[start : start + step] = part[np.arange(len(part)), y_true[start : start + step]]
    return log_loss_of_true(p_true)


def _newton(prob: NDArray[np.float32], y_true: NDArray[np.integer], beta: float) -> float:
    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    for _ in range(MOST_NEWTON):
        slope, bend = _slope(prob, y_true, beta)
        # The root stays between the ends that the slope's sign has shown.
        low, high = (low, beta) if slope > 0 else (beta, high)
        wanted = beta - slope / bend if bend > 0 else beta
        if not low < wanted < high:
            wanted = (low * high) ** 0.5
        if abs(wanted / beta - 1) < 1e-6:
            return wanted
        beta = wanted
    return beta


def _slope(prob: NDArray[np.float32], y_true: NDArray[np.integer], beta: float) -> tuple[float, float]:
    """First and second derivative of the mean log loss of softmax(beta * log p): E[l] - l_true, and the variance of l."""
    slope = bend = 0.0
    step = max(1, CHUNK_VALUES // prob.shape[1])
    for start in range(0, len(prob), step):
        log = np.log(np.maximum(prob[start : start + step], np.finfo(np.float32).tiny))
        part = np.exp(np.float32(beta) * (log - log.max(axis=1, keepdims=True)))
        part /= part.sum(axis=1, keepdims=True)
        mean = np.einsum("ij,ij->i", part, log)
        part *= log
        bend += float(np.einsum("ij,ij->", part, log, dtype=np.float64) - (mean.astype(np.float64) ** 2).sum())
        slope += float((mean.astype(np.float64) - log[np.arange(len(log)), y_true[start : start + step]]).sum())
    return slope / len(prob), bend / len(prob)


def fit_offsets(prob: NDArray[np.float32], y_true: NDArray[np.integer], metric: Metric) -> NDArray[np.float64]:
    """Offsets (n_classes,) to the logarithms of predictions (n_rows, n_classes) that raise macro F1 or accuracy.

    One class at a time: along its offset the labels change where it comes to beat a row's best other class, so one sorted pass
    scores every offset exactly and the best interval's middle is taken. Sweeps end when a class changes nothing. Never worse
    than no offsets. StateError for log loss, which a temperature serves.
    """
    if not metric.fits_labels:
        raise StateError(
            "offsets by class are for labels",
            where="offsets",
            why="they are tuned for macro F1 or accuracy, not for {metric}",
            fix="use a temperature",
            metric=metric.name,
        )
    n_classes = prob.shape[1]
    sweep = _Sweep(np.log(np.maximum(prob, FLOOR)).T.copy(), y_true, metric)
    offsets = np.zeros(n_classes)
    for _ in range(MOST_SWEEPS):
        gained = 0.0
        for label in range(n_classes):
            delta, gain = sweep.best_move(label, low=-FAR - offsets[label], high=FAR - offsets[label])
            if gain > 0:
                offsets[label] += delta
                sweep.move(label, delta)
                gained += gain
        if not gained:
            break
    before, after = prob.argmax(axis=1), (prob.astype(np.float64) * np.exp(offsets)).argmax(axis=1)
    is_worse = metric.is_better(*(metric.of_labels(y_true, labels, n_classes) for labels in (before, after)))
    return 0 * offsets if is_worse else offsets


class _Sweep:
    """Scores by class (n_classes, n_rows), with each row's best and second best class kept as offsets move."""

    def __init__(self, score: NDArray[np.float32], y_true: NDArray[np.integer], metric: Metric) -> None:
        self.score, self.y_true, self.metric = score, y_true, metric
        self.n_classes, self.n_rows = score.shape
        self.actual = np.bincount(y_true, minlength=self.n_classes)
        self.first, self.second = np.empty((2, self.n_rows), dtype=np.int64)
        self.best, self.next_best = np.empty((2, self.n_rows), dtype=score.dtype)
        self._rank(np.arange(self.n_rows))

    def _rank(self, rows: NDArray[np.int64]) -> None:
        part, n = self.score[:, rows], np.arange(len(rows))
        self.first[rows] = first = part.argmax(axis=0)
        self.best[rows] = part[first, n]
        part[first, n] = -np.inf
        self.second[rows] = second = part.argmax(axis=0)
        self.next_best[rows] = part[second, n]

    def best_move(self, label: int, *, low: float, high: float) -> tuple[float, float]:
        """The change of one class's offset in [low, high] with the highest score, and the gain; (0, 0) when none is better."""
        has = self.first == label
        margin = np.where(has, self.next_best, self.best) - self.score[label]
        near = np.flatnonzero((margin > low) & (margin < high))
        if not len(near):
            return 0.0, 0.0
        near = near[np.argsort(margin[near], kind="stable")]
        other = np.where(has, self.second, self.first)
        # With the offset at `low` every row near belongs to its other class; then they go over one by one, by margin.
        start = self.first.copy()
        start[near] = other[near]
        gains = self._gains(start, near, other[near], label)
        edges = margin[near].astype(np.float64)
        ends = np.concatenate([[low], edges, [high]])
        widths_middle = (ends[:-1] + ends[1:]) / 2
        possible = ends[1:] > ends[:-1]
        now = int(np.searchsorted(edges, 0.0))
        gains = np.where(possible | (np.arange(len(gains)) == now), gains, -np.inf)
        best = int(gains.argmax())
        gain = float(gains[best] - gains[now])
        return (float(widths_middle[best]), gain) if gain > 1e-12 else (0.0, 0.0)

    def _gains(self, start: NDArray[np.int64], near: NDArray[np.int64], other: NDArray[np.int64], label: int) -> NDArray[np.float64]:
        """The score (len(near) + 1,) after the first i rows have gone over to `label`, up to a constant."""
        wins, loses = self.y_true[near] == label, self.y_true[near] == other
        f1 = self.metric.by_class
        if f1 is None:
            return np.append(0.0, np.cumsum(wins.astype(np.float64) - loses)) / self.n_rows
        right = start == self.y_true
        predicted = np.bincount(start, minlength=self.n_classes)
        hit = np.bincount(self.y_true[right], minlength=self.n_classes)
        occurs = self.actual + predicted
        own_hit = hit[label] + np.append(0, np.cumsum(wins))
        own_total = occurs[label] + np.arange(len(near) + 1)
        own = f1(own_hit, own_total)
        # What each other class loses: its F1 after its i-th row has gone, counted within that class in the order of the rows.
        order = np.argsort(other, kind="stable")
        groups, begins = np.unique(other[order], return_index=True)
        sizes = np.diff(begins, append=len(order))
        gone = np.arange(len(order)) - np.repeat(begins, sizes) + 1
        lost = np.cumsum(loses[order])
        lost -= np.repeat(lost[begins] - loses[order][begins], sizes)
        base_hit, base_total = np.repeat(hit[groups], sizes), np.repeat(occurs[groups], sizes)
        after = f1(base_hit - lost, base_total - gone)
        before = np.empty_like(after)
        before[1:] = after[:-1]
        before[begins] = f1(hit[groups], occurs[groups])
        change = np.empty(len(order))
        change[order] = after - before
        return (own + np.append(0.0, np.cumsum(change))) / self.n_classes

    def move(self, label: int, delta: float) -> None:
        """Add `delta` to one class's scores and rank again the rows where that can matter."""
        self.score[label] += np.float32(delta)
        touched = (self.first == label) | (self.second == label) | (self.score[label] > self.next_best)
        self._rank(np.flatnonzero(touched))


@dataclass(frozen=True)
class Reliability:
    """Rows by the probability of their label, in bins of equal width: edges (n_bins + 1,), counts, mean confidence and accuracy.

    A bin without rows has NaN. `error` is the expected calibration error: the mean of |confidence - accuracy| over rows.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    error: float


def reliability(prob: NDArray[np.float32], y_true: NDArray[np.integer], *, multilabel: bool = False, n_bins: int = N_BINS) -> Reliability:
    """How right predictions (n_rows, n_classes) are where they are so sure (Niculescu-Mizil and Caruana 2005; Guo et al. 2017).

    Where rows may have several classes, how often a class is there where it is so probable: then each class of each row counts,
    `confidence` is the mean probability, and `accuracy` the share that has the class.
    """
    confidence = (prob.ravel() if multilabel else prob.max(axis=1)).astype(np.float64)
    hit = y_true.ravel() == 1 if multilabel else prob.argmax(axis=1) == y_true
    place = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    count = np.bincount(place, minlength=n_bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        sure = np.bincount(place, weights=confidence, minlength=n_bins) / count
        right = np.bincount(place, weights=hit, minlength=n_bins) / count
    gap = np.where(count > 0, np.abs(sure - right), 0.0)
    return Reliability(np.linspace(0, 1, n_bins + 1), count, sure, right, float((gap * count).sum() / len(hit)))


MOST_CUT_SWEEPS = 10


def fit_thresholds(prob: NDArray[np.float32], y_true: NDArray[np.integer], metric: Metric) -> NDArray[np.float64]:
    """Thresholds (n_classes,) for predictions (n_rows, n_classes), from 0 and 1 of the same shape, with the best macro F1 or accuracy.

    Macro F1 falls apart into its classes, so each class's best cut is the best of all. Accuracy (every class of a row right) is
    climbed one class at a time, each cut the best while the others stay. Between cuts that are as good the threshold is nearest
    to one half, which is never beaten by chance. Raises StateError for log loss, which no threshold changes.
    """
    if not metric.fits_labels:
        raise StateError(
            "thresholds by class are for labels",
            where="thresholds",
            why="they are tuned for macro F1 or accuracy, not for {metric}",
            fix="use a temperature",
            metric=metric.name,
        )
    thresholds = np.full(prob.shape[1], THRESHOLD)
    if metric.by_class:
        for label in range(prob.shape[1]):
            hit = np.append(0, np.cumsum(y_true[np.argsort(-prob[:, label], kind="stable"), label], dtype=np.int64))
            thresholds[label] = _best_cut(prob[:, label], metric.by_class(hit, np.arange(len(hit)) + hit[-1]))
        return thresholds
    right = (prob > thresholds) == (y_true == 1)
    n_wrong = (~right).sum(axis=1)
    for _ in range(MOST_CUT_SWEEPS):
        before = int((n_wrong == 0).sum())
        for label in range(prob.shape[1]):
            others_right = n_wrong - ~right[:, label] == 0
            some, there = prob[others_right, label], y_true[others_right, label]
            if len(some):
                # Rows that are right when the i most probable ones are given the class.
                sign = 2 * there[np.argsort(-some, kind="stable")].astype(np.int64) - 1
                thresholds[label] = _best_cut(some, np.append(0, np.cumsum(sign)).astype(np.float64))
            now = (prob[:, label] > thresholds[label]) == (y_true[:, label] == 1)
            n_wrong += right[:, label].astype(np.int64) - now
            right[:, label] = now
        if int((n_wrong == 0).sum()) == before:
            break
    return thresholds


def _best_cut(prob: NDArray[np.float32], score: NDArray[np.float64]) -> float:
    """The threshold of the best score (n_rows + 1,), nearest to one half among those as good; cuts between equal values do not exist."""
    falling = -np.sort(-prob.astype(np.float64))
    above, below = np.append(1.0, falling), np.append(falling, 0.0)
    exists = np.append(np.append(True, falling[1:] < falling[:-1]), falling[-1] > 0)
    # A class is given above its threshold, so one that equals the next lower value still cuts there; one half where that lies between.
    middle = np.where((below <= THRESHOLD) & (above > THRESHOLD), THRESHOLD, (above + below) / 2)
    best = np.flatnonzero(exists & (score >= score[exists].max()))
    return float(middle[best[np.abs(middle[best] - THRESHOLD).argmin()]])
