"""Charts of classes, folds and training: pure functions from a table to a Vega-Lite specification.

Vega-Lite keeps its node in the page when only the data changes, so nothing blinks; it is written as plain dictionaries because
building and checking an Altair chart costs 50 ms, more than all else that a dragged weight causes. A title states the
question, axes name units, and the page's theme brings background and text colour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.ui.colors import ACCENT, BAD, QUIET, ink, run_color
from app.words.text import t
from core.metrics.scores import Metric

FONT = (
    "'Source Sans', 'Pretendard', 'Apple SD Gothic Neo', 'Malgun Gothic', 'Noto Sans KR', 'Noto Sans CJK KR', "
    "'NanumBarunGothic', 'NanumGothic', sans-serif"
)
MAX_CLASSES, MAX_BARS, LENGTH_BARS = 14, 40, 36
ROW_PX, CELL_PX, SIZES_PX = 20, 25, 170
LEGEND: Mapping[str, Any] = {"orient": "bottom", "columns": 2, "labelLimit": 140}
"""Of runs: below the chart, since beside it the names would take the width of a narrow page."""
CONFIG = {
    "font": FONT,
    "axis": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"},
    "legend": {"labelFontSize": 11, "symbolOpacity": 1},
}

Spec = dict[str, Any]
EVERY_LABEL: Spec = {"labelOverlap": False, "labelFlush": False}
"""An axis of names that leaves none out."""
BARE_AXIS: Spec = {**EVERY_LABEL, "ticks": False, "domain": False}


@dataclass(frozen=True)
class Chart:
    """A specification and the rows it draws."""

    spec: Spec
    data: pd.DataFrame


def draw(chart: Chart, *, key: str, alt: str) -> None:
    """Put a chart on the page; `key` keeps its DOM node when the rows change, `alt` is its text for screen readers."""
    st.vega_lite_chart(chart.data, chart.spec, key=key, alt=alt)


def metric_name(metric: Metric) -> str:
    """The name of a metric in the language of the screen."""
    return t(f"common.metric_{metric.name}")


def metric_axis(metric: Metric) -> str:
    """The name of a metric with its direction."""
    return t("charts.greater" if metric.greater_is_better else "charts.lower", metric=metric_name(metric))


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
                "encoding": {"x": x, "tooltip": [_tip("run"), _tip("fold"), {"field": "score", **value}]},
            },
            {
                "mark": {"type": "tick", "thickness": 3, "size": 26},
                "encoding": {"x": {**x, "aggregate": "mean"}, "tooltip": [_tip("run"), {"field": "score", "aggregate": "mean", **value}]},
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


def blend_folds(scores: pd.DataFrame, colors: Mapping[str, str], metric: Metric, *, height: int = 250) -> Chart:
    """The blend's score fold by fold among its members and equal weights. `scores` has name, fold, score.

    `colors` names the series in the order of the legend; the first is the blend, drawn over the others.
    """
    order = list(colors)
    is_blend: Spec = {"field": "name", "equal": order[0]}
    members, blend = [{"filter": {"not": is_blend}}], [{"filter": is_blend}]
    spec = {
        "height": height,
        "title": chart_title(t("charts.blend_title")),
        "encoding": {
            "x": {"field": "fold", "type": "ordinal", "title": t("charts.fold"), "axis": {"labelAngle": 0}},
            "y": quantity("score", title=metric_axis(metric), scale={"zero": False, "nice": True}),
            "color": nominal(
                "name",
                sort=order,
                scale={"domain": order, "range": [colors[name] for name in order]},
                legend=LEGEND,
            ),
            "tooltip": [nominal("name", title=t("charts.run")), _tip("fold"), quantity("score", title=metric_name(metric), format=".5f")],
        },
        "layer": [
            {"transform": members, "mark": {"type": "line", "strokeWidth": 1.2, "opacity": 0.55}},
            {"transform": members, "mark": {"type": "circle", "size": 45, "opacity": 0.8}},
            {"transform": blend, "mark": {"type": "line", "strokeWidth": 2.4}},
            {"transform": blend, "mark": {"type": "circle", "size": 90, "opacity": 1}},
        ],
        "config": CONFIG,
    }
    return Chart(spec, scores)


def class_shares(classes: Sequence[str], in_train: Sequence[int], in_test: Sequence[int], n_rows: tuple[int, int]) -> Chart:
    """Share of the training rows (bar) and of the test predictions (point) that have each class; counts (n_classes,) each.

    `n_rows` are the rows of training and test. With more than 14 classes, those whose share differs most are shown.
    """
    table = pd.DataFrame({"class": list(classes), "train": in_train, "test": in_test})
    for part, n in zip(("train", "test"), n_rows, strict=True):
        table[f"{part}_share"] = 100 * table[part] / max(1, n)
    if len(table) > MAX_CLASSES:
        table = table.loc[(table["test_share"] - table["train_share"]).abs().nlargest(MAX_CLASSES).index.sort_values()]
    kinds = {"train_share": t("charts.in_train"), "test_share": t("charts.in_test")}
    long = table.melt(id_vars=["class", "train", "test"], value_vars=list(kinds), var_name="kind", value_name="share")
    long["kind"] = long["kind"].map(kinds)
    train, test = kinds.values()
    share = quantity("share", title=t("charts.share_axis"))
    spec = {
        "height": 150 + 22 * len(table),
        "encoding": {
            "y": nominal("class", sort=list(table["class"]), axis={"labelLimit": 140, **EVERY_LABEL}),
            "x": share,
            "color": nominal(
                "kind",
                scale={"domain": [train, test], "range": [QUIET, ACCENT]},
                legend={"orient": "top", "symbolType": "circle", "columns": 1},
            ),
            "tooltip": [
                _tip("class"),
                quantity("train", title=train, format=","),
                quantity("test", title=test, format=","),
                {**share, "format": ".2f"},
            ],
        },
        "layer": [
            {"transform": [{"filter": {"field": "kind", "equal": train}}], "mark": {"type": "bar", "height": 10, "opacity": 0.5}},
            {"transform": [{"filter": {"field": "kind", "equal": test}}], "mark": {"type": "circle", "size": 75, "opacity": 1}},
        ],
        "config": CONFIG,
    }
    return Chart(spec, long)


def class_bars(classes: Sequence[str], counts: NDArray[np.integer], n_rows: int) -> Chart:
    """Rows of each class, of `n_rows`, as bars with their number, in the order of the classes; for at most `MAX_BARS` classes."""
    table = pd.DataFrame({"class": list(classes), "rows": counts, "share": counts / max(1, n_rows)})
    encoding = {
        "y": nominal("class", sort=None, axis={"labelLimit": 180, **BARE_AXIS}),
        "x": quantity(
            "rows",
            title=t("data.chart_rows"),
            scale={"domainMax": 1.12 * max(1, int(counts.max())), "nice": False},  # room for the number after the longest bar
            axis={"format": "~s", "tickCount": 5, "grid": True, "gridOpacity": 0.25},
        ),
        "tooltip": _row_tips("class", t("data.chart_class"), t("data.chart_share")),
    }
    bars = {"mark": {"type": "bar", "color": ACCENT, "opacity": 0.8, "height": {"band": 0.72}}}
    return _bare(table, ROW_PX * len(table) + 52, encoding, bars, _numbers(QUIET, align="left", dx=4))


def strength_bars(classes: Sequence[str], means: NDArray[np.floating], title: str, *, apart: str = "") -> Chart:
    """The mean probability of each class in one group of rows, the strongest first, `MAX_BARS` at most; the class `apart` is the last, in grey."""
    order = sorted(range(len(classes)), key=lambda place: (classes[place] == apart, -means[place]))
    order = order if len(order) <= MAX_BARS else [*order[: MAX_BARS - 1], *order[-1:]]
    table = pd.DataFrame({"class": [classes[place] for place in order], "mean": [float(means[place]) for place in order]})
    encoding = {
        "y": nominal("class", sort=None, axis={"labelLimit": 180, **BARE_AXIS}),
        "x": quantity("mean", title=t("strengths.mean"), scale={"domain": [0, 1]}),
        "color": {"condition": {"test": {"field": "class", "equal": apart}, "value": QUIET}, "value": ACCENT},
        "tooltip": [_tip("class"), quantity("mean", title=t("strengths.mean"), format=".3f")],
    }
    chart = _bare(table, ROW_PX * len(table) + 82, encoding, {"mark": {"type": "bar", "opacity": 0.8, "height": {"band": 0.72}}})
    return Chart({**chart.spec, "title": chart_title(title)}, table)


def size_bars(rows: Sequence[int]) -> Chart:
    """How many rows have 0, 1, 2 … classes, as upright bars with their number."""
    table = pd.DataFrame({"size": range(len(rows)), "rows": list(rows), "share": np.asarray(rows) / max(1, sum(rows))})
    encoding = {
        "x": {"field": "size", "type": "ordinal", "title": t("data.chart_size"), "axis": {"labelAngle": 0, **BARE_AXIS}},
        "y": quantity("rows", title=t("data.chart_rows"), axis={"format": "~s", "tickCount": 4, "gridOpacity": 0.25}),
        "tooltip": _row_tips("size", t("data.chart_size"), t("data.chart_share_rows")),
    }
    bars = {"mark": {"type": "bar", "color": ACCENT, "opacity": 0.8, "width": {"band": 0.72}}}
    return _bare(table, SIZES_PX, encoding, bars, _numbers(QUIET, baseline="bottom", dy=-3))


def fold_balance(classes: Sequence[str], balance: NDArray[np.integer], *, is_dark: bool) -> Chart:
    """How far each class is from an even share in each fold, in percent of the even share; `balance` is (n_folds, n_classes).

    Blue cells hold more rows than their share, red ones fewer; the cell shows its number of rows. Folds count from 0, as in files,
    in errors and on the command line.
    """
    n_folds, n_classes = balance.shape
    even = balance.sum(axis=0, keepdims=True) / n_folds
    table = pd.DataFrame(
        {
            "class": np.tile(np.array(classes, dtype=object), n_folds),
            "fold": np.repeat(np.arange(n_folds), n_classes),
            "rows": balance.ravel(),
            "off": (100 * (balance - even) / np.maximum(even, 1e-9)).ravel(),
        }
    )
    most = max(10.0, float(table["off"].abs().max()))
    fold = {"field": "fold", "type": "ordinal", "title": t("folds.chart_fold")}
    encoding = {
        "x": {**fold, "axis": {"orient": "top", "labelAngle": 0, **BARE_AXIS}},
        "y": nominal("class", sort=None, axis={"labelLimit": 180, **BARE_AXIS}),
        "tooltip": [
            nominal("class", title=t("folds.chart_class")),
            fold,
            quantity("rows", title=t("folds.chart_rows"), format=","),
            quantity("off", title=t("folds.chart_off"), format="+.1f"),
        ],
    }
    scale = {"domain": [-most, 0, most], "range": [BAD, "rgba(138,143,152,0.14)", ACCENT], "interpolate": "rgb"}
    cells = {
        "mark": {"type": "rect", "cornerRadius": 2, "stroke": "transparent"},
        "encoding": {"color": quantity("off", scale=scale, legend=None)},
    }
    return _bare(table, CELL_PX * n_classes + 56, encoding, cells, _numbers(ink(is_dark=is_dark)))


def lr_curve(steps: Sequence[float], rates: Sequence[float], shares: Sequence[float] = (1.0,), *, probe_epochs: int = 0) -> Chart:
    """The learning rate over a run, `steps` in epochs; with layer-wise decay a line for each share of it that a group of layers has, the head's
    (1) first. In the first `probe_epochs` the head alone learns. The browser multiplies, so that a deep network is no large table."""
    epoch, rate, share = quantity("epoch", title=t("train.chart_epoch")), quantity("lr", title=t("train.chart_lr")), quantity("share")
    encoding = {
        "x": {**epoch, "scale": {"nice": False}, "axis": {"grid": False, "tickMinStep": 1}},
        "y": {**rate, "axis": {"labelExpr": "datum.value ? format(datum.value, '.2~e') : '0'", "tickCount": 3, "gridOpacity": 0.25}},
        "detail": [share],
        "tooltip": [{**epoch, "format": ".2f"}, {**rate, "format": ".2e"}, {**share, "title": t("train.chart_share"), "format": ".3~g"}],
    }
    of_groups: list[Spec] = [
        {"calculate": f"[{', '.join(f'{one:.6g}' for one in shares)}]", "as": "share"},
        {"flatten": ["share"]},
        {"calculate": "datum.lr * datum.share", "as": "lr"},
    ]
    head = {"transform": [*of_groups, {"filter": "datum.share == 1"}]}
    area = {**head, "mark": {"type": "area", "color": ACCENT, "opacity": 0.12}}
    line = {**head, "mark": {"type": "line", "color": ACCENT, "strokeWidth": 2}}
    lower = {
        "transform": [*of_groups, {"filter": f"datum.share < 1 && datum.epoch > {probe_epochs}"}],
        "mark": {"type": "line", "color": ACCENT, "strokeWidth": 1, "opacity": 0.6},
    }
    return _bare(pd.DataFrame({"epoch": steps, "lr": rates}), 190, encoding, area, lower, line)


def sampled_classes(classes: Sequence[str], rows: NDArray[np.floating], taken: NDArray[np.floating]) -> Chart:
    """Rows of each class among the training rows (bar) and in an epoch of a sampler (point), (n_classes,) each.

    With more than 14 classes, those that change most are shown.
    """
    table = pd.DataFrame({"class": list(classes), "rows": rows, "taken": taken})
    if len(table) > MAX_CLASSES:
        change = np.abs(np.log((taken + 1) / (rows + 1)))
        table = table.iloc[np.sort(np.argsort(-change, kind="stable")[:MAX_CLASSES])]
    kinds = {"rows": t("train.sampled_rows"), "taken": t("train.sampled_taken")}
    long = table.melt(id_vars=["class"], value_vars=list(kinds), var_name="kind", value_name="n")
    long["kind"] = long["kind"].map(kinds)
    before, after = kinds.values()
    n = quantity("n", title=None)
    encoding = {
        "y": nominal("class", sort=list(table["class"]), axis={"labelLimit": 110, **BARE_AXIS}),
        "x": {**n, "axis": {"format": "~s", "tickCount": 4, "gridOpacity": 0.25}},
        "color": nominal(
            "kind",
            scale={"domain": [before, after], "range": [QUIET, ACCENT]},
            legend={"orient": "top", "symbolType": "circle", "columns": 1},
        ),
        "tooltip": [_tip("class"), nominal("kind", title=t("charts.series")), quantity("n", title=t("data.chart_rows"), format=",.0f")],
    }
    bars = {"transform": [{"filter": {"field": "kind", "equal": before}}], "mark": {"type": "bar", "height": 10, "opacity": 0.5}}
    points = {"transform": [{"filter": {"field": "kind", "equal": after}}], "mark": {"type": "circle", "size": 70, "opacity": 1}}
    return _bare(long, 125 + ROW_PX * len(table), encoding, bars, points)


def token_lengths(lengths: NDArray[np.integer], max_tokens: int) -> Chart:
    """How many texts have so many tokens, those that are longer than a network reads in another colour; the longest hundredth stands in the last bar."""
    end = min(int(lengths.max()), max(int(np.quantile(lengths, 0.99)), round(1.1 * max_tokens)))
    width = -(-end // LENGTH_BARS)
    first = np.arange(max_tokens % width + 1 - width, end + 1, width)  # no bar has both kinds
    rows, _ = np.histogram(np.minimum(lengths, end), [*first, first[-1] + width])
    table = pd.DataFrame({"first": first, "last": first + width - 1, "rows": rows, "share": rows / len(lengths)})
    table["start"], table["end"] = table["first"] - 0.5, table["last"] + 0.5
    encoding = {
        "x": quantity("start", title=t("train.tokens_axis"), scale={"nice": False}, axis={"grid": False, "tickCount": 6}),
        "x2": {"field": "end"},
        "y2": {"datum": 0},
        "y": quantity("rows", title=t("train.tokens_rows"), axis={"format": "~s", "tickCount": 3, "gridOpacity": 0.25}),
        "color": {"condition": {"test": f"datum.first > {max_tokens}", "value": BAD}, "value": ACCENT},
        "tooltip": [
            quantity("first", title=t("train.tokens_from"), format=",.0f"),
            quantity("last", title=t("train.tokens_to"), format=",.0f"),
            quantity("share", title=t("train.tokens_share"), format=".1%"),
        ],
    }
    return _bare(table, 150, encoding, {"mark": {"type": "bar", "opacity": 0.8, "binSpacing": 1}})


def _bare(table: pd.DataFrame, height: int, encoding: Spec, *layers: Spec) -> Chart:
    """A chart without a title or a frame."""
    return Chart({"height": height, "encoding": encoding, "layer": list(layers), "config": {**CONFIG, "view": {"stroke": None}}}, table)


def _numbers(color: str, **look: Any) -> Spec:
    """A layer with the number of rows of each mark."""
    return {"mark": {"type": "text", "fontSize": 11, "color": color, **look}, "encoding": {"text": quantity("rows", format=",")}}


def _row_tips(field: str, title: str, share: str) -> list[Spec]:
    rows = quantity("rows", title=t("data.chart_rows"), format=",")
    return [nominal(field, title=title), rows, quantity("share", title=share, format=".1%")]


def _by_epoch(table: pd.DataFrame, encoding: Mapping[str, Any], title: str, y_title: str, color: str, n_epochs: int, height: int) -> Chart:
    n_points = table.groupby(["fold", "series"])["epoch"].transform("count")
    value = quantity("value", title=y_title)
    tooltip = [_tip("series"), _tip("fold"), _tip("epoch"), {**value, "format": ".5f"}]
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


def legend_px(n: int) -> int:
    """The height of `LEGEND` with `n` names."""
    return 50 + ROW_PX * -(-n // 2)


def nominal(field: str, **rest: Any) -> Spec:
    """A channel of names."""
    return {"field": field, "type": "nominal", "title": None, **rest}


def quantity(field: str, **rest: Any) -> Spec:
    """A channel of numbers."""
    return {"field": field, "type": "quantitative", **rest}


def _tip(field: str) -> Spec:
    return {"field": field, "type": "nominal", "title": t(f"charts.{field}")}


def chart_title(text: str) -> Spec:
    """A chart's title, which states its question."""
    return {"text": text, "anchor": "start", "fontSize": 13, "fontWeight": 600, "offset": 10}
