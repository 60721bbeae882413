"""One chart at a time beside the editor: by fold, what is confused, reliability, and what belongs to the way that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from app.ensemble.draft import Desk
from app.ensemble.score import Fixed, Scored, follows_a_drag
from app.ensemble.set_charts import draw_outcomes, draw_thresholds
from app.ui import charts
from app.ui.charts import CONFIG, Chart, Spec, draw, metric_axis
from app.ui.colors import ACCENT, BAD, QUIET, blend_color, ink, run_color
from app.ui.controls import control_of
from app.words.text import t
from core.analysis.errors import confused_pairs, confusion_matrix
from core.blend.calibrate import Reliability, reliability, reliability_of_yes
from core.blend.ensemble import Ensemble
from core.blend.procedure import BlendProcedure
from core.blend.steps import afterwards, of_classes, one_vs_rest, without_after
from core.blend.weights import Path, greedy
from core.metrics.scores import Metric, get_metric
from core.specs.blend import BlendSteps, MeanName
from core.store.runs import Run

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


MOST_OFFSETS = 5
Diagrams = tuple[Reliability, Reliability | None]


def diagrams_of(ensemble: Ensemble, steps: BlendSteps) -> Diagrams:
    """Reliability of the mean alone, and of the whole blend where something after the mean changes probabilities."""
    prob = ensemble.prob(without_after(steps))
    if ensemble.oof.is_multilabel:
        before = reliability_of_yes(prob, ensemble.oof.y_true)
        if steps.temperature == 1:
            return before, None
        return before, reliability_of_yes(of_classes(afterwards(one_vs_rest(prob), steps), prob.shape[1]), ensemble.oof.y_true)
    before = reliability(prob, ensemble.oof.y_true)
    has_after = steps.temperature != 1 or bool(steps.offsets)
    return before, reliability(afterwards(prob, steps), ensemble.oof.y_true) if has_after else None


def draw_diagrams(found: Diagrams, *, of_sets: bool = False) -> None:
    """Two small diagrams side by side; one, and how to get the other, where nothing comes after the mean."""
    before, after = found
    sets = "_sets" if of_sets else ""
    left, right = st.columns(2, gap="small")
    with left:
        title = t("bench.reliability_before" if after else f"bench.reliability_now{sets}")
        draw(diagram(before, title, QUIET if after else ACCENT, of_sets=of_sets), key="reliability-before", alt=title)
    with right:
        if after is None:
            st.caption(t(f"bench.reliability_hint{sets}"))
        else:
            title = t("bench.reliability_after")
            draw(diagram(after, title, ACCENT, of_sets=of_sets), key="reliability-after", alt=title)
    st.caption(t(f"bench.reliability_help{sets}"))


def diagram(found: Reliability, title: str, color: str, *, of_sets: bool = False, height: int = 230) -> Chart:
    """Share of right labels over the probability of the label, one point per bin, larger with more rows; the diagonal is honest.

    `of_sets`: the share of true classes over the probability of a class, one question per row and class.
    """
    sets = "_sets" if of_sets else ""
    sure, right = t(f"bench.axis_confidence{sets}"), t(f"bench.axis_accuracy{sets}")
    has_rows = found.count > 0
    table = pd.DataFrame(
        {
            "confidence": found.confidence[has_rows],
            "accuracy": found.accuracy[has_rows],
            "rows": found.count[has_rows],
            "span": [f"{low:.2f} – {high:.2f}" for low, high in zip(found.edges[:-1][has_rows], found.edges[1:][has_rows], strict=True)],
        }
    )
    unit: Spec = {"domain": [0, 1], "nice": False}
    tooltip = [
        {"field": "span", "type": "nominal", "title": sure},
        {"field": "rows", "type": "quantitative", "title": t("bench.questions" if of_sets else "bench.rows"), "format": ","},
        {"field": "confidence", "type": "quantitative", "title": t("bench.mean_confidence"), "format": ".3f"},
        {"field": "accuracy", "type": "quantitative", "title": right, "format": ".3f"},
    ]
    spec = {
        "height": height,
        "title": {
            "text": title,
            "subtitle": t("bench.calibration_error", value=f"{found.error:.4f}"),
            "anchor": "start",
            "fontSize": 13,
            "fontWeight": 600,
            "subtitleColor": QUIET,
            "offset": 8,
        },
        "encoding": {
            "x": {"field": "confidence", "type": "quantitative", "title": sure, "scale": unit},
            "y": {"field": "accuracy", "type": "quantitative", "title": right, "scale": unit},
        },
        "layer": [
            {
                "data": {"values": [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]},
                "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1, "color": QUIET},
            },
            {"mark": {"type": "line", "strokeWidth": 1.5, "color": color, "opacity": 0.7}},
            {
                "mark": {"type": "circle", "color": color, "opacity": 0.9},
                "encoding": {
                    "size": {"field": "rows", "type": "quantitative", "legend": None, "scale": {"range": [20, 260]}},
                    "tooltip": tooltip,
                },
            },
        ],
        "config": CONFIG,
    }
    return Chart(spec, table)


def describe_temperature(temperature: float) -> str:
    """The temperature, and which way it goes."""
    way = (
        "bench.temperature_as_is"
        if abs(temperature - 1) < 0.005
        else "bench.temperature_less"
        if temperature > 1
        else "bench.temperature_more"
    )
    return t(way, value=f"{temperature:.3f}")


def describe_offsets(offsets: Sequence[float], classes: Sequence[str]) -> str:
    """The classes with the largest offsets, or that none helped."""
    order = sorted(range(len(offsets)), key=lambda label: (-abs(offsets[label]), label))
    largest = [f"{classes[label]} {offsets[label]:+.2f}" for label in order[:MOST_OFFSETS] if offsets[label]]
    return t("bench.offsets_found", largest=" · ".join(largest)) if largest else t("bench.offsets_none")


MOST_CLASSES = 12


def class_shares_chart(steps: BlendSteps, runs: Sequence[Run], classes: Sequence[str], *, height: int = 280) -> Chart:
    """The share of each run as one bar per class, shrinkage included; of many classes those that differ most from the mean."""
    share = np.asarray(steps.share)
    far = np.abs(share - share.mean(axis=1, keepdims=True)).sum(axis=0)
    shown = np.sort(np.argsort(-far, kind="stable")[:MOST_CLASSES])
    table = pd.DataFrame(
        [(classes[label], run.name, place, float(share[place, label])) for label in shown.tolist() for place, run in enumerate(runs)],
        columns=["class", "run", "place", "share"],
    )
    names = [run.name for run in runs]
    value: Spec = {"field": "share", "type": "quantitative", "title": t("bench.share_axis")}
    spec = {
        "height": height,
        "title": {"text": t("bench.classes_title"), "anchor": "start", "fontSize": 13, "fontWeight": 600, "offset": 10},
        "encoding": {
            "y": {
                "field": "class",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelLimit": 150, "labelOverlap": False, "labelFlush": False},
            },
            "x": {**value, "stack": "zero", "scale": {"domain": [0, 1], "nice": False}},
            "color": {
                "field": "run",
                "type": "nominal",
                "sort": names,
                "title": None,
                "scale": {"domain": names, "range": [run_color(run.id) for run in runs]},
                "legend": {"orient": "right", "labelLimit": 180},
            },
            "order": {"field": "place", "type": "quantitative"},
            "tooltip": [
                {"field": "class", "type": "nominal", "title": t("charts.class")},
                {"field": "run", "type": "nominal", "title": t("charts.run")},
                {**value, "format": ".3f"},
            ],
        },
        "layer": [{"mark": {"type": "bar", "height": {"band": 0.75}, "opacity": 0.85}}],
        "config": CONFIG,
    }
    return Chart(spec, table)


def has_path(procedure: BlendProcedure) -> bool:
    """One selection over all runs: with bags there are many paths, with chosen runs one for each try."""
    return procedure.way == "greedy" and procedure.n_bags == 0 and not procedure.chooses_members


def goal_of(procedure: BlendProcedure, metric: Metric) -> Metric:
    """The metric that the selection climbs."""
    return metric if procedure.goal == "contest" else get_metric(procedure.goal)


@st.cache_resource(max_entries=32, show_spinner=False)
def path_of(content: tuple[object, ...], mean: MeanName, goal: str, n_rounds: int, _ensemble: Ensemble) -> Path:
    """The selection again, as the fit made it."""
    return greedy(replace(_ensemble.scorer(mean), metric=get_metric(goal)), n_rounds=n_rounds)


def path_chart(path: Path, runs: tuple[Run, ...], metric: Metric, *, height: int = 250) -> Chart:
    """Score by round, each point in the colour of the run that was taken, a ring where the weights are from."""
    names = [run.name for run in runs]
    best = path.scores.index(metric.best(list(path.scores)))
    table = pd.DataFrame(
        {
            "round": range(1, len(path.scores) + 1),
            "score": path.scores,
            "run": [names[place] for place in path.members],
            "is_end": [number == best for number in range(len(path.scores))],
        }
    )
    taken = [place for place in range(len(runs)) if place in set(path.members)]
    score = {"field": "score", "type": "quantitative", "title": metric_axis(metric)}
    tooltip = [
        {"field": "round", "type": "quantitative", "title": t("bench.round"), "format": "d"},
        {"field": "run", "type": "nominal", "title": t("charts.run")},
        {**score, "format": ".5f"},
    ]
    spec = {
        "height": height,
        "title": {"text": t("bench.path_title"), "anchor": "start", "fontSize": 13, "fontWeight": 600, "offset": 10},
        "encoding": {
            "x": {
                "field": "round",
                "type": "quantitative",
                "title": t("bench.round"),
                "scale": {"domain": [1, max(2, len(table))], "nice": False},
                "axis": {"format": "d", "tickMinStep": 1, "tickCount": min(len(table), 12), "grid": False},
            },
            "y": {**score, "scale": {"zero": False, "nice": True}},
        },
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.2, "color": QUIET}},
            {
                "mark": {"type": "circle", "size": 90, "opacity": 1},
                "encoding": {
                    "color": {
                        "field": "run",
                        "type": "nominal",
                        "title": t("bench.taken"),
                        "scale": {"domain": [names[place] for place in taken], "range": [run_color(runs[place].id) for place in taken]},
                        "legend": {"orient": "right", "labelLimit": 180},
                    },
                    "tooltip": tooltip,
                },
            },
            {
                "transform": [{"filter": "datum.is_end"}],
                "mark": {"type": "point", "size": 260, "filled": False, "strokeWidth": 2, "opacity": 1, "color": QUIET},
            },
        ],
        "config": CONFIG,
    }
    return Chart(spec, table)
