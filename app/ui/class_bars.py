"""Bars of classes: the probabilities of a row as HTML, and the outcomes of each class as a chart that can be clicked (found, missed and
false alarms, each as its share of the three)."""

from collections.abc import Collection, Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.ui.charts import FONT
from app.ui.colors import ACCENT, BAD, QUIET, ink, translucent
from app.words.text import t
from core.analysis.errors import OUTCOMES, Outcome

_THRESHOLD = '<span style="position:absolute;left:{left:.2f}%;top:-3px;width:2px;height:16px;background:currentColor;opacity:.7"></span>'


def probability_bars(
    names: Sequence[str],
    probs: Sequence[float],
    *,
    true: Collection[str],
    predicted: Collection[str],
    marks: Mapping[str, str],
    thresholds: Sequence[float] = (),
) -> str:
    """The probabilities of some classes as HTML bars, largest first as given; `marks` holds the words for true and predicted.

    Where each class is given above a threshold of its own, its bar has a mark there, and is red when it is given and not true.
    """
    cells = []
    for place, (name, prob) in enumerate(zip(names, probs, strict=True)):
        tags = [marks[kind] for kind, which in (("true", true), ("predicted", predicted)) if name in which]
        tag = f"<small>{escape(' · '.join(tags))}</small>" if tags else ""
        fill = f"display:block;height:10px;border-radius:5px;width:{100 * prob:.2f}%;min-width:{2 if prob > 0.0005 else 0}px"
        color = ACCENT if name in true else BAD if thresholds and name in predicted else QUIET
        mark = _THRESHOLD.format(left=100 * thresholds[place]) if thresholds else ""
        cells.append(
            f'<div class="name" title="{escape(name)}"><span>{escape(name)}</span>{tag}</div>'
            f'<div class="bar" style="background:{translucent(QUIET, 0.22)}"><span style="{fill};background:{color}"></span>{mark}</div>'
            f'<div class="value">{100 * prob:.2f} %</div>'
        )
    return f'<div class="class-bars"><div>{"".join(cells)}</div></div>'


COLORS: Mapping[Outcome, str] = {
    "found": translucent(ACCENT, 0.6),
    "missed": translucent(QUIET, 0.38),
    "false_alarm": translucent(BAD, 0.62),
}
ROW_PX, SMALL_ROW_PX, MANY = 34, 22, 16
LABEL_CHARS = 16


def outcome_figure(
    report: pd.DataFrame, shown: Sequence[int], *, selected: tuple[int, Outcome] | None = None, is_dark: bool = False
) -> go.Figure:
    """The classes `shown` (rows of a report of sets) from top to bottom, each with its F1 at the end of its bar.

    Found is so the share in which truth and answer agree, and a rare class is seen as well as a frequent one. Each segment carries
    (class, place in OUTCOMES) in `customdata`.
    """
    part = report.iloc[list(shown)]
    total = np.maximum(part[list(OUTCOMES)].sum(axis=1).to_numpy(), 1)
    rows, is_few = list(range(len(part))), len(part) <= MANY
    figure, start = go.Figure(), np.zeros(len(part))
    for place, outcome in enumerate(OUTCOMES):
        counts = part[outcome].to_numpy()
        share = 100 * counts / total
        figure.add_trace(
            go.Bar(
                x=share.tolist(),
                y=rows,
                orientation="h",
                marker={"color": COLORS[outcome], "line": {"width": 0}},
                selected={"marker": {"opacity": 1}},
                unselected={"marker": {"opacity": 1}},
                customdata=[[label, place] for label in shown],
                text=[f"{count:,}" if count else "" for count in counts],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                textfont={"color": ink(is_dark=is_dark), "size": 12 if is_few else 10},
                hovertext=[_hover(*row, outcome) for row in zip(part["class"], counts, share, strict=True)],
                hovertemplate="%{hovertext}<extra></extra>",
                showlegend=False,
            )
        )
        if selected is not None and selected[1] == outcome and selected[0] in shown:
            at = list(shown).index(selected[0])
            line = {"width": 2.5, "color": ink(is_dark=is_dark)}
            figure.add_shape(type="rect", x0=start[at], x1=start[at] + share[at], y0=at - 0.42, y1=at + 0.42, line=line)
        start = start + share
    figure.add_trace(
        go.Scatter(
            x=[102] * len(part),
            y=rows,
            mode="text",
            text=["–" if np.isnan(value) else f"{value:.3f}" for value in part["f1"]],
            textposition="middle right",
            textfont={"color": ink(is_dark=is_dark), "size": 12 if is_few else 11},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.add_annotation(x=102, y=-0.5, text="F1", xanchor="left", yanchor="bottom", showarrow=False, font={"size": 11, "color": QUIET})
    return figure.update_layout(
        barmode="stack",
        bargap=0.2 if is_few else 0.1,
        font={"family": FONT},
        uniformtext={"mode": "hide", "minsize": 12 if is_few else 10},
        margin={"l": 0, "r": 0, "t": 22, "b": 4},
        height=figure_px(len(part)),
        dragmode=False,
        clickmode="event+select",
        hovermode="closest",
        xaxis={"range": [0, 114], "visible": False, "fixedrange": True},
        yaxis={
            "range": [len(part) - 0.5, -0.5],
            "tickmode": "array",
            "tickvals": rows,
            "ticktext": [_short(name) for name in part["class"]],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "tickfont": {"size": 12 if is_few else 11},
        },
    )


def figure_px(n_classes: int) -> int:
    """The height of the chart of so many classes."""
    return 30 + (ROW_PX if n_classes <= MANY else SMALL_ROW_PX) * n_classes


def legend() -> str:
    """The legend as HTML, which does not scroll with the bars."""
    swatch = "display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:6px;vertical-align:-1px;background:"
    items = [f'<span><span style="{swatch}{COLORS[name]}"></span>{escape(t(f"misses.{name}"))}</span>' for name in OUTCOMES]
    return f'<div style="display:flex;gap:18px;font-size:0.8125rem;opacity:.85">{"".join(items)}</div>'


def _hover(name: str, count: int, share: float, outcome: Outcome) -> str:
    return f"<b>{escape(name, quote=False)}</b><br>{t(f'misses.{outcome}')}: <b>{count:,}</b> · {share:.1f} %"


def _short(name: str) -> str:
    return escape(name if len(name) <= LABEL_CHARS else name[: LABEL_CHARS - 1] + "…", quote=False)
