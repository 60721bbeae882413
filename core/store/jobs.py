"""Jobs: pieces of work in the queue, of a run or of a contest. What a person does to them is here; what a worker does is in `attempts.py`, their order in `queue.py`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, update

from core.base.errors import NotFoundError
from core.base.messages import msg
from core.specs.progress import Progress
from core.store import tables
from core.store.database import Store
from core.store.digests import check_live, insert_row, raw_columns, read_row

JobState = Literal["queued", "running", "done", "failed", "canceled"]
FOLD = "fold"
"""The kind of job that trains one fold of a run."""
PREDICT = "predict"
"""The kind of job that predicts by a run's networks, on a device in the order of the queue."""
PREDICT_NOW = "predict_now"
"""The same at once: its jobs wait for no device, but run on the processor beside what trains, one at a time."""
EXPORT = "export"
"""The kind of job that exports a run's networks to ONNX; it runs where predictions at once do."""
PRETRAIN = "pretrain"
"""The kind of job that goes on with the pretraining of a backbone over a contest's texts."""
REGISTER = "register"
"""The kind of job that registers a contest, which has none until then."""
BESIDE, REGISTERING = "cpu:beside", "cpu:register"
SLOTS = {PREDICT_NOW: BESIDE, EXPORT: BESIDE, REGISTER: REGISTERING}
"""Kinds whose jobs wait for no device: each has a place, for one job at a time. No hold covers it, and a paused run does not keep them."""
PLACES = (BESIDE, REGISTERING)


@dataclass(frozen=True)
class Job:
    """A piece of work of one `kind`. `token` counts the attempts and fences off stale ones; `owner` says which processes hold it.

    It belongs to a run, or (`run_id` None) to a contest, or to none yet; `payload` is what its kind needs to know. `lease_until` and the times are epoch
    seconds. `error` is a `PitwallError.to_dict()`, or the same shape with type "Bug" or "Interrupted". `log_path` is relative to the
    workspace, "" before the first attempt. `halvings`: how often its micro-batch was halved because memory ran out; `interruptions`: how
    often in a row its worker was killed.
    """

    id: int
    kind: str
    contest_id: int | None
    run_id: int | None
    fold: int | None
    payload: dict[str, Any]
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
    halvings: int = 0
    interruptions: int = 0

    @property
    def ref(self) -> str:
        """The short name that is unique in the workspace."""
        return f"j{self.id}"

    @property
    def title(self) -> str:
        """What it does, within its run or contest."""
        return title_of(self.kind)


@dataclass(frozen=True)
class FoldJob(Job):
    """The training of one fold of a run."""

    contest_id: int
    run_id: int
    fold: int

    @property
    def title(self) -> str:
        return msg("fold {fold}", fold=self.fold)


def title_of(kind: str) -> str:
    """What a job of a kind does, where more is not to be said than its kind."""
    titles = {
        REGISTER: msg("registration"),
        PRETRAIN: msg("pretraining"),
        EXPORT: msg("ONNX export"),
        PREDICT: msg("prediction"),
        PREDICT_NOW: msg("prediction"),
    }
    return titles.get(kind, kind)


RAW = raw_columns(tables.jobs)


@lru_cache(maxsize=8192)
def _job(values: tuple[Any, ...]) -> Job:
    """A page polls hundreds of jobs that no longer change; the key is the whole row, so what is remembered is never stale."""
    fields = read_row(tables.jobs, values)
    if fields["progress"] is not None:
        fields["progress"] = Progress.from_dict(fields["progress"])
    return FoldJob(**fields) if fields["kind"] == FOLD else Job(**fields)


def job_of(row: Sequence[Any]) -> Job:
    """The job in a row of `RAW`."""
    return _job(tuple(row))


def get_job(store: Store, job_id: int) -> Job:
    """The job of that id. Raises NotFoundError."""
    with store.read() as connection:
        row = connection.execute(select(*RAW).where(tables.jobs.c.id == job_id)).first()
        if row is None:
            raise NotFoundError(
                "there is no such job", where="job {n}", why="its run was deleted", fix="look at the list of runs", n=job_id
            )
        return job_of(row)


def list_jobs(store: Store, states: Iterable[JobState] | None = None, run_id: int | None = None) -> tuple[Job, ...]:
    """Jobs in the order in which the queue takes them, of these states and this run only where given."""
    query = select(*RAW).order_by(tables.jobs.c.priority.desc(), tables.jobs.c.position)
    if states is not None:
        query = query.where(tables.jobs.c.state.in_(tuple(states)))
    if run_id is not None:
        query = query.where(tables.jobs.c.run_id == run_id)
    with store.read() as connection:
        return tuple(job_of(row) for row in connection.execute(query))


def add_jobs(connection: Connection, run_id: int, fold_numbers: Iterable[int], *, now: float, priority: int = 0) -> None:
    """Put one job per fold behind the others of that priority, inside the caller's transaction."""
    contest_id = connection.execute(select(tables.runs.c.contest_id).where(tables.runs.c.id == run_id)).scalar_one()
    for fold in fold_numbers:
        add_job(connection, kind=FOLD, contest_id=contest_id, run_id=run_id, fold=fold, now=now, priority=priority)


def add_job(
    connection: Connection,
    *,
    kind: str,
    contest_id: int | None,
    run_id: int | None = None,
    fold: int | None = None,
    payload: Mapping[str, Any] | None = None,
    now: float,
    priority: int = 0,
) -> int:
    """Put a job of a kind that the worker knows behind the others of that priority, inside the caller's transaction; returns its id.

    Raises StateError when its run was deleted meanwhile.
    """
    check_live(connection, tables.runs, () if run_id is None else (run_id,))
    values: dict[str, Any] = {
        "kind": kind,
        "contest_id": contest_id,
        "run_id": run_id,
        "fold": fold,
        "payload": dict(payload or {}),
        "state": "queued",
        "priority": priority,
        "position": _next_position(connection),
        "token": 0,
        "device": "",
        "cancel_requested": False,
        "log_path": "",
        "created_at": now,
    }
    return insert_row(connection, tables.jobs, values).id


def cancel_jobs(connection: Connection, run_id: int, *, now: float) -> int:
    """End a run's queued jobs and ask its running ones to stop, inside the caller's transaction; returns how many jobs that were."""
    return cancel_jobs_where(connection, tables.jobs.c.run_id == run_id, now=now)


def cancel_job(connection: Connection, job_id: int, *, now: float) -> bool:
    """`cancel_jobs` of one job; False when it neither waits nor runs."""
    return cancel_jobs_where(connection, tables.jobs.c.id == job_id, now=now) > 0


def cancel_jobs_where(connection: Connection, mine: ColumnElement[bool], *, now: float) -> int:
    """`cancel_jobs` of all jobs that fit a condition."""
    queued = update(tables.jobs).where(mine, tables.jobs.c.state == "queued").values(state="canceled", finished_at=now, progress=None)
    running = update(tables.jobs).where(mine, tables.jobs.c.state == "running").values(cancel_requested=True)
    return connection.execute(queued).rowcount + connection.execute(running).rowcount


def retry_jobs(connection: Connection, run_id: int, *, now: float) -> int:
    """Put a run's failed and canceled folds at the end of the queue, inside the caller's transaction; returns how many jobs that were."""
    return _retry(connection, and_(tables.jobs.c.run_id == run_id, tables.jobs.c.kind == FOLD), now)


def retry_job(connection: Connection, job_id: int, *, now: float) -> bool:
    """`retry_jobs` of one job; False when it has not failed and was not canceled."""
    return _retry(connection, tables.jobs.c.id == job_id, now) > 0


def _retry(connection: Connection, mine: ColumnElement[bool], now: float) -> int:
    jobs = tables.jobs.c
    ended = select(jobs.id).where(mine, jobs.state.in_(("failed", "canceled"))).order_by(jobs.fold, jobs.id)
    first = _next_position(connection)
    ids = connection.execute(ended).scalars().all()
    check_live(connection, tables.runs, connection.execute(select(jobs.run_id).where(jobs.id.in_(ids), jobs.run_id.is_not(None))).scalars())
    for place, job_id in enumerate(ids):
        again = {"state": "queued", "position": first + place, "error": None, "progress": None, "cancel_requested": False, "device": ""}
        again["interruptions"] = 0
        connection.execute(update(tables.jobs).where(jobs.id == job_id).values(created_at=now, started_at=None, finished_at=None, **again))
    return len(ids)


def delete_job(connection: Connection, job_id: int) -> None:
    """Delete a job's row, inside the caller's transaction."""
    connection.execute(delete(tables.jobs).where(tables.jobs.c.id == job_id))


def forget_halvings(connection: Connection, job_ids: Iterable[int]) -> None:
    """Let ended jobs try their full micro-batch again, inside the caller's transaction."""
    ended = tables.jobs.c.state.in_(("failed", "canceled"))
    connection.execute(update(tables.jobs).where(tables.jobs.c.id.in_(tuple(job_ids)), ended).values(halvings=0))


def _next_position(connection: Connection) -> int:
    return connection.execute(select(func.coalesce(func.max(tables.jobs.c.position), 0))).scalar_one() + 1
