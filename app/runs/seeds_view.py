"""The seeds of one run: the way from a seed to its run, more of them, and what each scored."""

import pandas as pd
import streamlit as st

from app.shell import runtime, state
from app.ui.cards import guard
from app.ui.format import (
    STATE_COLORS,
    direction_arrow,
    format_score,
    plain,
    state_label,
)
from app.words.text import t
from core.analysis.epoch_choice import epoch_choice
from core.specs.training_settings import MOST_SEEDS
from core.store.contests import Contest
from core.store.folds import get_folds
from core.store.runs import Run, list_runs

USUAL_SEEDS = 3


def way_to_run(contest: Contest, run: Run) -> None:
    """The way back to the run that this one is a seed of."""
    for whole in list_runs(runtime.workspace().store, contest.id):
        if run.id in [seed.id for seed in whole.seeds]:
            label = t("runs.seed_of", seed=run.recipe.train.seed, name=plain(whole.name))
            if st.button(label, icon=":material/casino:", type="tertiary", key=f"seed-of-{whole.id}"):
                state.select_run(whole.ref)
                st.rerun()


def more_seeds(run: Run) -> None:
    """Queue the run's recipe with more seeds, and open the run that they make with those that are there."""
    with st.popover(t("runs.seeds_more"), icon=":material/casino:"):
        st.caption(t("runs.seeds_more_about"))
        least = len(run.parts) + 1
        n = st.number_input(t("runs.seeds_number"), least, MOST_SEEDS, max(least, USUAL_SEEDS), key=f"seeds-of-{run.id}")
        if st.button(t("runs.seeds_queue", n=(n - len(run.parts)) * len(run.fold_numbers)), type="primary", key=f"queue-seeds-{run.id}"):
            with guard():
                more = runtime.steer(lambda: runtime.launch.launch_seeds(runtime.workspace(), run, n))
                state.select_run(more.ref)
                st.rerun()


def seeds_view(contest: Contest, run: Run) -> None:
    """A row for each seed, with its score in every fold; a click opens the seed's own page, with its curves, checkpoints and log."""
    metric, store = contest.spec.metric, runtime.workspace().store
    folds = get_folds(store, run.folds_id)
    choices = [epoch_choice(store, contest, folds, seed) for seed in run.seeds]
    scores = [seed.fold_scores(metric) for seed in run.seeds]
    columns = {f"fold {fold}": [of_seed.get(fold) for of_seed in scores] for fold in run.fold_numbers}
    table = pd.DataFrame(
        {
            "seed": [seed.recipe.train.seed for seed in run.seeds],
            "run": [seed.name for seed in run.seeds],
            "state": [[state_label(seed.state)] for seed in run.seeds],
            "cv": [format_score(seed.cv_score(metric), seed.cv_sd(metric)) for seed in run.seeds],
            "epochs": [format_score(choice.cross_fitted, choice.cross_fitted_sd) if choice else "–" for choice in choices],
            **columns,
        }
    )

    def open_seed() -> None:
        state.select_run(run.seeds[st.session_state["seed-open"].row].ref)
        st.rerun()

    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        table,
        hide_index=True,
        key=f"run-seeds-{run.id}",
        placeholder="–",
        alt=t("runs.tab_seeds"),
        column_config={
            "seed": number(t("runs.column_seed"), width="small", pinned=True),
            "run": st.column_config.ButtonColumn(
                t("runs.column_run"), key="seed-open", on_click=open_seed, type="tertiary", alignment="left", pinned=True
            ),
            "state": st.column_config.MultiselectColumn(
                t("runs.fold_state"), options=[state_label(name) for name in STATE_COLORS], color=list(STATE_COLORS.values()), width="small"
            ),
            "cv": text(t("runs.column_cv", arrow=direction_arrow(metric))),
            "epochs": text(t("runs.seeds_epochs"), help=t("runs.figure_cv_epochs_help")),
            **{f"fold {fold}": number(t("runs.job_fold", fold=fold), format="%.4f", width="small") for fold in run.fold_numbers},
        },
    )
    st.caption(t("runs.seeds_about"))
