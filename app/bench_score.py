"""What the blend on the bench scores now, and what stays the same while it moves.

Weights and shrinkage alone cost milliseconds at any size. Steps that need every probability follow a drag on small data, and on
large data they are scored when the drag ends, so that the server never falls behind the pointer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from app.desk import Desk
from core.blend.bank import Bank
from core.blend.line import Line
from core.blend.scorer import BlendScore
from core.blend.spec import BlendSteps
from core.blend.truth import Outcome

MOST_LIVE_VALUES = 10_000_000
"""Predictions of all runs together, yes and no counted each, up to which steps that need them in full are scored while a weight is dragged."""


@dataclass(frozen=True)
class Scored:
    """What steps say and score, on the predictions `content`; `is_now` is false while those of before a drag stand here.

    Those that were scored along the line of a drag (`on_line`) are scored again when it is let go.
    """

    content: tuple[object, ...]
    steps: BlendSteps
    outcome: Outcome
    score: BlendScore
    on_line: bool = False
    is_now: bool = True


@dataclass(frozen=True)
class Fixed:
    """The scores that no weight changes: of each run alone, and of equal weights."""

    own: tuple[BlendScore, ...]
    equal: BlendScore


def score_now(desk: Desk, bank: Bank, folds_id: int, content: tuple[object, ...]) -> Scored:
    """The exact score of the steps on the desk; while a drag is held that would need too much, the one before it."""
    key, line_key = f"scored-{folds_id}", f"line-{folds_id}"
    if not desk.is_held:
        st.session_state.pop(line_key, None)
    steps = desk.draft.steps
    known: Scored | None = st.session_state.get(key)
    if known is not None and known.content == content:
        if known.steps == steps and (desk.is_held or not known.on_line):
            return known
        if desk.is_held and not follows_a_drag(bank, steps):
            return replace(known, is_now=False)
    on_line = desk.is_held and steps.is_plain
    outcome = bank.outcome(steps, st.session_state.setdefault(line_key, Line()) if on_line else None)
    scored = Scored(content, steps, outcome, bank.scorer(steps.mean).report(outcome), on_line)
    st.session_state[key] = scored
    return scored


def follows_a_drag(bank: Bank, steps: BlendSteps) -> bool:
    """Whether a score of these steps is there before the pointer has moved on."""
    is_light = steps.is_plain and steps.mean in ("arithmetic", "hard")
    return is_light or sum(member.size for member in bank.scorer("arithmetic").oof) <= MOST_LIVE_VALUES


@st.cache_resource(max_entries=4, show_spinner=False)
def fixed_scores(content: tuple[object, ...], _bank: Bank) -> Fixed:
    """Computed once for the predictions that `content` names."""
    return Fixed(_bank.member_scores(), _bank.score(_bank.equal_weights))
