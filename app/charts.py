"""Charts that are redrawn while work goes on, as pure functions: a table in, an Altair chart out.

Altair keeps its node in the page when only the data changes, so nothing blinks. A title states the question, axes name units,
and the page's theme brings background and text colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from app.colors import ACCENT, QUIET
from app.text import t
from core.metrics import Metric

FONT = "'Source Sans', 'Pretendard', 'Apple SD Gothic Neo', 'Malgun Gothic', 'Noto Sans KR', 'Noto Sans CJK KR', 'NanumBarunGothic', 'NanumGothic', sans-serif"
MOST_CLASSES = 14


def metric_axis(metric: Metric) -> str:
    """The name of a metric with its direction."""
    return t("charts.greater" if metric.greater_is_better else "charts.lower", metric=metric.title)


def loss_curves(epochs: pd.DataFrame, best: Mapping[int, int], color: str, *, n_epochs: int, height: int = 340) -> alt.LayerChart:
    """Loss by epoch, one line per fold: training thin and dashed, validation in the run's colour, best epoch as a ring.

    `epochs` has fold, epoch, train_loss, valid_loss; `best` maps a finished fold to its best epoch. The axis
    spans all `n_epochs` of the recipe, so that nothing moves while lines grow.
    """
    names = {"train_loss": t("charts.train"), "valid_loss": t("charts.valid")}
    table = epochs.melt(id_vars=["fold", "epoch"], value_vars=list(names), var_name="series", value_name="value").dropna()
    table["series"] = table["series"].map(names)
    table["is_best"] = (table["epoch"] == table["fold"].map(best)) & (table["series"] == names["valid_loss"])
    scale = alt.Scale(domain=list(names.values()), range=[QUIET, color])
    encode = {
        "color": alt.Color("series:N", title=None, scale=scale, legend=alt.Legend(orient="top-right", symbolType="stroke")),
        "strokeDash": alt.StrokeDash("series:N", title=None, scale=alt.Scale(domain=list(names.values()), range=[[4, 3], [1, 0]])),
    }
    return _by_epoch(table, encode, t("charts.loss"), color, n_epochs).properties(title=_title(t("charts.loss_title")), height=height)


def metric_curves(
    epochs: pd.DataFrame, best: Mapping[int, int], color: str, metric: Metric, *, n_epochs: int, height: int = 340
) -> alt.LayerChart:
    """The contest's metric by epoch, one line per fold, the best epoch as a ring. `epochs` has fold, epoch, value."""
    table = epochs.dropna(subset=["value"]).assign(series=metric.title)
    table["is_best"] = table["epoch"] == table["fold"].map(best)
    chart = _by_epoch(table, {"color": alt.value(color)}, metric_axis(metric), color, n_epochs)
    return chart.properties(title=_title(t("charts.metric_title", metric=metric.title)), height=height)


def compare_folds(scores: pd.DataFrame, colors: Mapping[str, str], metric: Metric) -> alt.LayerChart:
    """Fold scores of several runs on one axis, with the mean of each. `scores` has run, fold, score."""
    order = list(colors)
    base = alt.Chart(scores).encode(
        y=alt.Y("run:N", title=None, sort=order, axis=alt.Axis(labelLimit=220, labelFlush=False)),
        color=alt.Color("run:N", scale=alt.Scale(domain=order, range=[colors[name] for name in order]), legend=None),
    )
    x = alt.X("score:Q", title=metric_axis(metric), scale=alt.Scale(zero=False, nice=True, padding=12))
    points = base.mark_circle(size=70, opacity=0.6).encode(
        x=x,
        tooltip=[_tip("run:N", "run"), _tip("fold:O", "fold"), alt.Tooltip("score:Q", title=metric.title, format=".5f")],
    )
    mean = base.mark_tick(thickness=3, size=26).encode(
        x=alt.X("mean(score):Q", title=metric_axis(metric)),
        tooltip=[_tip("run:N", "run"), alt.Tooltip("mean(score):Q", title=metric.title, format=".5f")],
    )
    return _styled(alt.layer(points, mean).properties(title=_title(t("charts.compare_title")), height=60 + 38 * len(order)))


def blend_folds(scores: pd.DataFrame, colors: Mapping[str, str], metric: Metric, *, height: int = 250) -> alt.LayerChart:
    """The blend's score fold by fold among its members and equal weights. `scores` has name, fold, score.

    `colors` names the series in the order of the legend; the first is the blend, drawn over the others.
    """
    order = list(colors)
    blend = order[0]
    base = alt.Chart(scores).encode(
        x=alt.X("fold:O", title=t("charts.fold"), axis=alt.Axis(labelAngle=0)),
        y=alt.Y("score:Q", title=metric_axis(metric), scale=alt.Scale(zero=False, nice=True)),
        color=alt.Color(
            "name:N",
            title=None,
            sort=order,
            scale=alt.Scale(domain=order, range=[colors[name] for name in order]),
            legend=alt.Legend(orient="right", labelLimit=180),
        ),
        tooltip=[_tip("name:N", "run"), _tip("fold:O", "fold"), alt.Tooltip("score:Q", title=metric.title, format=".5f")],
    )
    members = base.transform_filter(alt.datum.name != blend)
    top = base.transform_filter(alt.datum.name == blend)
    layers = (
        members.mark_line(strokeWidth=1.2, opacity=0.55),
        members.mark_circle(size=45, opacity=0.8),
        top.mark_line(strokeWidth=2.4),
        top.mark_point(size=90, filled=True),
    )
    return _styled(alt.layer(*layers).properties(title=_title(t("charts.blend_title")), height=height))


def class_shares(classes: Sequence[str], in_train: Sequence[int], in_test: Sequence[int]) -> alt.LayerChart:
    """Share of each class among training labels (bar) and test predictions (point); counts (n_classes,) each.

    With more than 14 classes, those whose share differs most are shown.
    """
    table = pd.DataFrame({"class": list(classes), "train": in_train, "test": in_test})
    table["train_share"] = 100 * table["train"] / max(1, table["train"].sum())
    table["test_share"] = 100 * table["test"] / max(1, table["test"].sum())
    if len(table) > MOST_CLASSES:
        table = table.loc[(table["test_share"] - table["train_share"]).abs().nlargest(MOST_CLASSES).index.sort_values()]
    kinds = [t("charts.in_train"), t("charts.in_test")]
    order = list(table["class"])
    long = table.melt(id_vars=["class", "train", "test"], value_vars=["train_share", "test_share"], var_name="kind", value_name="share")
    long["kind"] = long["kind"].map({"train_share": kinds[0], "test_share": kinds[1]})
    base = alt.Chart(long).encode(
        y=alt.Y("class:N", title=None, sort=order, axis=alt.Axis(labelLimit=140, labelOverlap=False, labelFlush=False)),
        x=alt.X("share:Q", title=t("charts.share_axis")),
        color=alt.Color(
            "kind:N",
            title=None,
            scale=alt.Scale(domain=kinds, range=[QUIET, ACCENT]),
            legend=alt.Legend(orient="top", symbolType="circle", columns=1),
        ),
        tooltip=[
            _tip("class:N", "class"),
            alt.Tooltip("train:Q", title=kinds[0], format=","),
            alt.Tooltip("test:Q", title=kinds[1], format=","),
            alt.Tooltip("share:Q", title=t("charts.share_axis"), format=".2f"),
        ],
    )
    bars = base.transform_filter(alt.datum.kind == kinds[0]).mark_bar(height=10, opacity=0.5)
    points = base.transform_filter(alt.datum.kind == kinds[1]).mark_circle(size=75, opacity=1)
    return _styled(alt.layer(bars, points).properties(height=70 + 21 * len(table)))


def _by_epoch(table: pd.DataFrame, encode: Mapping[str, object], y_title: str, color: str, n_epochs: int) -> alt.LayerChart:
    n_points = table.groupby(["fold", "series"])["epoch"].transform("count")
    base = alt.Chart(table.assign(is_alone=n_points == 1)).encode(
        x=alt.X(
            "epoch:Q",
            title=t("charts.epoch"),
            scale=alt.Scale(domain=[1, max(2, n_epochs)], nice=False),
            axis=alt.Axis(format="d", tickMinStep=1, tickCount=min(n_epochs, 12)),
        ),
        y=alt.Y("value:Q", title=y_title, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(format=".3~g")),
        detail=["fold:N", "series:N"],
        **encode,
    )
    tip = [
        _tip("series:N", "series"),
        _tip("fold:O", "fold"),
        _tip("epoch:Q", "epoch"),
        alt.Tooltip("value:Q", title=y_title, format=".5f"),
    ]
    lines = base.mark_line(strokeWidth=1.8, opacity=0.85)
    points = base.mark_circle(size=120, opacity=0).encode(tooltip=tip)  # what the pointer finds; lines alone are hard to hit
    alone = base.transform_filter(alt.datum.is_alone).mark_circle(size=45)  # a line of one epoch cannot be seen
    ring = (
        base.transform_filter(alt.datum.is_best)
        .mark_point(size=130, filled=False, strokeWidth=2.2, opacity=1)
        .encode(tooltip=tip, strokeDash=alt.value([1, 0]), color=alt.value(color))
    )
    return _styled(alt.layer(lines, alone, points, ring))


def _tip(field: str, key: str) -> alt.Tooltip:
    return alt.Tooltip(field, title=t(f"charts.{key}"))


def _title(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, anchor="start", fontSize=13, fontWeight=600, offset=10)


def _styled(chart: alt.LayerChart) -> alt.LayerChart:
    return (
        chart.configure(font=FONT)
        .configure_axis(labelFontSize=11, titleFontSize=11, titleFontWeight="normal")
        .configure_legend(labelFontSize=11, symbolOpacity=1)
    )
