"""The queue as a person steers it: cancel, retry, take back; which run comes next, and what is paused. Each change is one transaction.

What workers do to it is in `core.store.attempts`.
"""

import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Literal

from core.base.errors import InputError, StateError
from core.store import jobs
from core.store.contests import get_contest
from core.store.database import Connection, Store
from core.store.jobs import Job, cancel_jobs, forget_halvings, get_job, retry_jobs
from core.store.queue import EVERY_DEVICE, is_live, pause, pause_devices, place_runs, prioritise_runs, resume_devices, waiting_runs
from core.store.runs import Run, get_run
from core.store.trash import Kind, plan_removal, put_in_trash
from core.training.checkpoint import remove_checkpoints
from core.workspace import Workspace

PRIORITIES = range(-100, 101)
STOP_S = 30.0
"""How long what is canceled has to stop before it is deleted."""
NOTHING_LIVE = "no fold of {run} waits or runs"
NOT_WAITING = ("{run} is not waiting", "no fold of it is in the queue: the run is {state}", "retry it first")


def forget_job(workspace: Workspace, job_id: int) -> None:
    """Delete a job that has ended and belongs to no run, and what it has left: of a pretraining its checkpoints. Raises NotFoundError, and
    StateError for one that waits or runs, is of a run, or is a finished pretraining."""
    job = get_job(workspace.store, job_id)
    is_kept = job.kind == jobs.PRETRAIN and job.state == "done"
    if job.run_id is not None or job.state in ("queued", "running") or is_kept:
        fix = "delete the pretraining" if is_kept else "cancel it first"
        raise StateError("this job stays", where=job.title, why="the job is {state}", fix=fix, state=job.state)
    with workspace.store.transaction() as connection:
        jobs.delete_job(connection, job_id)
    if job.kind == jobs.PRETRAIN and job.contest_id is not None:
        shutil.rmtree(workspace.pretraining_dir(get_contest(workspace.store, job.contest_id).folder, job.id), ignore_errors=True)


def cancel_job(store: Store, job_id: int) -> Job:
    """End a job that waits, or ask one that runs to stop. Raises NotFoundError, and StateError when it does neither."""
    return _change_job(store, job_id, jobs.cancel_job, "there is nothing to cancel", "retry it instead")


def retry_job(store: Store, job_id: int) -> Job:
    """Put a job that failed or was canceled at the end of the queue. Raises NotFoundError, and StateError when it is neither."""
    return _change_job(store, job_id, jobs.retry_job, "there is nothing to retry", "wait for it")


def _change_job(store: Store, job_id: int, change: Callable[..., bool], what: str, fix: str) -> Job:
    job = get_job(store, job_id)
    with store.transaction() as connection:
        if not change(connection, job_id, now=time.time()):
            raise StateError(what, where=job.title, why="the job is {state}", fix=fix, state=job.state)
    return get_job(store, job_id)


def cancel_run(store: Store, run_id: int) -> Run:
    """End a run's queued jobs at once and ask its running ones to stop; their engine does so within one step. No run stays paused.

    Raises NotFoundError, and StateError when no job of the run is queued or running.
    """

    def cancel(connection: Connection, run_ids: Sequence[int]) -> bool:
        pause(connection, run_ids, False)  # a retry is meant to run
        return sum(cancel_jobs(connection, each, now=time.time()) for each in run_ids) > 0

    return _change_run(store, run_id, cancel, "there is nothing to cancel", NOTHING_LIVE, "retry or delete the run instead")


def stop_running(store: Store, chosen: Mapping[Kind, Collection[int]], *, sleep: Callable[[float], object] = time.sleep) -> None:
    """Cancel what trains of what is to be deleted, and wait until it has stopped; `put_in_trash` refuses what takes longer than STOP_S."""
    deadline, canceled = time.monotonic() + STOP_S, set[str]()
    while (running := plan_removal(store, chosen).running) and time.monotonic() < deadline:
        for ref in set(running) - canceled:
            with suppress(StateError):  # it has ended by itself
                (cancel_run if ref.startswith("r") else cancel_job)(store, int(ref[1:]))
        canceled |= set(running)
        sleep(0.2)


def take_back(workspace: Workspace, run_ids: Sequence[int], *, sleep: Callable[[float], object] = time.sleep) -> tuple[Run, ...]:
    """Undo a launch: its runs go into the trash, those that train once they have stopped. Runs with a finished fold are canceled and returned.

    Raises NotFoundError, and StateError where one begins this very moment or does not stop.
    """
    store = workspace.store
    runs = [get_run(store, run_id) for run_id in run_ids]
    stay = [run for run in runs if any(part.results for part in run.parts)]
    for run in stay:
        if run.state in ("queued", "running"):
            cancel_run(store, run.id)
    gone: dict[Kind, list[int]] = {"run": [run.id for run in runs if run not in stay]}
    if gone["run"]:
        stop_running(store, gone, sleep=sleep)
        put_in_trash(store, plan_removal(store, gone))
    return tuple(get_run(store, run.id) for run in stay)


def retry_run(store: Store, run_id: int) -> Run:
    """Put a run's failed and canceled jobs at the end of the queue; each goes on from its newest checkpoint.

    Raises NotFoundError, and StateError when no job of the run failed or was canceled.
    """
    why = "no fold of {run} failed or was canceled"
    return _change_run(
        store,
        run_id,
        lambda it, run_ids: sum(retry_jobs(it, each, now=time.time()) for each in run_ids) > 0,
        "there is nothing to retry",
        why,
        "launch a new run instead",
    )


def _change_run(store: Store, run_id: int, change: Callable[[Connection, Sequence[int]], bool], what: str, why: str, fix: str) -> Run:
    """One change of a run and its seeds in the queue, in one transaction; StateError, and no change, where it says that there was nothing to change."""
    run = get_run(store, run_id)
    with store.transaction() as connection:
        if not change(connection, [run.id, *(seed.id for seed in run.seeds)]):
            raise StateError(what, where=run.ref, why=why, fix=fix, run=run.name, state=run.state)
    return get_run(store, run_id)


def restart_run(workspace: Workspace, run_id: int) -> Run:
    """Retry a run's failed and canceled jobs from nothing: their checkpoints are removed first, and full micro-batches tried again.

    Raises as `retry_run` does.
    """
    run = get_run(workspace.store, run_id)
    contest = get_contest(workspace.store, run.contest_id)
    ended = [job for job in run.jobs if job.state in ("failed", "canceled")]
    for job in ended:
        remove_checkpoints(workspace.checkpoints_dir(contest.folder, job.run_id, job.fold))
    with workspace.store.transaction() as connection:
        forget_halvings(connection, [job.id for job in ended])
    return retry_run(workspace.store, run_id)


# The order of the queue, and what is paused. The engine sees a change at its next look, within a second.


def run_next(store: Store, run_id: int) -> Run:
    """Put a run's jobs before all others; what runs now is not stopped. A paused run is resumed.

    Raises NotFoundError, and StateError when no fold of the run waits.
    """

    def first(connection: Connection, run_ids: Sequence[int]) -> bool:
        pause(connection, run_ids, False)
        return place_runs(connection, run_ids, 0)

    return _change_run(store, run_id, first, *NOT_WAITING)


def move_run(store: Store, run_id: int, place: int) -> Run:
    """Put a run at `place` among the runs that wait, from 0; beyond the last is the end. All its jobs move together.

    A run that is moved past others takes over their priority where its own would contradict the new order. Raises
    NotFoundError, and StateError when no fold of the run waits.
    """
    return _change_run(store, run_id, lambda it, run_ids: place_runs(it, run_ids, place), *NOT_WAITING)


def step_run(store: Store, run_id: int, direction: Literal["up", "down"]) -> Run:
    """Let a run and the waiting run before it ("up") or behind it ("down") change places; at the end of the queue nothing changes.

    Raises NotFoundError, and StateError when no fold of the run waits.
    """

    def step(connection: Connection, run_ids: Sequence[int]) -> bool:
        order = waiting_runs(connection)
        mine = [place for place, each in enumerate(order) if each in run_ids]
        if not mine:
            return False
        to = mine[0] + (-1 if direction == "up" else 1)
        return not 0 <= to <= len(order) - len(mine) or place_runs(connection, run_ids, to)

    return _change_run(store, run_id, step, *NOT_WAITING)


def set_priority(store: Store, run_id: int, priority: int) -> Run:
    """Give a run a priority, -100 to 100: the higher one goes first, among equals the one that came first.

    Raises NotFoundError, InputError outside the range, and StateError when the run neither waits nor runs.
    """
    if priority not in PRIORITIES:
        raise InputError("there is no such priority", where="priority", why=str(priority), fix="choose from -100 to 100; 0 is usual")
    return _change_run(store, run_id, lambda it, run_ids: prioritise_runs(it, run_ids, priority), *NOT_WAITING)


def pause_run(store: Store, run_id: int) -> Run:
    """Take no more jobs of a run; its running ones stop within a step and go back to their place.

    Raises NotFoundError, and StateError when the run is paused already, or has ended.
    """
    what, fix = "there is nothing to pause", "retry it, or launch a new run"
    _change_run(store, run_id, lambda it, run_ids: any(is_live(it, each) for each in run_ids), what, NOTHING_LIVE, fix)
    return _change_run(
        store,
        run_id,
        lambda it, run_ids: pause(it, [each for each in run_ids if is_live(it, each)], True),
        "{run} is paused already",
        "",
        "resume it when it shall go on",
    )


def resume_run(store: Store, run_id: int) -> Run:
    """Let a paused run go on. Raises NotFoundError, and StateError when the run is not paused."""
    fix = "if it does not go on, look whether the whole queue is paused"
    return _change_run(store, run_id, lambda it, run_ids: pause(it, run_ids, False), "{run} is not paused", "", fix)


def pause_queue(store: Store, *, device: str = EVERY_DEVICE) -> None:
    """Take no more jobs, on one device or on any; what runs there stops within a step and goes back. Idempotent."""
    pause_devices(store, now=time.time(), device=device)


def resume_queue(store: Store, *, device: str = EVERY_DEVICE) -> None:
    """Let the queue, or one device, go on, also where a full disk had stopped it. Raises StateError when nothing was paused.

    Runs that were paused by themselves stay so.
    """
    if not resume_devices(store, device):
        raise StateError(
            "the queue is not paused", where="queue" if device == EVERY_DEVICE else device, fix="a single run is resumed by its name"
        )
