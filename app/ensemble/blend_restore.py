"""A saved blend back on the bench: the same runs, steps and procedure, as one step of undo."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import streamlit as st

from app.ensemble.draft import draft_of
from app.ensemble.lineup import shared_key
from app.ensemble.session import folds_key, members_key, open_desk
from core.specs.blend import BlendSpec
from core.store.blends import Blend


def can_be_restored(blend: Blend, run_ids: Collection[int]) -> bool:
    """Whether all its runs are still here."""
    return all(run_id in run_ids for run_id in blend.spec.members)


def put_on_bench(blend: Blend) -> None:
    """Choose the blend's folds and runs, and put its steps on their desk. To be called before the page is drawn.

    A blend on some folds only comes as weights by hand: fitted again, its procedure could see other folds.
    """
    is_restricted = blend.spec.is_restricted
    procedure = None if is_restricted else blend.scores.get("procedure")
    put_steps(blend.contest_id, blend.folds_id, blend.spec, procedure, shares_folds=is_restricted)


def put_steps(contest_id: int, folds_id: int, spec: BlendSpec, procedure: Mapping[str, Any] | None, *, shares_folds: bool) -> None:
    """Choose folds and runs, and put these steps on their desk; `shares_folds` where not all runs have all folds."""
    st.session_state[folds_key(contest_id)] = folds_id
    if shares_folds:
        st.session_state[shared_key(folds_id)] = "share"
    st.session_state[members_key(folds_id)] = list(spec.members)
    open_desk(folds_id, spec.members).put(draft_of(spec, procedure))
