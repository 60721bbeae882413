"""What a person puts into the queue and takes out: launch, cancel, retry, delete. Its order is steered in `controls.py`.

What workers do to it is in `core.store.attempts`.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from core.base.errors import RecipeError, StateError
from core.base.files import keep_upload
from core.base.messages import msg
from core.jobs.fold import start_dir
from core.jobs.kinds import check_kind
from core.specs.recipe import Recipe
from core.store import jobs
from core.store.contests import Contest, get_contest
from core.store.database import Store
from core.store.folds import Folds
from core.store.jobs import Job, add_job, add_jobs, cancel_jobs, forget_halvings, get_job, retry_jobs
from core.store.queue import pause
from core.store.runs import Run, add_run, get_run, remove_run
from core.tracking.tracker import check_trackers
from core.training.backbone import backbone_of
from core.training.checkpoint import remove_checkpoints
from core.workspace import Workspace


def launch_run(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    recipe: Recipe,
    *,
    fold_numbers: Sequence[int] | None = None,
    priority: int = 0,
    now: float | None = None,
) -> Run:
    """Queue a run: one job per fold, all folds unless `fold_numbers` names some. A name that is taken gets a number.

    Raises RecipeError for a recipe of the other modality, a backbone, a tracker or a fold that is not there, StateError for folds of another
    contest.
    """
    return launch_runs(workspace, contest, folds, [recipe], fold_numbers=fold_numbers, priority=priority, now=now)[0]


def launch_runs(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    recipes: Sequence[Recipe],
    *,
    fold_numbers: Sequence[int] | None = None,
    priority: int = 0,
    now: float | None = None,
) -> tuple[Run, ...]:
    """Queue a run of each recipe, in this order: all of them or, when one is refused, none. Errors as of `launch_run`."""
    chosen = tuple(range(folds.n_folds)) if fold_numbers is None else tuple(sorted(set(fold_numbers)))
    for recipe in recipes:
        check_launch(contest, folds, recipe, chosen)
        for fold in chosen:
            start_dir(workspace, contest, folds, recipe, fold)
    moment = time.time() if now is None else now
    ids: list[int] = []
    with workspace.store.transaction() as connection:
        for recipe in recipes:
            run_id = add_run(
                connection,
                contest_id=contest.id,
                folds_id=folds.id,
                name=recipe.name,
                recipe=recipe,
                fold_numbers=chosen,
                now=moment,
            )
            add_jobs(connection, run_id, chosen, now=moment, priority=priority)
            ids.append(run_id)
    return tuple(get_run(workspace.store, run_id) for run_id in ids)


def launch_job(
    store: Store,
    *,
    kind: str,
    contest_id: int,
    run_id: int | None = None,
    payload: Mapping[str, Any] | None = None,
    priority: int = 0,
    now: float | None = None,
) -> Job:
    """Queue one job of a kind in `KINDS`, of a contest or of one of its runs; `payload` is what the kind needs to know, as JSON.

    Raises StateError for a kind that is not there.
    """
    check_kind(kind)
    with store.transaction() as connection:
        moment = time.time() if now is None else now
        job_id = add_job(connection, kind=kind, contest_id=contest_id, run_id=run_id, payload=payload, priority=priority, now=moment)
    return get_job(store, job_id)


def launch_prediction(
    workspace: Workspace, run: Run, *, text: str = "", files: Mapping[str, BinaryIO] | None = None, at_once: bool = True
) -> Job:
    """Queue the prediction of a text, or of files by name, which are copied, or else of the test set, by the networks of a run.

    `at_once`: on the processor beside what trains; else in the order of the queue. Raises StateError for a run without a finished fold,
    InputError for a file that cannot be kept.
    """
    if not run.results:
        raise StateError(
            "{run} has no network yet", where=run.ref, why="none of its folds has finished", fix="wait for the first fold", run=run.name
        )
    payload: dict[str, Any] = {"text": text} if text else {}
    if files:
        folder = workspace.run_dir(get_contest(workspace.store, run.contest_id).name, run.id) / "given" / uuid.uuid4().hex[:12]
        payload = {"files": [workspace.relative(keep_upload(folder, name, stream)) for name, stream in files.items()]}
    kind = jobs.PREDICT_NOW if at_once else jobs.PREDICT
    return launch_job(workspace.store, kind=kind, contest_id=run.contest_id, run_id=run.id, payload=payload)


def cancel_job(store: Store, job_id: int, *, now: float | None = None) -> Job:
    """End a job that waits, or ask one that runs to stop. Raises NotFoundError, and StateError when it does neither."""
    job = get_job(store, job_id)
    with store.transaction() as connection:
        if not jobs.cancel_job(connection, job_id, now=time.time() if now is None else now):
            raise StateError(
                "there is nothing to cancel", where=job.title, why="the job is {state}", fix="retry it instead", state=job.state
            )
    return get_job(store, job_id)


def retry_job(store: Store, job_id: int, *, now: float | None = None) -> Job:
    """Put a job that failed or was canceled at the end of the queue. Raises NotFoundError, and StateError when it is neither."""
    job = get_job(store, job_id)
    with store.transaction() as connection:
        if not jobs.retry_job(connection, job_id, now=time.time() if now is None else now):
            raise StateError("there is nothing to retry", where=job.title, why="the job is {state}", fix="wait for it", state=job.state)
    return get_job(store, job_id)


def cancel_run(store: Store, run_id: int, *, now: float | None = None) -> Run:
    """End a run's queued jobs at once and ask its running ones to stop; their engine does so within one step. No run stays paused.

    Raises NotFoundError, and StateError when no job of the run is queued or running.
    """
    run = get_run(store, run_id)
    with store.transaction() as connection:
        if not cancel_jobs(connection, run_id, now=time.time() if now is None else now):
            raise StateError(
                "there is nothing to cancel",
                where=run.ref,
                why="no fold of {run} waits or runs",
                fix="retry or delete the run instead",
                run=run.name,
            )
        pause(connection, run_id, False)  # a retry is meant to run
    return get_run(store, run_id)


def retry_run(store: Store, run_id: int, *, now: float | None = None) -> Run:
    """Put a run's failed and canceled jobs at the end of the queue; each goes on from its newest checkpoint.

    Raises NotFoundError, and StateError when no job of the run failed or was canceled.
    """
    run = get_run(store, run_id)
    with store.transaction() as connection:
        if not retry_jobs(connection, run_id, now=time.time() if now is None else now):
            raise StateError(
                "there is nothing to retry",
                where=run.ref,
                why="no fold of {run} failed or was canceled",
                fix="launch a new run instead",
                run=run.name,
            )
    return get_run(store, run_id)


def restart_run(workspace: Workspace, run_id: int, *, now: float | None = None) -> Run:
    """Retry a run's failed and canceled jobs from nothing: their checkpoints are removed first, and full micro-batches tried again.

    Raises as `retry_run` does.
    """
    run = get_run(workspace.store, run_id)
    contest = get_contest(workspace.store, run.contest_id)
    ended = [job for job in run.jobs if job.state in ("failed", "canceled")]
    for job in ended:
        remove_checkpoints(workspace.checkpoints_dir(contest.name, run.id, job.fold))
    with workspace.store.transaction() as connection:
        forget_halvings(connection, [job.id for job in ended])
    return retry_run(workspace.store, run_id, now=now)


def delete_run(workspace: Workspace, run_id: int) -> None:
    """Delete a run: its rows in one transaction, then its files and logs.

    Raises NotFoundError, and StateError while one of its jobs runs or a blend uses it.
    """
    run = get_run(workspace.store, run_id)
    contest = get_contest(workspace.store, run.contest_id)
    with workspace.store.transaction() as connection:
        remove_run(connection, run)
    folder = workspace.import_dir(contest.name, run.imported.key) if run.imported else workspace.run_dir(contest.name, run_id)
    for gone in (folder, workspace.run_events_dir(contest.name, run.name, run_id), workspace.tracking_dir(run_id)):
        if gone.exists():
            shutil.rmtree(gone)
    for job in run.jobs:
        for path in workspace.logs_dir.glob(f"job-{job.id}-*.log"):
            path.unlink(missing_ok=True)


def check_launch(contest: Contest, folds: Folds, recipe: Recipe, chosen: tuple[int, ...]) -> None:
    """Refuse what cannot be trained, before it is queued or tried; errors as of `launch_run`."""
    if recipe.modality != contest.spec.modality:
        raise RecipeError(
            "a recipe for {modality} cannot train on {contest}",
            where="modality",
            why=msg("the contest's rows are of the kind '{modality}'", modality=contest.spec.modality),
            fix=msg("choose a recipe for {modality}", modality=contest.spec.modality),
            modality=recipe.modality,
            contest=contest.name,
        )
    backbone_of(recipe)
    check_trackers(recipe.tracking.trackers)
    if folds.contest_id != contest.id:
        raise StateError(
            "these folds belong to another contest",
            where="folds {numbers}",
            why="they are not of {contest}",
            fix="make folds for this contest",
            numbers=folds.id,
            contest=contest.name,
        )
    unknown = [fold for fold in chosen if not 0 <= fold < folds.n_folds]
    if unknown or not chosen:
        raise RecipeError(
            "there is no such fold" if unknown else "no fold was chosen",
            where="fold_numbers",
            why=msg("{folds} is not among 0 to {last}", folds=", ".join(map(str, unknown)), last=folds.n_folds - 1)
            if unknown
            else "a run trains one fold or more",
            fix="choose from 0 to {last}",
            last=folds.n_folds - 1,
        )
