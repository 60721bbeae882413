"""Weights by class: in which classes a run has more to say than in the mean over all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from app.ui.charts import CONFIG, Chart, Spec
from app.ui.colors import run_color
from app.words.text import t
from core.specs.blend import BlendSteps
from core.store.runs import Run

MOST_CLASSES = 12


def class_shares_chart(steps: BlendSteps, runs: Sequence[Run], classes: Sequence[str], *, height: int = 280) -> Chart:
    """The share of each run as one bar per class, shrinkage included; of many classes those that differ most from the mean."""
    share = np.asarray(steps.share)
    far = np.abs(share - share.mean(axis=1, keepdims=True)).sum(axis=0)
    shown = np.sort(np.argsort(-far, kind="stable")[:MOST_CLASSES])
    table = pd.DataFrame(
        [(classes[label], run.name, place, float(share[place, label])) for label in shown.tolist() for place, run in enumerate(runs)],
        columns=["class", "run", "place", "share"],
    )
    names = [run.name for run in runs]
    value: Spec = {"field": "share", "type": "quantitative", "title": t("bench.share_axis")}
    spec = {
        "height": height,
        "title": {"text": t("bench.classes_title"), "anchor": "start", "fontSize": 13, "fontWeight": 600, "offset": 10},
        "encoding": {
            "y": {
                "field": "class",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelLimit": 150, "labelOverlap": False, "labelFlush": False},
            },
            "x": {**value, "stack": "zero", "scale": {"domain": [0, 1], "nice": False}},
            "color": {
                "field": "run",
                "type": "nominal",
                "sort": names,
                "title": None,
                "scale": {"domain": names, "range": [run_color(run.id) for run in runs]},
                "legend": {"orient": "right", "labelLimit": 180},
            },
            "order": {"field": "place", "type": "quantitative"},
            "tooltip": [
                {"field": "class", "type": "nominal", "title": t("charts.class")},
                {"field": "run", "type": "nominal", "title": t("charts.run")},
                {**value, "format": ".3f"},
            ],
        },
        "layer": [{"mark": {"type": "bar", "height": {"band": 0.75}, "opacity": 0.85}}],
        "config": CONFIG,
    }
    return Chart(spec, table)
