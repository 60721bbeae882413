"""Charts of runs: curves by epoch, scores by fold, and what blur, noise and the like cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from app.ui.charts import CONFIG, LEGEND, Chart, chart_title, metric_axis, metric_name, nominal, quantity, tip
from app.ui.colors import QUIET, run_color
from app.words.text import t
from core.metrics.scores import Metric


def loss_curves(epochs: pd.DataFrame, kept: Mapping[int, Sequence[int]], color: str, *, n_epochs: int, height: int = 340) -> Chart:
    """Loss by epoch, one line per fold: training thin and dashed, validation in the run's colour, epochs that are kept as rings.

    `epochs` has fold, epoch, train_loss, valid_loss; `kept` maps a finished fold to the epochs whose weights it kept. The axis
    spans all `n_epochs` of the recipe, so that nothing moves while lines grow.
    """
    return _curves(epochs, ("train_loss", "valid_loss"), kept, color, t("charts.loss_title"), t("charts.loss"), n_epochs, height)


def metric_curves(
    epochs: pd.DataFrame, kept: Mapping[int, Sequence[int]], color: str, metric: Metric, *, n_epochs: int, height: int = 340
) -> Chart:
    """A metric by epoch, one line per fold, epochs that are kept as rings. `epochs` has fold, epoch, valid, and train where that is recorded."""
    return _curves(
        epochs, ("train", "valid"), kept, color, t("charts.metric_title", metric=metric_name(metric)), metric_axis(metric), n_epochs, height
    )


def _curves(
    epochs: pd.DataFrame,
    columns: tuple[str, str],
    kept: Mapping[int, Sequence[int]],
    color: str,
    title: str,
    y_title: str,
    n_epochs: int,
    height: int,
) -> Chart:
    """Two `columns` of values by epoch, of training and of validation rows."""
    names = dict(zip(columns, (t("charts.train"), t("charts.valid")), strict=True))
    there = [name for name in columns if name in epochs]
    table = epochs.melt(id_vars=["fold", "epoch"], value_vars=there, var_name="series", value_name="value").dropna(subset=["value"])
    table["series"] = table["series"].map(names)
    is_kept = [epoch in kept.get(fold, ()) for fold, epoch in zip(table["fold"], table["epoch"], strict=True)]
    table["is_kept"] = np.array(is_kept, dtype=bool) & (table["series"] == t("charts.valid"))
    domain = [names[name] for name in there]
    encoding = {
        "color": nominal(
            "series",
            scale={"domain": domain, "range": [QUIET, color][-len(domain) :]},
            legend={"orient": "top", "symbolType": "stroke"} if len(domain) > 1 else None,
        ),
        "strokeDash": nominal("series", scale={"domain": domain, "range": [[4, 3], [1, 0]][-len(domain) :]}),
    }
    return _by_epoch(table, encoding, title, y_title, color, n_epochs, height)


def compare_folds(scores: pd.DataFrame, colors: Mapping[str, str], metric: Metric) -> Chart:
    """Fold scores of several runs on one axis, with the mean of each. `scores` has run, fold, score, and the band `low` to `high` that a
    retraining scores in, the same in every row of a run and empty where it is not known."""
    order = list(colors)
    title = metric_axis(metric)
    x = quantity("score", title=title, scale={"zero": False, "nice": True, "padding": 12})
    value = {"type": "quantitative", "title": metric_name(metric), "format": ".5f"}
    spec = {
        "height": 60 + 38 * len(order),
        "title": chart_title(t("charts.compare_title")),
        "encoding": {
            "y": nominal("run", sort=order, axis={"labelLimit": 220, "labelFlush": False}),
            "color": nominal("run", scale={"domain": order, "range": [colors[name] for name in order]}, legend=None),
        },
        "layer": [
            {
                "transform": [
                    {"filter": "isValid(datum.low)"},
                    {"aggregate": [{"op": "min", "field": end, "as": end} for end in ("low", "high")], "groupby": ["run"]},
                ],
                "mark": {"type": "bar", "height": 26, "opacity": 0.2},
                "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "circle", "size": 70, "opacity": 0.6},
                "encoding": {"x": x, "tooltip": [tip("run"), tip("fold"), {"field": "score", **value}]},
            },
            {
                "mark": {"type": "tick", "thickness": 3, "size": 26},
                "encoding": {"x": {**x, "aggregate": "mean"}, "tooltip": [tip("run"), {"field": "score", "aggregate": "mean", **value}]},
            },
        ],
        "config": CONFIG,
    }
    return Chart(spec, scores)


def probe_lines(scores: pd.DataFrame, kinds: Sequence[str], metric: Metric, *, height: int = 340) -> Chart:
    """Score against the level of a corruption, a line for each kind in the order of `kinds`. `scores` has kind, level (0: undisturbed), strength, score.

    A score without an upper bound is drawn by its logarithm: the strongest level would flatten all others.
    """
    is_open = metric.bounds[1] == float("inf") and float(scores["score"].min()) > 0
    encoding = {
        "x": quantity("level", title=t("views.level"), axis={"format": "d", "tickMinStep": 1, "tickCount": 4, "grid": False}),
        "y": quantity("score", title=metric_axis(metric), scale={"type": "log" if is_open else "linear", "zero": False, "nice": True}),
        "color": nominal(
            "kind",
            sort=list(kinds),
            scale={"domain": list(kinds), "range": [run_color(n + 1) for n in range(len(kinds))]},
            legend={**LEGEND, "columns": 3},
        ),
        "tooltip": [
            nominal("kind", title=t("views.column_kind")),
            nominal("strength", title=t("views.column_strength")),
            quantity("score", title=metric_name(metric), format=".4f"),
        ],
    }
    spec = {
        "height": height,
        "title": chart_title(t("views.probe_chart")),
        "encoding": encoding,
        "layer": [{"mark": {"type": "line", "strokeWidth": 1.8}}, {"mark": {"type": "circle", "size": 50, "opacity": 1}}],
        "config": CONFIG,
    }
    return Chart(spec, scores)


def _by_epoch(table: pd.DataFrame, encoding: Mapping[str, Any], title: str, y_title: str, color: str, n_epochs: int, height: int) -> Chart:
    n_points = table.groupby(["fold", "series"])["epoch"].transform("count")
    value = quantity("value", title=y_title)
    tooltip = [tip("series"), tip("fold"), tip("epoch"), {**value, "format": ".5f"}]
    ring = {"color": {"value": color}, "strokeDash": {"value": [1, 0]}, "tooltip": tooltip}
    spec = {
        "height": height,
        "title": chart_title(title),
        "encoding": {
            "x": quantity(
                "epoch",
                title=t("charts.epoch"),
                # A single epoch stands in the middle, not on the frame.
                scale={"domain": [1, n_epochs] if n_epochs > 1 else [0.5, 1.5], "nice": False},
                axis={"format": "d", **({"tickMinStep": 1, "tickCount": min(n_epochs, 12)} if n_epochs > 1 else {"values": [1]})},
            ),
            "y": {**value, "scale": {"zero": False, "nice": True}, "axis": {} if len(set(table["value"])) > 1 else {"format": ".3~g"}},
            "detail": [nominal("fold"), nominal("series")],
            **encoding,
        },
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.8, "opacity": 0.85}},
            # A line of one epoch cannot be seen, and a line is hard to hit with the pointer: hence two kinds of points.
            {"transform": [{"filter": "datum.is_alone"}], "mark": {"type": "circle", "size": 45}},
            {"mark": {"type": "circle", "size": 120, "opacity": 0}, "encoding": {"tooltip": tooltip}},
            {
                "transform": [{"filter": "datum.is_kept"}],
                "mark": {"type": "point", "size": 130, "filled": False, "strokeWidth": 2.2, "opacity": 1},
                "encoding": ring,
            },
        ],
        "config": CONFIG,
    }
    return Chart(spec, table.assign(is_alone=n_points == 1))
