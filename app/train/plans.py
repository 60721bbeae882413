"""A plan file on the page Train: one is loaded into the form and the grid, and what stands there is saved as one."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.shell import runtime
from app.train.grid_choice import recipes_key, seeds_key
from app.train.starts import LoadedPlan, loaded_plan, plan_key
from app.ui.cards import error_card
from app.ui.controls import fold_numbers_key, show_folds
from app.words.text import t
from core.base.errors import PitwallError
from core.recipes.plan import ReadPlan, parse_plan, plan_text
from core.store.contests import Contest
from core.store.folds import Folds


def plan_box(contest: Contest, folds: Folds, shown: ReadPlan | None, numbers: Sequence[int], start_key: str) -> None:
    """Load a plan file, and save `shown` over these folds as one; None where the form holds nothing that can be trained."""
    with st.popover(t("train.plan_file"), icon=":material/description:", width="stretch"):
        upload_key, refused_key = f"plan-upload-{contest.id}", f"plan-refused-{contest.id}"
        st.file_uploader(
            t("train.plan_load"),
            type=["yaml", "yml"],
            help=t("train.plan_load_help"),
            key=upload_key,
            max_upload_size=1,
            on_change=lambda: _load(contest, folds, upload_key, refused_key, start_key),
        )
        if refused_key in st.session_state:
            error_card(st.session_state[refused_key])
        text, name = "", ""
        if shown is not None:
            some = tuple(numbers) if len(numbers) < folds.n_folds else ()
            plan = shown.plan.model_copy(update={"folds": runtime.spec_of_folds(folds), "fold_numbers": some})
            text, name = plan_text(plan), plan.name
        st.download_button(
            t("train.plan_save"),
            text,
            f"{name}.yaml",
            "application/yaml",
            help=t("train.plan_save_help"),
            on_click="ignore",
            icon=":material/download:",
            width="stretch",
            disabled=not text,
        )


def _load(contest: Contest, folds: Folds, upload_key: str, refused_key: str, start_key: str) -> None:
    """Put an uploaded plan where a person would have typed it: first recipe, further recipes, seeds, folds."""
    st.session_state.pop(refused_key, None)
    upload = st.session_state[upload_key]
    if upload is None:
        return
    try:
        read = parse_plan(upload.getvalue(), contest.spec.modality, where=upload.name)
        made = runtime.make_folds_of(contest, read)
    except PitwallError as refusal:
        st.session_state[refused_key] = refusal
        return
    before = loaded_plan(contest)
    plan = st.session_state[plan_key(contest)] = LoadedPlan(read, before.number + 1 if before else 1)
    st.session_state[start_key], *others = plan.names
    st.session_state[recipes_key(contest)] = others
    st.session_state[seeds_key(contest)] = ", ".join(map(str, read.plan.seeds))
    if made is not None:
        show_folds(contest, made)
    chosen = made or folds
    st.session_state[fold_numbers_key(chosen)] = list(read.plan.fold_numbers or range(chosen.n_folds))
