"""The confusion matrix as a picture whose cells can be clicked.

A heat map returns no clicks in Streamlit; a transparent marker over every cell that is not empty does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.ui.charts import FONT
from app.ui.colors import ACCENT, BAD, ink, translucent
from app.words.text import t

LABEL_CHARS = 14
PLOT_PX = 460


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


def clicked_cell(event: Any) -> tuple[int, int] | None:
    """The (true, pred) of a selection event, or None; Streamlit hands `customdata` over as a dict with the keys "0" and "1"."""
    points = event["selection"]["points"] if event else []
    if not points or "customdata" not in points[0]:
        return None
    data = points[0]["customdata"]
    true, pred = (data["0"], data["1"]) if isinstance(data, dict) else data[:2]
    return int(true), int(pred)


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
