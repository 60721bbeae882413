"""Dialogs that several pages open: what deleting takes along, before it is asked, and another name for a thing."""

from collections.abc import Callable, Collection, Mapping

import streamlit as st

from app.shell import runtime
from app.ui.cards import guard
from app.ui.format import format_clock, plain
from app.words.text import t
from core.base.names import NAME_LENGTH, NOTE_LENGTH
from core.store.trash import Item, Kind, plan_removal, put_in_trash

MOST_NAMED = 30


def ask_removal(chosen: Mapping[Kind, Collection[int]], after: Callable[[], object] = lambda: None) -> None:
    """Say what is deleted and what goes along, then ask; what trains is canceled first. `after` is called when it is in the trash."""

    @st.dialog(t("trash.delete_title"), width="medium")
    def dialog() -> None:
        removal = plan_removal(runtime.workspace().store, chosen)
        if not removal.items:
            st.rerun()
        st.markdown(t("trash.delete_asked", names=named(removal.asked)))
        if removal.follows:
            st.markdown(t("trash.delete_follows", counts=counted(removal.follows)))
            st.caption(named(removal.follows))
        if removal.n_waiting or removal.running:
            running = ", ".join(removal.running) or "–"
            st.warning(t("trash.delete_stops", running=running, n=removal.n_waiting), icon=":material/stop_circle:")
        st.caption(t("trash.delete_kept"))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button(t("trash.delete_no")):
                st.rerun()
            is_yes = st.button(t("trash.delete_yes"), type="primary", icon=":material/delete:")
        if is_yes:
            with guard(), st.spinner(t("trash.deleting")):
                if removal.running:
                    runtime.steer(lambda: runtime.queue.stop_running(runtime.workspace().store, chosen))
                entry = runtime.with_reserve(runtime.workspace(), lambda: put_in_trash(runtime.workspace().store, removal))
                after()
                st.toast(t("trash.deleted", names=named(entry.asked, 3), until=format_clock(entry.kept_until)), icon=":material/delete:")
                st.rerun()

    dialog()


def ask_name(name: str, rename: Callable[[str], object]) -> None:
    """Ask for another name of what is called `name`; a refusal of `rename` is said in the dialog."""

    @st.dialog(t("trash.rename_title", name=plain(name)))
    def dialog() -> None:
        with st.form("rename", border=False):
            new = st.text_input(t("trash.rename_label"), name, max_chars=NAME_LENGTH, help=t("trash.rename_help"))
            is_yes = st.form_submit_button(t("trash.rename_yes"), type="primary")
        if is_yes:
            with guard():
                rename(new or "")
                st.rerun()

    dialog()


def ask_note(name: str, note: str, keep: Callable[[str], object]) -> None:
    """Ask for a note on what is called `name`."""

    @st.dialog(t("trash.note_title", name=plain(name)))
    def dialog() -> None:
        with st.form("note", border=False):
            new = st.text_area(t("trash.note_label"), note, max_chars=NOTE_LENGTH)
            is_yes = st.form_submit_button(t("trash.note_yes"), type="primary")
        if is_yes:
            keep(new or "")
            st.rerun()

    dialog()


def menu_label(name: str) -> str:
    """The label of the menu of what is called `name`: three dots, and the name for those who hear it (style.css hides it)."""
    return f"⋮ :small[{plain(name)}]"


def named(items: Collection[Item], most: int = MOST_NAMED) -> str:
    """Things by kind and name, as markdown."""
    names = [
        f"{t(f'trash.kind_{item.kind}')} **{plain(item.name)}**" + (f" ({item.ref})" if item.kind != "contest" else "") for item in items
    ]
    more = [t("trash.more", n=len(names) - most)] if len(names) > most else []
    return ", ".join([*names[:most], *more])


def counted(items: Collection[Item]) -> str:
    """How many of each kind."""
    kinds = [item.kind for item in items]
    return ", ".join(t(f"trash.count_{kind}", n=kinds.count(kind)) for kind in dict.fromkeys(kinds))
