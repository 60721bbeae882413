"""One chart at a time beside the editor: by fold, what is confused, reliability, and what belongs to the way that was chosen."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from app.ensemble.score import Fixed, Scored, follows_a_drag
from app.ensemble.session import Content, OpenBlend
from app.ensemble.set_charts import draw_outcomes, draw_thresholds
from app.ui import charts
from app.ui.charts import BARE_AXIS, CONFIG, EVERY_LABEL, Chart, Spec, chart_title, draw, metric_axis, nominal, quantity
from app.ui.colors import ACCENT, BAD, QUIET, ink, run_color
from app.ui.controls import choose_one
from app.words.text import t
from core.analysis.errors import confused_pairs, confusion_matrix
from core.blend.calibrate import Reliability, reliability
from core.blend.ensemble import Ensemble
from core.blend.procedure import BlendProcedure
from core.blend.steps import without_after
from core.blend.weights import Path, greedy
from core.metrics.scores import Metric, get_metric
from core.specs.blend import BlendSteps, MeanName
from core.store.runs import Run

HEIGHT, SMALL = 280, 230
MOST_CELLS = 12
MOST_PAIRS = 12
MOST_CLASSES = 12


def choose_chart(blend: OpenBlend) -> str:
    """Which chart is shown; those that only one way has come and go with it."""
    kept, draft = blend.kept, blend.draft
    options = ["folds", "outcomes" if blend.ensemble.oof.is_multilabel else "confusion", "reliability"]
    if draft.steps.thresholds:
        options.append("thresholds")
    if has_path(draft.settings):
        options.append("path")
    if draft.steps.class_weights:
        options.append("classes")
    return choose_one(
        f"blend-chart-{kept.folds_id}",
        kept.chart if kept.chart in options else "folds",
        lambda name: setattr(kept, "chart", name),
        t("ensemble.chart"),
        options,
        lambda name: t(f"ensemble.chart_{name}"),
        label_visibility="collapsed",
    )


def draw_chart(name: str, blend: OpenBlend, scored: Scored, fixed: Fixed) -> None:
    """Draw the chosen chart; one that needs every probability waits for the end of a drag on large data."""
    ensemble, steps, settings = blend.ensemble, scored.steps, blend.draft.settings
    is_dark = st.context.theme.type == "dark"
    if name == "folds":
        draw(by_fold(ensemble, scored, fixed), key="blend-folds", alt=t("charts.blend_title"))
    elif name == "path" and has_path(settings):
        goal = ensemble.metric if settings.goal == "contest" else get_metric(settings.goal)
        with st.spinner(t("ensemble.path_spinner")):
            path = _path(scored.content, steps.mean, goal.name, settings.n_rounds, ensemble)
        draw(path_chart(path, ensemble.runs, goal), key="greedy-path", alt=t("ensemble.path_title"))
        st.caption(t("ensemble.path_help"))
    elif name == "classes" and steps.class_weights:
        draw(class_shares_chart(steps, ensemble.runs, blend.classes), key="class-shares", alt=t("ensemble.classes_title"))
        st.caption(t("ensemble.classes_help"))
    elif name == "confusion":
        draw(confusion(ensemble, scored, blend.classes, is_dark=is_dark), key="blend-confusion", alt=t("ensemble.confusion_title"))
    elif name == "outcomes":
        draw_outcomes(ensemble, scored, blend.classes, is_dark=is_dark)
    elif name == "thresholds" and steps.thresholds:
        draw_thresholds(blend, scored)
    else:
        _draw_reliability(blend, scored)


def by_fold(ensemble: Ensemble, scored: Scored, fixed: Fixed) -> Chart:
    """The blend fold by fold, among its runs and equal weights."""
    now, equal = t("charts.blend_now"), t("charts.equal")
    series = {now: scored.score.fold_scores, equal: fixed.equal.fold_scores}
    series |= {run.name: score.fold_scores for run, score in zip(ensemble.runs, fixed.own, strict=True)}
    colors = {now: ACCENT, equal: QUIET} | {run.name: run_color(run.id) for run in ensemble.runs}
    table = pd.DataFrame(
        [(name, fold, score) for name, scores in series.items() for fold, score in zip(ensemble.oof.folds, scores, strict=True)],
        columns=["name", "fold", "score"],
    )
    return charts.blend_folds(table, colors, ensemble.metric, height=HEIGHT + charts.legend_px(len(series)))


def confusion(ensemble: Ensemble, scored: Scored, classes: Sequence[str], *, is_dark: bool) -> Chart:
    """Which classes the blend takes for which: the whole matrix of few classes, the most frequent errors of many."""
    matrix = confusion_matrix(ensemble.oof.y_true, scored.outcome.y_pred, len(classes))
    top: Spec = {"height": HEIGHT, "title": chart_title(t("ensemble.confusion_title")), "config": CONFIG}
    count: Spec = quantity("count", title=t("ensemble.rows"), format=",")
    if len(classes) > MOST_CELLS:
        pairs = confused_pairs(matrix, most=MOST_PAIRS)
        table = pd.DataFrame(
            {"pair": [f"{classes[pair.first]} → {classes[pair.second]}" for pair in pairs], "count": [pair.count for pair in pairs]}
        )
        encoding: Spec = {
            "y": nominal("pair", sort=None, axis={"labelLimit": 260, **EVERY_LABEL}),
            "x": quantity("count", title=t("ensemble.rows"), axis={"tickMinStep": 1, "format": "d"}),
            "tooltip": [nominal("pair", title=t("ensemble.pair")), count],
        }
        bar: Spec = {"mark": {"type": "bar", "color": ACCENT, "opacity": 0.8, "height": {"band": 0.7}}}
        return Chart({**top, "encoding": encoding, "layer": [bar]}, table)
    names = np.asarray(classes, dtype=object)
    true, pred = (places.ravel() for places in np.indices(matrix.shape))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    table = pd.DataFrame(
        {"true": names[true], "pred": names[pred], "count": matrix.ravel(), "share": share.ravel(), "is_right": true == pred}
    )
    axis: Spec = {"labelLimit": 120, **BARE_AXIS}
    x: Spec = nominal("pred", title=t("ensemble.predicted"))
    y: Spec = nominal("true", title=t("ensemble.true"))
    of_true: Spec = quantity("share", title=t("ensemble.of_true"), format=".1%")
    encoding = {
        "x": {**x, "sort": list(classes), "axis": {**axis, "labelAngle": 0 if len(classes) < 7 else -40}},
        "y": {**y, "sort": list(classes), "axis": axis},
        "tooltip": [y, x, count, of_true],
    }
    # Errors are drawn stronger than hits: on one scale a good blend's would all be white.
    scale: Spec = {"type": "sqrt", "domain": [0, 0.3], "range": [0.03, 0.9], "clamp": True}
    strength: Spec = quantity("share", legend=None, scale=scale)
    cells: list[Spec] = [
        {"transform": [{"filter": "datum.is_right"}], "mark": {"type": "rect", "color": QUIET, "opacity": 0.25}},
        {"transform": [{"filter": "!datum.is_right"}], "mark": {"type": "rect", "color": BAD}, "encoding": {"opacity": strength}},
        {
            "transform": [{"filter": "datum.count > 0"}],
            "mark": {"type": "text", "fontSize": 11, "color": ink(is_dark=is_dark)},
            "encoding": {"text": quantity("count", format=",")},
        },
    ]
    return Chart({**top, "encoding": encoding, "layer": cells}, table)


def class_shares_chart(steps: BlendSteps, runs: Sequence[Run], classes: Sequence[str]) -> Chart:
    """The share of each run as one bar per class, shrinkage included; of many classes those that differ most from the mean."""
    share = steps.share
    far = np.abs(share - share.mean(axis=1, keepdims=True)).sum(axis=0)
    shown = np.sort(np.argsort(-far, kind="stable")[:MOST_CLASSES])
    table = pd.DataFrame(
        [(classes[label], run.name, place, float(share[place, label])) for label in shown.tolist() for place, run in enumerate(runs)],
        columns=["class", "run", "place", "share"],
    )
    value: Spec = quantity("share", title=t("ensemble.share_axis"))
    spec = {
        "height": HEIGHT + charts.legend_px(len(runs)),
        "title": chart_title(t("ensemble.classes_title")),
        "encoding": {
            "y": nominal("class", sort=None, axis={"labelLimit": 150, **EVERY_LABEL}),
            "x": {**value, "stack": "zero", "scale": {"domain": [0, 1], "nice": False}},
            "color": _run_colors(runs),
            "order": quantity("place"),
            "tooltip": [nominal("class", title=t("charts.class")), nominal("run", title=t("charts.run")), {**value, "format": ".3f"}],
        },
        "layer": [{"mark": {"type": "bar", "height": {"band": 0.75}, "opacity": 0.85}}],
        "config": CONFIG,
    }
    return Chart(spec, table)


def has_path(procedure: BlendProcedure) -> bool:
    """One selection over all runs: with bags there are many paths, with chosen runs one for each try."""
    return procedure.way == "greedy" and procedure.n_bags == 0 and not procedure.chooses_members


def path_chart(path: Path, runs: Sequence[Run], metric: Metric) -> Chart:
    """Score by round, each point in the colour of the run that was taken, a ring where the weights are from."""
    best = path.scores.index(metric.best(list(path.scores)))
    table = pd.DataFrame(
        {
            "round": range(1, len(path.scores) + 1),
            "score": path.scores,
            "run": [runs[place].name for place in path.members],
            "is_end": [number == best for number in range(len(path.scores))],
        }
    )
    number: Spec = quantity("round", title=t("ensemble.round"))
    score: Spec = quantity("score", title=metric_axis(metric))
    tooltip = [{**number, "format": "d"}, nominal("run", title=t("charts.run")), {**score, "format": ".5f"}]
    taken = [run for place, run in enumerate(runs) if place in path.members]
    spec = {
        "height": HEIGHT + charts.legend_px(len(taken)),
        "title": chart_title(t("ensemble.path_title")),
        "encoding": {
            "x": {
                **number,
                "scale": {"domain": [1, max(2, len(table))], "nice": False},
                "axis": {"format": "d", "tickMinStep": 1, "tickCount": min(len(table), 12), "grid": False},
            },
            "y": {**score, "scale": {"zero": False, "nice": True}},
        },
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.2, "color": QUIET}},
            {
                "mark": {"type": "circle", "size": 90, "opacity": 1},
                "encoding": {"color": {**_run_colors(taken), "title": t("ensemble.taken")}, "tooltip": tooltip},
            },
            {
                "transform": [{"filter": "datum.is_end"}],
                "mark": {"type": "point", "size": 260, "filled": False, "strokeWidth": 2, "opacity": 1, "color": QUIET},
            },
        ],
        "config": CONFIG,
    }
    return Chart(spec, table)


@st.cache_resource(max_entries=32, show_spinner=False)
def _path(content: Content, mean: MeanName, goal: str, n_rounds: int, _ensemble: Ensemble) -> Path:
    """The selection again, as the fit made it."""
    return greedy(replace(_ensemble.scorer(mean), metric=get_metric(goal)), n_rounds=n_rounds)


def _run_colors(runs: Sequence[Run]) -> Spec:
    names = [run.name for run in runs]
    scale = {"domain": names, "range": [run_color(run.id) for run in runs]}
    return nominal("run", sort=names, scale=scale, legend=charts.LEGEND)


def _draw_reliability(blend: OpenBlend, scored: Scored) -> None:
    """Two small diagrams side by side; one, and how to get the other, where nothing comes after the mean."""
    ensemble, steps = blend.ensemble, scored.steps
    waits = blend.editor.is_held and not follows_a_drag(ensemble, steps.model_copy(update={"temperature": 2.0}))
    (before, after), is_now = blend.latest(
        "reliability", (scored.content, steps), lambda: diagrams_of(ensemble, steps), waits=waits, spinner=t("ensemble.reliability_spinner")
    )
    sets = "_sets" if ensemble.oof.is_multilabel else ""
    left, right = st.columns(2, gap="small")
    with left:
        title = t("ensemble.reliability_before" if after else f"ensemble.reliability_now{sets}")
        draw(diagram(before, title, QUIET if after else ACCENT, of_sets=bool(sets)), key="reliability-before", alt=title)
    with right:
        if after is None:
            st.caption(t(f"ensemble.reliability_hint{sets}"))
        else:
            title = t("ensemble.reliability_after")
            draw(diagram(after, title, ACCENT, of_sets=bool(sets)), key="reliability-after", alt=title)
    st.caption(t(f"ensemble.reliability_help{sets}"))
    if not is_now:
        st.caption(t("ensemble.follows"))


def diagrams_of(ensemble: Ensemble, steps: BlendSteps) -> tuple[Reliability, Reliability | None]:
    """Reliability of the mean alone, and of the whole blend where something after the mean changes probabilities."""
    y_true, multilabel = ensemble.oof.y_true, ensemble.oof.is_multilabel
    before = reliability(ensemble.prob(without_after(steps)), y_true, multilabel=multilabel)
    has_after = steps.temperature != 1 or steps.offsets
    return before, reliability(ensemble.prob(steps), y_true, multilabel=multilabel) if has_after else None


def diagram(found: Reliability, title: str, color: str, *, of_sets: bool = False) -> Chart:
    """Share of right labels over the probability of the label, one point per bin, larger with more rows; the diagonal is calibrated.

    `of_sets`: the share of true classes over the probability of a class, one answer per row and class.
    """
    sets = "_sets" if of_sets else ""
    sure, right = t(f"ensemble.axis_confidence{sets}"), t(f"ensemble.axis_accuracy{sets}")
    has_rows = found.count > 0
    low, high = found.edges[:-1][has_rows], found.edges[1:][has_rows]
    table = pd.DataFrame(
        {
            "confidence": found.confidence[has_rows],
            "accuracy": found.accuracy[has_rows],
            "rows": found.count[has_rows],
            "span": [f"{start:.2f} – {end:.2f}" for start, end in zip(low, high, strict=True)],
        }
    )
    unit: Spec = {"domain": [0, 1], "nice": False}
    tooltip = [
        nominal("span", title=sure),
        quantity("rows", title=t("ensemble.answers" if of_sets else "ensemble.rows"), format=","),
        quantity("confidence", title=t("ensemble.mean_confidence"), format=".3f"),
        quantity("accuracy", title=right, format=".3f"),
    ]
    subtitle = t("ensemble.calibration_error", value=f"{found.error:.4f}")
    size: Spec = quantity("rows", legend=None, scale={"range": [20, 260]})
    spec = {
        "height": SMALL,
        "title": {**chart_title(title), "subtitle": subtitle, "subtitleColor": QUIET, "offset": 8},
        "encoding": {"x": quantity("confidence", title=sure, scale=unit), "y": quantity("accuracy", title=right, scale=unit)},
        "layer": [
            {
                "data": {"values": [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]},
                "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1, "color": QUIET},
            },
            {"mark": {"type": "line", "strokeWidth": 1.5, "color": color, "opacity": 0.7}},
            {"mark": {"type": "circle", "color": color, "opacity": 0.9}, "encoding": {"size": size, "tooltip": tooltip}},
        ],
        "config": CONFIG,
    }
    return Chart(spec, table)
