"""The promise of the queue: whatever order things happen in, a fold is committed once, and a stale attempt changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.base.errors import StateError
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.progress import Progress
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.contests import add_contest
from core.store.database import Store
from core.store.folds import add_folds
from core.store.jobs import Job, add_jobs, cancel_jobs, get_job, list_jobs, retry_jobs
from core.store.runs import FoldResult, Run, add_run, get_run
from tests.inputs.queue_model import run_histories

OWNER = {"engine": None, "host": "here", "worker": None}
ERROR = {"type": "Bug", "what": "w", "where": "", "why": "", "fix": ""}


def result_of(run_id: int, fold: int, token: int) -> FoldResult:
    return FoldResult(
        run_id=run_id,
        fold=fold,
        token=token,
        path=f"attempt-{token}",
        fingerprint="",
        scores={"accuracy": 0.5},
        best_epoch=1,
        n_epochs=1,
        elapsed_s=1.0,
        facts={},
        created_at=1.0,
    )


def claim(store: Store) -> Job:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=1.0)
    assert job
    return job


def test_a_claim_takes_the_first_job_under_a_new_token(store: Store, run: Run) -> None:
    first = attempts.next_job(store, "cuda:1")
    job = attempts.claim(store, owner=OWNER, device="cuda:1", now=10.0, lease_s=60)
    assert job and first and (first.id, first.token) == (job.id, 0)
    assert (job.fold, job.state, job.token, job.device, job.started_at, job.lease_until) == (0, "running", 1, "cuda:1", 10.0, 70.0)
    assert [attempts.claim(store, owner=OWNER, device="cpu", now=10.0).fold for _ in range(2)] == [1, 2]  # type: ignore[union-attr]
    assert attempts.claim(store, owner=OWNER, device="cpu", now=10.0) is None and attempts.next_job(store, "cpu") is None


def test_a_sign_of_life_extends_the_lease(store: Store, run: Run) -> None:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=10.0)
    assert job
    assert attempts.renew(store, job.id, job.token, now=100.0, progress=Progress("loading", fold=0))
    assert attempts.read_claim(store, job.id, job.token) == attempts.Claim(cancel_requested=False, lease_until=100.0 + attempts.LEASE_S)
    assert get_job(store, job.id).progress == Progress("loading", fold=0)


def test_a_handed_back_job_keeps_its_place_and_its_next_attempt_has_another_token(store: Store, run: Run) -> None:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=10.0)
    assert job and attempts.release(store, job.id, job.token, now=11.0) == "queued"
    again = attempts.claim(store, owner=OWNER, device="cpu", now=12.0)
    assert again and (again.id, again.token) == (job.id, 2)


def test_second_tries_are_counted_and_kept_with_the_job(store: Store, run: Run) -> None:
    for halvings in (1, 2):
        job = claim(store)
        assert attempts.release(store, job.id, job.token, now=2.0, reason="memory") == "queued"
        assert attempts.release(store, job.id, job.token, now=2.0, reason="memory") is None  # stale by now
        assert (get_job(store, job.id).halvings, get_job(store, job.id).interruptions) == (halvings, 0)
    for is_first, count in ((False, 1), (False, 2), (True, 1)):
        job = claim(store)
        assert attempts.release(store, job.id, job.token, reason="killed" if is_first else "killed_again", now=3.0) == "queued"
        assert (get_job(store, job.id).halvings, get_job(store, job.id).interruptions) == (2, count)


def test_a_stale_attempt_changes_nothing(store: Store, run: Run) -> None:
    stale = attempts.claim(store, owner=OWNER, device="cpu", now=10.0)
    assert stale
    attempts.release(store, stale.id, stale.token, now=11.0)
    attempts.claim(store, owner=OWNER, device="cpu", now=12.0)
    before = get_run(store, run.id)
    with pytest.raises(StateError, match="out of date"):
        attempts.commit(store, stale.id, result_of(run.id, 0, stale.token), now=13.0)
    assert not attempts.fail(store, stale.id, stale.token, ERROR, now=13.0)
    assert not attempts.renew(store, stale.id, stale.token, now=13.0, progress=Progress("loading", fold=0))
    assert not attempts.attach_worker(store, stale, worker=None, log_path="x", now=13.0)
    assert attempts.release(store, stale.id, stale.token, now=13.0) is None
    assert attempts.read_claim(store, stale.id, stale.token) is None
    assert get_run(store, run.id) == before


def test_a_fold_is_committed_once(store: Store, run: Run) -> None:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=10.0)
    assert job
    attempts.commit(store, job.id, result_of(run.id, 0, job.token), now=11.0)
    with pytest.raises(StateError):
        attempts.commit(store, job.id, result_of(run.id, 0, job.token), now=12.0)
    done = get_job(store, job.id)
    assert (done.state, done.owner, done.lease_until, done.finished_at, done.progress) == ("done", None, None, 11.0, None)
    assert len(get_run(store, run.id).results) == 1


def test_a_commit_that_fails_half_way_leaves_the_job_running(store: Store, run: Run) -> None:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=10.0)
    assert job
    broken = replace(result_of(run.id, 0, job.token), scores={"accuracy": object()})  # type: ignore[dict-item]
    with pytest.raises(Exception, match="not JSON serializable"):
        attempts.commit(store, job.id, broken, now=11.0)
    after = get_run(store, run.id)
    assert after.jobs[0].state == "running" and after.results == ()


def test_a_failure_after_a_wish_to_cancel_is_a_cancel(store: Store, run: Run) -> None:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=10.0)
    assert job
    with store.transaction() as connection:
        cancel_jobs(connection, run.id, now=11.0)
    claim = attempts.read_claim(store, job.id, job.token)
    assert claim and claim.cancel_requested
    assert attempts.fail(store, job.id, job.token, ERROR, now=12.0)
    ended = get_job(store, job.id)
    assert (ended.state, ended.error, ended.cancel_requested) == ("canceled", None, False)


def test_repair_hands_back_exactly_what_is_gone(store: Store, run: Run) -> None:
    first, second, third = (attempts.claim(store, owner=OWNER, device="cpu", now=10.0) for _ in range(3))
    assert first and second and third
    with store.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE jobs SET cancel_requested = 1 WHERE id = {second.id}")
    assert attempts.repair(store, now=11.0, is_gone=lambda job: job.id != third.id) == (first.id, second.id)
    assert [job.state for job in get_run(store, run.id).jobs] == ["queued", "canceled", "running"]
    assert attempts.repair(store, now=12.0, is_gone=lambda job: False) == ()


class QueueMachine(RuleBasedStateMachine):
    """Random histories with attempts that come back late, against a model of what each job must be."""

    def __init__(self) -> None:
        super().__init__()
        self.store = self.fresh_store()
        spec = ContestSpec(name="m", root="/m", modality="text", layout="csv", train="t", classes=("a", "b"))
        contest = add_contest(self.store, spec=spec, fingerprint="", path="", n_train=1, n_test=0)
        folds = add_folds(
            self.store,
            contest_id=contest.id,
            spec=FoldsSpec(kind="stratified", n_folds=3, seed=0, group_column=""),
            n_folds=3,
            fingerprint="",
            path="",
        )
        with self.store.transaction() as connection:
            self.run_id = add_run(
                connection, contest_id=contest.id, folds_id=folds.id, name="r", recipe=Recipe(), fold_numbers=(0, 1, 2), now=0.0
            )
            add_jobs(connection, self.run_id, (0, 1, 2), now=0.0)
        self.states = {job.id: "queued" for job in list_jobs(self.store)}
        self.folds = {job.id: job.fold for job in list_jobs(self.store)}
        self.tokens = dict.fromkeys(self.states, 0)
        self.wishes: set[int] = set()
        self.seen: list[tuple[int, int]] = []
        self.commits: dict[int, int] = {}
        self.now = 1.0

    @staticmethod
    def fresh_store() -> Store:
        raise NotImplementedError

    def valid(self, attempt: tuple[int, int]) -> bool:
        return self.states[attempt[0]] == "running" and self.tokens[attempt[0]] == attempt[1]

    def end(self, job_id: int, state: str) -> None:
        self.states[job_id] = state
        self.wishes.discard(job_id)

    @rule()
    def claim(self) -> None:
        self.now += 1
        job = attempts.claim(self.store, owner=OWNER, device="cpu", now=self.now)
        if job is None:
            assert "queued" not in self.states.values()
            return
        assert self.states[job.id] == "queued" and job.token == self.tokens[job.id] + 1
        self.states[job.id], self.tokens[job.id] = "running", job.token
        self.seen.append((job.id, job.token))

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        job_id, token = attempt = data.draw(st.sampled_from(self.seen))
        result = result_of(self.run_id, self.folds[job_id], token)
        if self.valid(attempt):
            attempts.commit(self.store, job_id, result, now=self.now)
            self.end(job_id, "done")
            self.commits[job_id] = self.commits.get(job_id, 0) + 1
        else:
            with pytest.raises(StateError):
                attempts.commit(self.store, job_id, result, now=self.now)

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        job_id, token = attempt = data.draw(st.sampled_from(self.seen))
        valid = self.valid(attempt)
        assert attempts.fail(self.store, job_id, token, ERROR, now=self.now) == valid
        if valid:
            self.end(job_id, "canceled" if job_id in self.wishes else "failed")

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        job_id, token = attempt = data.draw(st.sampled_from(self.seen))
        expected = ("canceled" if job_id in self.wishes else "queued") if self.valid(attempt) else None
        assert attempts.release(self.store, job_id, token, now=self.now) == expected
        if expected:
            self.end(job_id, expected)

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.seen))
        assert attempts.renew(self.store, *attempt, now=self.now) == self.valid(attempt)

    @rule()
    def cancel(self) -> None:
        with self.store.transaction() as connection:
            cancel_jobs(connection, self.run_id, now=self.now)
        for job_id, state in self.states.items():
            if state == "queued":
                self.states[job_id] = "canceled"
            elif state == "running":
                self.wishes.add(job_id)

    @rule()
    def retry(self) -> None:
        with self.store.transaction() as connection:
            retry_jobs(connection, self.run_id, now=self.now)
        self.states = {job_id: "queued" if state in ("failed", "canceled") else state for job_id, state in self.states.items()}

    @rule()
    def repair_everything(self) -> None:
        attempts.repair(self.store, now=self.now, is_gone=lambda job: True)
        for job_id, state in self.states.items():
            if state == "running":
                self.states[job_id] = "canceled" if job_id in self.wishes else "queued"
        self.wishes.clear()

    @invariant()
    def the_store_agrees(self) -> None:
        run = get_run(self.store, self.run_id)
        assert {job.id: job.state for job in run.jobs} == self.states
        assert {job.id: job.token for job in run.jobs} == self.tokens
        assert {job.id for job in run.jobs if job.cancel_requested} == self.wishes
        assert all(count == 1 for count in self.commits.values())
        assert {result.fold for result in run.results} == {self.folds[job_id] for job_id, state in self.states.items() if state == "done"}

    def teardown(self) -> None:
        self.store.close()


def test_any_history_keeps_the_promise(tmp_path: Path) -> None:
    assert run_histories(QueueMachine, tmp_path, n=15) >= 15
