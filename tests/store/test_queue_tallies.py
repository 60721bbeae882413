from __future__ import annotations

from dataclasses import replace

from core.store import attempts
from core.store.database import Store
from core.store.jobs import cancel_jobs, retry_jobs
from core.store.queue import RunTally, last_end, read_tallies
from core.store.runs import FoldResult, Run
from tests.faults.fault import made_up_result

OWNER = {"engine": None, "host": "here", "worker": None}
ERROR = {"type": "Bug", "what": "w", "where": "", "why": "", "fix": ""}


def start(store: Store, *, now: float) -> attempts.Job:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=now)
    assert job
    return job


def result(job: attempts.Job) -> FoldResult:
    return replace(made_up_result(job.run_id, job.fold, job.token), path=f"r{job.run_id}/{job.fold}")


def only(store: Store, since: float = 0.0) -> RunTally:
    (tally,) = read_tallies(store, since=since)
    return tally


def test_a_run_that_only_waits_is_no_news(store: Store, run: Run) -> None:
    assert read_tallies(store, since=0.0) == () and last_end(store) == 0.0


def test_folds_are_counted_by_what_became_of_them(store: Store, run: Run) -> None:
    first = start(store, now=4.0)
    assert only(store) == RunTally(run.id, "first", run.contest_id, 3, 0, 0, 0, 1, 0.0, 0.0)
    attempts.commit(store, first.id, result(first), now=5.0)
    second = start(store, now=6.0)
    attempts.fail(store, second.id, second.token, ERROR, now=7.0)
    third = start(store, now=8.0)
    tally = only(store)
    assert (tally.n_done, tally.n_failed, tally.n_running, tally.failed_at, tally.ended_at) == (1, 1, 1, 7.0, 7.0)
    assert not tally.has_ended
    attempts.fail(store, third.id, third.token, ERROR, now=9.0)
    tally = only(store)
    assert tally.has_ended and (tally.failed_at, tally.ended_at) == (7.0, 9.0) and last_end(store) == 9.0
    assert read_tallies(store, since=9.0) == (), "what ended before is not read"


def test_a_retried_run_is_as_if_it_had_not_failed(store: Store, run: Run) -> None:
    for now in (4.0, 5.0, 6.0):
        job = start(store, now=now)
        attempts.fail(store, job.id, job.token, ERROR, now=now)
    with store.transaction() as connection:
        retry_jobs(connection, run.id, now=7.0)
    assert read_tallies(store, since=0.0) == ()
    start(store, now=8.0)
    assert (only(store).n_failed, only(store).failed_at) == (0, 0.0)


def test_a_canceled_run_has_not_ended_by_itself(store: Store, run: Run) -> None:
    job = start(store, now=4.0)
    attempts.commit(store, job.id, result(job), now=5.0)
    with store.transaction() as connection:
        cancel_jobs(connection, run.id, now=6.0)
    assert not only(store).has_ended and only(store).n_canceled == 2
