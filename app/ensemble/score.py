"""What the blend in the editor scores now, and what its way is worth cross-fitted: refitted without each fold, beside equal weights.

Weights and shrinkage alone cost milliseconds at any size, but for the log loss of two means. What needs every probability follows a drag on
small data, and on large data it is scored when the drag ends, so that the server never falls behind the pointer. The cross-fitted score is
computed at once where that is quick, and else by a click; a drag computes nothing of it.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.ensemble.draft import equal_draft
from app.ensemble.session import Content, OpenBlend, computed, keep_newest
from app.ensemble.ways import describe, fit_took_s, mean_label
from app.ui.cards import error_card
from app.ui.format import format_duration, format_score
from app.words.text import t
from core.base.errors import PitwallError
from core.blend.ensemble import Ensemble
from core.blend.honest import HonestScore
from core.blend.scorer import BlendScore, Outcome
from core.metrics.scores import get_metric
from core.specs.blend import BlendSteps

MOST_LIVE_VALUES = 10_000_000
"""Predictions of all runs together, yes and no counted each, up to which steps that need them in full are scored while a weight is dragged."""
AT_ONCE_S = 12.0
"""A cross-fit that takes longer than this is asked for by a click: nothing else is answered in this tab meanwhile."""

CrossFit = HonestScore | PitwallError
"""The cross-fitted score, or why there is none: a refit may refuse where the fit on all rows did not, say for want of a rare class."""
Standing = Literal["scored", "refused", "chosen", "untuned", "hand", "one_fold", "held", "later"]


@dataclass(frozen=True)
class Scored:
    """What steps say and score, on the predictions `content`; while a drag is held, the metrics `waiting` are those of before it.

    A quick score (`is_quick`, see `Scorer.p_true`) is made again in full when the drag ends.
    """

    content: Content
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


def score_now(blend: OpenBlend) -> Scored:
    """The exact score of the steps in the editor; while a drag is held, what of it can follow the pointer, and else the one before."""
    steps, ensemble, is_held = blend.draft.steps, blend.ensemble, blend.editor.is_held
    _, known = blend.kept.latest.get("score", (None, None))
    if known is not None and known.content == blend.content:
        if known.steps == steps and (is_held or not known.is_quick):
            return known
        if is_held and not follows_a_drag(ensemble, steps):
            return _as_far(known, ensemble, steps)
    is_quick = is_held and steps.mean == "rank"
    outcome = ensemble.outcome(steps, quick=is_quick)
    scored = Scored(blend.content, steps, outcome, ensemble.scorer(steps.mean).report(outcome), is_quick)
    blend.kept.latest["score"] = None, scored
    return scored


def _as_far(known: Scored, ensemble: Ensemble, steps: BlendSteps) -> Scored:
    """What of a score can follow the pointer on large data: labels under any mean, but no metric of probabilities, which need every class."""
    if not steps.is_plain:
        return replace(known, waiting=frozenset(known.score.scores))
    scorer = ensemble.scorer(steps.mean)
    outcome = Outcome(scorer.labels(steps.share.tolist()), np.full(scorer.n_rows, np.nan, dtype=np.float32))
    score = scorer.report(outcome)
    if ensemble.metric.reads == "p_true":
        score = replace(known.score, scores=score.scores)
    waiting = frozenset(name for name in score.scores if get_metric(name).reads == "p_true")
    return replace(known, outcome=outcome, score=score, waiting=waiting)


def follows_a_drag(ensemble: Ensemble, steps: BlendSteps) -> bool:
    """Whether every score of these steps is there before the pointer has moved on."""
    is_light = steps.is_plain and steps.mean in ("arithmetic", "hard", "rank")
    return is_light or sum(member.size for member in ensemble.scorer("arithmetic").oof) <= MOST_LIVE_VALUES


@st.cache_resource(max_entries=4, show_spinner=False)
def fixed_scores(content: Content, _ensemble: Ensemble) -> Fixed:
    """Computed once for the predictions that `content` names."""
    return Fixed(_ensemble.member_scores(), _ensemble.score(_ensemble.equal_weights))


def standing_of(blend: OpenBlend) -> tuple[Standing, CrossFit | None]:
    """Whether the blend has a cross-fitted score and why not, with what was found for it."""
    draft, editor = blend.draft, blend.editor
    if draft.is_untuned:
        return ("chosen" if blend.n_others else "untuned"), None
    if not draft.settings.is_refitted:
        return "hand", None
    known: CrossFit | None = computed().get(_name(blend))
    if known is not None:
        return ("scored" if isinstance(known, HonestScore) else "refused"), known
    if len(blend.ensemble.oof.folds) < 2:
        return "one_fold", None
    return ("held" if editor.is_held or not editor.is_settled else "later"), None


def is_due(blend: OpenBlend, standing: Standing) -> bool:
    """Whether the cross-fit is to be computed in this run of the page: it is quick, or was asked for by a click."""
    is_asked, blend.kept.is_cross_fit_asked = blend.kept.is_cross_fit_asked, False
    return standing == "later" and (is_asked or cross_fit_s(blend) <= AT_ONCE_S)


def cross_fit_s(blend: OpenBlend) -> float:
    """About how long it takes, in seconds: a fit without each fold, and one on all rows."""
    return fit_took_s(blend) * (len(blend.ensemble.oof.folds) + 1)


def cross_fit(blend: OpenBlend) -> None:
    """Compute the cross-fitted score of the draft's procedure."""
    try:
        # Steps of a regression in every fold would fill the memory, and nobody asks.
        made: CrossFit = replace(blend.ensemble.honest(blend.draft.settings.trimmed), refits=())
    except PitwallError as refusal:
        made = refusal
    computed()[_name(blend)] = made
    keep_newest(computed())


def cross_fitted_figure(place: DeltaGenerator, blend: OpenBlend, standing: Standing, known: CrossFit | None) -> None:
    """The cross-fitted score with its interval; without one a dash and why there is none."""
    if isinstance(known, HonestScore):
        below = t("ensemble.interval", score=format_score(known.score), low=format_score(known.low), high=format_score(known.high))
    else:
        below = t(f"ensemble.standing_{standing if standing in ('chosen', 'untuned', 'hand') else 'later'}")
    place.metric(
        f"{t('ensemble.cross_fitted')} · CV",
        format_score(known.cv_score, known.cv_sd) if isinstance(known, HonestScore) else format_score(None),
        below,
        "off",
        delta_arrow="off",
        help=t("ensemble.cross_fitted_help"),
        border=True,
        height="stretch",
    )


def verdict(blend: OpenBlend, standing: Standing, known: CrossFit | None) -> None:
    """In words what the blend is worth; where the gain may be luck, a button for equal weights.

    Nothing here is refitted over the choice of runs.
    """
    if isinstance(known, HonestScore):
        _verdict_of_way(blend, known)
    elif known is not None:
        error_card(known)
    else:
        n, chooses = len(blend.runs), t("ensemble.chooses_members")
        way = describe(blend.draft.settings)
        said = t(f"ensemble.verdict_{standing}", n=n, all=n + blend.n_others, chooses=chooses, way=way)
        draw = st.warning if standing in ("chosen", "hand", "one_fold") else st.info
        draw(said, icon=":material/hourglass:" if standing in ("held", "later") else ":material/info:")
    if standing == "later":
        kept = blend.kept
        st.button(
            t("ensemble.cross_fit", duration=format_duration(cross_fit_s(blend))),
            icon=":material/calculate:",
            on_click=lambda: setattr(kept, "is_cross_fit_asked", True),
            key="cross-fit",
        )


def _verdict_of_way(blend: OpenBlend, known: HonestScore) -> None:
    said = t(
        "ensemble.verdict_gain" if known.gain >= 0 else "ensemble.verdict_loss",
        way=describe(blend.draft.settings),
        gain=f"{known.gain:+.4f}",
        loss=f"{-known.gain:.4f}",
        low=f"{known.gain_low:+.4f}",
        high=f"{known.gain_high:+.4f}",
    )
    given = " ".join(_given(blend))
    does_not_hold = blend.draft.settings.way == "stacking"
    if known.is_clear and not does_not_hold:
        st.success(f"{said} {t('ensemble.verdict_clear')} {given}", icon=":material/check_circle:")
        return
    luck = t("ensemble.verdict_worse" if known.gain_high < 0 else "ensemble.verdict_stacking" if does_not_hold else "ensemble.verdict_luck")
    st.warning(f"{said} {luck} {given}", icon=":material/info:")
    editor = blend.editor
    st.button(
        t("ensemble.take_equal"),
        icon=":material/drag_handle:",
        on_click=lambda: editor.put(equal_draft(len(editor.ids), editor.draft.settings)),
        key="take-equal",
    )


def _given(blend: OpenBlend) -> list[str]:
    """What a person set beside the way: it is not refitted, so the score does not correct for scores that were looked at meanwhile."""
    settings, n = blend.draft.settings, len(blend.runs)
    given = [t("ensemble.given_mean", mean=mean_label(settings.mean))] if settings.mean not in ("arithmetic", "auto") else []
    if settings.trimmed.shrinkage:
        given.append(t("ensemble.given_shrinkage"))
    if blend.n_others:
        given.append(t("ensemble.given_members", n=n, all=n + blend.n_others))
    return given


def _name(blend: OpenBlend) -> Content:
    return (*blend.content, blend.draft.settings.trimmed.model_dump_json())
