"""Jobs: one fold of one run in the queue. Read here; only `core.jobs.queue` changes a job's state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import RowMapping, select

from core.errors import NotFoundError
from core.store import tables
from core.store.database import Store
from core.training.progress import Progress

JobState = Literal["queued", "running", "done", "failed", "canceled"]


@dataclass(frozen=True)
class Job:
    """A fold to be trained. `token` counts the attempts and fences off stale ones; `owner` says which processes hold it.

    `lease_until` and the times are epoch seconds. `error` is a `PitwallError.to_dict()`, or the same shape with type "Bug"
    or "Interrupted". `log_path` is relative to the workspace, "" before the first attempt.
    """

    id: int
    run_id: int
    fold: int
    state: JobState
    priority: int
    position: int
    token: int
    device: str
    owner: dict[str, Any] | None
    lease_until: float | None
    cancel_requested: bool
    progress: Progress | None
    error: dict[str, str] | None
    log_path: str
    created_at: float
    started_at: float | None
    finished_at: float | None


def job_of(row: RowMapping) -> Job:
    """The job in a row of the table."""
    values: dict[str, Any] = dict(row)
    if values["progress"] is not None:
        values["progress"] = Progress.from_dict(values["progress"])
    return Job(**values)


def get_job(store: Store, job_id: int) -> Job:
    """The job of that id. Raises NotFoundError."""
    with store.read() as connection:
        row = connection.execute(select(tables.jobs).where(tables.jobs.c.id == job_id)).mappings().first()
    if row is None:
        raise NotFoundError("there is no such job", where=f"job {job_id}", why="its run was deleted", fix="look at the list of runs")
    return job_of(row)


def list_jobs(store: Store, states: Iterable[JobState] | None = None, run_id: int | None = None) -> tuple[Job, ...]:
    """Jobs in the order in which the queue takes them, of these states and this run only where given."""
    query = select(tables.jobs).order_by(tables.jobs.c.priority.desc(), tables.jobs.c.position)
    if states is not None:
        query = query.where(tables.jobs.c.state.in_(tuple(states)))
    if run_id is not None:
        query = query.where(tables.jobs.c.run_id == run_id)
    with store.read() as connection:
        return tuple(job_of(row) for row in connection.execute(query).mappings())
