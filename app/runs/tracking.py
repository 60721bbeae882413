"""The trackers of a run on its page: a button for TensorBoard, links to the others, and the ones that stopped."""

from __future__ import annotations

from urllib.parse import quote

import streamlit as st

from app.shell import runtime
from app.ui.cards import guard
from app.ui.format import plain
from app.words.core_text import say
from app.words.text import t
from core.store.contests import Contest
from core.store.runs import Run
from core.tracking.board import board_command
from core.tracking.tracker import FoldNotes, Note, notes_of_run


def tracking_button(contest: Contest, run: Run) -> None:
    """A popover about the trackers of a run; nothing for an imported run."""
    if run.imported:
        return
    with st.popover(t("tracking.button"), icon=":material/monitoring:"):
        st.caption(t("tracking.about"))
        with guard():
            _board(contest, run)
        st.caption(t("tracking.by_hand"))
        st.code(board_command(runtime.workspace()), language="bash", wrap_lines=True)
        _others(_notes(run))


def tracking_trouble(run: Run) -> None:
    """A line for each tracker that stopped, with the folds it did not record."""
    failed: dict[tuple[str, str, str], list[str]] = {}
    for fold in _notes(run):
        for note in fold.notes:
            if note.state == "failed":
                failed.setdefault((note.title, note.problem, note.fix), []).append(str(fold.fold))
    for (title, problem, fix), folds in failed.items():
        said = t("tracking.failed", folds=", ".join(folds), problem=plain(say(problem).rstrip(".")))
        todo = f" {t('tracking.fix', fix=plain(say(fix)))}" if fix else ""
        st.markdown(f":orange-badge[:material/cloud_off: {plain(title)}] {said}{todo}")


def _board(contest: Contest, run: Run) -> None:
    board = runtime.board()
    if board is None:
        if st.button(t("tracking.start"), type="primary", icon=":material/play_arrow:", key="board-start"):
            with st.spinner(t("tracking.starting")):
                runtime.start_board()
            st.rerun()
        return
    only_this = quote(f"^{contest.name}/{run.name}-{run.ref}/", safe="")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.link_button(t("tracking.open"), f"{board.url}?runFilter={only_this}#timeseries", type="primary", icon=":material/open_in_new:")
        if st.button(t("tracking.stop"), type="tertiary", key="board-stop"):
            runtime.stop_board()
            st.rerun()
    st.caption(t("tracking.running_at", url=board.url.rstrip("/")))


def _others(folds: tuple[FoldNotes, ...]) -> None:
    """Links to the run in the trackers of its recipe, and the commands that open them."""
    found: dict[str, list[tuple[int, Note]]] = {}
    for fold in folds:
        for note in fold.notes:
            if note.place and note.tracker != "tensorboard":
                found.setdefault(note.title, []).append((fold.fold, note))
    for title, notes in found.items():
        links = [
            f"[{t('tracking.fold_link', fold=number)}]({note.place})" if note.place.startswith(("http:", "https:")) else str(number)
            for number, note in notes
        ]
        st.markdown(t("tracking.recorded", tracker=plain(title), folds=", ".join(links)))
        commands = list(dict.fromkeys(note.command for _, note in notes if note.command))
        if commands:
            st.caption(t("tracking.look"))
            st.code("\n".join(commands), language="bash", wrap_lines=True)


def _notes(run: Run) -> tuple[FoldNotes, ...]:
    return notes_of_run(runtime.workspace(), run.id, run.fold_numbers)
