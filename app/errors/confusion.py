"""Errors where a row has one class: a cell of the confusion matrix is chosen, from pairs, the matrix, or the table of classes.

A heat map returns no clicks in Streamlit; a transparent marker over every cell that is not empty does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from app.errors.view import Chosen, ErrorView, Pair, class_table, clicked_cell, pair_table
from app.ui.charts import FONT
from app.ui.colors import ACCENT, BAD, ink, translucent
from app.ui.format import plain
from app.words.text import t
from core.analysis.errors import cell_rows, class_report, confused_pairs, confusion_matrix, most_confused_classes

MAX_CLASSES = 40
MAX_PAIRS = 200
LABEL_CHARS = 14
PLOT_PX = 460
UNUSED_BUTTONS = ["select2d", "lasso2d", "zoom2d", "pan2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]


class Confusion(ErrorView):
    """The chosen cell is a (true, predicted) pair of classes; beyond `MAX_CLASSES` classes the pairs come first."""

    @cached_property
    def matrix(self) -> NDArray[np.int64]:
        """Counts (n_classes, n_classes), row = true class."""
        return confusion_matrix(self.evidence.y_true, self.evidence.y_pred, len(self.classes))

    @property
    def cell(self) -> Pair:
        """The chosen cell; at first the most confused pair, or the first class when nothing is wrong."""
        chosen: Pair | None = st.session_state.get(self._key)
        if chosen is not None and max(chosen) < len(self.classes):
            return chosen
        pairs = confused_pairs(self.matrix, most=1)
        return (pairs[0].true, pairs[0].pred) if pairs else (0, 0)

    def summary(self) -> tuple[str, str]:
        return "errors.summary", ""

    def choosers(self) -> tuple[Mapping[str, Callable[[], None]], str]:
        ways = {"errors.view_pairs": self._pairs, "errors.view_matrix": self._matrix, "errors.view_classes": self._classes}
        if len(self.classes) > MAX_CLASSES:
            return {**ways, "errors.view_overview": self._overview}, "errors.view_pairs"
        return ways, "errors.view_matrix"

    def chosen(self) -> Chosen:
        true, pred = self.cell
        prob = self.evidence.y_prob
        places = cell_rows(self.evidence.y_true, prob, true, pred)
        names = {"true": plain(self.classes[true]), "pred": plain(self.classes[pred])}
        st.subheader(t("errors.cell_right" if true == pred else "errors.cell_wrong", **names), anchor=False)
        return Chosen(
            places,
            lambda place: t("errors.tile", prob=f"{prob[place, pred]:.0%}"),
            t("errors.cell_note", n=f"{len(places):,}"),
            f"{true}-{pred}",
        )

    @property
    def _key(self) -> str:
        return f"cell-{self.source.ref}"

    def _choose(self, cell: Pair | None) -> None:
        """Take over a click; one that deselects a cell changes nothing."""
        if cell is not None:
            st.session_state[self._key] = cell

    def _pairs(self) -> None:
        pairs = confused_pairs(self.matrix, most=MAX_PAIRS)
        if not pairs:
            st.caption(t("errors.pairs_none"))
            return
        pair_table(
            [(pair.true, pair.pred, pair.count, pair.share) for pair in pairs],
            self.classes,
            key=f"pairs-{self.source.ref}",
            titles=(t("errors.pair_true"), t("errors.pair_pred"), t("errors.pair_share")),
            alt=t("errors.view_pairs"),
            picked=self.cell,
            pick=self._choose,
        )
        st.caption(t("errors.pairs_hint"))

    def _matrix(self) -> None:
        shown = most_confused_classes(self.matrix, most=MAX_CLASSES)
        key = f"matrix-{self.source.ref}"
        st.plotly_chart(
            confusion_figure(self.matrix, self.classes, shown, selected=self.cell, is_dark=st.context.theme.type == "dark"),
            key=key,
            on_select=lambda: self._choose(clicked_cell(st.session_state[key])),
            selection_mode="points",
            alt=t("charts.confusion_title"),
            config={"displaylogo": False, "modeBarButtonsToRemove": UNUSED_BUTTONS},
        )
        some = t("errors.matrix_some", n=len(shown), total=len(self.classes)) + " " if len(shown) < len(self.classes) else ""
        st.caption(some + t("errors.matrix_hint"))

    def _classes(self) -> None:
        class_table(self, class_report(self.matrix, self.classes), picked=self.cell[0], pick=self._choose_class)

    def _choose_class(self, label: int) -> None:
        """The cell of a class that holds most of its errors; its diagonal where there are none."""
        wrong = self.matrix[label].copy()
        wrong[label] = 0
        self._choose((label, int(wrong.argmax()) if wrong.any() else label))

    def _overview(self) -> None:
        st.image(overview_pixels(self.matrix), width="stretch", output_format="PNG", alt=t("errors.overview_alt"))
        st.caption(t("errors.overview_hint", n=len(self.classes)))


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
    part = matrix[np.ix_(shown, shown)]
    share = 100 * part / np.maximum(matrix.sum(axis=1)[shown], 1)[:, None]
    names = [_short(classes[index]) for index in shown]
    side = len(shown)
    hits = np.where(np.eye(side, dtype=bool), share, np.nan)
    errors = np.where(np.eye(side, dtype=bool) | (part == 0), np.nan, share)
    top = float(np.nanmax(errors, initial=0.0)) or 1.0
    position = list(range(side))
    figure = go.Figure(
        [
            go.Heatmap(
                x=position,
                y=position,
                z=hits.astype(np.float32),
                zmin=0,
                zmax=100,
                colorscale=_scale(ACCENT, 0.08, 0.55),
                showscale=False,
                hoverinfo="skip",
                xgap=1,
                ygap=1,
            ),
            go.Heatmap(
                x=position,
                y=position,
                z=errors.astype(np.float32),
                zmin=0,
                zmax=top,
                colorscale=_scale(BAD, 0.12, 0.85),
                showscale=False,
                hoverinfo="skip",
                xgap=1,
                ygap=1,
            ),
            _markers(part, share, classes, shown),
        ]
    )
    if side <= 20:
        rows, columns = np.nonzero(part)
        figure.add_trace(
            go.Scatter(
                x=columns,
                y=rows,
                text=[f"{n:,}" for n in part[rows, columns]],
                mode="text",
                textfont={"size": 12, "color": ink(is_dark=is_dark)},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    if selected is not None and set(selected) <= set(shown.tolist()):
        y, x = (int(np.flatnonzero(shown == index)[0]) for index in selected)
        figure.add_shape(type="rect", x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5, line={"width": 2.5, "color": ACCENT})
    title = t("charts.confusion_title") if side == len(classes) else t("charts.confusion_title_some", n=side, total=len(classes))
    axis: dict[str, Any] = {
        "tickmode": "array",
        "tickvals": position,
        "ticktext": names,
        "showgrid": False,
        "zeroline": False,
        "tickfont": {"size": 11 if side <= 20 else 9},
    }
    return figure.update_layout(
        title={"text": title, "font": {"size": 13}, "x": 0, "xanchor": "left"},
        font={"family": FONT},
        margin={"l": 0, "r": 0, "t": 40, "b": 0},
        height=min(760, 190 + max(260, 28 * side if side <= 20 else 15 * side)),
        showlegend=False,
        dragmode=False,
        clickmode="event+select",
        hovermode="closest",
        xaxis=axis
        | {
            "title": {"text": t("charts.predicted")},
            "range": [-0.5, side - 0.5],
            "tickangle": 0 if max(map(_width, names)) * side <= PLOT_PX else -45,
            "constrain": "domain",
        },
        yaxis=axis | {"title": {"text": t("charts.actual")}, "range": [side - 0.5, -0.5]},
    )


def _markers(part: NDArray[np.int64], share: NDArray[np.floating], classes: Sequence[str], shown: NDArray[np.int64]) -> go.Scattergl:
    rows, columns = np.nonzero(part)
    hover = [
        f"{t('charts.actual')}: <b>{_escape(classes[shown[y]])}</b><br>{t('charts.predicted')}: <b>{_escape(classes[shown[x]])}</b><br>"
        f"{t('charts.rows')}: <b>{part[y, x]:,}</b> · {share[y, x]:.1f} %"
        for y, x in zip(rows, columns, strict=True)
    ]
    size = max(8, min(34, round(520 / len(shown))))
    unseen = {"marker": {"opacity": 0}}
    return go.Scattergl(
        x=columns,
        y=rows,
        mode="markers",
        customdata=np.stack([shown[rows], shown[columns]], axis=1),
        marker={"size": size, "symbol": "square", "opacity": 0},
        selected=unseen,
        unselected=unseen,
        text=hover,
        hovertemplate="%{text}<extra></extra>",
    )


def _scale(color: str, low: float, high: float) -> list[list[Any]]:
    return [[0, translucent(color, low)], [1, translucent(color, high)]]


def _short(name: str) -> str:
    return _escape(name if len(name) <= LABEL_CHARS else name[: LABEL_CHARS - 1] + "…")


def _width(name: str) -> int:
    """About how many pixels a label takes; Hangul is wider."""
    return sum(11 if ord(letter) > 0x1100 else 7 for letter in name) + 6


def _escape(name: str) -> str:
    """Plotly reads a little HTML in labels; a class name is text."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def overview_pixels(matrix: NDArray[np.int64], *, side_px: int = 720) -> NDArray[np.uint8]:
    """The whole matrix as a picture (side, side, 4) in RGBA: a block per cell, as opaque as its share of the true class is high."""
    share = matrix / np.maximum(matrix.sum(axis=1), 1)[:, None]
    hit = np.eye(len(matrix), dtype=bool)
    strong = np.where(hit, 0.15 + 0.65 * share, np.where(matrix > 0, 0.3 + 0.7 * np.sqrt(share), 0.05))
    pixels = np.zeros((*matrix.shape, 4), dtype=np.uint8)
    for channel in range(3):
        place = slice(1 + 2 * channel, 3 + 2 * channel)
        pixels[..., channel] = np.where(hit, int(ACCENT[place], 16), np.where(matrix > 0, int(BAD[place], 16), 128))
    pixels[..., 3] = (255 * strong).astype(np.uint8)
    block = max(1, side_px // len(matrix))
    return pixels.repeat(block, axis=0).repeat(block, axis=1)
