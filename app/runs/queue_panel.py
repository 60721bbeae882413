"""The queue on the page Runs: the order of the waiting runs, controls that change it, and why the queue is held.

The queue is that of the whole workspace, so runs of other contests are named too. Clicks act in callbacks: the panel is drawn by a
fragment that polls every second.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.shell import runtime
from app.shell.runtime import EngineStatus
from app.ui.cards import error_card
from app.ui.colors import run_color
from app.ui.components.queue_order.component import Act, OrderRow, queue_order
from app.ui.format import format_clock, plain
from app.words.text import t
from core.base.errors import PitwallError
from core.store.contests import Contest, list_contests
from core.store.queue import EVERY_DEVICE, Hold, QueuedRun, list_holds, read_queue
from core.store.runs import get_run

MAX_AT_FIRST = 8
REFUSED_KEY = "queue-refused"
ALL_KEY = "queue-all"
ORDER_LABELS = (
    *("list", "how", "read_only", "lifted", "moved", "dropped", "given_up", "next"),
    *("grip_help", "next_help", "up_help", "down_help", "pause_help", "resume_help"),
)


def queue_panel(contest: Contest) -> None:
    """Draw the panel, unless nothing waits, runs or is held."""
    refused: PitwallError | None = st.session_state.pop(REFUSED_KEY, None)
    if refused is not None:
        error_card(refused)
    snapshot, store = runtime.status(), runtime.workspace().store
    holds = list_holds(store)
    waiting = [queued for queued in read_queue(store) if queued.is_waiting]
    if not waiting and not holds and not any(device.job for device in snapshot.devices):
        return
    with st.container(key="queue-panel", gap="xsmall"):
        _head(snapshot, len(waiting), is_held=bool(holds))
        for hold in holds:
            _hold(hold, snapshot.free_bytes)
        shows_all = len(waiting) <= MAX_AT_FIRST or bool(st.session_state.get(ALL_KEY))
        names = {other.id: "" if other.id == contest.id else other.name for other in list_contests(store)}
        if waiting:
            queue_order(
                [_row(queued, names[queued.contest_id]) for queued in (waiting if shows_all else waiting[:MAX_AT_FIRST])],
                n_waiting=len(waiting),
                can_steer=snapshot.is_mine,
                labels={name: t(f"queue.{name}", run="{run}", place="{place}", n="{n}") for name in ORDER_LABELS},
                apply=apply_act,
                key="queue-order",
            )
        if not shows_all:
            st.button(t("queue.show_all", n=len(waiting)), key="queue-show-all", type="tertiary", on_click=_show_all)


def _show_all() -> None:
    st.session_state[ALL_KEY] = True


def _head(snapshot: EngineStatus, n_waiting: int, *, is_held: bool) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{t('queue.title')}** :gray[{t('queue.waiting', runs=n_waiting, folds=snapshot.n_queued)}]", width="content")
        if is_held:
            _button("queue-resume", t("queue.resume_all"), "play_arrow", runtime.resume, help=t("queue.resume_all_help"))
        else:
            _button("queue-pause", t("queue.pause_all"), "pause", runtime.pause, help=t("queue.pause_all_help"))


def _hold(hold: Hold, free_bytes: int) -> None:
    """Why the queue or a device is held."""
    since, device = format_clock(hold.since), plain(hold.device)
    if hold.kind == "disk":
        needed, free = runtime.size_text(hold.needed_bytes), runtime.size_text(free_bytes)
        st.warning(t("queue.disk_full", device=device, needed=needed, free=free, since=since), icon=":material/hard_drive:")
    elif hold.device == EVERY_DEVICE:
        st.info(t("queue.paused", since=since), icon=":material/pause_circle:")
    else:
        st.info(t("queue.paused_device", device=device, since=since), icon=":material/pause_circle:")


def _row(queued: QueuedRun, other_contest: str) -> OrderRow:
    facts = [t("queue.folds", folds=", ".join(map(str, queued.waiting)))] if queued.waiting else []
    facts += queued.others
    if queued.priority:
        facts.append(t("queue.priority", priority=f"{queued.priority:+d}"))
    if other_contest:
        facts.append(other_contest)
    if queued.is_paused:
        facts.append(t("queue.run_paused"))
    return OrderRow(queued.run_id, queued.run_name, run_color(queued.run_id), " · ".join(facts), queued.is_paused)


def apply_act(act: Act) -> None:
    """Apply an act of the list; a refusal (read-only, or the run has just begun) is shown above the panel."""
    _do(lambda: steer(act))


def steer(act: Act) -> None:
    """Apply an act of the list. Raises NotFoundError, and StateError when it is too late or this window is read-only."""
    store = runtime.workspace().store
    run = get_run(store, act.run_id)
    if act.kind == "move":
        others = [queued.run_id for queued in read_queue(store) if queued.is_waiting and queued.run_id != run.id]
        # The run it was put behind may have begun meanwhile; then the place that was seen is the nearest to what was meant.
        runtime.move(run, others.index(act.after) + 1 if act.after in others else act.place)
    elif act.kind == "next":
        runtime.run_next(run)
    elif act.kind in ("up", "down"):
        runtime.step(run, act.kind)
    elif act.kind == "pause":
        runtime.pause(run)
    else:
        runtime.resume(run)


def _button(key: str, label: str, icon: str, act: Callable[[], None], *, help: str) -> None:
    st.button(label, icon=f":material/{icon}:", key=key, help=help, on_click=_do, args=(act,))


def _do(act: Callable[[], None]) -> None:
    """Run an action; a refusal is shown above the panel."""
    try:
        act()
    except PitwallError as error:
        st.session_state[REFUSED_KEY] = error


def hold_line(hold: Hold, free_bytes: int) -> str:
    """Why a device is held, in a few words for the device status."""
    if hold.kind == "person":
        return t("queue.devices_paused")
    return t("queue.devices_disk", needed=runtime.size_text(hold.needed_bytes), free=runtime.size_text(free_bytes))
