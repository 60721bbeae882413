from __future__ import annotations

import pytest

from core.base.errors import NotFoundError
from core.specs.progress import Progress
from core.store import attempts
from core.store.database import Store
from core.store.jobs import cancel_jobs, get_job, list_jobs, retry_jobs
from core.store.queue import read_live
from core.store.runs import Run

OWNER = {"engine": None, "host": "here", "worker": None}


def test_jobs_are_listed_in_the_queues_order(store: Store, run: Run) -> None:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=4.0)
    assert job and job.fold == 0
    assert [(job.fold, job.state) for job in list_jobs(store)] == [(0, "running"), (1, "queued"), (2, "queued")]
    assert [job.fold for job in list_jobs(store, states=("queued",), run_id=run.id)] == [1, 2]
    assert list_jobs(store, run_id=run.id + 1) == ()
    assert get_job(store, job.id) == job
    with pytest.raises(NotFoundError):
        get_job(store, 99)


def test_the_live_part_is_one_snapshot(store: Store, run: Run) -> None:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=4.0)
    assert job
    said = Progress("training", fold=0, epoch=1, n_epochs=2, step=3, n_steps=4, pace_per_s=5.0, eta_s=6.0, train_loss=0.7)
    attempts.renew(store, job.id, job.token, now=5.0, progress=said)
    live = read_live(store)
    assert [job.progress for job in live.running] == [said] and len(live.queued) == 2
    assert live.owners == {1: "first", 2: "first", 3: "first"} and live.mean_s == {}


def test_retry_goes_to_the_end_of_the_queue_and_forgets_the_error(store: Store, run: Run) -> None:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=4.0)
    assert job
    attempts.fail(store, job.id, job.token, {"type": "Bug", "what": "w", "where": "", "why": "", "fix": ""}, now=5.0)
    with store.transaction() as connection:
        assert retry_jobs(connection, run.id, now=6.0) == 1
        assert retry_jobs(connection, run.id, now=6.0) == 0
    again = get_job(store, job.id)
    assert (again.state, again.error, again.started_at, again.token) == ("queued", None, None, 1)
    assert [job.fold for job in list_jobs(store)] == [1, 2, 0]


def test_cancel_ends_what_waits_and_asks_what_runs(store: Store, run: Run) -> None:
    job = attempts.claim(store, owner=OWNER, device="cpu", now=4.0)
    with store.transaction() as connection:
        assert cancel_jobs(connection, run.id, now=5.0) == 3
    assert job and [(job.state, job.cancel_requested) for job in list_jobs(store)] == [
        ("running", True),
        ("canceled", False),
        ("canceled", False),
    ]
    assert attempts.release(store, job.id, job.token, now=6.0) == "canceled"
    with store.transaction() as connection:
        assert cancel_jobs(connection, run.id, now=7.0) == 0
