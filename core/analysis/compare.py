"""What makes the difference: saved blends and runs beside each other, and what the parts of a blend are worth (each run, which classes it
carries, each class's threshold).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from core.analysis.errors import set_report
from core.blend.calibrate import fit_thresholds
from core.blend.ensemble import Ensemble
from core.blend.honest import RESOLUTION, Comparison, compare, parts_of, refitted
from core.blend.procedure import BlendProcedure, fit_of
from core.blend.scorer import Outcome, Scorer, ScorerOf, Truth, outcome_in, truth_of
from core.folds import load_folds
from core.metrics.scores import Metric, decide, get_metric
from core.predictions.source import OofMatrix, Source, load_matrix
from core.specs.blend import BlendSteps
from core.specs.kept import HonestFigures
from core.store.runs import Run

FALSE_DISCOVERIES = 0.05
"""Of the classes that are said to stand out, at most this share is expected to do so by chance."""


def worth_of(scorer_of: ScorerOf, procedure: BlendProcedure, run: int, everyone: Outcome) -> Comparison:
    """What a blend loses without one run of several: the refitted procedure with all runs against that without it.

    `everyone` is what it says with all of them; the gain is positive when the run helps. Under weights by hand the others keep theirs, and
    share equally when they have none.
    """
    flat = scorer_of("arithmetic")
    rest = [other for other in range(flat.n_runs) if other != run]
    if procedure.way == "hand":
        weights = tuple(procedure.weights[other] for other in rest)
        procedure = procedure.model_copy(update={"weights": weights if sum(weights) > 0 else (1.0,) * len(rest)})
    without, _ = refitted(lambda mean: scorer_of(mean).of_runs(rest), fit_of(procedure))
    return compare(flat, everyone, without)


def worth_in(scorer: Scorer, steps: BlendSteps, run: int, everyone: Outcome) -> Comparison:
    """The worth of one run in a blend that stays as it is: nothing is fitted again, the others keep their proportions.

    For steps whose way is not known. Both scores are optimistic for what was tuned on these rows.
    """
    return compare(scorer, everyone, _without(scorer, steps, run))


def member_labels(scorer: Scorer) -> NDArray[np.int32]:
    """The labels of each run alone (n_runs, n_rows); where rows may have several classes, of every class (n_runs, n_rows * n_labels)."""
    return np.stack([scorer.labels(alone) for alone in scorer.alone()])


def disagreement(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of labels (n_runs, n_runs) in which two runs differ, from those of each (n_runs, n_rows)."""
    return np.array([[float((one != other).mean()) for other in labels] for one in labels])


def error_correlation(labels: NDArray[np.integer], y_true: NDArray[np.integer]) -> NDArray[np.float64]:
    """Correlation (n_runs, n_runs) of being wrong: 1 when two runs err in the same places, 0 when by chance; NaN for a run that never errs."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.atleast_2d(np.corrcoef(labels != y_true))


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


@dataclass(frozen=True)
class Carried:
    """What each class loses when one run is taken away: F1 (n_runs, n_classes), and where that is more than chance.

    `right_only_with` and `right_only_without` count the rows (n_runs, n_classes) whose answer about the class is right on one side
    alone; where rows belong together, the groups. `is_clear`: the two differ by more than chance, for or against the run.
    """

    f1: NDArray[np.float64]
    right_only_with: NDArray[np.int64]
    right_only_without: NDArray[np.int64]
    is_clear: NDArray[np.bool_]

    @property
    def is_carried(self) -> NDArray[np.bool_]:
        """The classes (n_runs, n_classes) that a run carries: F1 is lost without it, and that stands out from chance."""
        return self.is_clear & (self.f1 > 0) & (self.right_only_with > self.right_only_without)


def carried_classes(scorer_of: ScorerOf, steps: BlendSteps | Sequence[BlendSteps]) -> Carried:
    """What each class loses when one run's weight is taken away and all else stays, and which of it stands out from chance.

    `steps` are those of the blend; or, so that nothing is judged on rows it was tuned on, those fitted without each part (see
    `refitted`). A class is tested on the rows whose answer about it (the row has the class, or not) is right only with the run or
    only without it: McNemar's test in its exact form, a two-sided sign test of the one count against the other; of groups
    of rows that belong together each counts once, for the side that it favours. Among the classes of one run in which any
    answer changes, Benjamini and Hochberg's procedure holds the expected share of false discoveries at 5 %.

    A run without weight carries nothing; a blend of one run has NaN, as nothing is left without it. A regression has no weight
    to take away: there a run is replaced by one that knows nothing.
    """
    flat = scorer_of("arithmetic")
    n_runs = flat.n_runs
    parts = list(_parts(scorer_of, steps))
    everyone = np.empty(flat.n_rows, dtype=np.int32)
    for rows, scorer, each in parts:
        everyone[rows] = scorer.outcome(each).y_pred
    whole = class_f1(everyone[None], flat)[0]
    f1 = np.full((n_runs, len(whole)), np.nan)
    only_with, only_without = np.zeros((2, n_runs, len(whole)), dtype=np.int64)
    is_clear = np.zeros(f1.shape, dtype=np.bool_)
    for run in range(n_runs):
        if any(np.delete(each.normalised(), run).sum() == 0 for _, _, each in parts):
            continue
        said = everyone.copy()
        for rows, scorer, each in parts:
            if each.stack or each.normalised()[run]:  # of a run without weight not even a tie may fall otherwise
                said[rows] = _without(scorer, each, run).y_pred
        f1[run] = whole - class_f1(said[None], flat)[0]
        only_with[run], only_without[run] = _right_on_one_side(flat, everyone, said)
        is_clear[run] = _stand_out(only_with[run], only_without[run])
    return Carried(f1, only_with, only_without, is_clear)


def _parts(scorer_of: ScorerOf, steps: BlendSteps | Sequence[BlendSteps]) -> Iterator[tuple[NDArray[np.bool_] | slice, Scorer, BlendSteps]]:
    """The rows that each steps speak for: all of them, or those of the part that was left out of the fit."""
    if isinstance(steps, BlendSteps):
        yield slice(None), scorer_of(steps.mean), steps
        return
    flat = scorer_of("arithmetic")
    part_of = parts_of(flat.fold_of, flat.groups)
    for part, each in zip(np.unique(part_of), steps, strict=True):
        rows = part_of == part
        yield rows, scorer_of(each.mean).take(rows), each


def _right_on_one_side(truth: Truth, one: NDArray[np.integer], other: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many rows (n_classes,), or groups of rows, are right about each class only in the labels `one`, and only in the `other`.

    Where the labels of a row differ, both sides differ about the two classes that they name; about any other class they agree.
    """
    y_true, one, other = (truth.table(labels) for labels in (truth.y_true, one, other))
    n_classes = truth.n_labels or truth.n_classes
    if truth.n_labels:
        row, about = np.nonzero(one != other)
        is_right = one[row, about] == y_true[row, about]
    else:
        differ = np.flatnonzero(one != other)
        row = np.concatenate([differ, differ])
        about = np.concatenate([one[differ], other[differ]])
        is_right = np.concatenate([one[differ] == y_true[differ], other[differ] != y_true[differ]])
    unit = row if truth.groups is None else truth.groups[:: truth.n_labels or 1][row]
    place, which = np.unique(unit.astype(np.int64) * n_classes + about, return_inverse=True)
    favours = np.bincount(which, weights=np.where(is_right, 1, -1), minlength=len(place))
    first, second = (np.bincount(place[side] % n_classes, minlength=n_classes) for side in (favours > 0, favours < 0))
    return first, second


def _stand_out(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The classes (n,) whose two counts differ by more than chance: sign tests, corrected for how many there are."""
    either = one + other
    tested = np.flatnonzero(either)
    is_clear = np.zeros(len(either), dtype=np.bool_)
    if len(tested):
        # The tail of a fair coin on both sides: the counts are whole, and one half makes both tails equal.
        p = np.minimum(1.0, 2 * scipy.stats.binom.cdf(np.minimum(one, other)[tested], either[tested], 0.5))
        is_clear[tested] = scipy.stats.false_discovery_control(p) <= FALSE_DISCOVERIES
    return is_clear


def _without(scorer: Scorer, steps: BlendSteps, run: int) -> Outcome:
    if steps.stack:
        blank = np.full_like(scorer.oof[run], 1 / scorer.n_classes)
        oof = tuple(blank if other == run else member for other, member in enumerate(scorer.oof))
        return replace(scorer, oof=oof).outcome(steps)
    rest = [other for other in range(scorer.n_runs) if other != run]
    share = steps.share[rest]
    share = share if share.any() else np.ones_like(share)
    by_class = tuple(map(tuple, share.tolist())) if steps.class_weights else ()
    weights = tuple((share.mean(axis=1) if by_class else share).tolist())
    part = steps.model_copy(update={"weights": weights, "class_weights": by_class, "shrinkage": 0.0})
    return scorer.of_runs(rest).outcome(part)


@dataclass(frozen=True)
class ThresholdGain:
    """One row per class in `table`: class, threshold, f1_before (at one half), f1, f1_honest, support, predicted.

    `before`, `after` and `honest` are the contest's metric (macro F1 or accuracy) at one half, at the thresholds, and at thresholds
    found without the part of each row (see `parts_of`), the weights as they are. `honest` is None, and f1_honest NaN, where the rows are of one part.
    """

    table: pd.DataFrame
    before: float
    after: float
    honest: float | None

    @property
    def n_worse(self) -> int:
        """Classes whose threshold is honestly worse than one half."""
        before, honest = (np.nan_to_num(self.table[name].to_numpy(dtype=np.float64)) for name in ("f1_before", "f1_honest"))
        return int((honest < before - 1e-9).sum())


def threshold_gain(ensemble: Ensemble, steps: BlendSteps, classes: Sequence[str]) -> ThresholdGain:
    """What the thresholds of a blend do on the rows of a ensemble whose rows may have several classes."""
    prob, y_true = ensemble.prob(steps), ensemble.oof.y_true
    after = decide(prob, multilabel=True, thresholds=steps.thresholds)
    before = decide(prob, multilabel=True)
    honest = labels_across_folds(prob, y_true, parts_of(ensemble.oof.fold_of, ensemble.oof.groups), ensemble.metric)
    report = set_report(y_true, after, classes, steps.thresholds)
    table = pd.DataFrame(
        {
            "class": report["class"],
            "threshold": report["threshold"],
            "f1_before": set_report(y_true, before, classes)["f1"],
            "f1": report["f1"],
            "f1_honest": np.nan if honest is None else set_report(y_true, honest, classes)["f1"],
            "support": report["support"],
            "predicted": report["predicted"],
        }
    )

    def score(labels: NDArray[np.integer]) -> float:
        return ensemble.metric.of_labels(y_true, labels, len(classes), multilabel=True)

    return ThresholdGain(table, score(before), score(after), None if honest is None else score(honest))


def labels_across_folds(
    prob: NDArray[np.float32], y_true: NDArray[np.integer], fold_of: NDArray[np.integer], metric: Metric
) -> NDArray[np.integer] | None:
    """0 and 1 (n_rows, n_classes) by thresholds that were found without the fold of each row; None for a single fold."""
    folds = np.unique(fold_of)
    if len(folds) < 2:
        return None
    labels = np.empty(y_true.shape, dtype=np.int8)
    for fold in folds:
        inside = fold_of == fold
        thresholds = fit_thresholds(prob[~inside], y_true[~inside], metric)
        labels[inside] = decide(prob[inside], multilabel=True, thresholds=thresholds.tolist())
    return labels


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
class Retraining:
    """By how much the difference of two runs' CV scores moves when both are trained again with other seeds: its standard deviation `sd`, and `reach`,
    half the width of its 95 % interval. Estimated from `n_seeds` of each; one that has a single seed is taken to move as the other does."""

    sd: float
    reach: float
    n_seeds: tuple[int, int]


def retraining_of(one: Source, other: Source, metric: Metric) -> Retraining | None:
    """The noise of a retraining between two runs, None where neither has several seeds, or one is a blend.

    The mean of n seeds moves by s / sqrt(n), s being the standard deviation of the CV scores of single seeds. The interval is that of
    Student's t, with the degrees of freedom of both estimates.
    """
    runs = [source.item for source in (one, other) if isinstance(source.item, Run)]
    spreads = [run.seed_sd(metric.name) for run in runs]
    known = [sd for sd in spreads if sd is not None]
    if len(runs) < 2 or not known:
        return None
    n_seeds = (len(runs[0].parts), len(runs[1].parts))
    sd = math.sqrt(sum((known[0] if own is None else own) ** 2 / n for own, n in zip(spreads, n_seeds, strict=True)))
    freedom = sum(n - 1 for own, n in zip(spreads, n_seeds, strict=True) if own is not None)
    return Retraining(sd, float(scipy.stats.t.ppf(0.975, freedom)) * sd, n_seeds)


@dataclass(frozen=True)
class Duel:
    """Two sources on the rows that both have: `comparison.gain` is positive when the first is better, whatever the metric. `retraining` is what
    a retraining moves, None where that is not known."""

    comparison: Comparison
    n_rows: int
    n_train: int
    folds: tuple[int, ...]
    retraining: Retraining | None = None

    @property
    def is_within_retraining(self) -> bool:
        """The gain is no more than what a retraining may move."""
        return self.retraining is not None and abs(self.comparison.gain) <= self.retraining.reach

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
        noise = self.retraining and {**asdict(self.retraining), "covers_gain": self.is_within_retraining}
        return {**asdict(self.comparison), "verdict": self.verdict, "n_rows": self.n_rows, "folds": list(self.folds), "retraining": noise}


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

    Rows that only one of them has are left out; `oof` holds both where they are read already. The score of a blend that was tuned on these
    rows is optimistic; its cross-fitted score says by how much. Raises AlignmentError when they stand on other folds, or have no row in common.
    """
    oof = load_matrix([one, other]) if oof is None else oof
    comparison = compare(truth_of(oof), outcome_in(oof, 0), outcome_in(oof, 1))
    pairs = load_folds(one.workspace, one.folds)
    scored = tuple(fold for fold in range(pairs.n_folds) if np.isin(pairs.valid_idx(fold), oof.rows).any())
    return Duel(comparison, len(oof.rows), oof.n_train, scored, retraining_of(one, other, oof.metric))
