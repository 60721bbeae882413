"""Members against each other as one readable square: how often they differ, or how much they err together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.ui.charts import CONFIG, Chart, Spec
from app.ui.colors import ACCENT, BAD, ink
from app.words.text import t

Pairs = Literal["disagreement", "correlation"]
EMPTY = "rgba(138,143,152,0.10)"
MOST_BESIDE = 12
"""With more members than this the square needs the whole width of the page."""


def pair_chart(values: NDArray[np.float64], names: Sequence[str], kind: Pairs, *, is_dark: bool) -> Chart:
    """A square of `values` (n, n); the diagonal is left empty, and so is a pair without a value (a run that never errs).

    Disagreement goes from nothing to the accent, as more of it is more to gain from; erring together to red, as it adds nothing.
    """
    n = len(names)
    rows, columns = np.divmod(np.arange(n * n), n)
    table = pd.DataFrame(
        {
            "one": np.asarray(names, dtype=object)[rows],
            "other": np.asarray(names, dtype=object)[columns],
            "value": np.where(rows == columns, np.nan, values.ravel()),
        }
    )
    shown = table["value"].dropna()
    top = 1.0 if kind == "correlation" else max(0.01, float(shown.max()) if len(shown) else 0.01)
    color = BAD if kind == "correlation" else ACCENT
    form = ".2f" if kind == "correlation" else ".1%"
    cell_px = 46 if n <= 6 else 34 if n <= MOST_BESIDE else 26
    axis: Spec = {"labelLimit": 130, "labelOverlap": False, "labelFlush": False, "ticks": False, "domain": False}
    value: Spec = {"field": "value", "type": "quantitative"}
    title = t(f"members.{kind}")
    spec: Spec = {
        "height": cell_px * n,
        "padding": {"left": 0, "top": 0, "bottom": 5, "right": 45},  # room for the slanted name of the last column
        "encoding": {
            "x": {"field": "other", "type": "nominal", "sort": None, "title": None, "axis": {**axis, "orient": "top", "labelAngle": -35}},
            "y": {"field": "one", "type": "nominal", "sort": None, "title": None, "axis": axis},
            "tooltip": [
                {"field": "one", "type": "nominal", "title": t("charts.run")},
                {"field": "other", "type": "nominal", "title": t("members.other")},
                {**value, "title": title, "format": form},
            ],
        },
        "layer": [
            {
                "mark": {"type": "rect", "cornerRadius": 2, "stroke": "transparent", "invalid": None},
                "encoding": {
                    "color": {
                        "condition": {"test": "!isValid(datum.value)", "value": EMPTY},
                        **value,
                        "scale": {"domain": [0, top], "range": [EMPTY, color], "interpolate": "rgb", "clamp": True},
                        "legend": None,
                    }
                },
            },
            {
                "transform": [{"filter": "isValid(datum.value)"}],
                "mark": {"type": "text", "fontSize": 11, "color": ink(is_dark=is_dark)},
                "encoding": {"text": {**value, "format": form}},
            },
        ],
        "config": {**CONFIG, "view": {"stroke": None}},
    }
    return Chart(spec, table)
