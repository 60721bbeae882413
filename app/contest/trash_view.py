"""The bottom of the page Home: archived contests, and the trash, from which things are restored."""

from collections.abc import Sequence

import streamlit as st

from app.contest.contest_view import contest_row, ticked_contests
from app.shell import runtime
from app.ui.cards import ask, guard, section
from app.ui.format import format_clock, plain
from app.ui.ways_back import counted, named
from app.words.text import t
from core.analysis.overview import ContestOverview
from core.store.trash import TrashEntry, list_trash, restore
from core.trash import empty_trash, entry_bytes

MOST_SHOWN = 50


def archive(overviews: Sequence[ContestOverview]) -> None:
    """The archived contests, folded."""
    if overviews:
        with st.expander(t("trash.archived", n=len(overviews)), icon=":material/archive:"), st.container(gap="small"):
            with st.container(horizontal=True, horizontal_alignment="right"):
                ticked_contests([overview.contest for overview in overviews])
            for overview in overviews:
                contest_row(overview)


def trash() -> None:
    """What was deleted, each entry with a button that restores it, and what the trash was emptied of."""
    workspace = runtime.workspace()
    entries = list_trash(workspace.store)
    if not entries:
        return
    kept, gone = [each for each in entries if each.emptied_at is None], [each for each in entries if each.emptied_at is not None]
    with section(t("trash.title"), t("trash.note")):
        if kept and st.button(t("trash.empty"), icon=":material/delete_forever:"):
            size = runtime.size_text(sum(entry_bytes(workspace, entry) for entry in kept))
            ask("trash.empty", lambda: _empty(size), n=len(kept), size=size)
    with guard(), st.container(gap="small"):
        for entry in kept[:MOST_SHOWN]:
            _entry(entry)
        for entry in gone[:MOST_SHOWN]:
            why = t(f"trash.why_{entry.emptied_for}")
            st.caption(t("trash.gone", when=format_clock(entry.emptied_at or 0.0), why=why, names=named(entry.asked, 5)))


def _entry(entry: TrashEntry) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(gap="xxsmall", width="content"):
            st.markdown(named(entry.asked, 8), width="content")
            size = runtime.size_text(entry_bytes(runtime.workspace(), entry))
            facts = [t("trash.deleted_at", when=format_clock(entry.trashed_at), until=format_clock(entry.kept_until), size=size)]
            facts += [t("trash.with", counts=counted(entry.follows))] if entry.follows else []
            st.caption("  ·  ".join([entry.ref, *facts]), width="content")
        if st.button(t("trash.restore"), icon=":material/restore_from_trash:", key=f"restore-{entry.ref}"):
            restored = restore(runtime.workspace().store, entry.ref)
            said = [t("trash.restored", names=named(entry.asked, 5))]
            said += [t("trash.renamed", old=plain(item.name), new=plain(name)) for item, name in restored.renamed.items()]
            st.toast("  \n".join(said), icon=":material/restore_from_trash:")
            st.rerun()


def _empty(size: str) -> None:
    runtime.with_reserve(runtime.workspace(), lambda: empty_trash(runtime.workspace()))
    st.toast(t("trash.emptied", size=size), icon=":material/check:")
    st.rerun()
