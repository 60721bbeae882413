"""The order of the queue against a model: a plain list of jobs, in which a run's jobs are taken out and put in together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from core.contest.spec import ContestSpec
from core.errors import InputError, NotFoundError, StateError
from core.jobs import controls
from core.jobs.queue import cancel_run, retry_run
from core.recipe import Recipe
from core.store import attempts
from core.store.contests import add_contest
from core.store.database import Store, open_store
from core.store.folds import add_folds
from core.store.holds import list_holds
from core.store.jobs import add_jobs, list_jobs
from core.store.order import read_queue
from core.store.runs import add_run, get_run

OWNER = {"engine": None, "host": "here", "worker": None}
N_RUNS, N_FOLDS = 4, 3


def add_runs(store: Store, n_runs: int = N_RUNS) -> list[int]:
    """Runs a, b, c … of three jobs each, by id."""
    spec = ContestSpec(name="m", root="/m", modality="text", layout="csv", train="t", classes=("a", "b"))
    contest = add_contest(store, spec=spec, fingerprint="", path="", n_train=1, n_test=0)
    folds = add_folds(store, contest_id=contest.id, kind="stratified", n_folds=N_FOLDS, seed=0, group_column="", fingerprint="", path="")
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


def names(store: Store) -> str:
    """The waiting jobs as text: the run's name and the fold, in the order in which they will be taken."""
    return " ".join(f"{get_run(store, job.run_id).name}{job.fold}" for job in list_jobs(store, ("queued",)))


def take(store: Store, device: str = "cpu") -> str | None:
    """Claim the next job, as `names` writes it."""
    job = attempts.claim(store, owner=OWNER, device=device, now=1.0)
    return None if job is None else f"{get_run(store, job.run_id).name}{job.fold}"


def test_a_runs_jobs_move_together(store: Store) -> None:
    a, b, c = add_runs(store, 3)
    controls.step_run(store, b, "up")
    assert names(store) == "b0 b1 b2 a0 a1 a2 c0 c1 c2"
    controls.step_run(store, b, "up")
    controls.step_run(store, c, "down")
    assert names(store) == "b0 b1 b2 a0 a1 a2 c0 c1 c2"
    controls.run_next(store, c)
    assert names(store) == "c0 c1 c2 b0 b1 b2 a0 a1 a2"
    controls.move_run(store, c, 1)
    assert names(store) == "b0 b1 b2 c0 c1 c2 a0 a1 a2"
    controls.move_run(store, b, 99)
    assert names(store) == "c0 c1 c2 a0 a1 a2 b0 b1 b2"
    assert [(run.run_id, run.waiting, run.running) for run in read_queue(store)] == [(run, (0, 1, 2), ()) for run in (c, a, b)]


def test_a_running_job_goes_back_to_where_its_run_was_moved(store: Store) -> None:
    a, b = add_runs(store, 2)
    job = attempts.claim(store, owner=OWNER, device="cpu", now=1.0)
    assert job and job.run_id == a
    controls.step_run(store, b, "up")
    attempts.release(store, job.id, job.token, now=2.0)
    assert names(store) == "b0 b1 b2 a0 a1 a2"


def test_a_higher_priority_goes_first_and_a_moved_run_takes_over_as_much_as_it_must(store: Store) -> None:
    a, b, c = add_runs(store, 3)
    controls.set_priority(store, c, 5)
    assert names(store) == "c0 c1 c2 a0 a1 a2 b0 b1 b2"
    controls.set_priority(store, a, 5)
    assert names(store) == "c0 c1 c2 a0 a1 a2 b0 b1 b2"
    controls.step_run(store, b, "up")
    assert [(run.run_name, run.priority) for run in read_queue(store)] == [("c", 5), ("b", 5), ("a", 5)]
    controls.set_priority(store, c, -1)
    controls.move_run(store, b, 9)
    assert [(run.run_name, run.priority) for run in read_queue(store)] == [("a", 5), ("c", -1), ("b", -1)]
    with pytest.raises(InputError, match="no such priority"):
        controls.set_priority(store, a, 101)


def test_what_does_not_wait_cannot_be_moved(store: Store) -> None:
    (a,) = add_runs(store, 1)
    cancel_run(store, a)
    for refused in (
        lambda: controls.run_next(store, a),
        lambda: controls.move_run(store, a, 0),
        lambda: controls.step_run(store, a, "up"),
        lambda: controls.set_priority(store, a, 1),
        lambda: controls.pause_run(store, a),
        lambda: controls.resume_run(store, a),
    ):
        with pytest.raises(StateError):
            refused()
    with pytest.raises(NotFoundError):
        controls.run_next(store, 99)


def test_a_paused_run_is_passed_over_and_keeps_its_place(store: Store) -> None:
    a, _ = add_runs(store, 2)
    running = attempts.claim(store, owner=OWNER, device="cpu", now=1.0)
    assert running and controls.pause_run(store, a).is_paused
    claim = attempts.read_claim(store, running.id, running.token)
    assert claim and claim.pause_requested and not claim.cancel_requested
    assert attempts.release(store, running.id, running.token, now=2.0) == "queued"
    assert take(store) == "b0"
    assert not controls.resume_run(store, a).is_paused
    assert take(store) == "a0"
    controls.pause_run(store, a)
    with pytest.raises(StateError, match="already"):
        controls.pause_run(store, a)
    assert not controls.run_next(store, a).is_paused  # who wants it next wants it to run
    controls.pause_run(store, a)
    cancel_run(store, a)
    assert not retry_run(store, a).is_paused


def test_a_paused_queue_gives_nothing_out_and_a_paused_device_only_itself(store: Store) -> None:
    add_runs(store, 1)
    with pytest.raises(StateError, match="not paused"):
        controls.resume_queue(store)
    controls.pause_queue(store, device="cuda:0", now=1.0)
    assert take(store, "cuda:0") is None and take(store, "cuda:1") == "a0"
    controls.pause_queue(store, now=2.0)
    controls.pause_queue(store, now=2.0)
    assert take(store, "cuda:1") is None and attempts.next_job(store, "cuda:1") is None
    assert [(hold.device, hold.kind) for hold in list_holds(store)] == [("cuda:0", "person"), ("*", "person")]
    controls.resume_queue(store)
    assert list_holds(store) == () and take(store, "cuda:0") == "a1"


def test_a_full_disk_hands_the_job_back_and_holds_its_device_in_one_step(store: Store) -> None:
    add_runs(store, 1)
    job = attempts.claim(store, owner=OWNER, device="cuda:0", now=1.0)
    assert job
    error = {"type": "DiskFull", "what": "disk full", "where": "", "why": "", "fix": ""}
    assert attempts.release_for_disk(store, job.id, job.token, error, needed_bytes=7, now=2.0) == "queued"
    (hold,) = list_holds(store)
    assert (hold.device, hold.kind, hold.error, hold.needed_bytes, hold.since) == ("cuda:0", "disk", error, 7, 2.0)
    assert take(store, "cuda:0") is None and take(store, "cpu") == "a0"
    assert attempts.release_for_disk(store, job.id, job.token, error, needed_bytes=7, now=3.0) is None  # stale: no hold either
    assert list_holds(store) == (hold,)


class OrderMachine(RuleBasedStateMachine):
    """Random histories of everything that changes the order, with jobs that start, end and come back meanwhile."""

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
            controls.move_run(self.store, run, place)
            self.move(run, place)
            assert self.waiting().index(run) == min(place, len(self.waiting()) - 1)
        else:
            with pytest.raises(StateError):
                controls.move_run(self.store, run, place)

    @rule(data=st.data(), up=st.booleans())
    def step(self, data: st.DataObject, up: bool) -> None:
        if waiting := self.waiting():
            run = data.draw(st.sampled_from(waiting))
            controls.step_run(self.store, run, "up" if up else "down")
            at = waiting.index(run)
            to = max(0, at - 1) if up else min(len(waiting) - 1, at + 1)
            if to != at:
                self.move(run, to)

    @rule(data=st.data())
    def next(self, data: st.DataObject) -> None:
        if waiting := self.waiting():
            run = data.draw(st.sampled_from(waiting))
            controls.run_next(self.store, run)
            self.move(run, 0)
            self.paused.discard(run)

    @rule(data=st.data(), priority=st.integers(-2, 2))
    def prioritise(self, data: st.DataObject, priority: int) -> None:
        live = sorted({self.run_of[job] for job in self.queue})
        if not live:
            return
        run = data.draw(st.sampled_from(live))
        controls.set_priority(self.store, run, priority)
        if priority != self.priority[run]:
            others = [job for job in self.queue if self.run_of[job] != run]
            self.put(run, sum(self.priority[self.run_of[job]] >= priority for job in others), others, priority)

    @rule(data=st.data())
    def pause_or_resume(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        if run in self.paused:
            controls.resume_run(self.store, run)
            self.paused.discard(run)
        elif any(self.run_of[job] == run for job in self.queue):
            controls.pause_run(self.store, run)
            self.paused.add(run)

    @rule()
    def pause_or_resume_everything(self) -> None:
        if self.is_paused:
            controls.resume_queue(self.store)
        else:
            controls.pause_queue(self.store, now=1.0)
        self.is_paused = not self.is_paused

    @rule()
    def claim(self) -> None:
        free = [job for job in self.queue if job not in self.running and self.run_of[job] not in self.paused and not self.is_paused]
        job = attempts.claim(self.store, owner=OWNER, device="cpu", now=1.0)
        assert (job.id if job else None) == (free[0] if free else None)
        if job:
            self.running[job.id] = job.token

    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        if self.running:
            job = data.draw(st.sampled_from(sorted(self.running)))
            assert attempts.release(self.store, job, self.running.pop(job), now=1.0) == "queued"

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        if self.running:
            job = data.draw(st.sampled_from(sorted(self.running)))
            assert attempts.fail(self.store, job, self.running.pop(job), {"type": "Bug", "what": ""}, now=1.0)
            self.queue.remove(job)
            self.ended.add(job)

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
        assert [run.run_id for run in listed if run.waiting] == self.waiting()
        assert {run.run_id for run in listed if run.is_paused} == self.paused & {run.run_id for run in listed}

    def teardown(self) -> None:
        self.store.close()


@pytest.mark.slow
def test_random_histories_keep_the_order(tmp_path: Path) -> None:
    open_store(tmp_path / "empty.db").close()
    empty = (tmp_path / "empty.db").read_bytes()

    class Machine(OrderMachine):
        n_made = 0

        @staticmethod
        def fresh_store() -> Store:
            Machine.n_made += 1
            path = tmp_path / f"{Machine.n_made}.db"
            path.write_bytes(empty)
            return Store(path)

    checked = settings(
        max_examples=25, stateful_step_count=30, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Machine, settings=checked)
