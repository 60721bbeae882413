"""The weights that plan files gave to their runs, each a start for the blend of those runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from app.ensemble.blend_restore import put_steps
from app.shell import runtime
from app.ui.format import plain
from app.words.text import t
from core.blend.save import make_spec
from core.recipes.plan import list_plan_weights
from core.store.contests import Contest
from core.store.folds import get_folds
from core.store.runs import Run, get_run


def plan_starts(contest: Contest, begun: Sequence[Run]) -> None:
    """A button for each plan that was queued with weights: its runs that have predictions become the members, under its weights."""
    ids = {run.id for run in begun}
    with st.container(horizontal=True, gap="small"):
        for plan in list_plan_weights(runtime.workspace(), contest):
            weights = {run_id: weight for run_id, weight in plan.weights.items() if run_id in ids}
            if any(weights.values()):
                st.button(
                    t("ensemble.plan_start", name=plain(plan.name), n=len(weights), of=len(plan.weights)),
                    key=f"plan-start-{contest.id}-{plan.name}",
                    icon=":material/description:",
                    help=t("ensemble.plan_start_help"),
                    on_click=_put,
                    args=(contest, plan.folds_id, weights),
                )


def _put(contest: Contest, folds_id: int, weights: Mapping[int, float]) -> None:
    store = runtime.workspace().store
    n_folds = get_folds(store, folds_id).n_folds
    misses_folds = any(len(get_run(store, run_id).results) < n_folds for run_id in weights)
    put_steps(contest.id, folds_id, make_spec(list(weights), list(weights.values())), None, shares_folds=misses_folds)
