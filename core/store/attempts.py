"""Attempts at a job: every change made in the name of a worker is one transaction, checked against the fencing token.

Execution is at least once, results are committed exactly once: each claim raises the job's token, and whoever comes with an
older one (an attempt that was given up) is told so and changes nothing. No clock is read here; `now` is epoch seconds.

    queued -> running -> done | failed | canceled     release…: running -> queued, or canceled when that was asked for

A job that is not to be taken (its run is paused, or its device is held) is queued like any other.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Select, Update, delete, insert, select, update

from core.base.errors import StateError
from core.specs.progress import Progress
from core.store import tables
from core.store.database import Store
from core.store.digests import values_of
from core.store.jobs import PLACES, RAW, SLOTS, Job, job_of
from core.store.queue import hold_for_disk, is_held
from core.store.runs import EpochRow, FoldResult, add_result

MOST_HALVINGS = 5
"""How often a job's micro-batch is halved before a lack of memory is its failure."""
MOST_INTERRUPTIONS = 5
"""How often in a row a job goes on after its worker was killed, before that is its failure."""
LEASE_S = 60.0
"""How long a claim holds without a sign of life from its worker, which gives one every few seconds."""

Record = Callable[[Connection], object]
"""Writes what came of a job, inside the transaction that ends it."""

_jobs = tables.jobs.c

Reason = Literal["stopped", "memory", "killed", "killed_again"]
COUNTED: dict[Reason, dict[str, Any]] = {
    "stopped": {},
    "memory": {"halvings": _jobs.halvings + 1},
    "killed": {"interruptions": 1},
    "killed_again": {"interruptions": _jobs.interruptions + 1},
}
"""What is counted on a job that is handed back, by the reason."""


@dataclass(frozen=True)
class Claim:
    """What an attempt's supervisor watches: the wishes to stop, and until when its worker has given a sign of life."""

    cancel_requested: bool
    lease_until: float
    pause_requested: bool = False


def claim(
    store: Store,
    *,
    owner: Mapping[str, Any],
    device: str,
    now: float,
    lease_s: float = LEASE_S,
    is_taken: Callable[[Job], bool] = lambda _: False,
) -> Job | None:
    """Take the first job for `device` under a new token; None when none waits that may be taken.

    A token that `is_taken` is passed over: files may be there of an attempt that a database which was put back does not know.
    """
    change = (
        update(tables.jobs)
        .where(_jobs.id == _first(device).scalar_subquery())
        .values(
            state="running",
            token=_jobs.token + 1,
            device=device,
            owner=dict(owner),
            lease_until=now + lease_s,
            cancel_requested=False,
            progress=None,
            error=None,
            started_at=now,
            finished_at=None,
        )
        .returning(_jobs.id)
    )
    with store.transaction() as connection:
        job_id = connection.execute(change).scalar()
        if job_id is None:
            return None
        this = _jobs.id == job_id
        while is_taken(job := job_of(connection.execute(select(*RAW).where(this)).one())):
            connection.execute(update(tables.jobs).where(this).values(token=_jobs.token + 1))
        return job


def attach_worker(store: Store, job: Job, *, worker: Mapping[str, Any] | None, log_path: str, now: float, lease_s: float = LEASE_S) -> bool:
    """Write down which process works on a claimed job, and where its log is; False when the claim is not valid any more."""
    owner = {**(job.owner or {}), "worker": None if worker is None else dict(worker)}
    with store.transaction() as connection:
        return _change(connection, _held(job.id, job.token).values(owner=owner, log_path=log_path, lease_until=now + lease_s))


def renew(
    store: Store,
    job_id: int,
    token: int,
    *,
    now: float,
    progress: Progress | None = None,
    epochs: Iterable[EpochRow] = (),
    lease_s: float = LEASE_S,
) -> bool:
    """A worker's sign of life: extend the lease, keep the newest progress, add epochs. False when the claim is not valid any more."""
    values: dict[str, Any] = {"lease_until": now + lease_s}
    if progress is not None:
        values["progress"] = progress.to_dict()
    with store.transaction() as connection:
        valid = _change(connection, _held(job_id, token).values(values))
        if valid:
            _add_epochs(connection, epochs)
    return valid


def commit(store: Store, job_id: int, result: FoldResult, *, now: float, epochs: Iterable[EpochRow] = ()) -> None:
    """`finish` of a fold: record its result."""
    finish(store, job_id, result.token, lambda connection: add_result(connection, result), now=now, epochs=epochs)


def finish(store: Store, job_id: int, token: int, record: Record, *, now: float, epochs: Iterable[EpochRow] = ()) -> None:
    """End a job as done, record what came of it and the epochs that are not written yet, in one transaction.

    Raises StateError for a stale attempt: its token is not the job's, or the job was ended or handed back meanwhile.
    """
    with store.transaction() as connection:
        ended = {
            "state": "done",
            "finished_at": now,
            "progress": None,
            "lease_until": None,
            "owner": None,
            "cancel_requested": False,
            "error": None,
        }
        if not _change(connection, _held(job_id, token).values(ended)):
            raise _stale(job_id, token)
        record(connection)
        _add_epochs(connection, epochs)


def fail(store: Store, job_id: int, token: int, error: Mapping[str, str], *, now: float) -> bool:
    """End a job with a typed error, or as canceled when that was asked for; False, and no change, for a stale attempt."""
    with store.transaction() as connection:
        asked = connection.execute(select(_jobs.cancel_requested).where(_jobs.id == job_id, _jobs.token == token)).scalar()
        ended = {"state": "canceled"} if asked else {"state": "failed", "error": dict(error)}
        return _change(
            connection, _held(job_id, token).values(finished_at=now, lease_until=None, owner=None, cancel_requested=False, **ended)
        )


def release(store: Store, job_id: int, token: int, *, now: float, reason: Reason = "stopped") -> str | None:
    """Hand a job back: to the queue at its old place, or as canceled when that was asked for.

    It goes on with half the micro-batch after "memory". "killed" sets the count of interruptions to 1, "killed_again" adds 1. Returns the new
    state; None, and no change, for a stale attempt.
    """
    with store.transaction() as connection:
        return _hand_back(connection, job_id, token, now, COUNTED[reason])


def release_for_disk(store: Store, job_id: int, token: int, error: Mapping[str, str], *, needed_bytes: int, now: float) -> str | None:
    """Hand a job back because its disk is full, and hold its device until `needed_bytes` are free.

    Returns the new state; None, and no change, for a stale attempt.
    """
    with store.transaction() as connection:
        device = connection.execute(select(_jobs.device).where(_jobs.id == job_id)).scalar_one_or_none()
        state = _hand_back(connection, job_id, token, now)
        if state is not None and device is not None:
            hold_for_disk(connection, device, error=error, needed_bytes=needed_bytes, now=now)
        return state


def read_claim(store: Store, job_id: int, token: int) -> Claim | None:
    """How a claim stands; None when it is not valid any more."""
    runs = tables.runs.c
    query = (
        select(
            _jobs.cancel_requested,
            _jobs.lease_until,
            (_jobs.kind.not_in(SLOTS) & (runs.is_paused.is_(True) | is_held(_jobs.device, kind="person"))).label("pause_requested"),
        )
        .outerjoin(tables.runs, runs.id == _jobs.run_id)
        .where(_jobs.id == job_id, _jobs.token == token, _jobs.state == "running")
    )
    with store.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else Claim(row.cancel_requested, row.lease_until, bool(row.pause_requested))


def next_job(store: Store, device: str) -> Job | None:
    """The job that a claim for `device` would take now. A read: an idle engine must not take the write lock again and again."""
    with store.read() as connection:
        row = connection.execute(select(*RAW).where(_jobs.id == _first(device).scalar_subquery())).first()
        return None if row is None else job_of(row)


def repair(store: Store, *, now: float, is_gone: Callable[[Job], bool]) -> tuple[int, ...]:
    """Hand back every running job whose owner `is_gone`; returns the ids of those that were."""
    with store.read() as connection:
        running = [job_of(row) for row in connection.execute(select(*RAW).where(_jobs.state == "running"))]
    gone = [job for job in running if is_gone(job)]
    if not gone:
        return ()
    with store.transaction() as connection:
        return tuple(job.id for job in gone if _hand_back(connection, job.id, job.token, now) is not None)


def _first(device: str) -> Select[tuple[int]]:
    """The id of the first waiting job for a device whose run is not paused; none while the device is held."""
    runs = tables.runs.c
    waiting = select(_jobs.id).outerjoin(tables.runs, runs.id == _jobs.run_id).where(_jobs.state == "queued")
    if device in PLACES:
        free = waiting.where(_jobs.kind.in_([kind for kind, slot in SLOTS.items() if slot == device]))
    else:
        free = waiting.where(_jobs.kind.not_in(SLOTS), runs.is_paused.is_not(True), ~is_held(device))
    return free.order_by(_jobs.priority.desc(), _jobs.position).limit(1)


def _held(job_id: int, token: int) -> Update:
    """An update that touches the job only while the attempt with this token holds it."""
    return update(tables.jobs).where(_jobs.id == job_id, _jobs.token == token, _jobs.state == "running")


def _change(connection: Connection, change: Update) -> bool:
    return connection.execute(change).rowcount == 1


def _hand_back(connection: Connection, job_id: int, token: int, now: float, counted: Mapping[str, Any] | None = None) -> str | None:
    asked = connection.execute(
        select(_jobs.cancel_requested).where(_jobs.id == job_id, _jobs.token == token, _jobs.state == "running")
    ).scalar()
    if asked is None:
        return None
    state = "canceled" if asked else "queued"
    values = {"state": state, "owner": None, "lease_until": None, "cancel_requested": False, "device": ""}
    times = {"finished_at": now} if asked else {"started_at": None, "progress": None}
    _change(connection, _held(job_id, token).values(**values, **times, **(counted or {})))
    return state


def _add_epochs(connection: Connection, epochs: Iterable[EpochRow]) -> None:
    for epoch in epochs:
        # A renewal whose answer was lost is sent again with the same rows.
        same = [column == getattr(epoch, column.name) for column in tables.epochs.primary_key]
        connection.execute(delete(tables.epochs).where(*same))
        connection.execute(insert(tables.epochs).values(values_of(tables.epochs, epoch)))


def _stale(job_id: int, token: int) -> StateError:
    return StateError(
        "this attempt is out of date",
        where="job {n}, attempt {attempt}",
        why="the job was canceled, or given to another attempt",
        fix="nothing to do: the attempt that holds the job commits its own result",
        n=job_id,
        attempt=token,
    )
