"""Which views of an image are worth their time: what each adds to the plain one, and a set of them, chosen on out-of-fold rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from core.artefacts import MANIFEST, publishing, verify
from core.base.errors import StateError
from core.base.files import fingerprint
from core.blend.honest import RESOLUTION, Comparison, compare, refitted
from core.blend.scorer import Outcome, Scorer, ScorerOf, Truth, make_scorer
from core.predictions.source import OofMatrix, load_matrix
from core.predictions.views import cost_of, kept_views, run_in_view, source_in_view
from core.specs.blend import BlendSteps
from core.specs.data_settings import ViewName
from core.store.contests import Contest
from core.store.runs import Run
from core.workspace import Workspace


@dataclass(frozen=True)
class ViewEffect:
    """One view: its `score` alone, what the mean with the plain one is worth against the plain one alone, and its cost.

    `n_mended` rows are wrong in the plain view and right in the mean, `n_broken` the other way round; where a row may have several classes
    it is right when all of them are. `cost_s` is what a network takes for a thousand rows.
    """

    view: ViewName
    score: float
    gain: Comparison
    n_mended: int
    n_broken: int
    cost_s: float

    @property
    def verdict(self) -> str:
        """What the 95 % interval of the gain says: helps, harms, or unclear where it holds zero."""
        if self.gain.is_clear:
            return "helps"
        return "harms" if self.gain.gain_high < -RESOLUTION else "unclear"


@dataclass(frozen=True)
class ViewChoice:
    """Every view that was tried, the best first, and the views that are proposed: the plain one and those that add to it beyond doubt.

    `honest` compares the choice, made anew without each fold and scored there, with the plain view; None where there is one fold only.
    """

    effects: tuple[ViewEffect, ...]
    plain_score: float
    plain_cost_s: float
    chosen: tuple[ViewName, ...]
    honest: Comparison | None
    n_rows: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return TypeAdapter(cls).validate_python(values)


def compare_views(workspace: Workspace, contest: Contest, run: Run, *, most: int = 0) -> ViewChoice:
    """What every view that is kept of a run does to its score, and the views to take, `most` at the most (0: any number); that of any number is
    kept as an artefact.

    Raises StateError where the plain view is not kept: the others are measured against it.
    """
    known = find_choice(workspace, contest, run)
    if known is not None and (not most or len(known.chosen) <= most):
        return known
    views = kept_views(workspace, contest, run)
    if "plain" not in views:
        raise StateError(
            "the views of {run} have not been predicted",
            where=run.ref,
            why="each is compared with the plain one on out-of-fold rows",
            fix="predict them first: python -m core predict {ref} --tta 3",
            run=run.name,
            ref=run.ref,
        )
    matrix = load_matrix([source_in_view(workspace, contest, run, view) for view in views])
    costs_s = [cost_of(workspace, contest, run, view) for view in views]
    choice = known or choose_views(matrix, views, costs_s)
    if known is None:
        folder, parents = _place(workspace, contest, run, views)
        with publishing(folder, kind="view_choice", parents=parents, facts=choice.to_dict()):
            pass
    return choose_views(matrix, views, costs_s, most=most) if most and len(choice.chosen) > most else choice


def find_choice(workspace: Workspace, contest: Contest, run: Run) -> ViewChoice | None:
    """What `compare_views` has kept of the views that are kept now, under the contest's truth and metric; None where there is nothing.
    Raises CheckpointError where that is damaged."""
    views = kept_views(workspace, contest, run)
    if not views:
        return None
    folder, _ = _place(workspace, contest, run, views)
    return ViewChoice.from_dict(verify(folder).facts) if (folder / MANIFEST).exists() else None


def _place(workspace: Workspace, contest: Contest, run: Run, views: Sequence[ViewName]) -> tuple[Path, dict[str, str]]:
    """Where a comparison of views is kept, and what it was made from."""
    parents = {
        f"fold {result.fold} {view}": result.fingerprint for view in views for result in run_in_view(workspace, contest, run, view).results
    } | {"truth": contest.truth.fingerprint}
    key = fingerprint({"parents": parents, "metric": contest.spec.metric})[:12]
    return workspace.views_dir(contest.folder, run.id) / f"choice-{key}", parents


def choose_views(oof: OofMatrix, views: Sequence[ViewName], costs_s: Sequence[float], *, most: int = 0) -> ViewChoice:
    """The same from out-of-fold predictions in `views` (the plain one among them), with the cost of each.

    Views are added one by one to the plain one, always the one whose mean with the others scores best, as long as the interval of that gain lies
    above zero: a view that only may help is not worth its time. Intervals are those of a paired bootstrap over rows, or groups of rows.
    """
    scorer, plain, most = make_scorer(oof), views.index("plain"), most or len(views)

    def fit(scorer_of: ScorerOf) -> BlendSteps:
        chosen = _add_views(scorer_of("arithmetic"), plain, most)
        return BlendSteps(weights=_equal(chosen, len(views)))

    before = scorer.outcome(_equal([plain], len(views)))
    try:
        honest = compare(scorer, refitted(lambda _: scorer, fit)[0], before)
    except StateError:  # a single fold: nothing is left to choose on
        honest = None
    effects = [_effect(scorer, views, place, plain, before, costs_s[place]) for place in range(len(views)) if place != plain]
    return ViewChoice(
        effects=tuple(sorted(effects, key=lambda effect: -effect.gain.gain)),
        plain_score=scorer.of(before),
        plain_cost_s=costs_s[plain],
        chosen=tuple(views[place] for place in sorted(_add_views(scorer, plain, most))),
        honest=honest,
        n_rows=len(oof.rows),
    )


def _add_views(scorer: Scorer, plain: int, most: int) -> list[int]:
    """The places of the plain view and of those that are added to it."""
    chosen = [plain]
    while len(chosen) < min(most, scorer.n_runs):
        sign = 1 if scorer.metric.greater_is_better else -1
        others = [place for place in range(scorer.n_runs) if place not in chosen]
        best = max(others, key=lambda place: sign * scorer.score(_equal([*chosen, place], scorer.n_runs)))
        one, other = (scorer.outcome(_equal(each, scorer.n_runs)) for each in ([*chosen, best], chosen))
        if not compare(scorer, one, other).is_clear:
            break
        chosen.append(best)
    return chosen


def _effect(scorer: Scorer, views: Sequence[ViewName], place: int, plain: int, before: Outcome, cost_s: float) -> ViewEffect:
    after = scorer.outcome(_equal([plain, place], len(views)))
    was, is_now = _right(scorer, before), _right(scorer, after)
    return ViewEffect(
        view=views[place],
        score=scorer.score(_equal([place], len(views))),
        gain=compare(scorer, after, before),
        n_mended=int((is_now & ~was).sum()),
        n_broken=int((was & ~is_now).sum()),
        cost_s=cost_s,
    )


def _right(truth: Truth, outcome: Outcome) -> NDArray[np.bool_]:
    """Which rows of the contest have every label right."""
    is_right = truth.table(outcome.y_pred) == truth.table(truth.y_true)
    return is_right if is_right.ndim == 1 else is_right.all(axis=1)


def _equal(places: Sequence[int], n_views: int) -> tuple[float, ...]:
    return tuple(1 / len(places) if place in places else 0.0 for place in range(n_views))
