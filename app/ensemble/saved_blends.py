"""The blends that were kept, under the bench: what they scored, and what can be done with them: load, submit, delete."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.ensemble.blend_restore import can_be_restored, put_on_bench
from app.ensemble.ways import after_label
from app.shell import runtime
from app.shell.state import go_to
from app.ui.cards import guard
from app.ui.format import format_clock, format_honest, format_score, metric_label, plain
from app.words.text import t
from core.blend.save import remove_blend
from core.store.blends import Blend, list_blends
from core.store.contests import Contest
from core.store.runs import Run

DELETE_KEY = "blend-to-delete"
WEIGHTS_PX = 300
"""The widest column; wider, and on a screen of 1440 the actions at the end are out of sight."""


def saved_blends(contest: Contest, finished: Sequence[Run]) -> None:
    """The blends that were kept, with what they scored and their weights."""
    blends = list_blends(runtime.workspace().store, contest.id)
    st.subheader(t("ensemble.saved_title"), anchor=False)
    if not blends:
        st.caption(t("ensemble.saved_none"))
        return
    names = {run.id: run.name for run in finished}
    _ask_to_delete(blends)
    load, submit, drop = t("ensemble.action_load"), t("ensemble.action_submit"), t("ensemble.action_delete")
    table = pd.DataFrame(
        {
            "name": [blend.name for blend in blends],
            "oof": [blend.scores["oof_score"] for blend in blends],
            "cv": [format_score(blend.scores["cv_score"], blend.scores["cv_sd"]) for blend in blends],
            "honest": [format_honest(blend.scores.get("honest")) for blend in blends],
            "equal": [blend.scores["equal_score"] for blend in blends],
            "mean": [after_label(blend.spec) for blend in blends],
            "members": [describe_weights(blend, names) for blend in blends],
            "created": [format_clock(blend.created_at) for blend in blends],
            "actions": [[load, submit, drop] for _ in blends],
        }
    )

    def act() -> None:
        click = st.session_state["blend-action"]
        blend = blends[click.row]
        if click.label == submit:
            go_to("submit", source=blend.ref)
        if click.label == drop:
            st.session_state[DELETE_KEY] = blend.id
            return
        if not can_be_restored(blend, names):
            st.toast(t("ensemble.load_refused", name=plain(blend.name)), icon=":material/block:")
            return
        put_on_bench(blend)

    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        key="saved-blends",
        alt=t("ensemble.saved_title"),
        column_config={
            "name": st.column_config.TextColumn(t("ensemble.column_name"), pinned=True),
            "oof": number(f"{t('ensemble.column_oof')} ({metric_label(contest.spec.metric)})", format="%.4f"),
            "cv": t("ensemble.column_cv"),
            "honest": st.column_config.TextColumn(t("ensemble.honest"), help=t("ensemble.honest_help")),
            "equal": number(t("ensemble.column_equal"), format="%.4f"),
            "mean": t("ensemble.mean"),
            "members": st.column_config.TextColumn(t("ensemble.column_members"), width=WEIGHTS_PX),
            "created": t("ensemble.column_created"),
            "actions": st.column_config.ButtonColumn(t("ensemble.column_actions"), key="blend-action", on_click=act),
        },
    )


def _ask_to_delete(blends: Sequence[Blend]) -> None:
    """Open the question for the blend whose action was clicked, once."""
    asked = st.session_state.pop(DELETE_KEY, None)
    for blend in blends:
        if blend.id == asked:
            confirm_delete(blend)


def confirm_delete(blend: Blend) -> None:
    """Ask before a blend and its predictions are deleted; a refusal is said in the same place."""

    @st.dialog(t("ensemble.delete_title"))
    def ask() -> None:
        st.markdown(t("ensemble.delete_body", name=plain(blend.name), ref=blend.ref, n=len(blend.run_ids)))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button(t("ensemble.delete_no")):
                st.rerun()
            says_yes = st.button(t("ensemble.delete_yes"), type="primary")
        if says_yes:
            with guard():
                remove_blend(runtime.workspace(), blend.id)
                st.toast(t("ensemble.deleted", name=plain(blend.name)), icon=":material/check:")
                st.rerun()

    ask()


def describe_weights(blend: Blend, names: dict[int, str]) -> str:
    """A blend's weights in words, the largest first."""
    pairs = sorted(zip(blend.spec.members, blend.spec.normalised(), strict=True), key=lambda pair: -pair[1])
    return " · ".join(f"{names.get(run_id, f'r{run_id}')} {weight:.3f}" for run_id, weight in pairs)
