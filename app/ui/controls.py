"""Controls that several pages share: a control that shows a value held elsewhere, and the picker of folds."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st

from app.shell import runtime, state
from app.ui.format import folds_label
from app.words.text import t
from core.store.contests import Contest
from core.store.folds import Folds, list_folds

_T = TypeVar("_T")


def control_of(name: str, value: _T, take: Callable[[_T], None]) -> tuple[str, _T, Callable[[], None]]:
    """The key, the default and the `on_change` of a widget that shows `value`, which is kept elsewhere; `take` is called with a changed value.

    When `value` differs from the widget's state, the widget gets a new key. Assigning to the old key is not enough: until the browser
    has drawn the new value, a fragment's rerun sends the old one back as if it had been chosen. The default of a key never changes.
    """
    turn_key = f"{name}-turn"
    turn, default = st.session_state.setdefault(turn_key, (0, value))
    if st.session_state.get(f"{name}-{turn}", default) != value:
        turn, default = st.session_state[turn_key] = turn + 1, value
    key = f"{name}-{turn}"

    def changed() -> None:
        # A late message of a widget with an older key is ignored.
        if st.session_state[turn_key][0] == turn:
            take(st.session_state[key])

    return key, default, changed


def choose_one(
    name: str, value: _T, take: Callable[[_T], None], label: str, options: Sequence[_T], text: Callable[[_T], str], **look: Any
) -> _T:
    """Options side by side, one of which is chosen: `value`, which is kept elsewhere (see `control_of`)."""
    key, default, changed = control_of(name, value, take)
    default = default if default in options else value
    return st.segmented_control(label, options, default=default, format_func=text, key=key, on_change=changed, required=True, **look)


def segmented(name: str, state_key: str, label: str, options: Sequence[_T], text: Callable[[_T], str], **look: Any) -> _T:
    """A control over options, one of which is chosen; the choice is kept in the session under `state_key`."""
    return choose_one(
        name, st.session_state[state_key], lambda chosen: st.session_state.update({state_key: chosen}), label, options, text, **look
    )


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
        key=_picker_key(contest, len(known)),
        on_change=lambda: state.select_folds(st.session_state[_picker_key(contest, len(known))]),
        required=True,
        label_visibility="collapsed",
        width=320,
    )


def choose_page(n_pages: int, key: str) -> int:
    """The page of a gallery, from 1; its numbers have the room they need."""
    return st.pagination(n_pages, key=key, width=44 * (min(n_pages, 7) + 3)) if n_pages > 1 else 1


def show_folds(contest: Contest, folds: Folds) -> None:
    """Select folds that were found elsewhere, in the picker too. To be called before the page is drawn."""
    state.select_folds(folds)
    st.session_state[_picker_key(contest, len(list_folds(runtime.workspace().store, contest.id)))] = folds


FOLD_NUMBERS = "train-folds-"


def fold_numbers_key(folds: Folds) -> str:
    """Of the control on the page Train that holds which of these folds are trained."""
    return f"{FOLD_NUMBERS}{folds.id}"


def _picker_key(contest: Contest, n_known: int) -> str:
    return f"pick-folds-{contest.id}-{n_known}"
