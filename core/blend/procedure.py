"""A way to a blend as one set of settings: fitted on a scorer, it gives the steps that out-of-fold and test rows go through.

Everything it chooses, it chooses inside `fit_procedure`: weights, the mean, the members, what comes after. So the honest score
of a procedure is that of all its choices.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from core.base.errors import StateError
from core.base.messages import msg
from core.base.settings import Settings
from core.blend.calibrate import fit_offsets, fit_temperature, fit_thresholds
from core.blend.optimum import class_weights, fit_stack, optimal_log_loss
from core.blend.scorer import Scorer, ScorerOf
from core.blend.steps import normalise, of_classes, without_after
from core.blend.weights import Weights, bagged_greedy, by_score, equal, greedy, search
from core.metrics.scores import GoalName, LabelMetricName, get_metric
from core.specs.blend import BlendSteps, MeanName, Stack

Way = Literal["hand", "equal", "by_score", "optimal", "greedy", "search", "by_class", "stacking"]
BASIC: dict[str, Any] = {"basic": True}
AUTO_MEANS: tuple[MeanName, ...] = ("arithmetic", "logit", "power")
CONVEX_MEANS: tuple[MeanName, ...] = ("arithmetic", "logit")


_READ_BY: dict[str, tuple[Way, ...]] = {
    "shrinkage": ("hand", "by_score", "optimal", "greedy", "search", "by_class"),
    "score_by": ("by_score",),
    "goal": ("greedy", "search"),
    "n_rounds": ("greedy", "search"),
    "n_bags": ("greedy",),
    "bag_share": ("greedy",),
    "prior_rows": ("by_class",),
    "stack_strength": ("stacking",),
    "seed": ("greedy", "stacking"),
}
"""The ways that read a setting; the others are read by all."""


class BlendProcedure(Settings):
    """How a blend comes to be."""

    way: Way = Field(
        default="equal",
        description="Where weights come from: hand, equal, by_score (each run's share of the scores), optimal (least log loss), greedy "
        "(selection with replacement), search (climbs the contest's metric), by_class (a weight per run and class), stacking (a regression).",
        json_schema_extra=BASIC,
    )
    mean: Literal["arithmetic", "logit", "power", "rank", "hard", "auto"] = Field(
        default="arithmetic",
        description="How predictions are averaged; auto tries arithmetic, logit and power and takes the best, which counts as fitting.",
        json_schema_extra=BASIC,
    )
    weights: tuple[float, ...] = Field(default=(), description="The weights of the way `hand`, one per run.")
    shrinkage: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="How far weights are drawn to equal ones: 0 leaves them, 1 makes them equal.",
        json_schema_extra=BASIC,
    )
    temperature: bool = Field(
        default=False, description="Fit a temperature after the mean, for the least log loss.", json_schema_extra=BASIC
    )
    offsets: bool = Field(
        default=False, description="Fit an offset per class after the mean, for macro F1 or accuracy.", json_schema_extra=BASIC
    )
    thresholds: bool = Field(
        default=False,
        description="Fit a threshold per class after the mean, for macro F1 or accuracy; only where a row may have several classes.",
        json_schema_extra=BASIC,
    )
    chooses_members: bool = Field(
        default=False, description="Leave runs out, one at a time, as long as that helps; this counts as fitting.", json_schema_extra=BASIC
    )
    score_by: LabelMetricName = Field(default="accuracy", description="The score that by_score shares out.")
    goal: GoalName = Field(default="contest", description="What greedy and search climb: the contest's metric, or another one.")
    n_rounds: int = Field(default=25, ge=1, le=500, description="Rounds of greedy selection.")
    n_bags: int = Field(
        default=0, ge=0, le=100, description="Random bags of runs that greedy selection is averaged over; 0 takes all runs once."
    )
    bag_share: float = Field(default=0.5, gt=0, le=1, description="Share of the runs in a bag.")
    prior_rows: float = Field(
        default=50.0, gt=0, le=1e6, description="by_class: a class with this many rows has weights half its own, half common."
    )
    stack_strength: float = Field(default=0.01, gt=0, le=1000, description="stacking: scikit-learn's C; smaller is more regularised.")
    seed: int = Field(default=0, ge=0, lt=2**31, description="Draws the bags.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if bool(self.weights) != (self.way == "hand"):
            raise ValueError("the way `hand` needs weights, and no other way takes them")
        if self.way == "optimal" and self.mean not in (*CONVEX_MEANS, "auto"):
            raise ValueError(
                msg("the {mean} mean has no optimum that can be proved; use arithmetic, logit or auto, or the way greedy", mean=self.mean)
            )
        if self.way in ("hand", "stacking") and self.chooses_members:
            raise ValueError(msg("members are not chosen under the way {way}; give a weight of zero, or use another way", way=self.way))
        if self.offsets and self.thresholds:
            raise ValueError("offsets decide which class wins, thresholds which classes are given; a contest needs one of the two")
        if self.way in ("by_class", "stacking") and self.mean != "arithmetic":
            raise ValueError(msg("the way {way} is made for the arithmetic mean; leave mean there", way=self.way))
        return self

    @property
    def trimmed(self) -> Self:
        """The same procedure with every setting that its way does not read at its default: equal ones come to equal steps."""
        unread = set(_READ_BY) - {name for name, ways in _READ_BY.items() if self.way in ways}
        return self.model_copy(update={name: type(self).model_fields[name].default for name in unread})

    @property
    def is_fitted(self) -> bool:
        """Something in it is tuned on the truth."""
        after = self.temperature or self.offsets or self.thresholds
        return self.way not in ("hand", "equal") or self.mean == "auto" or after or self.chooses_members

    def is_proved(self, mean: str) -> bool:
        """Whether the weights that it finds under a mean are the proved optimum of all runs (see `core.blend.optimum.gap_at`)."""
        return self.way == "optimal" and mean in CONVEX_MEANS and not self.chooses_members

    @property
    def is_refitted(self) -> bool:
        """Everything in it can be refitted without a fold; weights by hand cannot, nobody can forget what they saw."""
        return self.way != "hand"

    @property
    def means(self) -> tuple[MeanName, ...]:
        """The means that are tried."""
        if self.mean != "auto":
            return (self.mean,)
        return CONVEX_MEANS if self.way == "optimal" else AUTO_MEANS


Fit = Callable[[ScorerOf], BlendSteps]


def fit_procedure(procedure: BlendProcedure, scorer_of: ScorerOf) -> BlendSteps:
    """The steps that the procedure comes to on the rows and runs of the scorers; the best mean when several are tried.

    Raises StateError for a way that these runs, this metric or these classes do not allow.
    """
    best: tuple[float, BlendSteps] | None = None
    for mean in procedure.means:
        scorer = scorer_of(mean)
        steps = fit_after(procedure, scorer, _weigh(procedure, scorer))
        score = scorer.score(steps)
        if best is None or scorer.metric.is_better(score, best[0]):
            best = score, steps
    assert best is not None
    return best[1]


def fit_of(procedure: BlendProcedure) -> Fit:
    """`fit_procedure` of one procedure, as the honest score takes it."""
    return partial(fit_procedure, procedure)


def _weigh(procedure: BlendProcedure, scorer: Scorer) -> BlendSteps:
    """The steps without what comes after, over all runs; those left out have a weight of zero."""
    kept = tuple(range(scorer.n_runs))
    steps = _weigh_runs(procedure, scorer, kept)
    if not procedure.chooses_members:
        return steps
    score = scorer.score(steps)
    while len(kept) > 1:
        tried = []
        for run in kept:
            rest = tuple(other for other in kept if other != run)
            part = _weigh_runs(procedure, scorer, rest)
            tried.append((scorer.score(part), part, rest))
        best = max(tried, key=lambda each: each[0] if scorer.metric.greater_is_better else -each[0])
        if not scorer.metric.is_better(best[0], score):
            break
        score, steps, kept = best
    return steps


def _weigh_runs(procedure: BlendProcedure, scorer: Scorer, runs: tuple[int, ...]) -> BlendSteps:
    """The steps over all runs from what the way finds for some of them; shrinkage draws only those together that take part."""
    is_part = len(runs) < scorer.n_runs
    found, by_class, stack = _find(procedure, scorer.of_runs(runs) if is_part else scorer)
    drawn = procedure.shrinkage if is_part else 0.0
    weights = np.zeros(scorer.n_runs)
    weights[list(runs)] = (1 - drawn) * (np.asarray(found) / np.sum(found)) + drawn / len(runs)
    table = np.full((scorer.n_runs, 0 if by_class is None else by_class.shape[1]), 1e-9)
    if by_class is not None:
        table[list(runs)] = (1 - drawn) * by_class + drawn / len(runs)
    return BlendSteps(
        weights=tuple(weights.tolist()),
        mean=scorer.mean,
        shrinkage=0.0 if is_part else procedure.shrinkage,
        class_weights=() if by_class is None else tuple(map(tuple, table.tolist())),
        stack=stack,
    )


def _find(procedure: BlendProcedure, scorer: Scorer) -> tuple[Weights, NDArray[np.float64] | None, Stack | None]:
    """What a way finds for the runs of a scorer: weights, and what stands in their place."""
    if procedure.goal != "contest" and procedure.way in ("greedy", "search"):
        scorer = replace(scorer, metric=get_metric(procedure.goal))
    match procedure.way:
        case "hand":
            weights = tuple(normalise(procedure.weights, scorer.n_runs).tolist())
        case "equal":
            weights = equal(scorer)
        case "by_score":
            weights = by_score(scorer, procedure.score_by)
        case "greedy" if procedure.n_bags:
            weights = bagged_greedy(
                scorer, n_rounds=procedure.n_rounds, n_bags=procedure.n_bags, bag_share=procedure.bag_share, seed=procedure.seed
            )
        case "greedy":
            weights = greedy(scorer, n_rounds=procedure.n_rounds).weights
        case "search":
            convex = (optimal_log_loss(scorer).weights,) if scorer.mean in CONVEX_MEANS else ()
            starts = (equal(scorer), *convex, greedy(scorer, n_rounds=min(procedure.n_rounds, 10)).weights)
            weights = search(scorer, starts)
        case "optimal" | "by_class" | "stacking":
            weights = optimal_log_loss(scorer).weights
    by_class = class_weights(scorer, weights, prior_rows=procedure.prior_rows) if procedure.way == "by_class" else None
    stack = fit_stack(scorer, strength=procedure.stack_strength, seed=procedure.seed) if procedure.way == "stacking" else None
    return weights, by_class, stack


def fit_after(procedure: BlendProcedure, scorer: Scorer, steps: BlendSteps) -> BlendSteps:
    """The steps of a mean with what comes after it, as the procedure asks: temperature first, offsets or thresholds on top of it.

    Raises StateError for offsets where a row may have several classes, and for thresholds where it has one.
    """
    _check_after(procedure, scorer)
    steps = without_after(steps)
    if procedure.temperature:
        steps = steps.model_copy(update={"temperature": fit_temperature(scorer.prob(steps), scorer.y_true)})
    if procedure.offsets:
        offsets = fit_offsets(scorer.prob(steps), scorer.y_true, scorer.metric)
        steps = steps.model_copy(update={"offsets": tuple(offsets.tolist())})
    if procedure.thresholds:
        prob = of_classes(scorer.prob(steps), scorer.n_labels)
        thresholds = fit_thresholds(prob, scorer.table(scorer.y_true), scorer.metric)
        steps = steps.model_copy(update={"thresholds": tuple(thresholds.tolist())})
    return steps


def _check_after(procedure: BlendProcedure, scorer: Scorer) -> None:
    if procedure.offsets and scorer.n_labels:
        raise StateError(
            "offsets by class decide which class wins",
            where="offsets",
            why="here a row may have several classes, and none of them has to win",
            fix="use thresholds",
        )
    if procedure.thresholds and not scorer.n_labels:
        raise StateError(
            "thresholds decide which classes are given",
            where="thresholds",
            why="here a row has exactly one class, the most probable",
            fix="use offsets by class",
        )
