"""The foot of the sidebar: each device with its job, bar and remaining time; the queue and when it will be done.

A fragment polls it and draws the same few elements each time, so nothing blinks. It also says on every page that a run ended or a fold
failed: a toast, once in each tab, and a mark on the tab's title until somebody looks. A session begins with what has ended already, so a
reload repeats nothing.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.runs.progress import BUSY_S, IDLE_S, hold_line
from app.shell import runtime, state
from app.shell.runtime import DeviceStatus, EngineStatus
from app.shell.state import PAGES_DIR
from app.ui.cards import guard
from app.ui.components.tab_title.component import Mark, tab_title
from app.ui.format import format_clock, format_duration, format_score, metric_label, plain
from app.words.core_text import say
from app.words.text import t
from core.base.errors import NotFoundError, PitwallError
from core.store.contests import get_contest
from core.store.queue import RunTally, last_end, read_tallies
from core.store.runs import get_run


def device_status(phone: DeltaGenerator) -> None:
    """Draw the devices and keep them fresh: every second while something runs, every three otherwise.

    `phone` is an empty place on the page, seen where the screen is too narrow for the sidebar: it says the same in a few lines.
    """
    status = runtime.status()
    is_busy = status.n_queued > 0 or any(device.job is not None for device in status.devices)
    st.fragment(_devices, run_every=BUSY_S if is_busy else IDLE_S)(status.is_mine, status.problem, phone)


def _devices(was_mine: bool, problem_before: dict[str, str] | None, phone: DeltaGenerator) -> None:
    """The devices; the page above, which says who holds the workspace and what stopped the engine, runs again when that changes."""
    with guard(), st.container(key="device-status", gap=None):
        status = runtime.status()
        if (status.is_mine, status.problem) != (was_mine, problem_before):
            st.rerun()
        for device in status.devices:
            _device(device, status.free_bytes)
        st.caption(_queue_line(status))
        notify()
        with phone.container(gap=None):
            _phone(status)


def _device(device: DeviceStatus, free_bytes: int) -> None:
    job = device.job
    if job is None:
        doing = t("common.devices_idle") if device.hold is None else hold_line(device.hold, free_bytes)
        st.caption(f"**{plain(device.name)}**  ·  {doing}")
        return
    progress = job.progress
    share = progress.fraction if progress else 0.0
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
        _run_link(job.run_id, f"**{plain(device.name)}** {plain(device.run_name)} · {plain(say(job.title))}")
        st.caption(f"{share:.0%}", width="content", text_alignment="right")
    st.progress(share)
    phase = t(f"common.phase_{progress.phase if progress else 'starting'}")
    remaining = format_duration(progress.eta_s) if progress and progress.eta_s is not None else ""
    held = "" if device.hold is None else hold_line(device.hold, free_bytes)
    st.caption("  ·  ".join(part for part in (phase, remaining, held) if part))


def _phone(status: EngineStatus) -> None:
    """A line for each job that runs, with its end, for the queue, and for each run of which a fold failed in the last day."""
    for device in status.devices:
        if device.job is not None:
            progress = device.job.progress
            ends = progress and progress.eta_s
            end = [] if ends is None else [format_duration(ends), t("common.devices_until", clock=format_clock(time.time() + ends))]
            facts = [f"**{plain(device.run_name)}** {plain(say(device.job.title))}", f"{progress.fraction if progress else 0:.0%}", *end]
            _run_link(device.job.run_id, "  ·  ".join(facts))
    store = runtime.workspace().store
    failed = [tally for tally in read_tallies(store, since=last_end(store) - DAY_S) if tally.n_failed]
    for tally in failed[-MAX_LINES:]:
        said = t("notifications.failed_folds", run=plain(tally.run_name), n=tally.n_failed, of=tally.n_folds)
        _run_link(tally.run_id, f":red[:material/error:] {said}")
    if len(failed) > MAX_LINES:
        st.caption(t("trash.more", n=len(failed) - MAX_LINES))
    st.caption(_queue_line(status))


def _run_link(run_id: int | None, label: str) -> None:
    params = state.link_params(run="" if run_id is None else f"r{run_id}")
    st.page_link(PAGES_DIR / "runs.py", label=label, icon="", help="", query_params=params)


def _queue_line(status: EngineStatus) -> str:
    if not status.is_mine:
        return t("common.devices_held")
    if status.is_paused:
        return t("queue.devices_queue_paused", n=status.n_queued)
    if not status.n_queued:
        return t("common.devices_queue_empty")
    line = t("common.devices_queue", n=status.n_queued)
    if status.n_paused:
        line += "  ·  " + t("queue.devices_n_paused", n=status.n_paused)
    if status.queue_end_s is not None:
        line += "  ·  " + t("common.devices_until", clock=format_clock(time.time() + status.queue_end_s))
    return line


SESSION_KEY = "notifications"
CLOCK_SLACK_S = 3600.0
"""How far a clock may be put back without an end being missed."""
SHOWN_S = 10
DAY_S = 86400.0
MAX_LINES = 3
MAX_MARKS = 20


@dataclass(frozen=True)
class Notification:
    """One event, seen `at` a monotonic time; `number` counts them within a session. A fold that failed while others go on is an event too."""

    number: int
    kind: Literal["done", "failed", "fold_failed"]
    tally: RunTally
    at: float

    @property
    def is_bad(self) -> bool:
        return self.kind != "done"


@dataclass
class Watch:
    """The events that a session has seen; what had ended before its first look is none."""

    since: float
    known: set[tuple[str, int, float]] | None = None
    events: list[Notification] = field(default_factory=list)
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def look(self, tallies: Sequence[RunTally], now: float) -> list[Notification]:
        """The new events in these tallies, in the order in which they happened; each is returned once, and none at the first look."""
        is_first, known = self.known is None, self.known or set()
        fresh: list[Notification] = []
        for tally in sorted(tallies, key=lambda tally: (tally.ended_at, tally.run_id)):
            ended = ("ended", tally.run_id, tally.ended_at) if tally.has_ended else None
            failed = ("failed", tally.run_id, tally.failed_at) if tally.n_failed else None
            kind = ("failed" if tally.n_failed else "done") if ended else "fold_failed"
            if (ended or failed) not in {None, *known}:
                fresh.append(Notification(len(self.events) + len(fresh), kind, tally, now))
            known |= {event for event in (ended, failed) if event}
            self.since = max(self.since, tally.ended_at - CLOCK_SLACK_S)
        self.known = known
        if is_first:
            return []
        self.events += fresh
        return fresh

    def shown(self, now: float) -> list[Notification]:
        """What the next toast says: it takes the place of the one before, so it repeats what that one still shows."""
        return [event for event in self.events if now - event.at < SHOWN_S]


def notify() -> None:
    """Show what happened since the last poll in one toast, and keep the tab's title current."""
    store = runtime.workspace().store
    watch: Watch | None = st.session_state.get(SESSION_KEY)
    if watch is None:
        watch = st.session_state[SESSION_KEY] = Watch(since=last_end(store) - CLOCK_SLACK_S)
    # What is in the trash when a session begins has ended too: restored, it is no news.
    tallies = read_tallies(store, since=watch.since, with_trash=watch.known is None)
    now = time.monotonic()
    if watch.look(tallies, now):
        _toast(watch.shown(now))
    tab_title(
        watch.name,
        marks=[
            Mark(one.number, t(f"notifications.title_{one.kind}", run=one.tally.run_name), one.is_bad) for one in watch.events[-MAX_MARKS:]
        ],
        training=_training([tally for tally in tallies if tally.n_running]),
    )


def _toast(events: Sequence[Notification]) -> None:
    n_bad = sum(event.is_bad for event in events)
    if len(events) > MAX_LINES:
        paragraphs = [t("notifications.many", done=len(events) - n_bad, failed=n_bad)]
    else:
        paragraphs = [text for event in events if (text := _text(event))]
    if paragraphs:
        icon = ":material/error:" if n_bad else ":material/check_circle:"
        st.toast("\n\n".join(paragraphs), icon=icon, duration="infinite" if n_bad else SHOWN_S)


def _text(event: Notification) -> str:
    """An event in a few lines of markdown; "" when its run was deleted or retried in the same second."""
    tally, store = event.tally, runtime.workspace().store
    try:
        run, contest = get_run(store, tally.run_id), get_contest(store, tally.contest_id)
    except NotFoundError:
        return ""
    selected = state.selected_contest()
    name = run.name if selected is not None and selected.id == contest.id else f"{run.name} ({contest.name})"
    if event.kind == "done":
        metric = contest.spec.metric
        score = format_score(run.cv_score(metric), run.cv_sd(metric))
        lines = [t("notifications.done", metric=metric_label(metric), score=score, took=format_duration(run.elapsed_s))]
    else:
        failed = next((job for job in run.jobs if job.state == "failed"), None)
        if failed is None:
            return ""
        lines = [t(f"notifications.{event.kind}", fold=failed.fold, failed=tally.n_failed, n=tally.n_folds)]
        if failed.error:
            lines.append(t("notifications.why", fold=failed.fold, why=say(PitwallError.from_dict(failed.error).what)))
    return "  \n".join([f"**{plain(name)}**", *map(plain, lines)])


def _training(running: Sequence[RunTally]) -> str:
    """How far what trains now is, such as `3/5 digits-small`; of several runs all folds together."""
    if not running:
        return ""
    n_done, n_folds = sum(tally.n_done for tally in running), sum(tally.n_folds for tally in running)
    more = f" +{len(running) - 1}" if len(running) > 1 else ""
    return f"{n_done}/{n_folds} {running[0].run_name}{more}"
