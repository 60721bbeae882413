"""Charts beside the editor where rows may have several classes: what becomes of each class, and what its threshold does to its F1."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
import streamlit as st

from app.ensemble.score import Scored
from app.ensemble.session import Content, OpenBlend
from app.ui.charts import BARE_AXIS, CONFIG, Chart, Spec, draw, nominal, quantity
from app.ui.class_bars import COLORS, legend
from app.ui.colors import ink
from app.ui.format import metric_label
from app.words.text import t
from core.analysis.compare import ThresholdGain, threshold_gain
from core.analysis.errors import OUTCOMES, set_report
from core.blend.ensemble import Ensemble
from core.specs.blend import BlendSteps

ROW_PX, SMALL_ROW_PX, FEW = 30, 19, 10
SCROLLED_PX = 300
"""More classes than stand in this are scrolled."""
MOST_SHOWN, MOST_ROWS = 60, 8


def draw_outcomes(ensemble: Ensemble, scored: Scored, classes: Sequence[str], *, is_dark: bool) -> None:
    """The classes in the order of their F1 under equal weights, so that none leaves its place during a drag."""
    title = t("ensemble.outcomes_title")
    equal = _equal_report(scored.content, tuple(classes), ensemble)
    shown = equal["f1"].fillna(2.0).sort_values(kind="stable").index[:MOST_SHOWN].to_numpy()
    report = set_report(ensemble.oof.y_true, ensemble.labels(scored.outcome), classes)
    chart = outcome_bars(report.iloc[shown], equal.iloc[shown], is_dark=is_dark)
    style = f"font-size:0.8125rem;font-weight:600;color:{ink(is_dark=is_dark)};margin-bottom:4px"
    st.html(f'<div style="{style}">{escape(title)}</div>{legend()}')
    is_long = chart.spec["height"] > SCROLLED_PX
    with st.container(height=SCROLLED_PX if is_long else "content", border=False, key="blend-outcomes-box"):
        draw(chart, key="blend-outcomes", alt=title)
    some = [t("ensemble.outcomes_some", n=len(shown), total=len(classes))] if len(shown) < len(classes) else []
    st.caption(" ".join([*some, t("ensemble.outcomes_help")]))


def outcome_bars(report: pd.DataFrame, equal: pd.DataFrame, *, is_dark: bool) -> Chart:
    """One bar per row of a report of sets, its F1 at the end; a mark where found ends in the report `equal`, of the same classes."""
    counts = report[list(OUTCOMES)].to_numpy()
    ends = equal["found"].to_numpy() / np.maximum(equal[list(OUTCOMES)].sum(axis=1).to_numpy(), 1)
    names = {outcome: t(f"misses.{outcome}") for outcome in OUTCOMES}
    n, n_each = len(report), len(OUTCOMES)
    table = pd.DataFrame(
        {
            "class": np.repeat(report["class"].to_numpy(), n_each),
            "outcome": list(names.values()) * n,
            "place": list(range(n_each)) * n,
            "count": counts.ravel(),
            "share": (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).ravel(),
            "equal": np.repeat(ends, n_each),
            "f1": np.repeat(["–" if np.isnan(value) else f"{value:.3f}" for value in report["f1"]], n_each),
            "f1_equal": np.repeat(["–" if np.isnan(value) else f"{value:.3f}" for value in equal["f1"]], n_each),
        }
    )
    share: Spec = quantity("share")
    first = [{"filter": "datum.place == 0"}]
    scale = {"domain": list(names.values()), "range": [COLORS[outcome] for outcome in OUTCOMES]}
    layer: list[Spec] = [
        {
            "mark": {"type": "bar", "height": {"band": 0.8}},
            "encoding": {
                "x": {**share, "stack": "zero", "axis": None, "scale": {"domain": [0, 1], "nice": False}},
                "color": nominal("outcome", legend=None, scale=scale),
                "order": quantity("place"),
                "tooltip": [
                    nominal("class", title=t("charts.class")),
                    nominal("outcome", title=t("ensemble.outcome")),
                    quantity("count", title=t("ensemble.rows"), format=","),
                    {**share, "title": t("ensemble.of_bar"), "format": ".1%"},
                    nominal("f1", title="F1"),
                    nominal("f1_equal", title=t("ensemble.f1_equal")),
                ],
            },
        },
        {
            "transform": first,
            "mark": {"type": "tick", "thickness": 2, "color": ink(is_dark=is_dark), "opacity": 0.8, "bandSize": 10 if n > FEW else 16},
            "encoding": {"x": quantity("equal")},
        },
        {
            "transform": first,
            "mark": {"type": "text", "align": "left", "dx": 6, "fontSize": 11, "color": ink(is_dark=is_dark)},
            "encoding": {"x": {"datum": 1}, "text": nominal("f1")},
        },
    ]
    spec: Spec = {
        "height": (ROW_PX if n <= FEW else SMALL_ROW_PX) * n,
        "padding": {"left": 0, "top": 2, "bottom": 2, "right": 44},  # room for F1 after the bars
        "encoding": {"y": nominal("class", sort=None, axis={"labelLimit": 130, **BARE_AXIS})},
        "layer": layer,
        "config": {**CONFIG, "view": {"stroke": None}},
    }
    return Chart(spec, table)


@st.cache_resource(max_entries=4, show_spinner=False)
def _equal_report(content: Content, classes: tuple[str, ...], _ensemble: Ensemble) -> pd.DataFrame:
    return set_report(_ensemble.oof.y_true, _ensemble.labels(_ensemble.outcome(_ensemble.equal_weights)), classes)


def draw_thresholds(blend: OpenBlend, scored: Scored) -> None:
    """Every class, those that gain most first, under what all of them together are worth; while a slider is held the table stays."""
    steps = scored.steps
    found, is_now = blend.latest(
        "thresholds",
        (scored.content, steps),
        lambda: _gain(scored.content, steps.model_dump_json(), blend.ensemble, steps, blend.classes),
        waits=blend.editor.is_held,
        spinner=t("ensemble.thresholds_spinner"),
    )
    metric = metric_label(blend.ensemble.metric.name)
    said = t("ensemble.thresholds_worth", metric=metric, before=f"{found.before:.4f}", after=f"{found.after:.4f}")
    has_cross_fitted = found.honest is not None
    if has_cross_fitted:
        said += t("ensemble.thresholds_cross_fitted", cross_fitted=f"{found.honest:.4f}")
    st.markdown(said)
    gain = (found.table["f1"].fillna(0) - found.table["f1_before"].fillna(0)).sort_values(ascending=False, kind="stable")
    number = st.column_config.NumberColumn
    st.dataframe(
        found.table.loc[gain.index],
        hide_index=True,
        key="blend-thresholds",
        height="content" if len(gain) <= MOST_ROWS else SCROLLED_PX,
        placeholder="–",
        alt=t("ensemble.chart_thresholds"),
        column_order=["class", "threshold", "f1_before", "f1", *(["f1_honest"] if has_cross_fitted else []), "support", "predicted"],
        column_config={
            "class": st.column_config.TextColumn(t("errors.class_name"), pinned=True),
            "threshold": number(t("errors.class_threshold"), format="%.3f", width=70),
            "f1_before": number(t("ensemble.f1_before"), format="%.3f", help=t("ensemble.f1_before_help"), width=66),
            "f1": number(t("ensemble.f1_now"), format="%.3f", help=t("ensemble.f1_now_help"), width=66),
            "f1_honest": number(t("ensemble.f1_cross_fitted"), format="%.3f", help=t("ensemble.f1_cross_fitted_help"), width=70),
            "support": number(t("errors.class_support"), format="%d", help=t("errors.class_support_help"), width=62),
            "predicted": number(t("errors.class_predicted"), format="%d", help=t("errors.class_predicted_help"), width=62),
        },
    )
    if has_cross_fitted:
        st.caption(t("ensemble.thresholds_worse", n=found.n_worse, of=len(gain)))
    if not is_now:
        st.caption(t("ensemble.thresholds_held"))


@st.cache_resource(max_entries=16, show_spinner=False)
def _gain(content: Content, settings: str, _ensemble: Ensemble, _steps: BlendSteps, classes: tuple[str, ...]) -> ThresholdGain:
    return threshold_gain(_ensemble, _steps, classes)
