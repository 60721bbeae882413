"""The controls of the blend editor: the mean, the ways to weights, what comes after the mean, undo and redo.

A control only says what is asked for; `fit_asked` fits it when the page is drawn. While a pointer holds a slider nothing is fitted.
"""

import time
from dataclasses import replace
from typing import Any, get_args

import streamlit as st

from app.ensemble.draft import AFTER, Draft
from app.ensemble.session import Content, OpenBlend
from app.ui.cards import guard
from app.ui.controls import choose_one, control_of
from app.words.text import t
from core.blend.ensemble import Ensemble
from core.blend.optimum import MOST_COEFFICIENTS
from core.blend.procedure import CONVEX_MEANS, BlendProcedure, Way, fit_after
from core.metrics.scores import LABEL_METRICS, OUTCOME_METRICS, get_metric
from core.specs.blend import BlendSpec, BlendSteps, MeanName

QUICK: tuple[Way, ...] = ("equal", "by_score", "optimal", "greedy")
MORE: dict[Way, str] = {"search": "goal", "by_class": "prior_rows", "stacking": "stack_strength"}
"""Ways in the popover, each with the option beside it."""
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
CHOICES: dict[str, tuple[str, ...]] = {"goal": ("contest", *OUTCOME_METRICS), "score_by": LABEL_METRICS}


NUMBERS: dict[str, tuple[float, float, float]] = {
    "n_rounds": (1, 500, 5),
    "n_bags": (0, 100, 5),
    "bag_share": (0.01, 1.0, 0.1),
    "prior_rows": (0.01, 1e6, 10.0),
    "stack_strength": (1e-6, 1000.0, 0.01),
}
"""The limits and the step of each number; of a whole one all are integers."""


def mean_label(mean: str) -> str:
    """A mean's name in the language of the screen."""
    return t(f"ensemble.mean_{mean}")


def after_label(spec: BlendSpec) -> str:
    """The mean of a blend that is kept, its temperature with that of test rows, and the thresholds where it has any."""
    parts = [mean_label(spec.mean)]
    if spec.temperature != 1 or spec.test_temperature is not None:
        parts.append(t("ensemble.short_temperature", value=f"{spec.temperature:.2f}", on_test=f"{spec.test_steps.temperature:.2f}"))
    if spec.thresholds:
        parts.append(t("ensemble.short_thresholds"))
    return " · ".join(parts)


def describe(procedure: BlendProcedure) -> str:
    """A procedure in a few words: the way, and whatever is not plain."""
    parts = [t(f"ensemble.way_{procedure.way}")]
    if procedure.mean != "arithmetic":
        parts.append(t("ensemble.with_mean", mean=mean_label(procedure.mean)))
    if procedure.trimmed.shrinkage:
        parts.append(t("ensemble.with_shrinkage", value=f"{procedure.shrinkage:.2f}"))
    parts += [t(f"ensemble.with_{name}") for name in (*AFTER, "chooses_members") if getattr(procedure, name)]
    return ", ".join(parts)


def choose_mean(blend: OpenBlend) -> None:
    """How predictions are averaged."""
    is_fixed = blend.draft.kind in ("by_class", "stacking")
    kept, value = blend.kept, blend.draft.settings.mean
    choose_one(
        f"blend-mean-{kept.folds_id}",
        value,
        lambda mean: kept.ask(mean=mean),
        t("ensemble.mean"),
        MEANS,
        mean_label,
        disabled=is_fixed,
        help=t("ensemble.mean_fixed" if is_fixed else "ensemble.mean_help"),
    )


def way_row(blend: OpenBlend) -> None:
    """The ways that are used often as buttons, the others with all options in a popover."""
    with st.container(horizontal=True, gap="small"):
        for way in QUICK:
            _way_button(blend, way)
        way = blend.draft.settings.way
        label = t("ensemble.more_on", way=t(f"ensemble.way_{way}")) if way in MORE else t("ensemble.more")
        with (
            st.container(key=f"way-{'on' if way in MORE else 'off'}-more", width="content"),
            st.popover(label, icon=":material/more_horiz:", width="content", key=f"more-ways-{blend.kept.folds_id}"),
        ):
            # It is closed while a pointer holds a slider, and would cost each step of a drag a quarter.
            if blend.editor.is_held:
                st.caption(t("ensemble.follows"))
            else:
                _more(blend)


def after_row(blend: OpenBlend) -> None:
    """Switches for what is fitted after the mean, offsets or where rows may have several classes thresholds; undo and redo."""
    spec, editor = blend.contest.spec, blend.editor
    of_labels = "thresholds" if spec.is_multilabel else "offsets"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, gap="medium", vertical_alignment="center", width="content"):
            _toggle(blend, "temperature")
            _toggle(blend, of_labels, is_refused=not get_metric(spec.metric).fits_labels)
        with st.container(horizontal=True, gap="xsmall", width="content"):
            for name, act, pile, keys in (
                ("undo", editor.undo, editor.history, "Ctrl+Z"),
                ("redo", editor.redo, editor.future, "Ctrl+Shift+Z"),
            ):
                st.button(
                    t(f"ensemble.{name}"),
                    icon=f":material/{name}:",
                    help=t("ensemble.keys", keys=keys),
                    on_click=act,
                    disabled=not pile,
                    shortcut=keys,
                    key=f"blend-{name}",
                )


def fit_asked(blend: OpenBlend) -> None:
    """Fit what was asked for by a control, as one step of undo; and fit again what was moved, once it is let go."""
    editor, metric = blend.editor, blend.ensemble.metric.name
    if not editor.content and metric in LABEL_METRICS:
        editor.draft = replace(editor.draft, settings=editor.draft.settings.model_copy(update={"score_by": metric}))
    if editor.content != blend.content:
        # Other predictions than those the steps were fitted on: a run has finished another fold, or rows were left out.
        editor.is_settled = editor.is_settled and (not editor.content or (editor.draft.is_by_hand and not editor.draft.needs_fit))
        editor.content = blend.content
    asked, blend.kept.asked = blend.kept.asked, None
    with guard():
        if asked is not None:
            procedure = editor.draft.asked(asked)
            if procedure.trimmed == editor.draft.procedure.trimmed:
                editor.draft = replace(editor.draft, settings=procedure)
            else:
                editor.put(_fit(blend, procedure))
        elif not editor.is_settled and not editor.is_held:
            editor.is_settled = True  # a refusal is said once, and the blend stays what it was
            editor.settle(_fit(blend, editor.draft.procedure).steps)


def fit_took_s(blend: OpenBlend) -> float:
    """How long the draft's fit took on all rows, in seconds: what a refit without a fold will take, about."""
    procedure = blend.draft.procedure.trimmed
    return _fitted(blend.content, procedure.model_dump_json(), blend.ensemble, procedure)[1]


def _fit(blend: OpenBlend, procedure: BlendProcedure) -> Draft:
    """The draft of a procedure. Raises StateError where the predictions do not allow it."""
    draft, ensemble = blend.draft, blend.ensemble
    if procedure.way == "hand" and draft.is_by_hand and draft.kind in ("by_class", "stacking"):
        # A saved blend whose way is not known: what comes after its base is fitted, the base stays.
        base = draft.steps if draft.kind == "stacking" else draft.steps.model_copy(update={"shrinkage": procedure.shrinkage})
        return Draft(fit_after(procedure, ensemble.scorer(base.mean), base), procedure)
    with st.spinner(t("ensemble.fitting", what=describe(procedure)), show_time=True):
        if procedure.way == "hand":
            return Draft(ensemble.fit(procedure), procedure)
        steps = _fitted(blend.content, procedure.trimmed.model_dump_json(), ensemble, procedure.trimmed)[0]
    if procedure.way == "equal" and not procedure.chooses_members:
        # Equal weights stay equal under any shrinkage; its slider stays where it is, for the next way.
        steps = steps.model_copy(update={"shrinkage": procedure.shrinkage})
    return Draft(steps, procedure)


@st.cache_resource(max_entries=64, show_spinner=False)
def _fitted(content: Content, settings: str, _ensemble: Ensemble, _procedure: BlendProcedure) -> tuple[BlendSteps, float]:
    start = time.perf_counter()
    return _ensemble.fit(_procedure), time.perf_counter() - start


def _more(blend: OpenBlend) -> None:
    for way, name in MORE.items():
        button, option = st.columns([1, 1.3], vertical_alignment="bottom")
        with button:
            _way_button(blend, way, width="stretch")
        with option:
            _option(blend, name)
    for place, name in zip(st.columns(3, vertical_alignment="bottom"), ("n_rounds", "n_bags", "bag_share"), strict=True):
        with place:
            _option(blend, name)
    score, members = st.columns([1.1, 1.3], vertical_alignment="bottom")
    with score:
        _option(blend, "score_by")
    with members:
        _toggle(blend, "chooses_members", is_refused=blend.draft.settings.way in ("hand", "stacking"))


def _way_button(blend: OpenBlend, way: Way, *, width: Any = "content") -> None:
    spec, settings, n_runs = blend.contest.spec, blend.draft.settings, len(blend.runs)
    n_coefficients = 0 if spec.is_multilabel else n_runs * len(spec.classes) ** 2
    refusal = ""
    if way == "optimal" and settings.mean not in (*CONVEX_MEANS, "auto"):
        refusal = t("ensemble.optimal_refused", mean=mean_label(settings.mean))
    if way == "stacking" and n_coefficients > MOST_COEFFICIENTS:
        refusal = t("ensemble.stacking_refused", n=f"{n_coefficients:,}", most=f"{MOST_COEFFICIENTS:,}")
    with st.container(key=f"way-{'on' if settings.way == way else 'off'}-{way}", width=width):
        st.button(
            t(f"ensemble.way_{way}"),
            icon=f":material/{ICONS[way]}:",
            help=refusal or t(f"ensemble.help_{'stacking_sets' if way == 'stacking' and spec.is_multilabel else way}"),
            disabled=bool(refusal) or (n_runs < 2 and way != "equal"),
            on_click=blend.kept.ask,
            kwargs={"way": way},
            key=f"way-{way}",
            width=width,
        )


def _toggle(blend: OpenBlend, name: str, *, is_refused: bool = False) -> None:
    key, default, changed = _control(blend, name)
    help_text = t(f"ensemble.{name}_{'refused' if is_refused else 'help'}")
    st.toggle(t(f"ensemble.{name}"), default, key=key, on_change=changed, disabled=is_refused, help=help_text)


def _option(blend: OpenBlend, name: str) -> None:
    label, help_text = t(f"ensemble.{name}"), t(f"ensemble.{name}_help")
    key, default, changed = _control(blend, name)
    if name in CHOICES:
        st.selectbox(
            label,
            CHOICES[name],
            CHOICES[name].index(default),
            format_func=lambda choice: t("ensemble.goal_contest") if choice == "contest" else t(f"common.metric_{choice}"),
            key=key,
            on_change=changed,
            help=help_text,
        )
        return
    low, high, step = NUMBERS[name]
    st.number_input(
        label,
        min_value=min(low, default),
        max_value=high,
        value=default,
        step=step,
        format="%d" if isinstance(low, int) else "%g",
        key=key,
        on_change=changed,
        help=help_text,
    )


def _control(blend: OpenBlend, name: str) -> tuple[str, Any, Any]:
    """`control_of` one setting: it shows what the draft has, and a change of it is asked for."""
    kept = blend.kept
    value = getattr(blend.draft.settings, name)
    return control_of(f"blend-{name}-{kept.folds_id}", value, lambda chosen: kept.ask(**{name: chosen}))
