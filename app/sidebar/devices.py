"""The foot of the sidebar: each device with its job, bar and remaining time; the queue and when it will be done.

A fragment polls it and draws the same few elements each time, so nothing blinks. It also shows the notifications of runs.
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
from app.words.core_text import say
from app.words.text import t

BUSY_S, IDLE_S = 1.0, 3.0


def device_status() -> None:
    """Draw the devices and keep them fresh: every second while something runs, every three otherwise."""
    status = runtime.status()
    is_busy = status.n_queued > 0 or any(device.job is not None for device in status.devices)
    st.fragment(_devices, run_every=BUSY_S if is_busy else IDLE_S)(status.is_mine, status.problem)


def _devices(was_mine: bool, problem_before: dict[str, str] | None) -> None:
    """The devices; the page above, which says who holds the workspace and what stopped the engine, runs again when that changes."""
    with guard(), st.container(key="device-status", gap=None):
        status = runtime.status()
        if (status.is_mine, status.problem) != (was_mine, problem_before):
            st.rerun()
        for device in status.devices:
            _device(device, status.free_bytes)
        st.caption(_queue_line(status))
        notify()


def _device(device: DeviceStatus, free_bytes: int) -> None:
    job = device.job
    if job is None:
        doing = t("common.devices_idle") if device.hold is None else hold_line(device.hold, free_bytes)
        st.caption(f"**{plain(device.name)}**  ·  {doing}")
        return
    progress = job.progress
    share = progress.fraction if progress else 0.0
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
        st.page_link(
            PAGES_DIR / "runs.py",
            label=f"**{plain(device.name)}** {plain(device.run_name)} · {plain(say(job.title))}",
            icon="",
            help="",
            query_params=state.link_params(run="" if job.run_id is None else f"r{job.run_id}"),
        )
        st.caption(f"{share:.0%}", width="content", text_alignment="right")
    st.progress(share)
    phase = t(f"common.phase_{progress.phase if progress else 'starting'}")
    remaining = format_duration(progress.eta_s) if progress and progress.eta_s is not None else ""
    held = "" if device.hold is None else hold_line(device.hold, free_bytes)
    st.caption("  ·  ".join(part for part in (phase, remaining, held) if part))


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
