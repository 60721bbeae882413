"""The score of any weights, from what no weight can change: the true class's probabilities, and the classes that can win.

The first are all that the log loss needs, the second all that a label needs; so a step costs neither the classes nor a copy.
Steps that can make any class win (offsets, weights by class, a regression) or change every probability (temperature) are
computed in full.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.base.errors import AlignmentError, NotFoundError
from core.blend.candidates import Candidates, find_candidates, find_voted
from core.blend.steps import (
    add_up,
    afterwards,
    check_shape,
    finish,
    is_yes,
    normalise,
    of_truth,
    one_vs_rest,
    share_of,
    stacked,
    transform,
)
from core.metrics.scores import OUTCOME_METRICS, Metric, get_metric, p_true_of
from core.predictions.source import OofMatrix
from core.specs.blend import BlendSteps, MeanName


@dataclass(frozen=True)
class Outcome:
    """What a blend says: its labels (n,), and the probability it gives to the true class (n,)."""

    y_pred: NDArray[np.int32]
    p_true: NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """The class `y_true` (n,) of each row, of `n_classes`, the part `fold_of` (n,) that it was validated in, and the contest's metric.

    `groups` (n,) numbers rows that belong together, where any are known. Where a row of the contest may have several classes, the rows here
    are one-vs-rest (see `core.blend.steps`): `n_labels` for each of the contest's, row by row, and each has two classes, no and yes.
    """

    y_true: NDArray[np.integer]
    fold_of: NDArray[np.integer]
    n_classes: int
    metric: Metric
    groups: NDArray[np.integer] | None = None
    n_labels: int = 0

    @property
    def n_rows(self) -> int:
        return len(self.y_true)

    def table(self, labels: NDArray[np.integer]) -> NDArray[np.integer]:
        """Labels (n,) as those of the contest's rows: classes (n,), or 0 and 1 for each class (n / n_labels, n_labels)."""
        return labels.reshape(-1, self.n_labels) if self.n_labels else labels

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """The same for some rows only (a mask (n,)); of a row of the contest all or none."""
        groups = None if self.groups is None else self.groups[rows]
        return replace(self, y_true=self.y_true[rows], fold_of=self.fold_of[rows], groups=groups)

    def of(self, outcome: Outcome, name: str = "", rows: NDArray[np.bool_] | NDArray[np.int64] | slice = slice(None)) -> float:
        """One metric of an outcome, the contest's when none is named, of all rows or of some.

        Raises NotFoundError for a metric that is not computed from an outcome, though `core.metrics` may know it.
        """
        metric, several = get_metric(name) if name else self.metric, bool(self.n_labels)
        if metric.reads == "p_true":
            return metric.of_true(outcome.p_true[rows], multilabel=several)
        if metric.reads == "labels":
            y_true, y_pred = self.table(self.y_true[rows]), self.table(outcome.y_pred[rows])
            return metric.of_labels(y_true, y_pred, self.n_classes, multilabel=several)
        raise NotFoundError.among("metric", metric.name, OUTCOME_METRICS)

    def by_fold(self, outcome: Outcome) -> tuple[float, ...]:
        """The contest's metric of an outcome in each part, in their order."""
        return tuple(self.of(outcome, rows=self.fold_of == fold) for fold in np.unique(self.fold_of))


def truth_of(oof: OofMatrix) -> Truth:
    """The truth of a matrix."""
    if not oof.is_multilabel:
        return Truth(oof.y_true, oof.fold_of, oof.n_classes, oof.metric, oof.groups)
    n = oof.n_classes
    fold_of, groups = np.repeat(oof.fold_of, n), None if oof.groups is None else np.repeat(oof.groups, n)
    return Truth(oof.y_true.ravel().astype(np.int64), fold_of, 2, oof.metric, groups, n)


def outcome_in(oof: OofMatrix, place: int) -> Outcome:
    """What one source of a matrix says."""
    p_true = p_true_of(oof.y_true, oof.prob[place], multilabel=oof.is_multilabel)
    return Outcome(oof.labels(place).ravel().astype(np.int32), p_true)


CHUNK_VALUES = 4_000_000
LOGIT_SLACK = 1e-5
KEPT: tuple[MeanName, ...] = ("logit", "rank")
"""What these means sum is kept for every run; the others make it of some rows at a time."""

Weighing = Sequence[float] | BlendSteps
"""Non-negative weights, one per run; or all the steps of a blend."""


@dataclass(frozen=True)
class BlendScore:
    """Scores of one set of weights: the contest's metric on all rows, by fold with mean and spread, and every metric."""

    oof_score: float
    fold_scores: tuple[float, ...]
    cv_score: float
    cv_sd: float
    scores: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Scorer(Truth):
    """The truth of some rows, and what scoring needs of a set of runs under one mean.

    `true` (n_runs, n_rows) float64 is what each run adds to the true class's sum; `candidates` the candidates of every row. `oof` are the
    runs' predictions, `values` what is summed of them where that is kept (see `KEPT`) and else the same arrays, each
    (n_all_rows, n_classes), of which this scorer sees `rows`. `whole` (n_runs, n_rows) is what each run adds to all classes, where the blend
    is the true class's share of a plain sum (rank).
    """

    mean: MeanName
    true: NDArray[np.float64]
    candidates: Candidates
    oof: tuple[NDArray[np.float32], ...]
    values: tuple[NDArray[np.float32], ...]
    rows: NDArray[np.int64]
    whole: NDArray[np.float64] | None = None

    @property
    def label_of(self) -> NDArray[np.int64]:
        """The class (n_rows,) that each row is about, where they are one-vs-rest."""
        return self.rows % self.n_labels

    @property
    def n_runs(self) -> int:
        return len(self.true)

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """The same for some rows only (a mask (n_rows,)); the predictions are shared, not copied."""
        return replace(
            super().take(rows),
            true=self.true[:, rows],
            whole=None if self.whole is None else self.whole[:, rows],
            candidates=self.candidates.take(rows),
            rows=self.rows[rows],
        )

    def of_runs(self, runs: Sequence[int]) -> Self:
        """The same for some runs only, by their places, in that order; the classes that could win with all may win with fewer."""
        return replace(
            self,
            true=self.true[list(runs)],
            whole=None if self.whole is None else self.whole[list(runs)],
            candidates=self.candidates.of_members(runs),
            oof=tuple(self.oof[run] for run in runs),
            values=tuple(self.values[run] for run in runs),
        )

    def labels(self, weights: Sequence[float]) -> NDArray[np.int32]:
        """The labels (n_rows,) of the mean under weights, ties to the lowest class."""
        if self.mean in ("arithmetic", "hard") and not self.n_labels:
            return self.candidates.labels(weights)
        share = normalise(weights, self.n_runs)
        return self.candidates.labels(weights, lambda rows: self._decided(self._mixed(share, rows), rows))

    def p_true(self, weights: Sequence[float], *, quick: bool = False) -> NDArray[np.float32]:
        """The probability (n_rows,) that the mean gives to the true class; of ranks `quick` to the last digit of float32 but one."""
        share = normalise(weights, self.n_runs)
        if self.mean in ("arithmetic", "hard"):
            true = np.einsum("m,mn->n", share, self.true)
            return of_truth(np.where(self.y_true == 1, true, 1 - true), self.y_true) if self.n_labels else true.astype(np.float32)
        if quick and self.whole is not None:
            return (np.einsum("m,mn->n", share, self.true) / np.einsum("m,mn->n", share, self.whole)).astype(np.float32)
        p_true = np.empty(self.n_rows, dtype=np.float32)
        for rows in self.chunks():
            p_true[rows] = self._of_truth(self._mixed(share, rows), rows)
        return p_true

    def prob(self, weighing: Weighing) -> NDArray[np.float32]:
        """The blend's predictions (n_rows, n_classes), in full."""
        steps = self._steps(weighing)
        prob = np.empty((self.n_rows, self.n_classes), dtype=np.float32)
        for rows in self.chunks():
            prob[rows] = self._full(steps, rows)
        return prob

    def logit_loss(self, w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Log loss of the logit mean in float64 at weights (n_runs,) that sum to one, and its gradient (n_runs,)."""
        assert self.mean == "logit"
        value, gradient = 0.0, -self.true.sum(axis=1)
        for rows in self.chunks():
            block = self._block(rows)
            total = add_up(block, w)
            top = total.max(axis=1, keepdims=True)
            prob = np.exp(total - top)
            norm = prob.sum(axis=1, keepdims=True)
            value += float((top + np.log(norm)).sum() - (w @ self.true[:, rows]).sum())
            prob /= norm
            gradient += [float(np.vdot(prob, member.astype(np.float64))) for member in block]
        return value / self.n_rows, gradient / self.n_rows

    def chunks(self) -> list[NDArray[np.int64]]:
        """Row numbers in pieces of bounded memory."""
        step = max(1, CHUNK_VALUES // self.n_classes)
        return [np.arange(start, min(start + step, self.n_rows)) for start in range(0, self.n_rows, step)]

    def outcome(self, weighing: Weighing, *, quick: bool = False) -> Outcome:
        """Labels and true-class probabilities of the blend; `quick` while a weight is dragged (see `p_true`)."""
        if not isinstance(weighing, BlendSteps):
            return Outcome(self.labels(weighing), self.p_true(weighing, quick=quick))
        steps = self._steps(weighing)
        if steps.is_plain:
            return self.outcome(steps.share.tolist(), quick=quick)
        y_pred, p_true = np.empty(self.n_rows, dtype=np.int32), np.empty(self.n_rows, dtype=np.float32)
        for rows in self.chunks():
            prob = self._full(steps, rows)
            y_pred[rows] = self._decided(prob, rows, steps.thresholds)
            p_true[rows] = self._of_truth(prob, rows)
        return Outcome(y_pred, p_true)

    def score(self, weighing: Weighing) -> float:
        """The contest's metric on all rows, and nothing that it does not need."""
        if isinstance(weighing, BlendSteps) and not self._steps(weighing).is_plain:
            return self.of(self.outcome(weighing))
        weights: Sequence[float] = weighing.share.tolist() if isinstance(weighing, BlendSteps) else weighing
        if self.metric.reads == "p_true":
            return self.metric.of_true(self.p_true(weights), multilabel=bool(self.n_labels))
        return self.of(Outcome(self.labels(weights), np.empty(0, dtype=np.float32)))

    def report(self, outcome: Outcome) -> BlendScore:
        """Every score of an outcome."""
        by_fold = self.by_fold(outcome)
        names = [name for name in OUTCOME_METRICS if get_metric(name).holds_for(multilabel=bool(self.n_labels))]
        scores = {name: self.of(outcome, name) for name in names}
        return BlendScore(
            oof_score=scores[self.metric.name],
            fold_scores=by_fold,
            cv_score=float(np.mean(by_fold)),
            cv_sd=float(np.std(by_fold, ddof=1)) if len(by_fold) > 1 else 0.0,
            scores=scores,
        )

    def alone(self) -> tuple[tuple[float, ...], ...]:
        """The weights under which each run stands alone."""
        return tuple(tuple(row) for row in np.eye(self.n_runs).tolist())

    def _steps(self, weighing: Weighing) -> BlendSteps:
        steps = weighing if isinstance(weighing, BlendSteps) else BlendSteps(weights=tuple(weighing), mean=self.mean)
        if steps.mean != self.mean:
            raise AlignmentError(
                "a blend by the {mean} mean was given to the scorer of the {other} mean",
                where="blend",
                why="each mean sums other values",
                fix="take the scorer of that mean",
                mean=steps.mean,
                other=self.mean,
            )
        check_shape(steps, self.n_runs, self.n_labels or self.n_classes, multilabel=self.n_labels > 0)
        return steps

    def _full(self, steps: BlendSteps, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        labels = self.label_of[rows] if self.n_labels else None
        if steps.stack:
            return afterwards(stacked(steps.stack, [member[self.rows[rows]] for member in self.oof], labels), steps)
        return afterwards(self._mixed(steps.share if labels is None else share_of(steps, labels), rows), steps)

    def _mixed(self, share: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return finish(add_up(self._block(rows), share), self.mean, by_class=share.ndim > 1)

    def _of_truth(self, prob: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        y_true = self.y_true[rows]
        return of_truth(prob[:, 1], y_true) if self.n_labels else prob[np.arange(len(rows)), y_true]

    def _decided(self, prob: NDArray[np.float32], rows: NDArray[np.int64], thresholds: Sequence[float] = ()) -> NDArray[np.integer]:
        if not self.n_labels:
            return prob.argmax(axis=1)
        return is_yes(prob, self.label_of[rows], thresholds).astype(np.int32)

    def _block(self, rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """What is summed of each run, in some of this scorer's rows."""
        return [_summed(member[self.rows[rows]], self.mean) for member in self.values]


ScorerOf = Callable[[MeanName], Scorer]
"""Gives the scorer of the same runs and rows under any mean, so that a choice among means can be a part of the fit."""


def make_scorer(oof: OofMatrix, mean: MeanName = "arithmetic") -> Scorer:
    """Take out of predictions what scoring needs; done once for a set of runs and a mean.

    The predictions are kept by reference, and read in chunks: they may be memory-mapped. Where a row may have several classes, the
    scorer's rows are one-vs-rest.
    """
    return _make(tuple(map(one_vs_rest, oof.prob)) if oof.is_multilabel else oof.prob, truth_of(oof), mean)


def under_mean(scorer: Scorer, mean: MeanName) -> Scorer:
    """The scorer of the same runs and all their rows under another mean."""
    return _make(scorer.oof, scorer, mean)


def _make(given: tuple[NDArray[np.float32], ...], truth: Truth, mean: MeanName) -> Scorer:
    y_true, n_labels = truth.y_true, truth.n_labels
    values = tuple(transform(prob, mean, n_labels) for prob in given) if mean in KEPT else given
    at = np.arange(len(y_true))
    if mean == "hard":
        votes = np.stack([prob.argmax(axis=1).astype(np.int32) for prob in given])
        true, candidates = votes == y_true, find_voted(votes)
    else:
        true = np.stack([_summed(value[at, y_true], mean) for value in values])
        slack = LOGIT_SLACK if mean == "logit" else 0.0
        candidates = find_candidates(values, slack=slack, summed=lambda block: _summed(block, mean))
    return Scorer(
        mean=mean,
        true=true.astype(np.float64),
        candidates=candidates,
        **{each.name: getattr(truth, each.name) for each in fields(Truth)},
        oof=given,
        values=values,
        rows=at,
        whole=np.stack([value.sum(axis=1, dtype=np.float64) for value in values]) if mean == "rank" and not n_labels else None,
    )


def _summed(values: NDArray[np.float32], mean: MeanName) -> NDArray[np.float32]:
    """What is summed, from some of a scorer's `values`."""
    return values if mean in KEPT else transform(values, mean)
