"""The foot of the sidebar: each device with its job, bar and remaining time; the queue and when it will be done.

A fragment polls it; the fragment draws the same few elements each time, so nothing blinks. It also brings the news of runs.
"""

from __future__ import annotations

import time

import streamlit as st

from app.runs.queue_panel import hold_line
from app.shell import runtime, state
from app.shell.runtime import DeviceStatus, EngineStatus
from app.shell.state import PAGES_DIR
from app.sidebar.notifications import notify
from app.ui.cards import guard
from app.ui.format import format_clock, format_duration, plain
from app.words.text import t

BUSY_S, IDLE_S = 1.0, 3.0


def pit_board() -> None:
    """Draw the board and keep it fresh: every second while something runs, every three otherwise."""
    snapshot = runtime.status()
    busy = snapshot.n_queued > 0 or any(device.job is not None for device in snapshot.devices)
    st.fragment(_board, run_every=BUSY_S if busy else IDLE_S)()


def _board() -> None:
    with guard(), st.container(key="pit-board", gap=None):
        snapshot = runtime.status()
        for device in snapshot.devices:
            _device(device, snapshot.free_bytes)
        st.caption(_queue_line(snapshot))
        notify()


def _device(device: DeviceStatus, free_bytes: int) -> None:
    job = device.job
    if job is None:
        doing = t("common.board_idle") if device.hold is None else hold_line(device.hold, free_bytes)
        st.caption(f"**{plain(device.name)}**  ·  {doing}")
        return
    progress = job.progress
    share = progress.fraction if progress else 0.0
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
        st.page_link(
            PAGES_DIR / "runs.py",
            label=f"**{plain(device.name)}** {plain(device.run_name)} · {t('common.board_fold', n=job.fold)}",
            icon="",
            help="",
            query_params=state.link_params(run=f"r{job.run_id}"),
        )
        st.caption(f"{share:.0%}", width="content", text_alignment="right")
    st.progress(share)
    phase = t(f"common.phase_{progress.phase if progress else 'starting'}")
    remaining = format_duration(progress.eta_s) if progress and progress.eta_s is not None else ""
    held = "" if device.hold is None else hold_line(device.hold, free_bytes)
    st.caption("  ·  ".join(part for part in (phase, remaining, held) if part))


def _queue_line(snapshot: EngineStatus) -> str:
    if not snapshot.is_mine:
        return t("common.board_held")
    if snapshot.is_paused:
        return t("queue.board_queue_paused", n=snapshot.n_queued)
    if not snapshot.n_queued:
        return t("common.board_queue_empty")
    line = t("common.board_queue", n=snapshot.n_queued)
    if snapshot.n_paused:
        line += "  ·  " + t("queue.board_n_paused", n=snapshot.n_paused)
    if snapshot.queue_end_s is not None:
        line += "  ·  " + t("common.board_until", clock=format_clock(time.time() + snapshot.queue_end_s))
    return line
