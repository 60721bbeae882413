"""The queue as a whole: what waits and runs, in which order, what it is held by, and how far each run is.

It is the jobs that wait or run, by priority and then position; the higher priority goes first. Running jobs keep a place too, because a
job that is handed back waits where it was. A run's jobs move together, and nothing else changes its place among the rest.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, case, delete, exists, func, insert, or_, select, update

from core.store import tables
from core.store.database import Store
from core.store.digests import is_live as is_kept, read_rows, values_of
from core.store.jobs import FOLD, RAW, Job, job_of, title_of

HoldKind = Literal["person", "disk"]

EVERY_DEVICE = "*"
MOST_OTHERS = 20
LIVE = ("queued", "running")

_jobs, _holds, _runs = tables.jobs.c, tables.holds.c, tables.runs.c
_seeds, _siblings = tables.seed_runs.c, tables.seed_runs.alias()
_IN_ORDER = (_jobs.priority.desc(), _jobs.position)


@dataclass(frozen=True)
class Hold:
    """What keeps a device from taking jobs since a time (epoch seconds): a person, or a disk until `needed_bytes` are free.

    It is a fact in the store, so that every engine, page and command sees the same one, and a restart forgets none. A run is paused on
    its own row.
    """

    device: str
    kind: HoldKind
    error: dict[str, str] | None
    needed_bytes: int
    since: float

    def covers(self, device: str) -> bool:
        """Whether this keeps `device` from taking jobs."""
        return self.device in (EVERY_DEVICE, device)


@dataclass(frozen=True)
class LiveJobs:
    """What runs and what waits, in the queue's order, at one moment; `mean_s` is the mean duration of a run's finished folds, by run id, of
    a seed that has none that of the other seeds.

    `owners` are the names of the runs or contests that jobs belong to, by job id. `paused` holds the ids of paused runs, whose jobs wait
    without being taken; `holds` says which devices take none.
    """

    running: tuple[Job, ...]
    queued: tuple[Job, ...]
    owners: dict[int, str]
    mean_s: dict[int, float]
    paused: frozenset[int]
    holds: tuple[Hold, ...]


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
class RunTally:
    """A run's folds counted by what became of them. `failed_at` is when the first of those that are failed now did; 0.0 is never.

    Times are those of the engine that wrote them, so they are compared with each other only, never with a reader's clock.
    """

    run_id: int
    run_name: str
    contest_id: int
    n_folds: int
    n_done: int
    n_failed: int
    n_canceled: int
    n_running: int
    failed_at: float
    ended_at: float

    @property
    def has_ended(self) -> bool:
        """Nothing of the run waits or runs, and nobody canceled it."""
        return self.n_done + self.n_failed == self.n_folds


def read_live(store: Store) -> LiveJobs:
    """The live part of the queue in one snapshot; its cost does not grow with what is done."""
    results, contests = tables.fold_results.c, tables.contests.c
    with store.read() as connection:
        found = [job_of(row) for row in connection.execute(select(*RAW).where(_jobs.state.in_(LIVE)).order_by(*_IN_ORDER))]
        ids = {job.run_id for job in found if job.run_id is not None}
        runs = connection.execute(select(_runs.id, _runs.name, _runs.is_paused).where(_runs.id.in_(ids))).all()
        mean = select(results.run_id, func.avg(results.elapsed_s)).where(results.run_id.in_(ids)).group_by(results.run_id)
        of_seeds = (
            select(_seeds.seed_run_id, func.avg(results.elapsed_s))
            .join(_siblings, _siblings.c.run_id == _seeds.run_id)
            .join(tables.fold_results, results.run_id == _siblings.c.seed_run_id)
            .where(_seeds.seed_run_id.in_(ids))
            .group_by(_seeds.seed_run_id)
        )
        means = {run_id: float(mean_s) for query in (of_seeds, mean) for run_id, mean_s in connection.execute(query)}
        others = select(contests.id, contests.name).where(contests.id.in_({job.contest_id for job in found if job.run_id is None} - {None}))
        contest_names = {row.id: row.name for row in connection.execute(others)}
        holds = _read_holds(connection)
    run_names = {row.id: row.name for row in runs}
    return LiveJobs(
        running=tuple(job for job in found if job.state == "running"),
        queued=tuple(job for job in found if job.state == "queued"),
        owners={
            job.id: _owner(job, contest_names.get(job.contest_id or 0) if job.run_id is None else run_names[job.run_id]) for job in found
        },
        mean_s=means,
        paused=frozenset(row.id for row in runs if row.is_paused),
        holds=holds,
    )


def read_queue(store: Store) -> tuple[QueuedRun, ...]:
    """The runs that wait or run, in the order of their first waiting job; those that only run come first."""
    live = (
        select(_jobs.run_id, _jobs.kind, _jobs.fold, _jobs.state, _jobs.priority, _runs.name, _runs.contest_id, _runs.is_paused)
        .join(tables.runs, _runs.id == _jobs.run_id)
        .where(_jobs.state.in_(LIVE))
        .order_by(*_IN_ORDER)
    )
    with store.read() as connection:
        rows = connection.execute(live).all()
    waits = dict.fromkeys(row.run_id for row in rows if row.state == "queued")
    by_run: dict[int, list[Any]] = {run_id: [] for run_id in (*(row.run_id for row in rows if row.run_id not in waits), *waits)}
    for row in rows:
        by_run[row.run_id].append(row)
    return tuple(map(_queued_run, by_run.values()))


def _queued_run(jobs: Sequence[Any]) -> QueuedRun:
    first = jobs[0]
    return QueuedRun(
        run_id=first.run_id,
        run_name=first.name,
        contest_id=first.contest_id,
        priority=first.priority,
        is_paused=first.is_paused,
        waiting=tuple(row.fold for row in jobs if row.state == "queued" and row.kind == FOLD),
        running=tuple(row.fold for row in jobs if row.state == "running" and row.kind == FOLD),
        others=tuple(title_of(row.kind) for row in jobs if row.kind != FOLD),
        is_waiting=any(row.state == "queued" for row in jobs),
    )


def list_other_jobs(store: Store) -> tuple[tuple[Job, str], ...]:
    """Jobs that train no fold and are not done, each with the name of its run or contest, the newest first; at most MOST_OTHERS."""
    name = func.coalesce(_runs.name, tables.contests.c.name)
    owned = tables.jobs.outerjoin(tables.contests, tables.contests.c.id == _jobs.contest_id).outerjoin(
        tables.runs, _runs.id == _jobs.run_id
    )
    found = select(*RAW, name).select_from(owned)
    mine = (
        found.where(_jobs.kind != FOLD, _jobs.state != "done", *is_kept(tables.runs), *is_kept(tables.contests))
        .order_by(_jobs.id.desc())
        .limit(MOST_OTHERS)
    )
    with store.read() as connection:
        found_jobs = ((job_of(row[:-1]), row[-1]) for row in connection.execute(mine))
        return tuple((job, _owner(job, known)) for job, known in found_jobs)


def _owner(job: Job, known: str | None) -> str:
    """The name of the run or contest that a job belongs to; of a contest that is being registered, the one it will have."""
    return str(job.payload["spec"]["name"]) if known is None else known


def last_end(store: Store) -> float:
    """When the last fold ended, whichever way; 0.0 before the first."""
    with store.read() as connection:
        return connection.execute(select(func.coalesce(func.max(_jobs.finished_at), 0.0)).where(_jobs.kind == FOLD)).scalar_one()


def read_tallies(store: Store, *, since: float, with_trash: bool = False) -> tuple[RunTally, ...]:
    """The runs that train now, and those of which a fold ended after `since`, by id. Imported runs have no jobs and never appear."""
    chosen = select(_jobs.run_id).where(_jobs.kind == FOLD, or_(_jobs.state == "running", _jobs.finished_at > since))
    tally = (
        select(
            _jobs.run_id,
            _runs.name,
            _runs.contest_id,
            func.count(),
            *(func.sum(case((_jobs.state == state, 1), else_=0)) for state in ("done", "failed", "canceled", "running")),
            func.coalesce(func.min(case((_jobs.state == "failed", _jobs.finished_at))), 0.0),
            func.coalesce(func.max(_jobs.finished_at), 0.0),
        )
        .join(tables.runs, _runs.id == _jobs.run_id)
        .where(_jobs.run_id.in_(chosen), _jobs.kind == FOLD, *(() if with_trash else is_kept(tables.runs)))
        .group_by(_jobs.run_id)
        .order_by(_jobs.run_id)
    )
    with store.read() as connection:
        return tuple(RunTally(*row) for row in connection.execute(tally))


def list_holds(store: Store) -> tuple[Hold, ...]:
    """All holds, the oldest first."""
    with store.read() as connection:
        return _read_holds(connection)


def pause_devices(store: Store, *, now: float, device: str = EVERY_DEVICE) -> None:
    """Take no more jobs on `device`, or on any; what runs there stops within a step and goes back. Idempotent."""
    with store.transaction() as connection:
        _put_hold(connection, Hold(device=device, kind="person", error=None, needed_bytes=0, since=now))


def resume_devices(store: Store, device: str = EVERY_DEVICE) -> bool:
    """Lift every hold of `device`, or all holds there are, those of a full disk too; False when there was none."""
    which = [] if device == EVERY_DEVICE else [_holds.device == device]
    with store.transaction() as connection:
        return connection.execute(delete(tables.holds).where(*which)).rowcount > 0


def hold_for_disk(connection: Connection, device: str, *, error: Mapping[str, str], needed_bytes: int, now: float) -> None:
    """Keep `device` from taking jobs until `needed_bytes` are free, inside the caller's transaction."""
    _put_hold(connection, Hold(device=device, kind="disk", error=dict(error), needed_bytes=needed_bytes, since=now))


def hold_device_for_disk(store: Store, device: str, *, error: Mapping[str, str], needed_bytes: int, now: float) -> None:
    """`hold_for_disk` in a transaction of its own."""
    with store.transaction() as connection:
        hold_for_disk(connection, device, error=error, needed_bytes=needed_bytes, now=now)


def lift_disk_hold(store: Store, device: str) -> None:
    """Space was made: let `device` take jobs again."""
    with store.transaction() as connection:
        connection.execute(delete(tables.holds).where(_holds.device == device, _holds.kind == "disk"))


def is_held(device: str | ColumnElement[str], *, kind: HoldKind | None = None) -> ColumnElement[bool]:
    """A condition: some hold, of that kind where given, covers the device."""
    covering = exists().where((_holds.device == EVERY_DEVICE) | (_holds.device == device))
    return covering if kind is None else covering.where(_holds.kind == kind)


def _read_holds(connection: Connection) -> tuple[Hold, ...]:
    return tuple(Hold(**values) for values in read_rows(connection, tables.holds, order=(_holds.since, _holds.device)))


def _put_hold(connection: Connection, hold: Hold) -> None:
    connection.execute(delete(tables.holds).where(_holds.device == hold.device, _holds.kind == hold.kind))
    connection.execute(insert(tables.holds).values(values_of(tables.holds, hold)))


def waiting_runs(connection: Connection) -> list[int]:
    """The ids of the runs that have a waiting job, in the order of the queue."""
    return _waiting(_read_places(connection))


def is_live(connection: Connection, run_id: int) -> bool:
    """Whether a job of the run waits or runs."""
    return any(job.run_id == run_id for job in _read_places(connection))


def place_runs(connection: Connection, run_ids: Collection[int], place: int) -> bool:
    """Move a run, or several as one, to the index `place` among the other waiting runs (0 is the front; beyond the last is the end).

    Their priority changes where the new neighbours' demand it, and only as far. False when none of them has a waiting job.
    """
    queue = _read_places(connection)
    if not set(run_ids) & set(_waiting(queue)):
        return False
    mine, others = _parted(queue, run_ids)
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
    _write_places(connection, queue, [*others[:at], *mine, *others[at:]], run_ids, priority)
    return True


def prioritise_runs(connection: Connection, run_ids: Collection[int], priority: int) -> bool:
    """Give a run, or several as one, another priority: they go behind the runs that have that one already. False when none waits or runs."""
    queue = _read_places(connection)
    mine, others = _parted(queue, run_ids)
    if not mine:
        return False
    if mine[0].priority != priority:
        at = sum(job.priority >= priority for job in others)
        _write_places(connection, queue, [*others[:at], *mine, *others[at:]], run_ids, priority)
    return True


def pause(connection: Connection, run_ids: Collection[int], is_paused: bool) -> bool:
    """Pause or resume runs, inside the caller's transaction; False when all of them were so already."""
    change = update(tables.runs).where(_runs.id.in_(run_ids), _runs.is_paused.is_(not is_paused)).values(is_paused=is_paused)
    return connection.execute(change).rowcount > 0


def _read_places(connection: Connection) -> Sequence[Any]:
    query = select(_jobs.id, _jobs.run_id, _jobs.state, _jobs.priority, _jobs.position).where(_jobs.state.in_(LIVE))
    return connection.execute(query.order_by(*_IN_ORDER)).all()


def _waiting(queue: Sequence[Any]) -> list[int]:
    return list(dict.fromkeys(job.run_id for job in queue if job.state == "queued" and job.run_id is not None))


def _parted(queue: Sequence[Any], run_ids: Collection[int]) -> tuple[list[Any], list[Any]]:
    """The jobs of these runs, and the others."""
    return [job for job in queue if job.run_id in run_ids], [job for job in queue if job.run_id not in run_ids]


def _write_places(connection: Connection, before: Sequence[Any], after: Sequence[Any], run_ids: Collection[int], priority: int) -> None:
    """Give the jobs of `after` the positions that were in use, in rising order; the ended jobs of these runs get their priority too."""
    positions = sorted(job.position for job in before)
    for job, position in zip(after, positions, strict=True):
        if job.position != position:
            connection.execute(update(tables.jobs).where(_jobs.id == job.id).values(position=position))
    connection.execute(update(tables.jobs).where(_jobs.run_id.in_(run_ids), _jobs.priority != priority).values(priority=priority))
