"""What the blend on the bench scores now, and what stays the same while it moves.

Weights and shrinkage alone cost milliseconds at any size, but for the log loss of two means. What needs every probability follows a drag on
small data, and on large data it is scored when the drag ends, so that the server never falls behind the pointer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from app.ensemble.draft import Desk
from core.blend.ensemble import Ensemble
from core.blend.scorer import BlendScore
from core.blend.truth import Outcome
from core.metrics.scores import get_metric
from core.specs.blend import BlendSteps

MOST_LIVE_VALUES = 10_000_000
"""Predictions of all runs together, yes and no counted each, up to which steps that need them in full are scored while a weight is dragged."""


@dataclass(frozen=True)
class Scored:
    """What steps say and score, on the predictions `content`; while a drag is held, the metrics `waiting` are those of before it.

    A quick score (`is_quick`, see `Scorer.p_true`) is made again in full when the drag ends.
    """

    content: tuple[object, ...]
    steps: BlendSteps
    outcome: Outcome
    score: BlendScore
    is_quick: bool = False
    waiting: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fixed:
    """The scores that no weight changes: of each run alone, and of equal weights."""

    own: tuple[BlendScore, ...]
    equal: BlendScore


def score_now(desk: Desk, ensemble: Ensemble, folds_id: int, content: tuple[object, ...]) -> Scored:
    """The exact score of the steps on the desk; while a drag is held, what of it can follow the pointer, and else the one before."""
    key = f"scored-{folds_id}"
    steps = desk.draft.steps
    known: Scored | None = st.session_state.get(key)
    if known is not None and known.content == content:
        if known.steps == steps and (desk.is_held or not known.is_quick):
            return known
        if desk.is_held and not follows_a_drag(ensemble, steps):
            return _as_far(known, ensemble, steps)
    is_quick = desk.is_held and steps.mean == "rank"
    outcome = ensemble.outcome(steps, quick=is_quick)
    scored = Scored(content, steps, outcome, ensemble.scorer(steps.mean).report(outcome), is_quick)
    st.session_state[key] = scored
    return scored


def _as_far(known: Scored, ensemble: Ensemble, steps: BlendSteps) -> Scored:
    """What of a score can follow the pointer on large data: labels under any mean, but no metric of probabilities, which need every class."""
    names = known.score.scores.keys()
    if not steps.is_plain:
        return replace(known, waiting=frozenset(names))
    scorer = ensemble.scorer(steps.mean)
    outcome = Outcome(scorer.labels(steps.share.tolist()), np.full(scorer.n_rows, np.nan, dtype=np.float32))
    score = scorer.report(outcome)
    if ensemble.metric.reads == "p_true":
        score = replace(known.score, scores=score.scores)
    return replace(
        known, outcome=outcome, score=score, waiting=frozenset(name for name in score.scores if get_metric(name).reads == "p_true")
    )


def follows_a_drag(ensemble: Ensemble, steps: BlendSteps) -> bool:
    """Whether every score of these steps is there before the pointer has moved on."""
    is_light = steps.is_plain and steps.mean in ("arithmetic", "hard", "rank")
    return is_light or sum(member.size for member in ensemble.scorer("arithmetic").oof) <= MOST_LIVE_VALUES


@st.cache_resource(max_entries=4, show_spinner=False)
def fixed_scores(content: tuple[object, ...], _ensemble: Ensemble) -> Fixed:
    """Computed once for the predictions that `content` names."""
    return Fixed(_ensemble.member_scores(), _ensemble.score(_ensemble.equal_weights))
