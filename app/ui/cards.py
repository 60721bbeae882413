"""The frame of every page: its header and sections, cards for empty and failing states, and the guard that shows an error as a card."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shell import state
from app.shell.state import go_to
from app.ui.format import metric_label, plain, short_hash
from app.words.core_text import say
from app.words.text import t
from core.base.errors import PitwallError
from core.base.files import full_disk_told
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run


def page_header(title: str, contest: Contest | None = None, folds: Folds | None = None, *, note: str = "", part: str = "") -> None:
    """The first line of a page: its title, and on the right the contest, its metric (with direction) and the folds.

    The browser's tab says the same; `part` is what it says first, such as a run's name. `note` is markdown in place of a contest.
    """
    st.set_page_config(page_title=" · ".join(filter(None, (part, title, contest.name if contest else "", "Pitwall"))))
    facts = [note] if note else []
    if contest is not None:
        facts = [f"**{plain(contest.name)}**", metric_label(contest.spec.metric)]
        if folds is not None:
            facts.append(t("common.folds_label", n=folds.n_folds, hash=short_hash(folds.fingerprint)))
    with st.container(key="page-header", horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.title(title, anchor=False, width="content")
        if facts:
            st.caption("  ·  ".join(facts), width="content", text_alignment="right")


def section(title: str, note: str = "") -> DeltaGenerator:
    """A heading inside a page with a caption after it; elements drawn into the returned container stand at its right end."""
    with st.container(key=f"section-{title}", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small", width="content"):
            st.subheader(title, anchor=False, width="content")
            if note:
                st.caption(note, width="content")
        return st.container(horizontal=True, width="content", vertical_alignment="center")


def empty_state(
    title: str, why: str, button: str = "", *, on_click: Callable[[], object] | None = None, page: str = "", icon: str = "inbox"
) -> bool:
    """The card of a page that has nothing to show: what it will show, why it is empty, and the button that fills it.

    The button leads to `page` (a name in pages/), or calls `on_click`; the return value says whether it was pressed.
    """
    with st.container(key=f"empty-{icon}", border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        with st.container(key=f"empty-mark-{icon}", width="content"):
            st.markdown(f":gray[:material/{icon}:]", width="content")
        st.subheader(title, anchor=False, width="content", text_alignment="center")
        st.caption(why, width=520, text_alignment="center")
        pressed = bool(button) and st.button(button, type="primary", on_click=on_click, key=f"empty-{icon}-button")
        st.space("small")
    if pressed and page:
        go_to(page)
    return pressed


def onward(label: str, page: str, **params: str) -> None:
    """The button at the end of a page that leads to the next step of the line."""
    if st.button(label, icon=":material/arrow_forward:", icon_position="right", key=f"onward-{page}"):
        go_to(page, **params)


def nothing_yet(words: str, runs: Sequence[Run], icon: str) -> None:
    """The empty state of a page that needs predictions, by its texts in `words`: on to the queue where a run is at work, else to training."""
    is_working = any(run.state in ("queued", "running") for run in runs)
    button = t(f"{words}.empty_button_runs" if is_working else f"{words}.empty_button")
    empty_state(t(f"{words}.empty_title"), t(f"{words}.empty_why"), button, page="runs" if is_working else "train", icon=icon)


def need_contest(title: str) -> Contest:
    """The selected contest; without one the page `title` ends here with a way to get one."""
    contest = state.selected_contest()
    if contest is None:
        page_header(title)
        empty_state(t("common.no_contest_title"), t("common.no_contest_why"), t("common.no_contest_button"), page="home", icon="flag")
        st.stop()
    return contest


def error_card(error: PitwallError) -> None:
    """An error as what, where, why and the fix, in the language of the screen."""
    parts = [("where", error.where), ("why", error.why), ("fix", error.fix)]
    lines = [f"**{t(f'common.error_{label}')}**  {_by_line(say(text))}" for label, text in parts if text]
    st.error("  \n".join(lines) or "\u00a0", title=plain(say(error.what)), icon=":material/error:")


def _by_line(text: str) -> str:
    """Escaped text that keeps its line breaks in markdown."""
    return "  \n".join(map(plain, text.split("\n")))


@contextmanager
def guard() -> Iterator[None]:
    """Show a PitwallError, or a full disk, as a card; anything else is a bug and keeps its traceback."""
    try:
        with full_disk_told():
            yield
    except PitwallError as error:
        error_card(error)


def ask(words: str, act: Callable[[], object], **values: object) -> None:
    """A dialog with the texts `<words>_title`, `_body`, `_no` and `_yes`; on yes it calls `act`, whose refusal is said in the same place."""

    @st.dialog(t(f"{words}_title"))
    def dialog() -> None:
        st.markdown(t(f"{words}_body", **values))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button(t(f"{words}_no")):
                st.rerun()
            is_yes = st.button(t(f"{words}_yes"), type="primary")
        if is_yes:
            with guard():
                act()

    dialog()


KEYS = ("go", "search", "help", "queue", "dry_run", "undo", "tiles", "table", "lift", "list")
"""What the list of shortcuts says, in this order; the keys stand in the words, since some are words."""


def list_keys() -> None:
    """A dialog with every shortcut."""

    @st.dialog(t("common.keys"))
    def dialog() -> None:
        st.table({f"**{t(f'common.key_{name}')}**": t(f"common.key_{name}_does") for name in KEYS}, border="horizontal")

    dialog()
