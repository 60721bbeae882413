"""What the blend on the bench consists of beyond its weights, in a few lines under them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.ensemble.calibration import describe_offsets, describe_temperature
from app.ensemble.draft import Draft
from app.ensemble.thresholds import describe_thresholds
from app.ensemble.ways import mean_label, runs_left_out
from app.ui.format import plain
from app.words.text import t
from core.blend.ensemble import Ensemble
from core.blend.optimum import gap_at
from core.specs.blend import MeanName


def blend_facts(draft: Draft, ensemble: Ensemble, classes: Sequence[str], content: tuple[object, ...]) -> None:
    """Each fact is one line; a plain blend by hand has none."""
    lines = facts_of(draft, ensemble, classes, content)
    if lines:
        st.caption("  \n".join(lines))


def facts_of(draft: Draft, ensemble: Ensemble, classes: Sequence[str], content: tuple[object, ...]) -> list[str]:
    """What the weights that are shown mean, what was proved, what was chosen, and what was fitted after the mean."""
    steps, procedure = draft.steps, draft.procedure
    lines: list[str] = []
    if draft.kind in ("loose", "apart"):
        lines.append(t(f"bench.kind_{draft.kind}"))
    if procedure.is_proved(steps.mean):
        gap = _gap(content, steps.mean, steps.weights, ensemble)
        lines.append(t("bench.gap_shrunk" if steps.shrinkage else "bench.gap", gap=f"{gap:.0e}" if gap else "0"))
    if procedure.mean == "auto":
        lines.append(t("bench.auto_took", mean=mean_label(steps.mean)))
    left_out = [plain(ensemble.runs[place].name) for place in runs_left_out(draft)]
    if procedure.chooses_members:
        lines.append(t("bench.left_out", runs=", ".join(left_out)) if left_out else t("bench.left_out_none"))
    if procedure.temperature:
        lines.append(describe_temperature(steps.temperature))
    if procedure.offsets and steps.offsets:
        lines.append(describe_offsets(steps.offsets, [plain(name) for name in classes]))
    if procedure.thresholds and steps.thresholds:
        lines.append(describe_thresholds(steps.thresholds, [plain(name) for name in classes]))
    return lines


@st.cache_resource(max_entries=64, show_spinner=False)
def _gap(content: tuple[object, ...], mean: MeanName, weights: tuple[float, ...], _ensemble: Ensemble) -> float:
    return gap_at(_ensemble.scorer(mean), weights)
