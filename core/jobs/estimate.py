"""When the queue will be empty: from the pace of what runs, and from finished folds of the same run for what waits.

And when a run would end that is not queued yet, from what a dry run says of its folds.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from core.store.jobs import FoldJob, Job


def remaining_s(job: Job, mean_s: Mapping[int, float], *, now: float) -> float | None:
    """Seconds until a running job ends: its own estimate, else the mean of its run's finished folds; None when neither is known.

    `mean_s` gives the mean duration in seconds of the finished folds of a run, by run id.
    """
    if job.progress is not None and job.progress.eta_s is not None:
        return job.progress.eta_s
    if isinstance(job, FoldJob) and job.run_id in mean_s and job.started_at is not None:
        return max(0.0, mean_s[job.run_id] - (now - job.started_at))
    return None


def queue_end_s(running: Sequence[Job], queued: Sequence[Job], mean_s: Mapping[int, float], *, n_slots: int, now: float) -> float | None:
    """Seconds until everything that runs and waits is done on `n_slots` devices; None when that cannot be known yet, 0 when idle."""
    slots = _deal(running, queued, mean_s, n_slots=n_slots, now=now)
    return None if slots is None else max(slots, default=0.0)


def run_end_s(
    running: Sequence[Job], queued: Sequence[Job], mean_s: Mapping[int, float], fold_s: Sequence[float], *, n_slots: int, now: float
) -> float | None:
    """Seconds until a run would end that came last in the queue, its folds taking `fold_s`; None when that cannot be known yet."""
    slots = _deal(running, queued, mean_s, n_slots=n_slots, now=now)
    if not slots:
        return None
    return max((_take_first(slots, seconds) for seconds in fold_s), default=0.0)


def _deal(running: Sequence[Job], queued: Sequence[Job], mean_s: Mapping[int, float], *, n_slots: int, now: float) -> list[float] | None:
    """Seconds until each device has nothing left to do, as a heap; None when that cannot be known."""
    expected = dict(mean_s)
    slots: list[float] = []
    for job in running:
        remaining = remaining_s(job, mean_s, now=now)
        if remaining is None:
            return None
        slots.append(remaining)
        if isinstance(job, FoldJob) and job.run_id not in expected and job.started_at is not None:
            expected[job.run_id] = now - job.started_at + remaining
    slots += [0.0] * (n_slots - len(slots))
    if queued and not slots:
        return None
    heapq.heapify(slots)
    for job in queued:
        if not isinstance(job, FoldJob) or job.run_id not in expected or not slots:
            return None
        _take_first(slots, expected[job.run_id])
    return slots


def _take_first(slots: list[float], seconds: float) -> float:
    """Give a job to the slot that is free first; returns when it ends."""
    end = heapq.heappop(slots) + seconds
    heapq.heappush(slots, end)
    return end
