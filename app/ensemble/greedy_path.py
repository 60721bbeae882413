"""The path of greedy selection: which run was taken in which round, and the score after it."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from app.ui.charts import CONFIG, Chart, metric_axis
from app.ui.colors import QUIET, run_color
from app.words.text import t
from core.blend.ensemble import Ensemble
from core.blend.greedy import Path, greedy
from core.blend.procedure import BlendProcedure
from core.metrics.scores import Metric, get_metric
from core.specs.blend import MeanName
from core.store.runs import Run


def has_path(procedure: BlendProcedure) -> bool:
    """One selection over all runs: with bags there are many paths, with chosen runs one for each try."""
    return procedure.way == "greedy" and procedure.n_bags == 0 and not procedure.chooses_members


def goal_of(procedure: BlendProcedure, metric: Metric) -> Metric:
    """The metric that the selection climbs."""
    return metric if procedure.goal == "contest" else get_metric(procedure.goal)


@st.cache_resource(max_entries=32, show_spinner=False)
def path_of(content: tuple[object, ...], mean: MeanName, goal: str, n_rounds: int, _ensemble: Ensemble) -> Path:
    """The selection again, as the fit made it."""
    return greedy(replace(_ensemble.scorer(mean), metric=get_metric(goal)), n_rounds=n_rounds)


def path_chart(path: Path, runs: tuple[Run, ...], metric: Metric, *, height: int = 250) -> Chart:
    """Score by round, each point in the colour of the run that was taken, a ring where the weights are from."""
    names = [run.name for run in runs]
    best = path.scores.index(metric.best(list(path.scores)))
    table = pd.DataFrame(
        {
            "round": range(1, len(path.scores) + 1),
            "score": path.scores,
            "run": [names[place] for place in path.members],
            "is_end": [number == best for number in range(len(path.scores))],
        }
    )
    taken = [place for place in range(len(runs)) if place in set(path.members)]
    score = {"field": "score", "type": "quantitative", "title": metric_axis(metric)}
    tooltip = [
        {"field": "round", "type": "quantitative", "title": t("bench.round"), "format": "d"},
        {"field": "run", "type": "nominal", "title": t("charts.run")},
        {**score, "format": ".5f"},
    ]
    spec = {
        "height": height,
        "title": {"text": t("bench.path_title"), "anchor": "start", "fontSize": 13, "fontWeight": 600, "offset": 10},
        "encoding": {
            "x": {
                "field": "round",
                "type": "quantitative",
                "title": t("bench.round"),
                "scale": {"domain": [1, max(2, len(table))], "nice": False},
                "axis": {"format": "d", "tickMinStep": 1, "tickCount": min(len(table), 12), "grid": False},
            },
            "y": {**score, "scale": {"zero": False, "nice": True}},
        },
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.2, "color": QUIET}},
            {
                "mark": {"type": "circle", "size": 90, "opacity": 1},
                "encoding": {
                    "color": {
                        "field": "run",
                        "type": "nominal",
                        "title": t("bench.taken"),
                        "scale": {"domain": [names[place] for place in taken], "range": [run_color(runs[place].id) for place in taken]},
                        "legend": {"orient": "right", "labelLimit": 180},
                    },
                    "tooltip": tooltip,
                },
            },
            {
                "transform": [{"filter": "datum.is_end"}],
                "mark": {"type": "point", "size": 260, "filled": False, "strokeWidth": 2, "opacity": 1, "color": QUIET},
            },
        ],
        "config": CONFIG,
    }
    return Chart(spec, table)
