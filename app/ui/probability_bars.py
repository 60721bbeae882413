"""The probabilities of a row's classes as HTML bars."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape

from app.ui.colors import ACCENT, BAD, QUIET, translucent

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
        tag = f'<small style="opacity:.65;padding-left:6px">{escape(" · ".join(tags))}</small>' if tags else ""
        fill = f"display:block;height:10px;border-radius:5px;width:{100 * prob:.2f}%;min-width:{2 if prob > 0.0005 else 0}px"
        color = ACCENT if name in true else BAD if thresholds and name in predicted else QUIET
        mark = _THRESHOLD.format(left=100 * thresholds[place]) if thresholds else ""
        cells.append(
            f'<span style="overflow:hidden;text-overflow:ellipsis;white-space:nowrap" title="{escape(name)}">{escape(name)}{tag}</span>'
            f'<span style="position:relative;height:10px;border-radius:5px;background:{translucent(QUIET, 0.22)}">'
            f'<span style="{fill};background:{color}"></span>{mark}</span>'
            f'<span style="text-align:right">{100 * prob:.2f} %</span>'
        )
    grid = "display:grid;grid-template-columns:fit-content(55%) minmax(60px,1fr) auto;gap:7px 12px;align-items:center;font-size:0.875rem"
    return f'<div style="{grid}">{"".join(cells)}</div>'
