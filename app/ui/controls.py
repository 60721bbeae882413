"""Controls that several pages share: a control that shows a value held elsewhere, and the picker of folds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from app.shell import runtime, state
from app.ui.format import folds_label
from app.words.text import t
from core.store.contests import Contest
from core.store.folds import Folds, list_folds

_T = TypeVar("_T")


def control_of(name: str, value: _T, take: Callable[[_T], None]) -> tuple[str, _T, Callable[[], None]]:
    """The key, the default and the `on_change` of a control that shows `value`; `take` is told what a person changes it to.

    A control that last said something else becomes a new one. A value that is only put under its key can be lost: until the
    browser has drawn it, any part of the page that runs by itself sends the old one back, as if a person had chosen it. The default
    stays that of the control's first day: it may name what has gone since.
    """
    turn_key = f"{name}-turn"
    turn, default = st.session_state.setdefault(turn_key, (0, value))
    if st.session_state.get(f"{name}-{turn}", default) != value:
        turn, default = st.session_state[turn_key] = turn + 1, value
    key = f"{name}-{turn}"

    def changed() -> None:
        # What the browser still says of an older control is not about this one.
        if st.session_state[turn_key][0] == turn:
            take(st.session_state[key])

    return key, default, changed


def pick_folds(contest: Contest) -> Folds | None:
    """A picker over the folds of a contest, newest first; the choice goes into the address. None when there are none."""
    known = list_folds(runtime.workspace().store, contest.id)
    chosen = state.selected_folds(contest)
    if chosen is None:
        return None
    return st.selectbox(
        t("folds.picker"),
        known,
        index=[folds.id for folds in known].index(chosen.id),
        format_func=folds_label,
        key=f"pick-folds-{contest.id}-{len(known)}",
        on_change=lambda: state.select_folds(st.session_state[f"pick-folds-{contest.id}-{len(known)}"]),
        required=True,
        label_visibility="collapsed",
        width=320,
    )
