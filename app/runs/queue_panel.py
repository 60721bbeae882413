"""The queue on the page Runs: the order of the waiting runs, controls that change it, and why the queue is held.

The queue is that of the whole workspace, so runs of other contests are named too. Clicks act in callbacks: the panel is drawn by a
fragment that polls every second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from app.shell import runtime
from app.shell.runtime import queue
from app.ui.cards import error_card
from app.ui.colors import run_color
from app.ui.components.queue_order.component import Act, ActKind, OrderRow, queue_order
from app.ui.format import STATE_COLORS, format_clock, plain, state_label
from app.words.core_text import say
from app.words.text import t
from core.base.errors import PitwallError
from core.store.contests import Contest, list_contests
from core.store.database import Store
from core.store.jobs import Job
from core.store.queue import EVERY_DEVICE, Hold, QueuedRun, list_holds, list_other_jobs, read_queue
from core.store.runs import Run, get_run

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
    snapshot, store = runtime.status(), _store()
    holds = list_holds(store)
    waiting = [queued for queued in read_queue(store) if queued.is_waiting]
    others = list_other_jobs(store)
    if not waiting and not holds and not others and not any(device.job for device in snapshot.devices):
        return
    with st.container(key="queue-panel", gap="xsmall"):
        _head(waiting, is_held=bool(holds))
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
                apply=lambda act: _do(lambda: steer(act)),
                key="queue-order",
            )
        if not shows_all:
            shown = {ALL_KEY: True}
            st.button(
                t("queue.show_all", n=len(waiting)), key="queue-show-all", type="tertiary", on_click=st.session_state.update, args=(shown,)
            )
        _other_jobs(others, can_steer=snapshot.is_mine)


def _head(waiting: Sequence[QueuedRun], *, is_held: bool) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(
            f"**{t('queue.title')}** :gray[{t('queue.waiting', runs=len(waiting), folds=sum(len(queued.waiting) for queued in waiting))}]",
            width="content",
        )
        if is_held:
            _button(
                "queue-resume", t("queue.resume_all"), "play_arrow", lambda: queue.resume_queue(_store()), help=t("queue.resume_all_help")
            )
        else:
            _button("queue-pause", t("queue.pause_all"), "pause", lambda: queue.pause_queue(_store()), help=t("queue.pause_all_help"))


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
    facts += map(say, queued.others)
    if queued.priority:
        facts.append(t("queue.priority", priority=f"{queued.priority:+d}"))
    if other_contest:
        facts.append(other_contest)
    if queued.is_paused:
        facts.append(t("queue.run_paused"))
    return OrderRow(queued.run_id, queued.run_name, run_color(queued.run_id), " · ".join(facts), queued.is_paused)


def _other_jobs(jobs: Sequence[tuple[Job, str]], *, can_steer: bool) -> None:
    """Jobs that train no fold: each is canceled or retried by itself. Those that ended stand folded."""
    live = [each for each in jobs if each[0].state in ("queued", "running")]
    ended = [each for each in jobs if each not in live]
    for job, owner in live:
        _other_job(
            job, owner, "cancel", "stop_circle", lambda job=job: queue.cancel_job(_store(), job.id), can_steer and not job.cancel_requested
        )
    if ended:
        with st.expander(t("queue.jobs_ended", n=len(ended)), icon=":material/replay:"):
            for job, owner in ended:
                _other_job(job, owner, "retry", "replay", lambda job=job: queue.retry_job(_store(), job.id), can_steer)


def _other_job(job: Job, owner: str, verb: str, icon: str, act: Callable[[], object], is_possible: bool) -> None:
    problem = f" · {plain(say(PitwallError.from_dict(job.error).what))}" if job.error and job.state == "failed" else ""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key=f"queue-job-{job.id}"):
        badge = f":{STATE_COLORS[job.state]}-badge[{state_label(job.state)}]"
        st.markdown(f"{plain(say(job.title))} · {plain(owner)} :gray[{job.ref}] {badge}{problem}", width="content")
        _button(f"queue-{verb}-{job.id}", t(f"queue.{verb}_job"), icon, act, disabled=not is_possible)


def steer(act: Act) -> None:
    """Apply an act of the list. Raises NotFoundError, and StateError when it is too late or this window is read-only."""
    store = _store()
    run = get_run(store, act.run_id)

    def move() -> Run:
        others = [queued.run_id for queued in read_queue(store) if queued.is_waiting and queued.run_id != run.id]
        # The run it was put behind may have begun meanwhile; then the place that was seen is the nearest to what was meant.
        return queue.move_run(store, run.id, others.index(act.after) + 1 if act.after in others else act.place)

    acts: dict[ActKind, Callable[[], Run]] = {
        "move": move,
        "next": lambda: queue.run_next(store, run.id),
        "up": lambda: queue.step_run(store, run.id, "up"),
        "down": lambda: queue.step_run(store, run.id, "down"),
        "pause": lambda: queue.pause_run(store, run.id),
        "resume": lambda: queue.resume_run(store, run.id),
    }
    runtime.steer(acts[act.kind])


def _button(key: str, label: str, icon: str, act: Callable[[], object], *, help: str | None = None, disabled: bool = False) -> None:
    st.button(label, icon=f":material/{icon}:", key=key, help=help, disabled=disabled, on_click=_do, args=(lambda: runtime.steer(act),))


def _do(act: Callable[[], object]) -> None:
    """Run an action; a refusal (read-only, or the run has just begun) is shown above the panel."""
    try:
        act()
    except PitwallError as error:
        st.session_state[REFUSED_KEY] = error


def _store() -> Store:
    return runtime.workspace().store


def hold_line(hold: Hold, free_bytes: int) -> str:
    """Why a device is held, in a few words for the device status."""
    if hold.kind == "person":
        return t("queue.devices_paused")
    return t("queue.devices_disk", needed=runtime.size_text(hold.needed_bytes), free=runtime.size_text(free_bytes))
