"""The queue against a model: a plain list of jobs, in which a run's jobs are taken out and put in together."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from core.base.errors import StateError
from core.jobs import queue
from core.jobs.queue import cancel_run, retry_run
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.contests import add_contest
from core.store.database import Store, open_store, sqlite_url
from core.store.folds import add_folds
from core.store.jobs import add_jobs, get_job, list_jobs
from core.store.queue import read_queue
from core.store.runs import add_run, list_runs
from tests.faults.fault import made_up_result

OWNER = {"engine": None, "host": "here", "worker": None}
N_RUNS, N_FOLDS = 4, 3


def add_runs(store: Store, n_runs: int = N_RUNS) -> list[int]:
    """Runs a, b, c … of three jobs each, by id."""
    spec = ContestSpec(name="m", root="/m", modality="text", layout="csv", train="t", classes=("a", "b"))
    contest = add_contest(store, spec=spec, fingerprint="", path="", n_train=1, n_test=0)
    folds = add_folds(
        store,
        contest_id=contest.id,
        spec=FoldsSpec(kind="stratified", n_folds=N_FOLDS, seed=0, group_column=""),
        n_folds=N_FOLDS,
        fingerprint="",
        path="",
    )
    ids: list[int] = []
    for name in "abcdefgh"[:n_runs]:
        with store.transaction() as connection:
            ids.append(
                add_run(
                    connection,
                    contest_id=contest.id,
                    folds_id=folds.id,
                    name=name,
                    recipe=Recipe(),
                    fold_numbers=range(N_FOLDS),
                    now=0.0,
                )
            )
            add_jobs(connection, ids[-1], range(N_FOLDS), now=0.0)
    return ids


def on_empty_databases(machine: type[RuleBasedStateMachine], folder: Path) -> type[RuleBasedStateMachine]:
    """The state machine with an empty database of its own for each history (`fresh_store`), a file in the folder."""
    open_store(sqlite_url(folder / "empty.db")).close()
    empty, made = (folder / "empty.db").read_bytes(), count(1)

    def fresh_store() -> Store:
        path = folder / f"{next(made)}.db"
        path.write_bytes(empty)
        return Store(sqlite_url(path))

    return type("Machine", (machine,), {"fresh_store": staticmethod(fresh_store)})


def run_histories(machine: type[RuleBasedStateMachine], folder: Path, *, n: int) -> int:
    """Run `n` random histories of a state machine, each on a database of its own; returns how many there were."""
    checked = settings(
        max_examples=n, stateful_step_count=30, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(on_empty_databases(machine, folder), settings=checked)
    return len(list(folder.glob("[0-9]*.db")))


class QueueMachine(RuleBasedStateMachine):
    """Random histories of everything that is done to the queue, with jobs that start, end, come back and are canceled meanwhile."""

    @staticmethod
    def fresh_store() -> Store:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.store = self.fresh_store()
        self.runs = add_runs(self.store)
        self.run_of = {job.id: job.run_id for job in list_jobs(self.store)}
        self.queue = [job.id for job in list_jobs(self.store)]
        self.running: dict[int, int] = {}
        self.ended: set[int] = set()
        self.priority = dict.fromkeys(self.runs, 0)
        self.paused: set[int] = set()
        self.is_paused = False
        self.to_stop: set[int] = set()
        self.done: dict[int, int] = {}

    def waiting(self) -> list[int]:
        return list(dict.fromkeys(self.run_of[job] for job in self.queue if job not in self.running))

    def put(self, run: int, at: int, others: list[int], priority: int) -> None:
        mine = [job for job in self.queue if self.run_of[job] == run]
        self.queue = others[:at] + mine + others[at:]
        self.priority[run] = priority

    def move(self, run: int, place: int) -> None:
        others = [job for job in self.queue if self.run_of[job] != run]
        after = [other for other in self.waiting() if other != run][place:]
        at = 0 if place == 0 else len(others)
        if place and after:
            at = min(others.index(job) for job in others if self.run_of[job] == after[0] and job not in self.running)
        priority = self.priority[run]
        if others[at:]:
            priority = max(priority, self.priority[self.run_of[others[at]]])
        if at:
            priority = min(priority, self.priority[self.run_of[others[at - 1]]])
        self.put(run, at, others, priority)

    @rule(data=st.data(), place=st.integers(0, N_RUNS + 1))
    def move_to(self, data: st.DataObject, place: int) -> None:
        run = data.draw(st.sampled_from(self.runs))
        if run in self.waiting():
            queue.move_run(self.store, run, place)
            self.move(run, place)
            assert self.waiting().index(run) == min(place, len(self.waiting()) - 1)
        else:
            with pytest.raises(StateError):
                queue.move_run(self.store, run, place)

    @rule(data=st.data(), up=st.booleans())
    def step(self, data: st.DataObject, up: bool) -> None:
        if waiting := self.waiting():
            run = data.draw(st.sampled_from(waiting))
            queue.step_run(self.store, run, "up" if up else "down")
            at = waiting.index(run)
            to = max(0, at - 1) if up else min(len(waiting) - 1, at + 1)
            if to != at:
                self.move(run, to)

    @rule(data=st.data())
    def next(self, data: st.DataObject) -> None:
        if waiting := self.waiting():
            run = data.draw(st.sampled_from(waiting))
            queue.run_next(self.store, run)
            self.move(run, 0)
            self.paused.discard(run)

    @rule(data=st.data(), priority=st.integers(-2, 2))
    def prioritise(self, data: st.DataObject, priority: int) -> None:
        live = sorted({self.run_of[job] for job in self.queue})
        if not live:
            return
        run = data.draw(st.sampled_from(live))
        queue.set_priority(self.store, run, priority)
        if priority != self.priority[run]:
            others = [job for job in self.queue if self.run_of[job] != run]
            self.put(run, sum(self.priority[self.run_of[job]] >= priority for job in others), others, priority)

    @rule(data=st.data())
    def pause_or_resume(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        if run in self.paused:
            queue.resume_run(self.store, run)
            self.paused.discard(run)
        elif any(self.run_of[job] == run for job in self.queue):
            queue.pause_run(self.store, run)
            self.paused.add(run)

    @rule()
    def pause_or_resume_everything(self) -> None:
        if self.is_paused:
            queue.resume_queue(self.store)
        else:
            queue.pause_queue(self.store)
        self.is_paused = not self.is_paused

    @rule()
    def claim(self) -> None:
        free = [job for job in self.queue if job not in self.running and self.run_of[job] not in self.paused and not self.is_paused]
        job = attempts.claim(self.store, owner=OWNER, device="cpu", now=1.0)
        assert (job.id if job else None) == (free[0] if free else None)
        if job:
            self.running[job.id] = job.token

    def take_out(self, job: int) -> None:
        """A job that ended without a result."""
        self.queue.remove(job)
        self.ended.add(job)
        self.to_stop.discard(job)

    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        if self.running:
            job = data.draw(st.sampled_from(sorted(self.running)))
            state = attempts.release(self.store, job, self.running.pop(job), now=1.0)
            assert state == ("canceled" if job in self.to_stop else "queued")
            if state == "canceled":
                self.take_out(job)

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        if self.running:
            job = data.draw(st.sampled_from(sorted(self.running)))
            assert attempts.fail(self.store, job, self.running.pop(job), {"type": "Bug", "what": ""}, now=1.0)
            self.take_out(job)

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        if self.running:
            job = data.draw(st.sampled_from(sorted(self.running)))
            self.done[job] = self.running.pop(job)
            self.commit(job, self.done[job])
            self.queue.remove(job)
            self.to_stop.discard(job)

    def commit(self, job: int, token: int) -> None:
        found = get_job(self.store, job)
        attempts.commit(self.store, job, made_up_result(found.run_id, found.fold, token), now=1.0)

    @rule(data=st.data())
    def come_too_late(self, data: st.DataObject) -> None:
        """An attempt that was given up says its word; nobody listens."""
        job = data.draw(st.sampled_from(sorted(self.run_of)))
        stale = get_job(self.store, job).token - (job in self.running)
        assert attempts.release(self.store, job, stale, now=1.0) is None
        assert not attempts.fail(self.store, job, stale, {"type": "Bug", "what": ""}, now=1.0)
        assert not attempts.renew(self.store, job, stale, now=1.0)
        with pytest.raises(StateError):
            self.commit(job, stale)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        mine = [job for job in self.queue if self.run_of[job] == run]
        if not mine:
            with pytest.raises(StateError):
                cancel_run(self.store, run)
            return
        cancel_run(self.store, run)
        self.paused.discard(run)
        self.to_stop |= {job for job in mine if job in self.running}
        for job in mine:
            if job not in self.running:
                self.take_out(job)

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        if self.ended:
            run = self.run_of[data.draw(st.sampled_from(sorted(self.ended)))]
            retry_run(self.store, run)
            again = sorted(job for job in self.ended if self.run_of[job] == run)
            self.ended -= set(again)
            at = sum(self.priority[self.run_of[job]] >= self.priority[run] for job in self.queue)
            self.queue[at:at] = again

    @invariant()
    def the_store_agrees(self) -> None:
        jobs = list_jobs(self.store, ("queued", "running"))
        assert [job.id for job in jobs] == self.queue
        assert {job.id for job in jobs if job.state == "running"} == set(self.running)
        assert all(job.priority == self.priority[job.run_id] for job in list_jobs(self.store) if job.state in ("queued", "running"))
        listed = read_queue(self.store)
        assert [run.run_id for run in listed if run.is_waiting] == self.waiting()
        assert {run.run_id for run in listed if run.is_paused} == self.paused & {run.run_id for run in listed}

    @invariant()
    def every_result_is_there_once(self) -> None:
        results = {(result.run_id, result.fold): result.token for run in list_runs(self.store) for result in run.results}
        jobs = {job.id: job for job in list_jobs(self.store)}
        assert results == {(jobs[job].run_id, jobs[job].fold): token for job, token in self.done.items()}
        assert {job.id for job in jobs.values() if job.state == "done"} == set(self.done)

    def teardown(self) -> None:
        self.store.close()
