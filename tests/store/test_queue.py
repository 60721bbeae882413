"""The order of the queue against a model: a plain list of jobs, in which a run's jobs are taken out and put in together."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.base.errors import InputError, NotFoundError, StateError
from core.jobs import queue
from core.jobs.queue import cancel_run, retry_run
from core.store import attempts
from core.store.database import Store
from core.store.jobs import list_jobs
from core.store.queue import list_holds, read_queue
from core.store.runs import get_run
from tests.inputs.queue_model import OWNER, QueueMachine, add_runs, run_histories


def names(store: Store) -> str:
    """The waiting jobs as text: the run's name and the fold, in the order in which they will be taken."""
    return " ".join(f"{get_run(store, job.run_id).name}{job.fold}" for job in list_jobs(store, ("queued",)))


def take(store: Store, device: str = "cpu") -> str | None:
    """Claim the next job, as `names` writes it."""
    job = attempts.claim(store, owner=OWNER, device=device, now=1.0)
    return None if job is None else f"{get_run(store, job.run_id).name}{job.fold}"


def test_a_runs_jobs_move_together(store: Store) -> None:
    a, b, c = add_runs(store, 3)
    queue.step_run(store, b, "up")
    assert names(store) == "b0 b1 b2 a0 a1 a2 c0 c1 c2"
    queue.step_run(store, b, "up")
    queue.step_run(store, c, "down")
    assert names(store) == "b0 b1 b2 a0 a1 a2 c0 c1 c2"
    queue.run_next(store, c)
    assert names(store) == "c0 c1 c2 b0 b1 b2 a0 a1 a2"
    queue.move_run(store, c, 1)
    assert names(store) == "b0 b1 b2 c0 c1 c2 a0 a1 a2"
    queue.move_run(store, b, 99)
    assert names(store) == "c0 c1 c2 a0 a1 a2 b0 b1 b2"
    assert [(run.run_id, run.waiting, run.running) for run in read_queue(store)] == [(run, (0, 1, 2), ()) for run in (c, a, b)]


def test_a_running_job_goes_back_to_where_its_run_was_moved(store: Store) -> None:
    a, b = add_runs(store, 2)
    job = attempts.claim(store, owner=OWNER, device="cpu", now=1.0)
    assert job and job.run_id == a
    queue.step_run(store, b, "up")
    attempts.release(store, job.id, job.token, now=2.0)
    assert names(store) == "b0 b1 b2 a0 a1 a2"


def test_a_higher_priority_goes_first_and_a_moved_run_takes_over_as_much_as_it_must(store: Store) -> None:
    a, b, c = add_runs(store, 3)
    queue.set_priority(store, c, 5)
    assert names(store) == "c0 c1 c2 a0 a1 a2 b0 b1 b2"
    queue.set_priority(store, a, 5)
    assert names(store) == "c0 c1 c2 a0 a1 a2 b0 b1 b2"
    queue.step_run(store, b, "up")
    assert [(run.run_name, run.priority) for run in read_queue(store)] == [("c", 5), ("b", 5), ("a", 5)]
    queue.set_priority(store, c, -1)
    queue.move_run(store, b, 9)
    assert [(run.run_name, run.priority) for run in read_queue(store)] == [("a", 5), ("c", -1), ("b", -1)]
    with pytest.raises(InputError, match="no such priority"):
        queue.set_priority(store, a, 101)


def test_what_does_not_wait_cannot_be_moved(store: Store) -> None:
    (a,) = add_runs(store, 1)
    cancel_run(store, a)
    for refused in (
        lambda: queue.run_next(store, a),
        lambda: queue.move_run(store, a, 0),
        lambda: queue.step_run(store, a, "up"),
        lambda: queue.set_priority(store, a, 1),
        lambda: queue.pause_run(store, a),
        lambda: queue.resume_run(store, a),
    ):
        with pytest.raises(StateError):
            refused()
    with pytest.raises(NotFoundError):
        queue.run_next(store, 99)


def test_a_paused_run_is_passed_over_and_keeps_its_place(store: Store) -> None:
    a, _ = add_runs(store, 2)
    running = attempts.claim(store, owner=OWNER, device="cpu", now=1.0)
    assert running and queue.pause_run(store, a).is_paused
    claim = attempts.read_claim(store, running.id, running.token)
    assert claim and claim.pause_requested and not claim.cancel_requested
    assert attempts.release(store, running.id, running.token, now=2.0) == "queued"
    assert take(store) == "b0"
    assert not queue.resume_run(store, a).is_paused
    assert take(store) == "a0"
    queue.pause_run(store, a)
    with pytest.raises(StateError, match="already"):
        queue.pause_run(store, a)
    assert not queue.run_next(store, a).is_paused  # who wants it next wants it to run
    queue.pause_run(store, a)
    cancel_run(store, a)
    assert not retry_run(store, a).is_paused


def test_a_paused_queue_gives_nothing_out_and_a_paused_device_only_itself(store: Store) -> None:
    add_runs(store, 1)
    with pytest.raises(StateError, match="not paused"):
        queue.resume_queue(store)
    queue.pause_queue(store, device="cuda:0")
    assert take(store, "cuda:0") is None and take(store, "cuda:1") == "a0"
    queue.pause_queue(store)
    queue.pause_queue(store)
    assert take(store, "cuda:1") is None and attempts.next_job(store, "cuda:1") is None
    assert [(hold.device, hold.kind) for hold in list_holds(store)] == [("cuda:0", "person"), ("*", "person")]
    queue.resume_queue(store)
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


@pytest.mark.slow
def test_random_histories_keep_the_order(tmp_path: Path) -> None:
    assert run_histories(QueueMachine, tmp_path, n=25) >= 25
