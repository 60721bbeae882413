"""What all charts are made of, and those of classes and folds: pure functions from a table to a Vega-Lite specification.

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

from app.ui.colors import ACCENT, BAD, QUIET, ink
from app.words.text import t
from core.metrics.scores import Metric

FONT = (
    "'Source Sans', 'Pretendard', 'Apple SD Gothic Neo', 'Malgun Gothic', 'Noto Sans KR', 'Noto Sans CJK KR', "
    "'NanumBarunGothic', 'NanumGothic', sans-serif"
)
MAX_CLASSES, MAX_BARS = 14, 40
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
            "tooltip": [nominal("name", title=t("charts.run")), tip("fold"), quantity("score", title=metric_name(metric), format=".5f")],
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
                tip("class"),
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
        "tooltip": row_tips("class", t("data.chart_class"), t("data.chart_share")),
    }
    bars = {"mark": {"type": "bar", "color": ACCENT, "opacity": 0.8, "height": {"band": 0.72}}}
    return bare_chart(table, ROW_PX * len(table) + 52, encoding, bars, count_labels(QUIET, align="left", dx=4))


def strength_bars(classes: Sequence[str], means: NDArray[np.floating], title: str, *, apart: str = "") -> Chart:
    """The mean probability of each class in one group of rows, the strongest first, `MAX_BARS` at most; the class `apart` is the last, in grey."""
    order = sorted(range(len(classes)), key=lambda place: (classes[place] == apart, -means[place]))
    order = order if len(order) <= MAX_BARS else [*order[: MAX_BARS - 1], *order[-1:]]
    table = pd.DataFrame({"class": [classes[place] for place in order], "mean": [float(means[place]) for place in order]})
    encoding = {
        "y": nominal("class", sort=None, axis={"labelLimit": 180, **BARE_AXIS}),
        "x": quantity("mean", title=t("strengths.mean"), scale={"domain": [0, 1]}),
        "color": {"condition": {"test": {"field": "class", "equal": apart}, "value": QUIET}, "value": ACCENT},
        "tooltip": [tip("class"), quantity("mean", title=t("strengths.mean"), format=".3f")],
    }
    chart = bare_chart(table, ROW_PX * len(table) + 82, encoding, {"mark": {"type": "bar", "opacity": 0.8, "height": {"band": 0.72}}})
    return Chart({**chart.spec, "title": chart_title(title)}, table)


def size_bars(rows: Sequence[int]) -> Chart:
    """How many rows have 0, 1, 2 … classes, as upright bars with their number."""
    table = pd.DataFrame({"size": range(len(rows)), "rows": list(rows), "share": np.asarray(rows) / max(1, sum(rows))})
    encoding = {
        "x": {"field": "size", "type": "ordinal", "title": t("data.chart_size"), "axis": {"labelAngle": 0, **BARE_AXIS}},
        "y": quantity("rows", title=t("data.chart_rows"), axis={"format": "~s", "tickCount": 4, "gridOpacity": 0.25}),
        "tooltip": row_tips("size", t("data.chart_size"), t("data.chart_share_rows")),
    }
    bars = {"mark": {"type": "bar", "color": ACCENT, "opacity": 0.8, "width": {"band": 0.72}}}
    return bare_chart(table, SIZES_PX, encoding, bars, count_labels(QUIET, baseline="bottom", dy=-3))


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
    return bare_chart(table, CELL_PX * n_classes + 56, encoding, cells, count_labels(ink(is_dark=is_dark)))


def bare_chart(table: pd.DataFrame, height: int, encoding: Spec, *layers: Spec) -> Chart:
    """A chart without a title or a frame."""
    return Chart({"height": height, "encoding": encoding, "layer": list(layers), "config": {**CONFIG, "view": {"stroke": None}}}, table)


def count_labels(color: str, **look: Any) -> Spec:
    """A layer with the number of rows of each mark."""
    return {"mark": {"type": "text", "fontSize": 11, "color": color, **look}, "encoding": {"text": quantity("rows", format=",")}}


def row_tips(field: str, title: str, share: str) -> list[Spec]:
    rows = quantity("rows", title=t("data.chart_rows"), format=",")
    return [nominal(field, title=title), rows, quantity("share", title=share, format=".1%")]


def legend_px(n: int) -> int:
    """The height of `LEGEND` with `n` names."""
    return 50 + ROW_PX * -(-n // 2)


def nominal(field: str, **rest: Any) -> Spec:
    """A channel of names."""
    return {"field": field, "type": "nominal", "title": None, **rest}


def quantity(field: str, **rest: Any) -> Spec:
    """A channel of numbers."""
    return {"field": field, "type": "quantitative", **rest}


def tip(field: str) -> Spec:
    return {"field": field, "type": "nominal", "title": t(f"charts.{field}")}


def chart_title(text: str) -> Spec:
    """A chart's title, which states its question."""
    return {"text": text, "anchor": "start", "fontSize": 13, "fontWeight": 600, "offset": 10}
