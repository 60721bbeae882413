"""Errors where a row has one class: a cell of the confusion matrix is chosen, from pairs, the matrix, or the table of classes.

A heat map returns no clicks in Streamlit; a transparent marker over every cell that is not empty does.
"""

from collections.abc import Sequence
from dataclasses import astuple
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from app.errors.view import Chosen, ErrorView, Pair, Ways, clicked_cell
from app.ui.charts import FONT
from app.ui.colors import ACCENT, BAD, ink, translucent
from app.ui.format import plain
from app.words.text import t
from core.analysis.errors import cell_rows, class_report, confused_pairs, confusion_matrix, most_confused_classes

MAX_CLASSES, MOST_OVERVIEW, MANY = 40, 500, 20
MAX_PAIRS, MOST_DRAWN = 200, 1000
LABEL_CHARS = 14
UNUSED_BUTTONS = ["select2d", "lasso2d", "zoom2d", "pan2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]


class Confusion(ErrorView):
    """The chosen cell is a (true, predicted) pair of classes; beyond `MAX_CLASSES` classes the pairs come first."""

    @cached_property
    def matrix(self) -> NDArray[np.int64]:
        """Counts (n_classes, n_classes), row = true class."""
        return confusion_matrix(self.oof.y_true, self.oof.y_pred, len(self.classes))

    @property
    def cell(self) -> Pair:
        """The chosen cell; at first the most confused pair, or the first class when nothing is wrong."""
        chosen: Pair | None = self.last_choice()
        if chosen is not None and max(chosen) < len(self.classes):
            return chosen
        pairs = confused_pairs(self.matrix, most=1)
        return (pairs[0].first, pairs[0].second) if pairs else (0, 0)

    def summary(self) -> tuple[str, str]:
        return "errors.summary", ""

    def ways(self) -> tuple[Ways, str]:
        n = len(self.classes)
        ways: dict[str, Any] = {"errors.view_pairs": self._pairs, "errors.view_matrix": self._matrix, "errors.view_classes": self._classes}
        if MAX_CLASSES < n <= MOST_OVERVIEW:
            ways["errors.view_overview"] = lambda: self._matrix(n)
        return ways, "errors.view_matrix" if n <= MAX_CLASSES else "errors.view_pairs"

    def chosen(self) -> Chosen:
        true, pred = self.cell
        prob = self.oof.y_prob
        places = cell_rows(self.oof.y_true, prob, true, pred)
        names = {"true": plain(self.classes[true]), "pred": plain(self.classes[pred])}
        st.subheader(t("errors.cell_right" if true == pred else "errors.cell_wrong", **names), anchor=False)
        note = t("errors.cell_note", n=f"{len(places):,}")
        return Chosen(places, lambda place: t("errors.tile", prob=f"{prob[place, pred]:.0%}"), note, f"{true}-{pred}")

    def _pairs(self) -> None:
        pairs = [astuple(pair) for pair in confused_pairs(self.matrix, most=MAX_PAIRS)]
        self.pair_table(pairs, "errors", self.cell, self.choose, ("pair_true", "pair_pred", "pair_share"))

    def _matrix(self, most: int = MAX_CLASSES) -> None:
        shown = most_confused_classes(self.matrix, most=most)
        key = f"matrix-{most}-{self.source.ref}"
        st.plotly_chart(
            confusion_figure(self.matrix, self.classes, shown, selected=self.cell, is_dark=st.context.theme.type == "dark"),
            key=key,
            on_select=lambda: self.choose(clicked_cell(st.session_state[key])),
            selection_mode="points",
            alt=t("charts.confusion_title"),
            config={"displaylogo": False, "modeBarButtonsToRemove": UNUSED_BUTTONS},
        )
        some = t("errors.matrix_some", n=len(shown), total=len(self.classes)) + " " if len(shown) < len(self.classes) else ""
        st.caption(some + t("errors.matrix_hint"))

    def _classes(self) -> None:
        self.class_table(class_report(self.matrix, self.classes), self.cell[0], self._choose_class)

    def _choose_class(self, label: int) -> None:
        """The cell of a class that holds most of its errors; its diagonal where there are none."""
        wrong = self.matrix[label].copy()
        wrong[label] = 0
        self.choose((label, int(wrong.argmax()) if wrong.any() else label))


def confusion_figure(
    matrix: NDArray[np.int64],
    classes: Sequence[str],
    shown: NDArray[np.int64],
    *,
    selected: tuple[int, int] | None = None,
    is_dark: bool = False,
) -> go.Figure:
    """The rows and columns `shown` (class indices) of a confusion matrix (n_classes, n_classes), row = true class.

    Colour is the share of the true class: errors in red, hits in the accent, so that a strong diagonal does not drown them. Each
    marker carries (true, pred) as class indices in `customdata`.
    """
    part, side = matrix[np.ix_(shown, shown)], len(shown)
    share = 100 * part / np.maximum(matrix.sum(axis=1)[shown], 1)[:, None]
    is_hit = np.eye(side, dtype=bool)
    hits, errors = np.where(is_hit, share, np.nan), np.where(is_hit | (part == 0), np.nan, share)
    top = float(np.nanmax(errors, initial=0.0)) or 1.0
    position = list(range(side))
    gap = 1 if side <= MAX_CLASSES else 0
    heats = [
        go.Heatmap(
            x=position,
            y=position,
            z=values.astype(np.float32),
            zmin=0,
            zmax=most,
            colorscale=[[0, translucent(color, low)], [1, translucent(color, high)]],
            showscale=False,
            hoverinfo="skip",
            xgap=gap,
            ygap=gap,
        )
        for values, most, color, low, high in ((hits, 100, ACCENT, 0.08, 0.55), (errors, top, BAD, 0.12, 0.85))
    ]
    figure = go.Figure([*heats, _markers(part, share, [_text(classes[label]) for label in shown], shown)])
    if side <= MANY:
        rows, columns = np.nonzero(part)
        counts, font = [f"{n:,}" for n in part[rows, columns]], {"size": 12, "color": ink(is_dark=is_dark)}
        figure.add_scatter(x=columns, y=rows, text=counts, mode="text", textfont=font, hoverinfo="skip", showlegend=False)
    if selected is not None and set(selected) <= set(shown.tolist()):
        y, x = (int(np.flatnonzero(shown == index)[0]) for index in selected)
        figure.add_shape(type="rect", x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5, line={"width": 2.5, "color": ACCENT})
    title = t("charts.confusion_title") if side == len(classes) else t("charts.confusion_title_some", n=side, total=len(classes))
    axis: dict[str, Any] = {
        "tickmode": "array",
        "tickvals": position,
        "ticktext": [_text(classes[label], LABEL_CHARS) for label in shown],
        "showticklabels": side <= MAX_CLASSES,
        "showgrid": False,
        "zeroline": False,
        "tickfont": {"size": 11 if side <= MANY else 9},
    }
    x_axis = {"title": {"text": t("charts.predicted")}, "range": [-0.5, side - 0.5], "autotickangles": [0, -45], "constrain": "domain"}
    return figure.update_layout(
        title={"text": title, "font": {"size": 13}, "x": 0, "xanchor": "left"},
        font={"family": FONT},
        margin={"l": 0, "r": 0, "t": 40, "b": 0},
        height=min(760, 190 + max(260, 28 * side if side <= MANY else 15 * side)),
        showlegend=False,
        dragmode=False,
        clickmode="event+select",
        hovermode="closest",
        xaxis=axis | x_axis,
        yaxis=axis | {"title": {"text": t("charts.actual")}, "range": [side - 0.5, -0.5]},
    )


def _markers(
    part: NDArray[np.int64], share: NDArray[np.floating], names: Sequence[str], shown: NDArray[np.int64]
) -> go.Scatter | go.Scattergl:
    rows, columns = np.nonzero(part)
    actual, predicted, n_rows = t("charts.actual"), t("charts.predicted"), t("charts.rows")
    hover = [
        f"{actual}: <b>{names[y]}</b><br>{predicted}: <b>{names[x]}</b><br>{n_rows}: <b>{part[y, x]:,}</b> · {share[y, x]:.1f} %"
        for y, x in zip(rows, columns, strict=True)
    ]
    unseen = {"marker": {"opacity": 0}}
    kind = go.Scatter if len(rows) <= MOST_DRAWN else go.Scattergl  # WebGL takes a tenth of a second to start, and draws any number
    return kind(
        x=columns,
        y=rows,
        mode="markers",
        customdata=np.stack([shown[rows], shown[columns]], axis=1),
        marker={"size": max(4, min(34, round(520 / len(shown)))), "symbol": "square", "opacity": 0},
        selected=unseen,
        unselected=unseen,
        text=hover,
        hovertemplate="%{text}<extra></extra>",
    )


def _text(name: str, most_chars: int = 1000) -> str:
    """Plotly reads a little HTML in labels; a class name is text."""
    return escape(name if len(name) <= most_chars else name[: most_chars - 1] + "…", quote=False)
