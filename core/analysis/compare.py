"""Saved blends and runs beside each other: what each scores, from which weights, and whether a difference is more than luck."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from core.blend.honest import RESOLUTION, Comparison, compare
from core.blend.scorer import outcome_in, truth_of
from core.folds.save import load_folds
from core.metrics.scores import get_metric
from core.predictions.matrix import OofMatrix, load_matrix
from core.predictions.source import Source
from core.specs.kept import HonestFigures

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
    honest: HonestFigures | None
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


def standing_of(source: Source, oof: OofMatrix | None = None) -> Standing:
    """What a source scores; `oof` are its out-of-fold predictions where they are read already, and only a run needs them."""
    metric = get_metric(source.contest.spec.metric)
    weights = {member.run.id: member.weight for member in source.members()}
    if source.saved:
        spec, scores = source.saved.spec, source.saved.scores
        oof_score, n_rows, honest = scores.oof_score, scores.n_rows or source.contest.n_train, scores.honest
        is_tuned = not (spec.is_plain and spec.mean == "arithmetic" and len(set(spec.weights)) == 1)
    else:
        known = oof or load_matrix([source])
        oof_score = metric.score(known.y_true, known.y_prob, multilabel=known.is_multilabel)
        n_rows, honest, is_tuned = len(known.rows), None, False
    return Standing(
        source, oof_score, source.score(metric) or 0.0, source.spread(metric), source.scored_folds, n_rows, honest, is_tuned, weights
    )


def compare_sources(one: Source, other: Source, oof: OofMatrix | None = None) -> Duel:
    """Two saved blends or runs on the same rows by a paired bootstrap over rows, or over groups of rows where there are any.

    Rows that only one of them has are left out; `oof` holds both where they are read already. A blend that was tuned on these rows is
    flattered by its own score; the honest score says by how much. Raises AlignmentError when they stand on other folds, or have no row in common.
    """
    oof = load_matrix([one, other]) if oof is None else oof
    comparison = compare(truth_of(oof), outcome_in(oof, 0), outcome_in(oof, 1))
    pairs = load_folds(one.workspace, one.folds)
    scored = tuple(fold for fold in range(pairs.n_folds) if np.isin(pairs.valid_idx(fold), oof.rows).any())
    return Duel(comparison, len(oof.rows), oof.n_train, scored)
