"""Saved blends and runs beside each other: what each scores, from which weights, and whether a difference is more than luck."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.analysis.evidence import Evidence, load_evidence
from core.base.errors import AlignmentError
from core.base.messages import msg
from core.blend.bank import load_truth
from core.blend.bootstrap import RESOLUTION, Comparison, compare
from core.blend.questions import ask
from core.blend.truth import Outcome, Truth
from core.folds.save import load_folds
from core.metrics.scores import get_metric
from core.predictions.source import Source
from core.store.contests import Contest

Verdict = Literal["first", "second", "unclear", "same"]


@dataclass(frozen=True)
class Standing:
    """What one run or blend scores: on all its out-of-fold rows, by fold, and honestly where that was saved.

    `weights` are the shares of runs by id, `folds` those it was scored on. A tuned one was fitted on the rows it is scored on.
    """

    source: Source
    oof_score: float
    cv_score: float
    cv_sd: float | None
    folds: tuple[int, ...]
    n_rows: int
    honest: dict[str, Any] | None
    is_tuned: bool
    weights: dict[int, float]


@dataclass(frozen=True)
class Duel:
    """Two sources on the rows that both have: `comparison.gain` is positive when the first is better, whatever the metric."""

    comparison: Comparison
    n_rows: int
    n_train: int
    folds: tuple[int, ...]

    @property
    def verdict(self) -> Verdict:
        """The better one, where the 95 % interval of the gain leaves no doubt; same when no redraw tells them apart."""
        gain = self.comparison
        if gain.gain_low > RESOLUTION:
            return "first"
        if gain.gain_high < -RESOLUTION:
            return "second"
        return "same" if max(abs(gain.gain_low), abs(gain.gain_high)) <= RESOLUTION else "unclear"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self.comparison), "verdict": self.verdict, "n_rows": self.n_rows, "folds": list(self.folds)}


def standing_of(source: Source, evidence: Evidence | None = None) -> Standing:
    """What a source scores; `evidence` are its out-of-fold predictions where they are read already, and only a run needs them."""
    metric = get_metric(source.contest.spec.metric)
    weights = {member.run.id: member.weight for member in source.members()}
    if source.saved:
        spec, scores = source.saved.spec, source.saved.scores
        oof_score, n_rows, honest = scores["oof_score"], scores.get("n_rows") or source.contest.n_train, scores.get("honest")
        is_tuned = not (spec.is_plain and spec.mean == "arithmetic" and len(set(spec.weights)) == 1)
    else:
        known = evidence or load_evidence(source)
        oof_score = metric.score(known.y_true, known.y_prob, multilabel=source.contest.spec.is_multilabel)
        n_rows, honest, is_tuned = len(known.rows), None, False
    return Standing(
        source, oof_score, source.score(metric) or 0.0, source.spread(metric), source.scored_folds, n_rows, honest, is_tuned, weights
    )


def compare_sources(one: Source, other: Source, evidence: tuple[Evidence, Evidence] | None = None) -> Duel:
    """Two saved blends or runs on the same rows by a paired bootstrap over rows, or over groups of rows where there are any.

    Rows that only one of them has are left out. A blend that was tuned on these rows is flattered by its own score; the honest score
    says by how much. Raises AlignmentError when they stand on other folds, or have no row in common.
    """
    if one.folds.id != other.folds.id:
        raise AlignmentError(
            "{one} and {other} cannot be compared row by row",
            where=msg("{one} and {other}", one=one.ref, other=other.ref),
            why="they stand on other folds: a row that one validated, the other may have trained on",
            fix="compare blends and runs with equal folds",
            one=one.name,
            other=other.name,
        )
    first, second = evidence or (load_evidence(one), load_evidence(other))
    rows, at_first, at_second = np.intersect1d(first.rows, second.rows, assume_unique=True, return_indices=True)
    if not len(rows):
        raise AlignmentError(
            "{one} and {other} have no row in common",
            where=msg("{one} and {other}", one=one.ref, other=other.ref),
            why="no fold that one has finished has the other finished too",
            fix="wait for a fold that both have",
            one=one.name,
            other=other.name,
        )
    workspace, contest, folds = one.workspace, one.contest, one.folds
    _, groups = load_truth(workspace, contest, folds)
    truth = _truth(contest, first.y_true[at_first])
    comparison = compare(
        truth,
        _outcome(truth, first, at_first),
        _outcome(truth, second, at_second),
        groups=None if groups is None else groups[rows],
    )
    pairs = load_folds(workspace, folds)
    scored = tuple(fold for fold in range(pairs.n_folds) if np.isin(pairs.valid_idx(fold), rows).any())
    return Duel(comparison, len(rows), contest.n_train, scored)


def _truth(contest: Contest, y_true: NDArray[np.integer]) -> Truth:
    metric, n_classes = get_metric(contest.spec.metric), len(contest.spec.classes)
    return Truth(y_true.ravel(), 2, metric, n_classes) if contest.spec.is_multilabel else Truth(y_true, n_classes, metric)


def _outcome(truth: Truth, evidence: Evidence, at: NDArray[np.intp]) -> Outcome:
    prob = ask(evidence.y_prob[at]) if truth.n_labels else evidence.y_prob[at]
    return Outcome(evidence.y_pred[at].ravel().astype(np.int32), prob[np.arange(len(prob)), truth.y_true])
