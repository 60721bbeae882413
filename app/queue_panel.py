"""The queue on the page Runs: in which order runs wait, buttons that change it, and why it stands still when it does.

The queue is that of the whole workspace, so runs of other contests are named too. Clicks act in callbacks, before the panel is
drawn: it is drawn by a fragment that polls, and shows each second what is true then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape

import streamlit as st

from app import doorway
from app.colors import run_color
from app.doorway import EngineStatus
from app.text import t
from app.widgets import error_card, format_clock, plain
from core.errors import PitwallError
from core.store.contests import Contest, list_contests
from core.store.holds import EVERY_DEVICE, Hold, list_holds
from core.store.order import QueuedRun, read_queue
from core.store.runs import Run, get_run

MOST_AT_FIRST = 8
REFUSED_KEY = "queue-refused"
ALL_KEY = "queue-all"


def queue_panel(contest: Contest) -> None:
    """Draw the panel; nothing while nothing waits and nothing is held."""
    refused: PitwallError | None = st.session_state.pop(REFUSED_KEY, None)
    if refused is not None:
        error_card(refused)
    snapshot, store = doorway.status(), doorway.workspace().store
    holds = list_holds(store)
    waiting = [queued for queued in read_queue(store) if queued.waiting]
    if not waiting and not holds and not any(device.job for device in snapshot.devices):
        return
    with st.container(key="queue-panel", gap="xsmall"):
        _head(snapshot, len(waiting), is_held=bool(holds))
        for hold in holds:
            _hold(hold, snapshot.free_bytes)
        shows_all = len(waiting) <= MOST_AT_FIRST or bool(st.session_state.get(ALL_KEY))
        names = {other.id: other.name for other in list_contests(store)}
        for place, queued in enumerate(waiting if shows_all else waiting[:MOST_AT_FIRST]):
            _row(queued, place, len(waiting), "" if queued.contest_id == contest.id else names[queued.contest_id])
        if not shows_all:
            st.button(t("queue.show_all", n=len(waiting)), key="queue-show-all", type="tertiary", on_click=_show_all)


def _show_all() -> None:
    st.session_state[ALL_KEY] = True


def _head(snapshot: EngineStatus, n_waiting: int, *, is_held: bool) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{t('queue.title')}** :gray[{t('queue.waiting', runs=n_waiting, folds=snapshot.n_queued)}]", width="content")
        if is_held:
            _button("queue-resume", t("queue.resume_all"), "play_arrow", doorway.resume, help=t("queue.resume_all_help"))
        else:
            _button("queue-pause", t("queue.pause_all"), "pause", doorway.pause, help=t("queue.pause_all_help"))


def _hold(hold: Hold, free_bytes: int) -> None:
    """Why the queue, or a device, stands still."""
    since, device = format_clock(hold.since), plain(hold.device)
    if hold.kind == "disk":
        needed, free = doorway.size_text(hold.needed_bytes), doorway.size_text(free_bytes)
        st.warning(t("queue.disk_full", device=device, needed=needed, free=free, since=since), icon=":material/hard_drive:")
    elif hold.device == EVERY_DEVICE:
        st.info(t("queue.paused", since=since), icon=":material/pause_circle:")
    else:
        st.info(t("queue.paused_device", device=device, since=since), icon=":material/pause_circle:")


def _row(queued: QueuedRun, place: int, n_waiting: int, other_contest: str) -> None:
    key, name = f"queue-{queued.run_id}", plain(queued.run_name)

    def steer(change: Callable[[Run], None]) -> Callable[[], None]:
        return lambda: change(get_run(doorway.workspace().store, queued.run_id))

    with st.container(key=key, horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.html(_line(queued, place, other_contest), width="stretch")
        is_first, is_last = place == 0, place == n_waiting - 1
        # A paused run that is first still has to be resumed to run next.
        is_next = is_first and not queued.is_paused
        _button(f"{key}-next", t("queue.next"), "skip_next", steer(doorway.run_next), help=t("queue.next_help"), off=is_next)
        up, down = steer(partial(doorway.step, direction="up")), steer(partial(doorway.step, direction="down"))
        _button(f"{key}-up", t("queue.up"), "arrow_upward", up, help=t("queue.up_help", run=name), off=is_first)
        _button(f"{key}-down", t("queue.down"), "arrow_downward", down, help=t("queue.down_help", run=name), off=is_last)
        if queued.is_paused:
            _button(f"{key}-resume", t("queue.resume"), "play_arrow", steer(doorway.resume), help=t("queue.resume_help", run=name))
        else:
            _button(f"{key}-pause", t("queue.pause"), "pause", steer(doorway.pause), help=t("queue.pause_help", run=name))


def _line(queued: QueuedRun, place: int, other_contest: str) -> str:
    facts = [t("queue.folds", folds=", ".join(map(str, queued.waiting)))]
    if queued.priority:
        facts.append(t("queue.priority", priority=f"{queued.priority:+d}"))
    if other_contest:
        facts.append(other_contest)
    if queued.is_paused:
        facts.append(t("queue.run_paused"))
    return (
        f'<div style="display:flex;gap:10px;align-items:center;font-size:.86rem">'
        f'<span style="opacity:.55;min-width:1.2em;text-align:right">{place + 1}</span>'
        f'<span aria-hidden="true" style="flex:none;width:10px;height:10px;border-radius:50%;background:{run_color(queued.run_id)}"></span>'
        f'<b style="font-weight:600">{escape(queued.run_name)}</b><span style="opacity:.7">{escape(" · ".join(facts))}</span></div>'
    )


def _button(key: str, label: str, icon: str, act: Callable[[], None], *, help: str | None = None, off: bool = False) -> None:
    st.button(label, icon=f":material/{icon}:", key=key, help=help, disabled=off, on_click=_do, args=(act,))


def _do(act: Callable[[], None]) -> None:
    """Act at once; a refusal (read-only, or the run has just begun) is said above the panel."""
    try:
        act()
    except PitwallError as error:
        st.session_state[REFUSED_KEY] = error


def hold_line(hold: Hold, free_bytes: int) -> str:
    """Why a device stands still, short enough for the pit board."""
    if hold.kind == "person":
        return t("queue.board_paused")
    return t("queue.board_disk", needed=doorway.size_text(hold.needed_bytes), free=doorway.size_text(free_bytes))
