from __future__ import annotations

import pytest

from core.jobs.estimate import queue_end_s, remaining_s, run_end_s
from core.specs.progress import Progress
from core.store.jobs import FOLD, FoldJob


def job_of(run_id: int, *, started_at: float | None = None, eta_s: float | None = None) -> FoldJob:
    return FoldJob(
        id=1,
        kind=FOLD,
        contest_id=1,
        payload={},
        run_id=run_id,
        fold=0,
        state="queued" if started_at is None else "running",
        priority=0,
        position=0,
        token=1,
        device="cpu",
        owner=None,
        lease_until=None,
        cancel_requested=False,
        progress=Progress("training", fold=0, eta_s=eta_s),
        error=None,
        log_path="",
        created_at=0.0,
        started_at=started_at,
        finished_at=None,
    )


def test_a_running_jobs_own_pace_comes_before_its_siblings() -> None:
    assert remaining_s(job_of(1, started_at=90.0, eta_s=7.0), {1: 30.0}, now=100.0) == 7.0
    assert remaining_s(job_of(1, started_at=90.0), {1: 30.0}, now=100.0) == 20.0
    assert remaining_s(job_of(1, started_at=0.0), {1: 30.0}, now=100.0) == 0.0
    assert remaining_s(job_of(2, started_at=90.0), {1: 30.0}, now=100.0) is None


@pytest.mark.parametrize(("n_slots", "expected"), [(1, 5 + 30 + 30), (2, 5 + 30)])
def test_the_queue_is_dealt_out_to_the_slots(n_slots: int, expected: float) -> None:
    running = [job_of(1, started_at=75.0, eta_s=5.0)]
    assert queue_end_s(running, [job_of(1), job_of(1)], {}, n_slots=n_slots, now=100.0) == expected


def test_what_is_not_known_is_not_guessed() -> None:
    assert queue_end_s([], [], {}, n_slots=1, now=0.0) == 0.0
    assert queue_end_s([], [job_of(3)], {1: 30.0}, n_slots=1, now=0.0) is None
    assert queue_end_s([job_of(3, started_at=0.0)], [], {}, n_slots=1, now=1.0) is None
    assert queue_end_s([], [job_of(1)], {1: 30.0}, n_slots=0, now=0.0) is None
    assert queue_end_s([], [job_of(1)], {1: 30.0}, n_slots=1, now=0.0) == 30.0


def test_a_run_that_is_not_queued_yet_comes_last() -> None:
    running, queued = [job_of(1, started_at=75.0, eta_s=5.0)], [job_of(1)]
    assert run_end_s(running, queued, {1: 30.0}, [10.0, 10.0], n_slots=1, now=100.0) == 5 + 30 + 20
    assert run_end_s(running, queued, {1: 30.0}, [10.0, 10.0], n_slots=2, now=100.0) == 25  # one slot is free now, then after 10 s
    assert run_end_s([], [], {}, [7.0, 8.0, 9.0], n_slots=1, now=0.0) == 24
    assert run_end_s([], [job_of(3)], {}, [7.0], n_slots=1, now=0.0) is None
    assert run_end_s([], [], {}, [7.0], n_slots=0, now=0.0) is None
