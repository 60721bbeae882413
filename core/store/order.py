"""The order of the queue, and changes of it: a run's jobs move together, and nothing else changes its place among the rest.

Jobs of a contest keep their place. The queue is the jobs that wait or run, by priority and then position; the higher priority goes first. Running jobs keep a place
too, because a job that is handed back waits where it was. Every change writes the positions anew, inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from core.store import tables
from core.store.database import Store
from core.store.jobs import FOLD

LIVE = ("queued", "running")

_jobs = tables.jobs.c


@dataclass(frozen=True)
class QueuedRun:
    """One run in the queue; `waiting` and `running` are its folds, the waiting ones in the order in which they will be taken.

    `others` are the titles of its jobs of other kinds; `is_waiting` says whether a job of any kind waits.
    """

    run_id: int
    run_name: str
    contest_id: int
    priority: int
    is_paused: bool
    waiting: tuple[int, ...]
    running: tuple[int, ...]
    others: tuple[str, ...]
    is_waiting: bool

    @property
    def ref(self) -> str:
        """The short name that is unique in the workspace."""
        return f"r{self.run_id}"


@dataclass(frozen=True)
class _Place:
    job_id: int
    run_id: int | None
    state: str
    priority: int
    position: int


def read_queue(store: Store) -> tuple[QueuedRun, ...]:
    """The runs that wait or run, in the order of their first waiting job; those that only run come first."""
    runs = tables.runs.c
    live = (
        select(_jobs.run_id, _jobs.kind, _jobs.fold, _jobs.state, _jobs.priority, runs.name, runs.contest_id, runs.is_paused)
        .join(tables.runs, runs.id == _jobs.run_id)
        .where(_jobs.state.in_(LIVE))
        .order_by(_jobs.priority.desc(), _jobs.position)
    )
    with store.read() as connection:
        rows = connection.execute(live).all()
    waits = list(dict.fromkeys(row.run_id for row in rows if row.state == "queued"))
    order = [*dict.fromkeys(row.run_id for row in rows if row.run_id not in waits), *waits]
    found: list[QueuedRun] = []
    for run_id in order:
        mine = [row for row in rows if row.run_id == run_id]
        found.append(
            QueuedRun(
                run_id=run_id,
                run_name=mine[0].name,
                contest_id=mine[0].contest_id,
                priority=mine[0].priority,
                is_paused=mine[0].is_paused,
                waiting=tuple(row.fold for row in mine if row.state == "queued" and row.kind == FOLD),
                running=tuple(row.fold for row in mine if row.state == "running" and row.kind == FOLD),
                others=tuple(row.kind for row in mine if row.kind != FOLD),
                is_waiting=run_id in waits,
            )
        )
    return tuple(found)


def waiting_runs(connection: Connection) -> list[int]:
    """The ids of the runs that have a waiting job, in the order of the queue."""
    return _waiting(_read(connection))


def is_live(connection: Connection, run_id: int) -> bool:
    """Whether a job of the run waits or runs."""
    return any(job.run_id == run_id for job in _read(connection))


def place_run(connection: Connection, run_id: int, place: int) -> bool:
    """Put a run before the waiting run that will then be at `place` + 1 (0 is the front; beyond the last is the end).

    Its priority changes where the new neighbours' demand it, and only as far. False when the run has no waiting job.
    """
    queue = _read(connection)
    if run_id not in _waiting(queue):
        return False
    mine, others = [job for job in queue if job.run_id == run_id], [job for job in queue if job.run_id != run_id]
    following = _waiting(others)[max(0, place) :]
    at = len(others)
    if place <= 0:
        at = 0
    elif following:
        at = next(index for index, job in enumerate(others) if job.run_id == following[0] and job.state == "queued")
    priority = mine[0].priority
    if at < len(others):
        priority = max(priority, others[at].priority)
    if at > 0:
        priority = min(priority, others[at - 1].priority)
    _write(connection, queue, [*others[:at], *mine, *others[at:]], run_id, priority)
    return True


def prioritise_run(connection: Connection, run_id: int, priority: int) -> bool:
    """Give a run another priority: it goes behind the runs that have that one already. False when it neither waits nor runs."""
    queue = _read(connection)
    mine, others = [job for job in queue if job.run_id == run_id], [job for job in queue if job.run_id != run_id]
    if not mine:
        return False
    if mine[0].priority != priority:
        at = sum(job.priority >= priority for job in others)
        _write(connection, queue, [*others[:at], *mine, *others[at:]], run_id, priority)
    return True


def pause(connection: Connection, run_id: int, is_paused: bool) -> bool:
    """Pause or resume a run, inside the caller's transaction; False when it was so already."""
    runs = tables.runs.c
    change = update(tables.runs).where(runs.id == run_id, runs.is_paused.is_(not is_paused)).values(is_paused=is_paused)
    return connection.execute(change).rowcount == 1


def _read(connection: Connection) -> list[_Place]:
    query = select(_jobs.id, _jobs.run_id, _jobs.state, _jobs.priority, _jobs.position).where(_jobs.state.in_(LIVE))
    return [_Place(*row) for row in connection.execute(query.order_by(_jobs.priority.desc(), _jobs.position))]


def _waiting(queue: Sequence[_Place]) -> list[int]:
    return list(dict.fromkeys(job.run_id for job in queue if job.state == "queued" and job.run_id is not None))


def _write(connection: Connection, before: Sequence[_Place], after: Sequence[_Place], run_id: int, priority: int) -> None:
    """Give the jobs of `after` the positions that were in use, in rising order; a run's ended jobs get its priority too."""
    positions = sorted(job.position for job in before)
    for job, position in zip(after, positions, strict=True):
        if job.position != position:
            connection.execute(update(tables.jobs).where(_jobs.id == job.job_id).values(position=position))
    connection.execute(update(tables.jobs).where(_jobs.run_id == run_id, _jobs.priority != priority).values(priority=priority))
