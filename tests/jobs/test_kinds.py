"""One more kind of job is one more entry in the dict: the queue, the engine and the worker's shell know nothing of it but that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from core.base.errors import OutOfMemory, RecipeError, StateError
from core.jobs.engine import Engine
from core.jobs.kinds import KINDS, Kind
from core.jobs.launch import launch_job
from core.jobs.queue import cancel_job, cancel_run, retry_job
from core.jobs.reporter import Reporter
from core.jobs.worker import Stop, attempt
from core.specs.progress import Interrupted, Progress
from core.store import attempts, tables
from core.store.attempts import Record
from core.store.jobs import Job, get_job, list_jobs
from core.store.queue import list_holds, read_live, read_queue, read_tallies
from core.workspace import Workspace
from tests.finished_workspace import put_away
from tests.jobs.conftest import Ready

OWNER = {"engine": None, "host": "here", "worker": None}
NEEDED = 10**15


class Counting:
    """A toy kind: it counts to the number in its payload and writes what it counted into the job's contest."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.cleaned: list[int] = []

    def run(self, workspace: Workspace, job: Job, reporter: Reporter, should_stop: Callable[[], bool]) -> Record:
        for number in range(job.payload["to"]):
            if should_stop():
                raise Interrupted
            reporter.report(Progress("predicting", step=number))
        if self.problem is not None:
            raise self.problem
        counted = str(job.payload["to"])
        return lambda connection: connection.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(log_path=counted))

    def cleanup(self, workspace: Workspace, job: Job) -> None:
        self.cleaned.append(job.id)

    @property
    def kind(self) -> Kind[Any]:
        return Kind(
            needed_bytes=lambda _workspace, _job: NEEDED, run=self.run, cleanup=self.cleanup, can_halve=lambda _, job: not job.halvings
        )


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setitem(KINDS, "count", counting.kind)
    return counting


def claim(ready: Ready) -> Job:
    job = attempts.claim(ready.workspace.store, owner=OWNER, device="cpu", now=time.time())
    assert job
    return job


def work(ready: Ready, job: Job, stop: Stop | None = None) -> Job:
    """One attempt in this process; the job as it is then."""
    store = ready.workspace.store
    assert attempt(ready.workspace, job, stop or Stop(), lambda: attempts.release(store, job.id, job.token, now=time.time())) == 0
    return get_job(store, job.id)


def test_a_new_kind_is_queued_worked_on_and_committed_by_the_same_shell(ready: Ready, counting: Counting) -> None:
    store = ready.workspace.store
    queued = launch_job(store, kind="count", contest_id=ready.contest.id, payload={"to": 3})
    assert (queued.kind, queued.title, queued.run_id, queued.fold, queued.state) == ("count", "count", None, None, "queued")
    live = read_live(store)
    assert [job.id for job in live.queued] == [queued.id] and live.owners == {queued.id: "colours"}
    done = work(ready, claim(ready))
    assert (done.state, done.log_path, done.error) == ("done", "3", None) and counting.cleaned == [queued.id]


def test_what_ends_an_attempt_is_the_same_verdict_for_every_kind(ready: Ready, counting: Counting) -> None:
    store = ready.workspace.store
    job_id = launch_job(store, kind="count", contest_id=ready.contest.id, payload={"to": 1}).id
    stop = Stop()
    stop.ask("the test says so")
    assert work(ready, claim(ready), stop).state == "queued"
    counting.problem = OutOfMemory("cpu ran out of memory")
    assert [(job.state, job.halvings) for job in (work(ready, claim(ready)),)] == [("queued", 1)]
    failed = work(ready, claim(ready))
    assert failed.state == "failed" and failed.error and failed.error["type"] == "OutOfMemory"
    counting.problem = ValueError("a bug")
    retry_job(store, job_id)
    failed = work(ready, claim(ready))
    assert failed.error and (failed.error["type"], failed.error["where"]) == ("Bug", "count on cpu") and counting.cleaned == []
    counting.problem = RecipeError("no such thing")
    retry_job(store, job_id)
    running = claim(ready)
    assert cancel_job(store, job_id).cancel_requested
    assert work(ready, running).state == "canceled"
    with pytest.raises(StateError, match="nothing to cancel"):
        cancel_job(store, job_id)


def test_the_engine_asks_a_kind_how_much_disk_it_needs(ready: Ready, counting: Counting) -> None:
    launch_job(ready.workspace.store, kind="count", contest_id=ready.contest.id, payload={"to": 1})
    engine = Engine(ready.workspace, ("cpu",), free_bytes=lambda _root: NEEDED - 1)
    assert not engine.run_next()
    assert [hold.needed_bytes for hold in list_holds(ready.workspace.store)] == [NEEDED]
    assert engine.status().n_queued == 1 and engine.status().queue_end_s is None


def test_a_job_of_another_kind_is_no_fold_of_its_run(ready: Ready, counting: Counting) -> None:
    store = ready.workspace.store
    run = ready.launch()
    other = launch_job(store, kind="count", contest_id=ready.contest.id, run_id=run.id, payload={"to": 1}, priority=5)
    assert [entry.others for entry in read_queue(store)] == [("count",)] and len(ready.read(run).jobs) == len(run.jobs)
    assert read_live(store).owners[other.id] == run.name
    running = claim(ready)
    assert running.id == other.id and ready.read(run).state == "queued" and read_tallies(store, since=0.0) == ()
    with pytest.raises(StateError) as caught:
        put_away(store, "run", run.id)
    assert caught.value.what == "r1 is running"
    cancel_run(store, run.id)
    assert {job.state for job in list_jobs(store, run_id=run.id)} == {"canceled", "running"} and get_job(store, other.id).cancel_requested


def test_an_unknown_kind_is_refused(ready: Ready) -> None:
    with pytest.raises(StateError, match="no kind of job named 'count'") as caught:
        launch_job(ready.workspace.store, kind="count", contest_id=ready.contest.id)
    assert "fold" in caught.value.why
