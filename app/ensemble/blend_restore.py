"""A saved blend back on the bench: the same runs, steps and procedure, as one step of undo."""

from __future__ import annotations

from collections.abc import Collection

import streamlit as st

from app.ensemble.draft import draft_of
from app.ensemble.lineup import shared_key
from app.ensemble.session import folds_key, members_key, open_desk
from core.store.blends import Blend


def can_be_restored(blend: Blend, run_ids: Collection[int]) -> bool:
    """Whether all its runs are still here."""
    return all(run_id in run_ids for run_id in blend.spec.members)


def put_on_bench(blend: Blend) -> None:
    """Choose the blend's folds and runs, and put its steps on their desk. To be called before the page is drawn.

    A blend on some folds only comes as weights by hand: fitted again, its procedure could see other folds.
    """
    st.session_state[folds_key(blend.contest_id)] = blend.folds_id
    if blend.spec.is_restricted:
        st.session_state[shared_key(blend.folds_id)] = "share"
    st.session_state[members_key(blend.folds_id)] = list(blend.spec.members)
    desk = open_desk(blend.folds_id, blend.spec.members)
    desk.put(draft_of(blend.spec, None if blend.spec.is_restricted else blend.scores.get("procedure")))
