"""B3. A worker freezes, its job is given up, and then it comes back and commits: it is refused, and nothing changes.

The bug to plant: the fencing token is not looked at.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import nullcontext, suppress

from sqlalchemy.exc import SQLAlchemyError

from core.base.errors import StateError
from core.jobs.queue import cancel_run, retry_run
from core.store import attempts
from core.store.database import Store, sqlite_url
from core.store.jobs import Job, get_job
from core.store.runs import get_run
from tests.faults.fault import Given, Outcome, add_made_up_run, made_up_result, made_up_store, main
from tests.faults.lost_workers import _without_token  # pyright: ignore[reportPrivateUsage]

FULL_N = 500
OWNER = {"engine": None, "host": "here", "worker": None}
MEANWHILE = ("another has it", "another committed it", "it waits again", "it was canceled", "it failed and waits again")


def run(given: Given) -> Outcome:
    """`n` times: claim, freeze, let something happen to the job, wake up, commit."""
    database = given.root / "pitwall.db"
    made_up_store(database, 0)
    if given.is_mutant:
        attempts._held = _without_token  # pyright: ignore[reportPrivateUsage]
    to_worker, to_parent = os.pipe(), os.pipe()
    worker = os.fork()
    if worker == 0:
        _work(Store(sqlite_url(database)), to_worker[0], to_parent[1])
    outcome, store = Outcome(), Store(sqlite_url(database))
    try:
        for _ in range(given.n):
            _round(given, store, worker, to_worker[1], to_parent[0], outcome)
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        store.close()
    return outcome


def _round(given: Given, store: Store, worker: int, ask: int, hear: int, outcome: Outcome) -> None:
    run_id = add_made_up_run(store, 1)
    os.write(ask, b"claim\n")
    job = get_job(store, int(os.read(hear, 100)))
    os.kill(worker, signal.SIGSTOP)
    os.waitpid(worker, os.WUNTRACED)
    meanwhile = given.rng.choice(MEANWHILE)
    successor = _meanwhile(store, job, meanwhile)
    before = get_run(store, run_id)
    os.write(ask, b"commit\n")
    os.kill(worker, signal.SIGCONT)
    said = os.read(hear, 100).decode()
    if said != "refused" or get_run(store, run_id) != before:
        outcome.wrong(f"{meanwhile}: the commit of attempt {job.token} was {said}")
    if successor is not None:
        with suppress(SQLAlchemyError, StateError) if given.is_mutant else nullcontext():
            attempts.commit(store, successor.id, made_up_result(run_id, 0, successor.token), now=7.0)
    tokens = [result.token for result in get_run(store, run_id).results]
    expected = [job.token + 1] if meanwhile.startswith("another") else []
    if tokens != expected:
        outcome.missing(f"{meanwhile}: the results are those of the attempts {tokens}, not {expected}")
    if not meanwhile.startswith("another") and get_run(store, run_id).jobs[0].state == "queued":
        cancel_run(store, run_id)  # out of the way of the next round


def _meanwhile(store: Store, job: Job, what: str) -> Job | None:
    """What happens to the job of a frozen worker; returns the attempt that has it then."""
    if what == "it was canceled":
        cancel_run(store, job.run_id)
    if what == "it failed and waits again":
        attempts.fail(store, job.id, job.token, {"type": "Interrupted", "what": "frozen"}, now=2.0)
        retry_run(store, job.run_id)
    attempts.repair(store, now=3.0, is_gone=lambda running: running.id == job.id)
    if not what.startswith("another"):
        return None
    successor = attempts.claim(store, owner=OWNER, device="cpu", now=4.0)
    if successor is not None and what == "another committed it":
        attempts.commit(store, successor.id, made_up_result(job.run_id, 0, successor.token), now=5.0)
        return None
    return successor


def _work(store: Store, hear: int, tell: int) -> None:
    """The worker's process: does as it is told, and never returns."""
    job: Job | None = None
    while word := os.read(hear, 100):
        if word == b"claim\n":
            job = attempts.claim(store, owner=OWNER, device="cpu", now=1.0)
            os.write(tell, str(job.id if job else 0).encode())
        elif job is not None:
            try:
                attempts.commit(store, job.id, made_up_result(job.run_id, job.fold, job.token), now=9.0)
                os.write(tell, b"committed")
            except StateError:
                os.write(tell, b"refused")
            except SQLAlchemyError as problem:  # with the bug planted, another result is in the way
                os.write(tell, type(problem).__name__.encode())
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
