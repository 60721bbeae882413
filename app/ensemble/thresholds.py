"""Thresholds by class, where rows may have several: what each does to the F1 of its class, as found and honestly."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.ensemble.draft import Desk
from app.ensemble.live_score import Scored
from app.ui.format import metric_label
from app.words.text import t
from core.analysis.threshold_gain import ThresholdGain, threshold_gain
from core.blend.ensemble import Ensemble
from core.metrics.decide import THRESHOLD
from core.specs.blend import BlendSteps

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
