"""What each run does for a blend: what it is worth, where it differs from the others, and which classes it carries.

Everything is measured on out-of-fold predictions; the greedy path is in `core.blend.greedy`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.blend.bootstrap import Comparison, compare
from core.blend.honest import refitted
from core.blend.mean import MeanName
from core.blend.procedure import BlendProcedure, fit_of
from core.blend.scorer import Scorer, ScorerOf
from core.blend.spec import BlendSteps
from core.blend.truth import Outcome, Truth


@dataclass(frozen=True)
class Worth:
    """What a blend loses without one run (`run` is its place): the refitted procedure with all runs against that without it.

    `with_and_without.gain` is positive when the run helps, with its interval; `.score` is with it, `.other` without it.
    """

    run: int
    with_and_without: Comparison


def worth_of(
    scorer_of: ScorerOf, procedure: BlendProcedure, run: int, everyone: Outcome, *, groups: NDArray[np.integer] | None = None
) -> Worth:
    """The worth of one run of several; `everyone` is what the refitted procedure says with all of them.

    Under weights by hand the others keep theirs, and share equally when they have none.
    """
    flat = scorer_of("arithmetic")
    rest = [other for other in range(flat.n_runs) if other != run]
    without, _ = refitted(_of_runs(scorer_of, rest), fit_of(_procedure_of(procedure, rest)))
    return Worth(run, compare(flat.truth, everyone, without, groups=groups))


def worth_in(scorer: Scorer, steps: BlendSteps, run: int, everyone: Outcome, *, groups: NDArray[np.integer] | None = None) -> Worth:
    """The worth of one run in a blend that stays as it is: nothing is fitted again, the others keep their proportions.

    For steps whose way is not known. What was tuned on these rows flatters both sides.
    """
    without = _without(scorer, steps, run)
    return Worth(run, compare(scorer.truth, everyone, without, groups=groups))


def _of_runs(scorer_of: ScorerOf, runs: list[int]) -> ScorerOf:
    def get(mean: MeanName) -> Scorer:
        return scorer_of(mean).of_runs(runs)

    return get


def _procedure_of(procedure: BlendProcedure, runs: list[int]) -> BlendProcedure:
    if procedure.way != "hand":
        return procedure
    weights = tuple(procedure.weights[run] for run in runs)
    return procedure.model_copy(update={"weights": weights if sum(weights) > 0 else (1.0,) * len(runs)})


def member_labels(scorer: Scorer) -> NDArray[np.int32]:
    """The labels of each run alone (n_runs, n_rows); where rows may have several classes, the answers to every question."""
    return np.stack([scorer.labels(alone) for alone in scorer.alone()])


def disagreement(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of labels (n_runs, n_runs) in which two runs differ, from those of each (n_runs, n_rows)."""
    return np.array([[float((one != other).mean()) for other in labels] for one in labels])


def error_correlation(labels: NDArray[np.integer], y_true: NDArray[np.integer]) -> NDArray[np.float64]:
    """Correlation (n_runs, n_runs) of being wrong: 1 when two runs err in the same places, 0 when by chance; NaN for a run that never errs."""
    wrong = (labels != y_true).astype(np.float64)
    centred = wrong - wrong.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (centred @ centred.T) / np.outer(norm, norm)


def class_f1(labels: NDArray[np.integer], truth: Truth) -> NDArray[np.float64]:
    """F1 (n_runs, n_classes) of each run in each class; NaN where a class occurs neither as truth nor as label."""
    y_true, n_classes = truth.table(truth.y_true), truth.n_classes
    rows: list[NDArray[np.float64]] = []
    for label in map(truth.table, labels):
        if truth.n_labels:
            actual, predicted, hit = (of.sum(axis=0, dtype=np.int64) for of in (y_true, label, y_true * label))
        else:
            actual, predicted, hit = (np.bincount(of, minlength=n_classes) for of in (y_true, label, y_true[y_true == label]))
        with np.errstate(invalid="ignore"):
            rows.append(2 * hit / (actual + predicted))
    return np.stack(rows)


def carried_classes(scorer: Scorer, steps: BlendSteps) -> NDArray[np.float64]:
    """F1 (n_runs, n_classes) that each class loses when one run's weight is taken away and all else stays; positive where it carries.

    A run without weight carries nothing; a blend of one run has NaN, as nothing is left without it. A regression has no weight
    to take away: there a run is replaced by one that knows nothing.
    """
    whole = class_f1(scorer.outcome(steps).y_pred[None], scorer.truth)[0]
    carried = np.full((scorer.n_runs, len(whole)), np.nan)
    for run in range(scorer.n_runs):
        weights = np.asarray(steps.normalised())
        if weights[run] == 0 and not steps.stack:
            carried[run] = 0.0
            continue
        weights[run] = 0.0
        if weights.sum() > 0:
            carried[run] = whole - class_f1(_without(scorer, steps, run).y_pred[None], scorer.truth)[0]
    return carried


def _without(scorer: Scorer, steps: BlendSteps, run: int) -> Outcome:
    if steps.stack:
        blank = np.full_like(scorer.oof[run], 1 / scorer.n_classes)
        oof = tuple(blank if other == run else member for other, member in enumerate(scorer.oof))
        return replace(scorer, oof=oof).outcome(steps)
    rest = [other for other in range(scorer.n_runs) if other != run]
    share = steps.share[rest]
    if not share.any():
        share = np.ones_like(share)
    by_class = tuple(map(tuple, share.tolist())) if share.ndim == 2 else ()
    weights = tuple((share.mean(axis=1) if share.ndim == 2 else share).tolist())
    part = steps.model_copy(update={"weights": weights, "class_weights": by_class, "shrinkage": 0.0})
    return scorer.of_runs(rest).outcome(part)
