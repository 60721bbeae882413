"""How sure a blend is and how right: reliability diagrams before and after what is fitted after the mean."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.ui.charts import CONFIG, Chart, Spec, draw
from app.ui.colors import ACCENT, QUIET
from app.words.text import t
from core.blend.calibrate import Reliability, reliability, reliability_of_yes
from core.blend.ensemble import Ensemble
from core.blend.questions import answers, ask
from core.blend.steps import afterwards, without_after
from core.specs.blend import BlendSteps

MOST_OFFSETS = 5
Diagrams = tuple[Reliability, Reliability | None]


def diagrams_of(ensemble: Ensemble, steps: BlendSteps) -> Diagrams:
    """Reliability of the mean alone, and of the whole blend where something after the mean changes probabilities."""
    prob = ensemble.prob(without_after(steps))
    if ensemble.oof.is_multilabel:
        before = reliability_of_yes(prob, ensemble.oof.y_true)
        if steps.temperature == 1:
            return before, None
        return before, reliability_of_yes(answers(afterwards(ask(prob), steps), prob.shape[1]), ensemble.oof.y_true)
    before = reliability(prob, ensemble.oof.y_true)
    has_after = steps.temperature != 1 or bool(steps.offsets)
    return before, reliability(afterwards(prob, steps), ensemble.oof.y_true) if has_after else None


def draw_diagrams(found: Diagrams, *, of_sets: bool = False) -> None:
    """Two small diagrams side by side; one, and how to get the other, where nothing comes after the mean."""
    before, after = found
    sets = "_sets" if of_sets else ""
    left, right = st.columns(2, gap="small")
    with left:
        title = t("bench.reliability_before" if after else f"bench.reliability_now{sets}")
        draw(diagram(before, title, QUIET if after else ACCENT, of_sets=of_sets), key="reliability-before", alt=title)
    with right:
        if after is None:
            st.caption(t(f"bench.reliability_hint{sets}"))
        else:
            title = t("bench.reliability_after")
            draw(diagram(after, title, ACCENT, of_sets=of_sets), key="reliability-after", alt=title)
    st.caption(t(f"bench.reliability_help{sets}"))


def diagram(found: Reliability, title: str, color: str, *, of_sets: bool = False, height: int = 230) -> Chart:
    """Share of right labels over the probability of the label, one point per bin, larger with more rows; the diagonal is honest.

    `of_sets`: the share of true classes over the probability of a class, one question per row and class.
    """
    sets = "_sets" if of_sets else ""
    sure, right = t(f"bench.axis_confidence{sets}"), t(f"bench.axis_accuracy{sets}")
    has_rows = found.count > 0
    table = pd.DataFrame(
        {
            "confidence": found.confidence[has_rows],
            "accuracy": found.accuracy[has_rows],
            "rows": found.count[has_rows],
            "span": [f"{low:.2f} – {high:.2f}" for low, high in zip(found.edges[:-1][has_rows], found.edges[1:][has_rows], strict=True)],
        }
    )
    unit: Spec = {"domain": [0, 1], "nice": False}
    tooltip = [
        {"field": "span", "type": "nominal", "title": sure},
        {"field": "rows", "type": "quantitative", "title": t("bench.questions" if of_sets else "bench.rows"), "format": ","},
        {"field": "confidence", "type": "quantitative", "title": t("bench.mean_confidence"), "format": ".3f"},
        {"field": "accuracy", "type": "quantitative", "title": right, "format": ".3f"},
    ]
    spec = {
        "height": height,
        "title": {
            "text": title,
            "subtitle": t("bench.calibration_error", value=f"{found.error:.4f}"),
            "anchor": "start",
            "fontSize": 13,
            "fontWeight": 600,
            "subtitleColor": QUIET,
            "offset": 8,
        },
        "encoding": {
            "x": {"field": "confidence", "type": "quantitative", "title": sure, "scale": unit},
            "y": {"field": "accuracy", "type": "quantitative", "title": right, "scale": unit},
        },
        "layer": [
            {
                "data": {"values": [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]},
                "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1, "color": QUIET},
            },
            {"mark": {"type": "line", "strokeWidth": 1.5, "color": color, "opacity": 0.7}},
            {
                "mark": {"type": "circle", "color": color, "opacity": 0.9},
                "encoding": {
                    "size": {"field": "rows", "type": "quantitative", "legend": None, "scale": {"range": [20, 260]}},
                    "tooltip": tooltip,
                },
            },
        ],
        "config": CONFIG,
    }
    return Chart(spec, table)


def describe_temperature(temperature: float) -> str:
    """The temperature, and which way it goes."""
    way = (
        "bench.temperature_as_is"
        if abs(temperature - 1) < 0.005
        else "bench.temperature_less"
        if temperature > 1
        else "bench.temperature_more"
    )
    return t(way, value=f"{temperature:.3f}")


def describe_offsets(offsets: Sequence[float], classes: Sequence[str]) -> str:
    """The classes with the largest offsets, or that none helped."""
    order = sorted(range(len(offsets)), key=lambda label: (-abs(offsets[label]), label))
    largest = [f"{classes[label]} {offsets[label]:+.2f}" for label in order[:MOST_OFFSETS] if offsets[label]]
    return t("bench.offsets_found", largest=" · ".join(largest)) if largest else t("bench.offsets_none")
