"""How many folds of each run are done, failed or running, and when they ended, for notifications: one query over recent runs only.

Times are those of the engine that wrote them, so they are compared with each other only, never with a reader's clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, func, or_, select

from core.store import tables
from core.store.database import Store
from core.store.jobs import FOLD

_jobs = tables.jobs.c


@dataclass(frozen=True)
class RunTally:
    """A run's folds counted by what became of them. `failed_at` is when the first of those that are failed now did; 0.0 is never."""

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


def last_end(store: Store) -> float:
    """When the last fold ended, whichever way; 0.0 before the first."""
    with store.read() as connection:
        return connection.execute(select(func.coalesce(func.max(_jobs.finished_at), 0.0)).where(_jobs.kind == FOLD)).scalar_one()


def read_tallies(store: Store, *, since: float) -> tuple[RunTally, ...]:
    """The runs that train now, and those of which a fold ended after `since`, by id. Imported runs have no jobs and never appear."""
    runs = tables.runs.c
    chosen = select(_jobs.run_id).where(_jobs.kind == FOLD, or_(_jobs.state == "running", _jobs.finished_at > since))

    tally = (
        select(
            _jobs.run_id,
            runs.name,
            runs.contest_id,
            func.count(),
            _count("done"),
            _count("failed"),
            _count("canceled"),
            _count("running"),
            func.coalesce(func.min(case((_jobs.state == "failed", _jobs.finished_at))), 0.0),
            func.coalesce(func.max(_jobs.finished_at), 0.0),
        )
        .join(tables.runs, runs.id == _jobs.run_id)
        .where(_jobs.run_id.in_(chosen), _jobs.kind == FOLD)
        .group_by(_jobs.run_id)
        .order_by(_jobs.run_id)
    )
    with store.read() as connection:
        return tuple(RunTally(*row) for row in connection.execute(tally))


def _count(state: str) -> ColumnElement[int]:
    return func.sum(case((_jobs.state == state, 1), else_=0))
