"""What the blend in the editor scores now, and what its way is worth cross-fitted: refitted without each fold, beside equal weights.

Weights and shrinkage alone cost milliseconds at any size, but for the log loss of two means. What needs every probability follows a drag on
small data, and on large data it is scored when the drag ends, so that the server never falls behind the pointer. The cross-fitted score is
computed at once where that is quick, and else by a click; a drag computes nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.ensemble.draft import Desk, Draft, equal_draft
from app.ensemble.ways import describe, fit_took_s, mean_label
from app.ui.cards import error_card
from app.ui.format import format_duration, format_score, metric_label
from app.words.text import t
from core.base.errors import PitwallError
from core.blend.ensemble import Ensemble
from core.blend.honest import HonestScore
from core.blend.procedure import BlendProcedure
from core.blend.scorer import BlendScore, Outcome
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


AT_ONCE_S = 12.0
"""A judgement that takes longer than this is asked for by a click: nothing else is answered in this tab meanwhile."""
MOST_JUDGED = 50

Judgement = HonestScore | PitwallError
"""The honest score, or why there is none: a refit may refuse where the fit on all rows did not, say for want of a rare class."""


def known_judgement(draft: Draft, folds_id: int, content: tuple[object, ...]) -> Judgement | None:
    """What was found of the draft's procedure in this session, when the draft can be judged at all."""
    return _judged(folds_id).get(_name(content, draft.procedure)) if can_be_judged(draft) else None


def score_in(judgement: Judgement | None) -> HonestScore | None:
    """The honest score, where there is one."""
    return judgement if isinstance(judgement, HonestScore) else None


def can_be_judged(draft: Draft) -> bool:
    """It came by a way, which can be refitted without a fold, and something in it is not equal weights."""
    return draft.procedure.is_refitted and not draft.is_untuned


def judges_now(desk: Desk, ensemble: Ensemble, folds_id: int, content: tuple[object, ...]) -> bool:
    """Whether the draft is to be judged in this run of the page: it is quick, or was asked for by a click."""
    is_asked = st.session_state.pop(_asked_key(folds_id), False)
    if not can_be_judged(desk.draft) or len(ensemble.oof.folds) < 2 or desk.is_held or not desk.is_settled:
        return False
    return is_asked or seconds_to_judge(ensemble, desk.draft, content) <= AT_ONCE_S


def seconds_to_judge(ensemble: Ensemble, draft: Draft, content: tuple[object, ...]) -> float:
    """About how long the judgement takes: a fit without each fold, and one on all rows."""
    return fit_took_s(ensemble, draft.procedure, content) * (len(ensemble.oof.folds) + 1)


def judge(ensemble: Ensemble, draft: Draft, folds_id: int, content: tuple[object, ...]) -> Judgement:
    """The judgement of the draft's procedure, kept for the session and, while there is room, its score for all of them."""
    judged = _judged(folds_id)
    name = _name(content, draft.procedure)
    if name not in judged:
        for old in list(judged)[: len(judged) - MOST_JUDGED + 1]:
            del judged[old]
        try:
            judged[name] = _honest(content, str(name[-1]), ensemble, draft.procedure.trimmed)
        except PitwallError as refusal:
            judged[name] = refusal
    return judged[name]


def honest_figure(place: DeltaGenerator, honest: HonestScore | None, *, metric: str, standing: str) -> None:
    """The honest score with its interval; without one a dash and `standing`, which says why there is none."""
    place.metric(
        f"{t('ensemble.honest')} · {metric_label(metric)}",
        format_score(None if honest is None else honest.score),
        standing if honest is None else t("ensemble.interval", low=format_score(honest.low), high=format_score(honest.high)),
        "off",
        delta_arrow="off",
        help=t("ensemble.honest_help"),
        border=True,
        height="stretch",
    )


def standing_of(draft: Draft, n_others: int) -> str:
    """Why there is no honest score."""
    if draft.is_untuned:
        return t("bench.standing_chosen" if n_others else "ensemble.standing_untuned")
    return t("bench.standing_later" if draft.procedure.is_refitted else "ensemble.standing_hand")


def verdict(desk: Desk, ensemble: Ensemble, folds_id: int, judgement: Judgement | None, content: tuple[object, ...], n_others: int) -> None:
    """In words what the blend on the desk is worth; where the gain may be luck, a button for equal weights.

    `n_others` runs were not chosen: nothing here is refitted over that choice.
    """
    draft = desk.draft
    if isinstance(judgement, HonestScore):
        _verdict_of_way(desk, judgement, n_others)
    elif judgement is not None:
        error_card(judgement)
    elif draft.is_untuned and n_others:
        st.warning(
            t("bench.verdict_chosen", n=len(desk.ids), all=len(desk.ids) + n_others, chooses=t("bench.chooses_members")),
            icon=":material/info:",
        )
    elif draft.is_untuned:
        st.info(t("bench.verdict_untuned"), icon=":material/info:")
    elif not draft.procedure.is_refitted:
        st.warning(t("bench.verdict_hand"), icon=":material/info:")
    elif len(ensemble.oof.folds) < 2:
        st.warning(t("bench.verdict_one_fold"), icon=":material/info:")
    elif desk.is_held or not desk.is_settled:
        st.info(t("bench.verdict_held", way=describe(draft.procedure)), icon=":material/hourglass:")
    else:
        st.info(t("bench.verdict_later", way=describe(draft.procedure)), icon=":material/hourglass:")
        st.button(
            t("bench.judge", duration=format_duration(seconds_to_judge(ensemble, draft, content))),
            icon=":material/gavel:",
            on_click=lambda: st.session_state.update({_asked_key(folds_id): True}),
            key="judge",
        )


def _verdict_of_way(desk: Desk, honest: HonestScore, n_others: int) -> None:
    said = t(
        "ensemble.verdict_gain" if honest.gain >= 0 else "ensemble.verdict_loss",
        way=describe(desk.draft.procedure),
        gain=f"{honest.gain:+.4f}",
        loss=f"{-honest.gain:.4f}",
        low=f"{honest.gain_low:+.4f}",
        high=f"{honest.gain_high:+.4f}",
    )
    given = " ".join(_given(desk, n_others))
    if honest.is_clear:
        st.success(f"{said} {t('ensemble.verdict_clear')} {given}", icon=":material/check_circle:")
        return
    luck = t("ensemble.verdict_worse" if honest.gain_high < 0 else "ensemble.verdict_luck")
    st.warning(f"{said} {luck} {given}", icon=":material/info:")
    st.button(
        t("ensemble.take_equal"),
        icon=":material/drag_handle:",
        on_click=lambda: desk.put(equal_draft(len(desk.ids), desk.draft.procedure)),
        key="take-equal",
    )


def _given(desk: Desk, n_others: int) -> list[str]:
    """What a person set beside the way: it is not refitted, so looking at scores while choosing it is not paid for."""
    procedure = desk.draft.procedure
    given = [t("bench.given_mean", mean=mean_label(procedure.mean))] if procedure.mean not in ("arithmetic", "auto") else []
    if procedure.trimmed.shrinkage:
        given.append(t("bench.given_shrinkage"))
    if n_others:
        given.append(t("bench.given_members", n=len(desk.ids), all=len(desk.ids) + n_others))
    return given


def _judged(folds_id: int) -> dict[tuple[object, ...], Judgement]:
    return st.session_state.setdefault(f"judged-{folds_id}", {})


def _asked_key(folds_id: int) -> str:
    return f"judge-asked-{folds_id}"


def _name(content: tuple[object, ...], procedure: BlendProcedure) -> tuple[object, ...]:
    return (*content, procedure.trimmed.model_dump_json())


@st.cache_resource(max_entries=64, show_spinner=False)
def _honest(content: tuple[object, ...], settings: str, _ensemble: Ensemble, _procedure: BlendProcedure) -> HonestScore:
    return replace(_ensemble.honest(_procedure), refits=())  # steps of a regression in every fold would fill the memory, and nobody asks
