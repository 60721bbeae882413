"""One chart at a time beside the bench: by fold, what is confused or missed, reliability, and what belongs to the way that was chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from app.ensemble.calibration import diagrams_of, draw_diagrams
from app.ensemble.class_shares import class_shares_chart
from app.ensemble.draft import Desk
from app.ensemble.greedy_path import goal_of, has_path, path_chart, path_of
from app.ensemble.live_score import Fixed, Scored, follows_a_drag
from app.ensemble.set_charts import draw_outcomes
from app.ensemble.thresholds import draw_thresholds
from app.ui import charts
from app.ui.charts import CONFIG, Chart, Spec
from app.ui.colors import ACCENT, BAD, QUIET, blend_color, ink, run_color
from app.ui.controls import control_of
from app.words.text import t
from core.analysis.confusion import confused_pairs, confusion_matrix
from core.blend.ensemble import Ensemble

HEIGHT, LEGEND_TOP, LEGEND_ROW = 280, 45, 28
MOST_CELLS = 12
MOST_PAIRS = 12


def choose_chart(desk: Desk, ensemble: Ensemble, folds_id: int) -> str:
    """Which chart is shown; those that only one way has come and go with it."""
    options = ["folds", "outcomes" if ensemble.oof.is_multilabel else "confusion", "reliability"]
    if desk.draft.steps.thresholds:
        options.append("thresholds")
    if has_path(desk.draft.procedure):
        options.append("path")
    if desk.draft.steps.class_weights:
        options.append("classes")
    wanted_key = f"bench-chart-wanted-{folds_id}"
    wanted = st.session_state.get(wanted_key, "folds")
    shown = wanted if wanted in options else "folds"
    key, default, changed = control_of(f"bench-chart-{folds_id}", shown, lambda name: st.session_state.update({wanted_key: name}))
    chosen = st.segmented_control(
        t("bench.chart"),
        options,
        default=default if default in options else shown,
        format_func=lambda name: t(f"bench.chart_{name}"),
        required=True,
        key=key,
        on_change=changed,
        label_visibility="collapsed",
    )
    return chosen or "folds"


def draw_chart(name: str, desk: Desk, ensemble: Ensemble, scored: Scored, fixed: Fixed, classes: Sequence[str], folds_id: int) -> None:
    """Draw the chosen chart; one that needs every probability waits for the end of a drag on large data."""
    steps, procedure = scored.steps, desk.draft.procedure
    if name == "folds":
        charts.draw(by_fold(ensemble, scored, fixed), key="blend-folds", alt=t("charts.blend_title"))
    elif name == "path" and has_path(procedure):
        goal = goal_of(procedure, ensemble.metric)
        with st.spinner(t("bench.path_spinner")):
            path = path_of(scored.content, steps.mean, goal.name, procedure.n_rounds, ensemble)
        charts.draw(path_chart(path, ensemble.runs, goal, height=HEIGHT), key="greedy-path", alt=t("bench.path_title"))
        st.caption(t("bench.path_help"))
    elif name == "classes" and steps.class_weights:
        charts.draw(class_shares_chart(steps, ensemble.runs, classes), key="class-shares", alt=t("bench.classes_title"))
        st.caption(t("bench.classes_help"))
    elif name == "confusion":
        charts.draw(
            confusion(ensemble, scored, classes, is_dark=st.context.theme.type == "dark"),
            key="blend-confusion",
            alt=t("bench.confusion_title"),
        )
    elif name == "outcomes":
        draw_outcomes(ensemble, scored, classes, is_dark=st.context.theme.type == "dark")
    elif name == "thresholds" and steps.thresholds:
        draw_thresholds(desk, ensemble, scored, classes, folds_id)
    else:
        _draw_reliability(desk, ensemble, scored, folds_id)


def by_fold(ensemble: Ensemble, scored: Scored, fixed: Fixed) -> Chart:
    """The blend fold by fold, among its runs and equal weights."""
    now, equal = t("charts.blend_now"), t("charts.equal")
    series = {now: scored.score.fold_scores, equal: fixed.equal.fold_scores}
    series |= {run.name: score.fold_scores for run, score in zip(ensemble.runs, fixed.own, strict=True)}
    colors = {now: blend_color(), equal: QUIET} | {run.name: run_color(run.id) for run in ensemble.runs}
    numbers = np.unique(ensemble.oof.fold_of).tolist()
    table = pd.DataFrame(
        [(name, fold, score) for name, scores in series.items() for fold, score in zip(numbers, scores, strict=True)],
        columns=["name", "fold", "score"],
    )
    return charts.blend_folds(table, colors, ensemble.metric, height=max(HEIGHT, LEGEND_TOP + LEGEND_ROW * len(series)))


def confusion(ensemble: Ensemble, scored: Scored, classes: Sequence[str], *, is_dark: bool) -> Chart:
    """Which classes the blend takes for which: the whole matrix of few classes, the most frequent errors of many."""
    matrix = confusion_matrix(ensemble.oof.y_true, scored.outcome.y_pred, len(classes))
    pairs = confused_pairs(matrix, most=MOST_PAIRS)
    title: Spec = {"text": t("bench.confusion_title"), "anchor": "start", "fontSize": 13, "fontWeight": 600, "offset": 10}
    count: Spec = {"field": "count", "type": "quantitative", "title": t("bench.rows"), "format": ","}
    if len(classes) > MOST_CELLS:
        table = pd.DataFrame(
            {"pair": [f"{classes[pair.true]} → {classes[pair.pred]}" for pair in pairs], "count": [pair.count for pair in pairs]}
        )
        encoding: Spec = {
            "y": {
                "field": "pair",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelLimit": 260, "labelOverlap": False, "labelFlush": False},
            },
            "x": {"field": "count", "type": "quantitative", "title": t("bench.rows"), "axis": {"tickMinStep": 1, "format": "d"}},
            "tooltip": [{"field": "pair", "type": "nominal", "title": t("bench.pair")}, count],
        }
        bar: Spec = {"mark": {"type": "bar", "color": ACCENT, "opacity": 0.8, "height": {"band": 0.7}}}
        return Chart({"height": HEIGHT, "title": title, "encoding": encoding, "layer": [bar], "config": CONFIG}, table)
    names = np.asarray(classes, dtype=object)
    true, pred = (places.ravel() for places in np.indices(matrix.shape))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    table = pd.DataFrame(
        {"true": names[true], "pred": names[pred], "count": matrix.ravel(), "share": share.ravel(), "is_right": true == pred}
    )
    axis: Spec = {"labelLimit": 120, "labelOverlap": False, "labelFlush": False, "ticks": False, "domain": False}
    encoding = {
        "x": {
            "field": "pred",
            "type": "nominal",
            "sort": list(classes),
            "title": t("bench.predicted"),
            "axis": {**axis, "labelAngle": 0 if len(classes) < 7 else -40},
        },
        "y": {"field": "true", "type": "nominal", "sort": list(classes), "title": t("bench.true"), "axis": axis},
        "tooltip": [
            {"field": "true", "type": "nominal", "title": t("bench.true")},
            {"field": "pred", "type": "nominal", "title": t("bench.predicted")},
            count,
            {"field": "share", "type": "quantitative", "title": t("bench.of_true"), "format": ".1%"},
        ],
    }
    # Errors are drawn stronger than hits: on one scale a good blend's would all be white.
    strength: Spec = {
        "field": "share",
        "type": "quantitative",
        "legend": None,
        "scale": {"type": "sqrt", "domain": [0, 0.3], "range": [0.03, 0.9], "clamp": True},
    }
    cells: list[Spec] = [
        {
            "transform": [{"filter": "datum.is_right"}],
            "mark": {"type": "rect", "color": QUIET, "opacity": 0.25},
        },
        {
            "transform": [{"filter": "!datum.is_right"}],
            "mark": {"type": "rect", "color": BAD},
            "encoding": {"opacity": strength},
        },
        {
            "transform": [{"filter": "datum.count > 0"}],
            "mark": {"type": "text", "fontSize": 11, "color": ink(is_dark=is_dark)},
            "encoding": {"text": {"field": "count", "type": "quantitative", "format": ","}},
        },
    ]
    return Chart({"height": HEIGHT, "title": title, "encoding": encoding, "layer": cells, "config": CONFIG}, table)


def _draw_reliability(desk: Desk, ensemble: Ensemble, scored: Scored, folds_id: int) -> None:
    key = f"reliability-{folds_id}"
    name = (scored.content, scored.steps)
    known = st.session_state.get(key)
    waits = desk.is_held and not follows_a_drag(ensemble, scored.steps.model_copy(update={"temperature": 2.0}))
    if known is None or (known[0] != name and not waits):
        with st.spinner(t("bench.reliability_spinner")):
            known = name, diagrams_of(ensemble, scored.steps)
        st.session_state[key] = known
    draw_diagrams(known[1], of_sets=ensemble.oof.is_multilabel)
    if known[0] != name:
        st.caption(t("bench.follows"))
