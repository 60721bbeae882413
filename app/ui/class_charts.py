"""Charts of the pages before training, as pure functions: classes, folds and the learning rate in, an Altair chart out."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.ui.charts import FONT
from app.ui.colors import ACCENT, BAD, QUIET, ink
from app.words.text import t

MAX_BARS = 40
ROW_PX, CELL_PX, SIZES_PX = 20, 25, 170


def class_bars(classes: Sequence[str], counts: NDArray[np.integer], n_rows: int) -> alt.LayerChart:
    """Rows of each class, of `n_rows`, as bars with their number, in the order of the classes; for at most `MAX_BARS` classes."""
    table = pd.DataFrame({"class": list(classes), "rows": counts, "share": counts / max(1, n_rows)})
    base = alt.Chart(table).encode(
        y=alt.Y(
            "class:N", title=None, sort=None, axis=alt.Axis(labelLimit=180, labelOverlap=False, labelFlush=False, ticks=False, domain=False)
        ),
        x=alt.X("rows:Q", title=t("data.chart_rows"), axis=alt.Axis(format="~s", tickCount=5, grid=True, gridOpacity=0.25)),
        tooltip=[
            alt.Tooltip("class:N", title=t("data.chart_class")),
            alt.Tooltip("rows:Q", title=t("data.chart_rows"), format=","),
            alt.Tooltip("share:Q", title=t("data.chart_share"), format=".1%"),
        ],
    )
    bars = base.mark_bar(color=ACCENT, opacity=0.8, height={"band": 0.72})
    numbers = base.mark_text(align="left", dx=4, fontSize=11, color=QUIET).encode(text=alt.Text("rows:Q", format=","))
    return _plain(alt.layer(bars, numbers).properties(height=ROW_PX * len(table) + 52))


def size_bars(rows: Sequence[int]) -> alt.LayerChart:
    """How many rows have 0, 1, 2 … classes, as upright bars with their number."""
    table = pd.DataFrame({"size": range(len(rows)), "rows": list(rows), "share": np.asarray(rows) / max(1, sum(rows))})
    base = alt.Chart(table).encode(
        x=alt.X("size:O", title=t("data.chart_size"), axis=alt.Axis(labelAngle=0, ticks=False, domain=False)),
        y=alt.Y("rows:Q", title=t("data.chart_rows"), axis=alt.Axis(format="~s", tickCount=4, gridOpacity=0.25)),
        tooltip=[
            alt.Tooltip("size:O", title=t("data.chart_size")),
            alt.Tooltip("rows:Q", title=t("data.chart_rows"), format=","),
            alt.Tooltip("share:Q", title=t("data.chart_share_rows"), format=".1%"),
        ],
    )
    bars = base.mark_bar(color=ACCENT, opacity=0.8, width={"band": 0.72})
    numbers = base.mark_text(baseline="bottom", dy=-3, fontSize=11, color=QUIET).encode(text=alt.Text("rows:Q", format=","))
    return _plain(alt.layer(bars, numbers).properties(height=SIZES_PX))


def fold_balance(classes: Sequence[str], balance: NDArray[np.integer], *, is_dark: bool) -> alt.LayerChart:
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
    base = alt.Chart(table).encode(
        x=alt.X("fold:O", title=t("folds.chart_fold"), axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False)),
        y=alt.Y(
            "class:N", title=None, sort=None, axis=alt.Axis(labelLimit=180, labelOverlap=False, labelFlush=False, ticks=False, domain=False)
        ),
        tooltip=[
            alt.Tooltip("class:N", title=t("folds.chart_class")),
            alt.Tooltip("fold:O", title=t("folds.chart_fold")),
            alt.Tooltip("rows:Q", title=t("folds.chart_rows"), format=","),
            alt.Tooltip("off:Q", title=t("folds.chart_off"), format="+.1f"),
        ],
    )
    scale = alt.Scale(domain=[-most, 0, most], range=[BAD, "rgba(138,143,152,0.14)", ACCENT], interpolate="rgb")
    cells = base.mark_rect(cornerRadius=2, stroke="transparent").encode(color=alt.Color("off:Q", scale=scale, legend=None))
    numbers = base.mark_text(fontSize=11, color=ink(is_dark=is_dark)).encode(text=alt.Text("rows:Q", format=","))
    return _plain(alt.layer(cells, numbers).properties(height=CELL_PX * n_classes + 56))


def lr_curve(steps: Sequence[float], rates: Sequence[float], *, height: int = 190) -> alt.LayerChart:
    """The learning rate over a run, `steps` in epochs."""
    table = pd.DataFrame({"epoch": list(steps), "lr": list(rates)})
    base = alt.Chart(table).encode(
        x=alt.X("epoch:Q", title=t("train.chart_epoch"), scale=alt.Scale(nice=False), axis=alt.Axis(grid=False, tickMinStep=1)),
        y=alt.Y("lr:Q", title=t("train.chart_lr"), axis=alt.Axis(format=".1e", tickCount=3, gridOpacity=0.25)),
        tooltip=[
            alt.Tooltip("epoch:Q", format=".2f", title=t("train.chart_epoch")),
            alt.Tooltip("lr:Q", format=".2e", title=t("train.chart_lr")),
        ],
    )
    area = base.mark_area(color=ACCENT, opacity=0.12)
    line = base.mark_line(color=ACCENT, strokeWidth=2)
    return _plain(alt.layer(area, line).properties(height=height))


def _plain(chart: alt.LayerChart) -> alt.LayerChart:
    return (
        chart.configure(font=FONT).configure_axis(labelFontSize=11, titleFontSize=11, titleFontWeight="normal").configure_view(stroke=None)
    )
