"""B1. Many jobs, several workers, killed with -9 or frozen past their lease: nothing is lost, nothing is committed twice.

The bug to plant: the fencing token is not looked at, so that a worker that was given up commits over its successor.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Update, update
from sqlalchemy.exc import SQLAlchemyError

from core.base.errors import StateError
from core.jobs.process import of_self
from core.store import attempts, tables
from core.store.database import DatabaseBusy, Store, sqlite_url
from core.store.jobs import Job, list_jobs
from core.store.runs import list_runs
from tests.faults.fault import Given, Outcome, made_up_result, made_up_store, main

FULL_N = 2000
N_WORKERS = 4
LEASE_S = 0.25
FROZEN_S = 0.5
TRAINING_S = 0.06
PAUSE_S = 0.03


def run(given: Given) -> Outcome:
    """Let workers and chaos loose on `n` jobs until all are done, then compare the store with what the workers were told."""
    database, acknowledged = given.root / "pitwall.db", given.root / "acknowledged"
    made_up_store(database, given.n)
    acknowledged.touch()
    if given.is_mutant:
        attempts._held = _without_token  # pyright: ignore[reportPrivateUsage]
    # This process forks, so it never opens the database while it does.
    repairer = _fork(lambda: _repair(database))
    workers = [_fork(lambda: _work(database, acknowledged, given.rng.random())) for _ in range(N_WORKERS)]
    frozen: dict[int, float] = {}
    try:
        deadline = time.monotonic() + 60 + given.n
        while os.waitpid(repairer, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
            _wake_up(frozen, time.monotonic())
            chance = given.rng.random()
            place = given.rng.randrange(N_WORKERS)
            if workers[place] not in frozen and chance < 0.15:
                _end(workers[place])
                workers[place] = _fork(lambda: _work(database, acknowledged, given.rng.random()))
            elif workers[place] not in frozen and chance < 0.5 and len(frozen) < N_WORKERS - 1:
                os.kill(workers[place], signal.SIGSTOP)
                frozen[workers[place]] = time.monotonic() + FROZEN_S * (0.5 + given.rng.random())
            time.sleep(PAUSE_S * given.rng.random())
        # Whoever is still frozen comes back and says what it has to say.
        _wake_up(frozen, float("inf"))
        time.sleep(FROZEN_S)
    finally:
        for worker in workers:
            _end(worker)
    return _compare(database, acknowledged)


def _work(database: Path, acknowledged: Path, seed: float) -> None:
    """A worker: claim, pretend to train, commit, and note down what the store acknowledged."""
    rng, store, owner = random.Random(seed), Store(sqlite_url(database)), {"engine": None, "host": "here", "worker": of_self().to_dict()}
    notes = os.open(acknowledged, os.O_WRONLY | os.O_APPEND)
    while True:
        try:
            job = attempts.claim(store, owner=owner, device="cpu", now=time.time(), lease_s=LEASE_S)
            if job is None:
                time.sleep(0.02)
                continue
            time.sleep(TRAINING_S * rng.random())
            if rng.random() < 0.3:
                attempts.renew(store, job.id, job.token, now=time.time(), lease_s=LEASE_S)
            said = _commit(store, job, rng)
        except DatabaseBusy:
            continue  # nothing was written; the lease ends, and the job is given to somebody again
        os.write(notes, f"{job.id} {job.token} {said}\n".encode())


def _commit(store: Store, job: Job, rng: random.Random) -> str:
    if rng.random() < 0.05:
        return "handed back" if attempts.release(store, job.id, job.token, now=time.time()) else "refused"
    try:
        attempts.commit(store, job.id, made_up_result(job.run_id, job.fold, job.token), now=time.time())
    except DatabaseBusy:
        raise
    except StateError:
        return "refused"
    except SQLAlchemyError as problem:  # with the bug planted, the stale result is in the way
        return f"bug {type(problem).__name__}"
    return "committed"


def _repair(database: Path) -> None:
    """What an engine does about those who give no sign of life, until nothing is left to do."""
    store = Store(sqlite_url(database))
    while any(job.state != "done" for job in list_jobs(store)):
        now = time.time()
        try:
            attempts.repair(store, now=now, is_gone=lambda job, now=now: (job.lease_until or 0.0) < now)
        except DatabaseBusy:
            continue
        time.sleep(0.05)


def _compare(database: Path, acknowledged: Path) -> Outcome:
    outcome, store = Outcome(), Store(sqlite_url(database))
    results = {result.fold: result for run in list_runs(store) for result in run.results}
    told: dict[int, list[int]] = {}
    for line in acknowledged.read_text().splitlines():
        job_id, token, said = line.split(" ", 2)
        if said == "committed":
            told.setdefault(int(job_id), []).append(int(token))
        elif said.startswith("bug"):
            outcome.wrong(f"job {job_id}, attempt {token}: {said}")
    for job in list_jobs(store):
        result = results.get(job.fold)
        if result is None or job.state != "done":
            outcome.missing(f"job {job.id} is {job.state}, its result {'is there' if result else 'is missing'}")
        elif result.token != job.token or told.get(job.id, [job.token]) != [job.token]:
            outcome.wrong(f"job {job.id}: attempt {job.token} was the last, {result.token} is stored, {told.get(job.id)} were acknowledged")
    store.close()
    return outcome


def _without_token(job_id: int, token: int) -> Update:
    return update(tables.jobs).where(tables.jobs.c.id == job_id)


def _fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    return pid


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _wake_up(frozen: dict[int, float], now: float) -> None:
    for pid in [pid for pid, until in frozen.items() if until <= now]:
        os.kill(pid, signal.SIGCONT)
        del frozen[pid]


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
