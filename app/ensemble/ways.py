"""The controls of the bench: the mean, the ways to weights, what comes after the mean, undo and redo.

A control only says what is asked for; `obey` fits it when the page is drawn. While a pointer holds a slider nothing is fitted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import streamlit as st

from app.ensemble.draft import AFTER, Desk, Draft
from app.ui.cards import guard
from app.ui.controls import control_of
from app.words.text import t
from core.blend.calibrate import FITTED_METRICS
from core.blend.ensemble import Ensemble
from core.blend.optimum import MOST_COEFFICIENTS
from core.blend.procedure import CONVEX_MEANS, BlendProcedure, Way, fit_after
from core.metrics.scores import LABEL_METRICS, OUTCOME_METRICS
from core.specs.blend import BlendSteps, MeanName
from core.specs.contest import ContestSpec

QUICK: tuple[Way, ...] = ("equal", "by_score", "optimal", "greedy")
MORE: tuple[Way, ...] = ("search", "by_class", "stacking")
MEANS: tuple[str, ...] = (*get_args(MeanName), "auto")
ICONS: dict[Way, str] = {
    "equal": "drag_handle",
    "by_score": "leaderboard",
    "optimal": "target",
    "greedy": "stairs",
    "search": "hiking",
    "by_class": "table_rows",
    "stacking": "layers",
}
WHOLE = ("n_rounds", "n_bags")
CHOICES: dict[str, tuple[str, ...]] = {"goal": ("contest", *OUTCOME_METRICS), "score_by": LABEL_METRICS}
STEP = {"n_rounds": 5, "n_bags": 5, "bag_share": 0.1, "prior_rows": 10.0, "stack_strength": 0.01}
RANGE: dict[str, tuple[float, float]] = {
    "n_rounds": (1, 500),
    "n_bags": (0, 100),
    "bag_share": (0.01, 1.0),
    "prior_rows": (0.01, 1e6),
    "stack_strength": (1e-6, 1000.0),
}


def choose_mean(desk: Desk, folds_id: int) -> None:
    """How predictions are averaged."""
    is_fixed = desk.draft.kind in ("loose", "apart")
    _show(
        folds_id,
        "mean",
        desk,
        lambda key, default, ask: st.segmented_control(
            t("ensemble.mean"),
            MEANS,
            default=default,
            format_func=mean_label,
            required=True,
            key=key,
            on_change=ask,
            disabled=is_fixed,
            help=t("bench.mean_fixed") if is_fixed else t("bench.mean_help"),
        ),
    )


def mean_label(mean: str) -> str:
    """A mean's name in the language of the screen."""
    return t(f"ensemble.mean_{mean}")


def after_label(steps: BlendSteps) -> str:
    """The mean of a blend that is kept, and the thresholds where it has any."""
    label = mean_label(steps.mean)
    return f"{label} · {t('bench.short_thresholds')}" if steps.thresholds else label


def way_label(way: str) -> str:
    """A way's name in the language of the screen."""
    return t(f"bench.way_{way}")


def way_row(desk: Desk, folds_id: int, spec: ContestSpec) -> None:
    """The ways that are used often as buttons, the others with all options in a popover."""
    with st.container(horizontal=True, gap="small"):
        for way in QUICK:
            _way_button(desk, folds_id, way, spec)
        way = desk.draft.procedure.way
        is_on = way in MORE
        label = t("bench.more_on", way=way_label(way)) if is_on else t("bench.more")
        with (
            st.container(key=f"way-{'on' if is_on else 'off'}-more", width="content"),
            st.popover(label, icon=":material/more_horiz:", width="content", key=f"more-ways-{folds_id}"),
        ):
            # It is closed while a pointer holds a slider, and would cost each step of a drag a quarter.
            if desk.is_held:
                st.caption(t("bench.follows"))
            else:
                _more(desk, folds_id, spec)


def after_row(desk: Desk, folds_id: int, spec: ContestSpec) -> None:
    """Switches for what is fitted after the mean, offsets or where rows may have several classes thresholds; undo and redo."""
    is_for_labels = spec.metric in FITTED_METRICS
    of_labels = "thresholds" if spec.is_multilabel else "offsets"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, gap="medium", vertical_alignment="center", width="content"):
            _show(
                folds_id,
                "temperature",
                desk,
                lambda key, default, ask: st.toggle(
                    t("bench.temperature"), default, key=key, on_change=ask, help=t("bench.temperature_help")
                ),
            )
            _show(
                folds_id,
                of_labels,
                desk,
                lambda key, default, ask: st.toggle(
                    t(f"bench.{of_labels}"),
                    default,
                    key=key,
                    on_change=ask,
                    disabled=not is_for_labels,
                    help=t(f"bench.{of_labels}_help" if is_for_labels else f"bench.{of_labels}_refused"),
                ),
            )
        with st.container(horizontal=True, gap="xsmall", width="content"):
            for name, act, pile, keys in (("undo", desk.undo, desk.history, "Ctrl+Z"), ("redo", desk.redo, desk.future, "Ctrl+Shift+Z")):
                st.button(
                    t(f"bench.{name}"),
                    icon=f":material/{name}:",
                    help=t("bench.keys", keys=keys),
                    on_click=act,
                    disabled=not pile,
                    shortcut=keys,
                    key=f"bench-{name}",
                )


def obey(desk: Desk, ensemble: Ensemble, folds_id: int, content: tuple[object, ...]) -> None:
    """Fit what was asked for by a control, as one step of undo; and fit again what was moved, once it is let go."""
    if not desk.content and ensemble.metric.name in LABEL_METRICS:
        desk.draft = replace(desk.draft, procedure=desk.draft.procedure.model_copy(update={"score_by": ensemble.metric.name}))
    if desk.content != content:
        # Other predictions than those the steps were fitted on: a run has finished another fold, or rows were left out.
        desk.is_settled = desk.is_settled and (not desk.content or (desk.draft.is_by_hand and not desk.draft.needs_fit))
        desk.content = content
    asked: Mapping[str, Any] | None = st.session_state.pop(_asked_key(folds_id), None)
    with guard():
        if asked is not None:
            procedure = desk.draft.asked(asked)
            if procedure.trimmed == desk.draft.procedure.trimmed:
                desk.draft = replace(desk.draft, procedure=procedure)
            else:
                desk.put(fit(ensemble, desk.draft, procedure, content))
        elif not desk.is_settled and not desk.is_held:
            desk.is_settled = True  # a refusal is said once, and the blend stays what it was
            desk.settle(fit(ensemble, desk.draft, desk.draft.procedure, content).steps)


def fit(ensemble: Ensemble, draft: Draft, procedure: BlendProcedure, content: tuple[object, ...]) -> Draft:
    """The draft of a procedure on the predictions of an ensemble. Raises StateError where these do not allow it."""
    if procedure.way == "hand" and draft.is_by_hand and draft.kind in ("loose", "apart"):
        # A saved blend whose way is not known: what comes after its base is fitted, the base stays.
        base = draft.base if draft.kind == "apart" else draft.base.model_copy(update={"shrinkage": procedure.shrinkage})
        return Draft(fit_after(procedure, ensemble.scorer(base.mean), base), procedure)
    with st.spinner(t("bench.fitting", what=describe(procedure)), show_time=True):
        if procedure.way == "hand":
            return Draft(ensemble.fit(procedure), procedure)
        steps = _fitted(content, procedure.trimmed.model_dump_json(), ensemble, procedure.trimmed)[0]
    if procedure.way == "equal" and not procedure.chooses_members:
        # Equal weights stay equal under any shrinkage; its slider stays where it is, for the next way.
        steps = steps.model_copy(update={"shrinkage": procedure.shrinkage})
    return Draft(steps, procedure)


def fit_took_s(ensemble: Ensemble, procedure: BlendProcedure, content: tuple[object, ...]) -> float:
    """How long the fit took on all rows, in seconds: what a refit without a fold will take, about."""
    return _fitted(content, procedure.trimmed.model_dump_json(), ensemble, procedure.trimmed)[1]


@st.cache_resource(max_entries=64, show_spinner=False)
def _fitted(content: tuple[object, ...], settings: str, _ensemble: Ensemble, _procedure: BlendProcedure) -> tuple[BlendSteps, float]:
    start = time.perf_counter()
    return _ensemble.fit(_procedure), time.perf_counter() - start


def describe(procedure: BlendProcedure) -> str:
    """A procedure in a few words: the way, and whatever is not plain."""
    parts = [way_label(procedure.way)]
    if procedure.mean != "arithmetic":
        parts.append(t("bench.with_mean", mean=mean_label(procedure.mean)))
    if procedure.trimmed.shrinkage:
        parts.append(t("bench.with_shrinkage", value=f"{procedure.shrinkage:.2f}"))
    parts += [t(f"bench.with_{name}") for name in (*AFTER, "chooses_members") if getattr(procedure, name)]
    return ", ".join(parts)


def _more(desk: Desk, folds_id: int, spec: ContestSpec) -> None:
    for way, name in (("search", "goal"), ("by_class", "prior_rows"), ("stacking", "stack_strength")):
        button, option = st.columns([1, 1.3], vertical_alignment="bottom")
        with button:
            _way_button(desk, folds_id, way, spec, width="stretch")
        with option:
            _option(desk, folds_id, name)
    for place, name in zip(st.columns(3, vertical_alignment="bottom"), ("n_rounds", "n_bags", "bag_share"), strict=True):
        with place:
            _option(desk, folds_id, name)
    score, members = st.columns([1.1, 1.3], vertical_alignment="bottom")
    with score:
        _option(desk, folds_id, "score_by")
    refused = desk.draft.procedure.way in ("hand", "stacking")
    with members:
        _show(
            folds_id,
            "chooses_members",
            desk,
            lambda key, default, ask: st.toggle(
                t("bench.chooses_members"),
                default,
                key=key,
                on_change=ask,
                disabled=refused or len(desk.ids) < 2,
                help=t("bench.chooses_members_refused" if refused else "bench.chooses_members_help"),
            ),
        )


def _way_button(desk: Desk, folds_id: int, way: Way, spec: ContestSpec, *, width: Any = "content") -> None:
    n_runs, procedure = len(desk.ids), desk.draft.procedure
    n_coefficients = 0 if spec.is_multilabel else n_runs * len(spec.classes) ** 2
    told = "stacking_sets" if way == "stacking" and spec.is_multilabel else way
    refusal = ""
    if way == "optimal" and procedure.mean not in (*CONVEX_MEANS, "auto"):
        refusal = t("ensemble.optimal_refused", mean=mean_label(procedure.mean))
    if way == "stacking" and n_coefficients > MOST_COEFFICIENTS:
        refusal = t("bench.stacking_refused", n=f"{n_coefficients:,}", most=f"{MOST_COEFFICIENTS:,}")
    with st.container(key=f"way-{'on' if procedure.way == way else 'off'}-{way}", width=width):
        st.button(
            way_label(way),
            icon=f":material/{ICONS[way]}:",
            help=refusal or t(f"bench.help_{told}"),
            disabled=bool(refusal) or (n_runs < 2 and way != "equal"),
            on_click=_ask,
            args=(folds_id, {"way": way}),
            key=f"way-{way}",
            width=width,
        )


def _option(desk: Desk, folds_id: int, name: str) -> None:
    label, help_text = t(f"bench.{name}"), t(f"bench.{name}_help")
    if name in CHOICES:
        _show(
            folds_id,
            name,
            desk,
            lambda key, default, ask: st.selectbox(
                label,
                CHOICES[name],
                CHOICES[name].index(default),
                format_func=lambda choice: t("bench.goal_contest") if choice == "contest" else t(f"common.metric_{choice}"),
                key=key,
                on_change=ask,
                help=help_text,
            ),
        )
        return
    kind = int if name in WHOLE else float
    low, high = RANGE[name]
    _show(
        folds_id,
        name,
        desk,
        lambda key, default, ask: st.number_input(
            label,
            min_value=kind(min(low, default)),
            max_value=kind(high),
            value=kind(default),
            step=kind(STEP[name]),
            format="%d" if kind is int else "%g",
            key=key,
            on_change=ask,
            help=help_text,
        ),
    )


def _show(folds_id: int, name: str, desk: Desk, draw: Any) -> None:
    """Draw a control of one setting: it shows what the desk has, and a change of it is asked for."""
    value = getattr(desk.draft.procedure, name)
    draw(*control_of(f"blend-{name}-{folds_id}", value, lambda chosen: _ask(folds_id, {name: chosen})))


def _ask(folds_id: int, settings: Mapping[str, Any]) -> None:
    st.session_state[_asked_key(folds_id)] = dict(settings)


def _asked_key(folds_id: int) -> str:
    return f"asked-{folds_id}"


def runs_left_out(draft: Draft) -> Sequence[int]:
    """Places of the runs that a choice among members has left out."""
    return [place for place, weight in enumerate(draft.weights) if draft.procedure.chooses_members and weight < 1e-6]
