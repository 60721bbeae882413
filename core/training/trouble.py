"""One early warning per run, read from its epochs: shown, and acted upon only where its recipe says so.

In the order in which they are looked for, the first that is found speaks: NaN, a diverging loss, overfitting, and a fold far
from its siblings.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

from core.base.messages import msg
from core.metrics.scores import Metric

TroubleKind = Literal["nan", "diverging", "overfitting", "far_fold"]

SENTENCES: dict[TroubleKind, str] = {
    "nan": "fold {fold}: the loss is not a number since epoch {epoch}",
    "diverging": "fold {fold}: the training loss rose to {loss:.3g} in epoch {epoch}, from {best:.3g} at its best",
    "overfitting": "fold {fold}: the validation loss rises since epoch {best_epoch:.0f} ({best:.3g} to {valid_loss:.3g})"
    " while the training loss falls",
    "far_fold": "fold {fold}: {score:.4f}, its siblings {siblings:.4f} ± {spread:.4f}",
}
DIVERGED = 1.5
"""A training loss this many times its own best, two epochs in a row, does not come back by itself."""
GAP_EPOCHS = 3
"""Overfitting: in so many epochs in a row the gap between validation and training has grown."""
GAP_SHARE = 0.1
"""The validation loss counts as having left its best when it is a tenth above it."""
FAR_SD = 4.0
FAR_SHARE = 0.05
"""A fold is far when it is worse than its siblings' mean by so many of their standard deviations, and by this share of the mean."""
MIN_SIBLINGS = 2


class Epoch(Protocol):
    """One epoch of one fold, as training reports it or as the store keeps it."""

    @property
    def fold(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def train_log_loss(self) -> float | None: ...
    @property
    def valid_loss(self) -> float: ...
    @property
    def scores(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Trouble:
    """What was seen, in which fold and at which epoch (from 1; 0 where it is about no epoch in particular).

    `values` are the numbers of the sentence: for "nan" none; "diverging" `loss`, `best`; "overfitting" `valid_loss`, `best`,
    `best_epoch`, `gap`, `best_gap`; "far_fold" `score`, `siblings` (their mean), `spread` (their standard deviation), `worse_by`.
    """

    kind: TroubleKind
    fold: int
    epoch: int
    values: Mapping[str, float]

    def __str__(self) -> str:
        return msg(SENTENCES[self.kind], fold=self.fold, epoch=self.epoch, **self.values)


def find_trouble(epochs: Sequence[Epoch], metric: Metric, fold_scores: Mapping[int, float] | None = None) -> Trouble | None:
    """The first warning in the epochs of a run, one attempt per fold, in any order; None when all is well.

    `fold_scores` are the scores of finished folds: a fold is compared with its siblings' by these, or while some still train
    by the epoch that all of them have reached.
    """
    by_fold: defaultdict[int, list[Epoch]] = defaultdict(list)
    for row in sorted(epochs, key=lambda row: (row.fold, row.epoch)):
        by_fold[row.fold].append(row)
    for look in (_not_a_number, _diverging, _overfitting):
        for rows in by_fold.values():
            found = look(rows)
            if found is not None:
                return found
    return _far_fold(by_fold, metric, dict(fold_scores or {}))


def _not_a_number(rows: Sequence[Epoch]) -> Trouble | None:
    first = next((row for row in rows if not math.isfinite(row.train_loss) or not math.isfinite(row.valid_loss)), None)
    return None if first is None else Trouble("nan", first.fold, first.epoch, {})


def _diverging(rows: Sequence[Epoch]) -> Trouble | None:
    """The last two training losses are both far above the best one; one bad epoch may be chance."""
    if len(rows) < 3:
        return None
    best = min(row.train_loss for row in rows[:-2])
    last = rows[-1]
    if min(rows[-2].train_loss, last.train_loss) > DIVERGED * best and last.train_loss > rows[0].train_loss * 0.8:
        return Trouble("diverging", last.fold, last.epoch, {"loss": last.train_loss, "best": best})
    return None


def _overfitting(rows: Sequence[Epoch]) -> Trouble | None:
    """The gap between the plain cross-entropies of validation and training has grown in each of the last epochs, and that of
    validation has left its best for good. A smoothed or mixed objective would compare with neither."""
    best = min(rows, key=lambda row: row.valid_loss)
    since = [row for row in rows if row.epoch >= best.epoch][-GAP_EPOCHS - 1 :]
    if len(since) <= GAP_EPOCHS:
        return None
    gaps = [row.valid_loss - _plain(row) for row in since]
    last = since[-1]
    has_grown = all(later > earlier for earlier, later in pairwise(gaps))
    if has_grown and _plain(last) < _plain(best) and last.valid_loss > best.valid_loss * (1 + GAP_SHARE):
        values = {
            "valid_loss": last.valid_loss,
            "best": best.valid_loss,
            "best_epoch": float(best.epoch),
            "gap": gaps[-1],
            "best_gap": best.valid_loss - _plain(best),
        }
        return Trouble("overfitting", last.fold, last.epoch, values)
    return None


def _plain(row: Epoch) -> float:
    """The plain cross-entropy in training; where it was not recorded, the objective was it."""
    return row.train_loss if row.train_log_loss is None else row.train_log_loss


def _far_fold(by_fold: Mapping[int, Sequence[Epoch]], metric: Metric, fold_scores: dict[int, float]) -> Trouble | None:
    """One fold's score is worse than its siblings' by several of their standard deviations, and by enough to matter."""
    epoch = 0
    scores = fold_scores
    if len(scores) < len(by_fold):
        epoch = min((rows[-1].epoch for rows in by_fold.values()), default=0)
        at = {fold: next((row for row in rows if row.epoch == epoch), None) for fold, rows in by_fold.items()}
        scores = {fold: row.scores[metric.name] for fold, row in at.items() if row is not None and metric.name in row.scores}
    worst: Trouble | None = None
    for fold, score in scores.items():
        siblings = [other for sibling, other in scores.items() if sibling != fold]
        if len(siblings) < MIN_SIBLINGS:
            continue
        mean, spread = statistics.fmean(siblings), statistics.stdev(siblings)
        worse_by = (mean - score) if metric.greater_is_better else (score - mean)
        is_far = worse_by > FAR_SD * spread and worse_by > FAR_SHARE * abs(mean)
        if is_far and (worst is None or worse_by > worst.values["worse_by"]):
            worst = Trouble("far_fold", fold, epoch, {"score": score, "siblings": mean, "spread": spread, "worse_by": worse_by})
    return worst
