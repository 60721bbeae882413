"""The queue as a person steers it: which run comes next, and what is paused. Each change is one transaction.

Launching, cancelling, retrying and deleting are in `queue.py`. The engine sees a change at its next look, within a second.
"""

from __future__ import annotations

import time
from typing import Literal

from core.base.errors import InputError, StateError
from core.store.database import Store
from core.store.queue import EVERY_DEVICE, is_live, pause, pause_devices, place_run, prioritise_run, resume_devices, waiting_runs
from core.store.runs import Run, get_run

PRIORITIES = range(-100, 101)


def run_next(store: Store, run_id: int) -> Run:
    """Put a run's jobs before all others; what runs now is not stopped. A paused run is resumed.

    Raises NotFoundError, and StateError when no fold of the run waits.
    """
    run = get_run(store, run_id)
    with store.transaction() as connection:
        if not place_run(connection, run_id, 0):
            raise _nothing_waits(run)
        pause(connection, run_id, False)
    return get_run(store, run_id)


def move_run(store: Store, run_id: int, place: int) -> Run:
    """Put a run at `place` among the runs that wait, from 0; beyond the last is the end. All its jobs move together.

    A run that is moved past others takes over their priority where its own would contradict the new order. Raises
    NotFoundError, and StateError when no fold of the run waits.
    """
    run = get_run(store, run_id)
    with store.transaction() as connection:
        if not place_run(connection, run_id, place):
            raise _nothing_waits(run)
    return get_run(store, run_id)


def step_run(store: Store, run_id: int, direction: Literal["up", "down"]) -> Run:
    """Let a run and the waiting run before it ("up") or behind it ("down") change places; at the end of the queue nothing changes.

    Raises NotFoundError, and StateError when no fold of the run waits.
    """
    run = get_run(store, run_id)
    with store.transaction() as connection:
        order = waiting_runs(connection)
        if run_id not in order:
            raise _nothing_waits(run)
        at = order.index(run_id)
        to = max(0, at - 1) if direction == "up" else min(len(order) - 1, at + 1)
        if to != at:
            place_run(connection, run_id, to)
    return get_run(store, run_id)


def set_priority(store: Store, run_id: int, priority: int) -> Run:
    """Give a run a priority, -100 to 100: the higher one goes first, among equals the one that came first.

    Raises NotFoundError, InputError outside the range, and StateError when the run neither waits nor runs.
    """
    if priority not in PRIORITIES:
        raise InputError("there is no such priority", where="priority", why=str(priority), fix="choose from -100 to 100; 0 is usual")
    run = get_run(store, run_id)
    with store.transaction() as connection:
        if not prioritise_run(connection, run_id, priority):
            raise _nothing_waits(run)
    return get_run(store, run_id)


def pause_run(store: Store, run_id: int) -> Run:
    """Take no more jobs of a run; its running ones stop within a step and go back to their place.

    Raises NotFoundError, and StateError when the run is paused already, or has ended.
    """
    run = get_run(store, run_id)
    with store.transaction() as connection:
        if not is_live(connection, run_id):
            raise StateError(
                "there is nothing to pause",
                where=run.ref,
                why="no fold of {run} waits or runs",
                fix="retry it, or launch a new run",
                run=run.name,
            )
        if not pause(connection, run_id, True):
            raise StateError("{run} is paused already", where=run.ref, fix="resume it when it shall go on", run=run.name)
    return get_run(store, run_id)


def resume_run(store: Store, run_id: int) -> Run:
    """Let a paused run go on. Raises NotFoundError, and StateError when the run is not paused."""
    run = get_run(store, run_id)
    with store.transaction() as connection:
        if not pause(connection, run_id, False):
            raise StateError(
                "{run} is not paused", where=run.ref, fix="if it does not go on, look whether the whole queue is paused", run=run.name
            )
    return get_run(store, run_id)


def pause_queue(store: Store, *, device: str = EVERY_DEVICE, now: float | None = None) -> None:
    """Take no more jobs, on one device or on any; what runs there stops within a step and goes back. Twice is once."""
    pause_devices(store, now=time.time() if now is None else now, device=device)


def resume_queue(store: Store, *, device: str = EVERY_DEVICE) -> None:
    """Let the queue, or one device, go on, also where a full disk had stopped it. Raises StateError when nothing was paused.

    Runs that were paused by themselves stay so.
    """
    if not resume_devices(store, device):
        raise StateError(
            "the queue is not paused", where="queue" if device == EVERY_DEVICE else device, fix="a single run is resumed by its name"
        )


def _nothing_waits(run: Run) -> StateError:
    return StateError(
        "{run} is not waiting",
        where=run.ref,
        why="no fold of it is in the queue: the run is {state}",
        fix="retry it first",
        run=run.name,
        state=run.state,
    )
