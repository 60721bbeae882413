"""Charts beside the editor where rows may have several classes: what becomes of each class, and what its threshold does to its F1."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
import streamlit as st

from app.ensemble.draft import Desk
from app.ensemble.score import Scored
from app.ui.charts import CONFIG, Chart, Spec, draw
from app.ui.colors import ink
from app.ui.format import metric_label
from app.ui.outcome_chart import COLORS, legend
from app.words.text import t
from core.analysis.errors import OUTCOMES, set_report
from core.analysis.worth import ThresholdGain, threshold_gain
from core.blend.ensemble import Ensemble
from core.metrics.decide import THRESHOLD
from core.specs.blend import BlendSteps

ROW_PX, SMALL_ROW_PX, FEW = 30, 19, 10
SCROLLED_PX = 300
"""More classes than stand in this are scrolled."""
MOST_SHOWN = 60


def draw_outcomes(ensemble: Ensemble, scored: Scored, classes: Sequence[str], *, is_dark: bool) -> None:
    """The classes in the order of their F1 under equal weights, so that none leaves its place during a drag."""
    title = t("bench.outcomes_title")
    equal = _equal_report(scored.content, tuple(classes), ensemble)
    shown = equal["f1"].fillna(2.0).sort_values(kind="stable").index[:MOST_SHOWN].to_numpy()
    report = set_report(ensemble.oof.y_true, ensemble.labels(scored.outcome), classes)
    chart = outcome_bars(report.iloc[shown], equal.iloc[shown], is_dark=is_dark)
    style = f"font-size:0.8125rem;font-weight:600;color:{ink(is_dark=is_dark)};margin-bottom:4px"
    st.html(f'<div style="{style}">{escape(title)}</div>{legend()}')
    height = chart.spec["height"]
    with st.container(height=SCROLLED_PX if height > SCROLLED_PX else "content", border=False, key="blend-outcomes-box"):
        draw(chart, key="blend-outcomes", alt=title)
    some = [t("bench.outcomes_some", n=len(shown), total=len(classes))] if len(shown) < len(classes) else []
    st.caption(" ".join([*some, t("bench.outcomes_help")]))


def outcome_bars(report: pd.DataFrame, equal: pd.DataFrame, *, is_dark: bool) -> Chart:
    """One bar per row of a report of sets, its F1 at the end; a mark where found ends in the report `equal`, of the same classes."""
    counts = report[list(OUTCOMES)].to_numpy()
    ends = equal["found"].to_numpy() / np.maximum(equal[list(OUTCOMES)].sum(axis=1).to_numpy(), 1)
    names = {outcome: t(f"misses.{outcome}") for outcome in OUTCOMES}
    n = len(report)
    table = pd.DataFrame(
        {
            "class": np.repeat(report["class"].to_numpy(), len(OUTCOMES)),
            "outcome": list(names.values()) * n,
            "place": list(range(len(OUTCOMES))) * n,
            "count": counts.ravel(),
            "share": (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).ravel(),
            "equal": np.repeat(ends, len(OUTCOMES)),
            "f1": np.repeat(["–" if np.isnan(value) else f"{value:.3f}" for value in report["f1"]], len(OUTCOMES)),
            "f1_equal": np.repeat(["–" if np.isnan(value) else f"{value:.3f}" for value in equal["f1"]], len(OUTCOMES)),
        }
    )
    share: Spec = {"field": "share", "type": "quantitative"}
    axis: Spec = {"labelLimit": 130, "labelOverlap": False, "labelFlush": False, "ticks": False, "domain": False}
    first = [{"filter": "datum.place == 0"}]
    layer: list[Spec] = [
        {
            "mark": {"type": "bar", "height": {"band": 0.8}},
            "encoding": {
                "x": {**share, "stack": "zero", "axis": None, "scale": {"domain": [0, 1], "nice": False}},
                "color": {
                    "field": "outcome",
                    "type": "nominal",
                    "legend": None,
                    "scale": {"domain": list(names.values()), "range": [COLORS[outcome] for outcome in OUTCOMES]},
                },
                "order": {"field": "place", "type": "quantitative"},
                "tooltip": [
                    {"field": "class", "type": "nominal", "title": t("charts.class")},
                    {"field": "outcome", "type": "nominal", "title": t("bench.outcome")},
                    {"field": "count", "type": "quantitative", "title": t("bench.rows"), "format": ","},
                    {**share, "title": t("bench.of_bar"), "format": ".1%"},
                    {"field": "f1", "type": "nominal", "title": "F1"},
                    {"field": "f1_equal", "type": "nominal", "title": t("bench.f1_equal")},
                ],
            },
        },
        {
            "transform": first,
            "mark": {"type": "tick", "thickness": 2, "color": ink(is_dark=is_dark), "opacity": 0.8, "bandSize": 10 if n > FEW else 16},
            "encoding": {"x": {"field": "equal", "type": "quantitative"}},
        },
        {
            "transform": first,
            "mark": {"type": "text", "align": "left", "dx": 6, "fontSize": 11, "color": ink(is_dark=is_dark)},
            "encoding": {"x": {"datum": 1}, "text": {"field": "f1", "type": "nominal"}},
        },
    ]
    spec: Spec = {
        "height": (ROW_PX if n <= FEW else SMALL_ROW_PX) * n,
        "padding": {"left": 0, "top": 2, "bottom": 2, "right": 44},  # room for F1 after the bars
        "encoding": {"y": {"field": "class", "type": "nominal", "sort": None, "title": None, "axis": axis}},
        "layer": layer,
        "config": {**CONFIG, "view": {"stroke": None}},
    }
    return Chart(spec, table)


@st.cache_resource(max_entries=4, show_spinner=False)
def _equal_report(content: tuple[object, ...], classes: tuple[str, ...], _ensemble: Ensemble) -> pd.DataFrame:
    return set_report(_ensemble.oof.y_true, _ensemble.labels(_ensemble.outcome(_ensemble.equal_weights)), classes)


MOST_NAMED = 5
MOST_ROWS, TABLE_PX = 8, 300
"""A longer table of classes is scrolled, at this height."""


def describe_thresholds(thresholds: Sequence[float], classes: Sequence[str]) -> str:
    """How far thresholds reach, and the classes furthest from one half; or that none helped."""
    order = sorted(range(len(thresholds)), key=lambda label: (-abs(thresholds[label] - THRESHOLD), label))
    named = [f"{classes[label]} ({thresholds[label]:.2f})" for label in order[:MOST_NAMED] if thresholds[label] != THRESHOLD]
    if not named:
        return t("bench.thresholds_none")
    return t("bench.thresholds_found", low=f"{min(thresholds):.2f}", high=f"{max(thresholds):.2f}", furthest=" · ".join(named))


def draw_thresholds(desk: Desk, ensemble: Ensemble, scored: Scored, classes: Sequence[str], folds_id: int) -> None:
    """The table of classes; while a slider is held it stays, as thresholds do."""
    key = f"threshold-gain-{folds_id}"
    name = (scored.content, scored.steps)
    known: tuple[object, ThresholdGain] | None = st.session_state.get(key)
    if known is None or (known[0] != name and not desk.is_held):
        with st.spinner(t("bench.thresholds_spinner")):
            known = name, _gain(scored.content, scored.steps.model_dump_json(), ensemble, scored.steps, tuple(classes))
        st.session_state[key] = known
    threshold_table(known[1], ensemble.metric.name)
    if known[0] != name:
        st.caption(t("bench.thresholds_held"))


def threshold_table(found: ThresholdGain, metric: str) -> None:
    """Every class, those that gain most first, under what all of them together are worth."""
    figures = {name: f"{score:.4f}" for name, score in (("before", found.before), ("after", found.after))}
    said = t("bench.thresholds_worth", metric=metric_label(metric), **figures)
    if found.honest is not None:
        said += t("bench.thresholds_honest", honest=f"{found.honest:.4f}")
    st.markdown(said)
    gain = (found.table["f1"].fillna(0) - found.table["f1_before"].fillna(0)).sort_values(ascending=False, kind="stable")
    number = st.column_config.NumberColumn
    st.dataframe(
        found.table.loc[gain.index],
        hide_index=True,
        key="blend-thresholds",
        height="content" if len(gain) <= MOST_ROWS else TABLE_PX,
        placeholder="–",
        alt=t("bench.chart_thresholds"),
        column_order=["class", "threshold", "f1_before", "f1", *([] if found.honest is None else ["f1_honest"]), "support", "predicted"],
        column_config={
            "class": st.column_config.TextColumn(t("errors.class_name"), pinned=True),
            "threshold": number(t("errors.class_threshold"), format="%.3f", width=70),
            "f1_before": number(t("bench.f1_before"), format="%.3f", help=t("bench.f1_before_help"), width=66),
            "f1": number(t("bench.f1_now"), format="%.3f", help=t("bench.f1_now_help"), width=66),
            "f1_honest": number(t("bench.f1_honest"), format="%.3f", help=t("bench.f1_honest_help"), width=70),
            "support": number(t("errors.class_support"), format="%d", help=t("errors.class_support_help"), width=62),
            "predicted": number(t("errors.class_predicted"), format="%d", help=t("errors.class_predicted_help"), width=62),
        },
    )
    if found.honest is not None:
        st.caption(t("bench.thresholds_worse", n=found.n_worse, of=len(gain)))


@st.cache_resource(max_entries=16, show_spinner=False)
def _gain(content: tuple[object, ...], settings: str, _ensemble: Ensemble, _steps: BlendSteps, classes: tuple[str, ...]) -> ThresholdGain:
    return threshold_gain(_ensemble, _steps, classes)
