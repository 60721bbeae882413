"""Event files of runs that have none: trained before Pitwall wrote them, or copied without their logs. Made from the store's epochs."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from core.folds.save import load_folds
from core.store.contests import Contest, list_contests
from core.store.folds import get_folds
from core.store.runs import EpochRow, Run, list_epochs, list_runs
from core.tracking.follower import tracked_fold
from core.tracking.points import epoch_values
from core.tracking.tensorboard import TensorBoardFold
from core.tracking.tracker import Point
from core.training.schedule import steps_per_epoch
from core.workspace import Workspace


def rebuild_events(workspace: Workspace) -> int:
    """Write the event file of each fold that has epochs and no event file, and is not at work; returns how many."""
    return sum(
        _rebuild(workspace, contest, run) for contest in list_contests(workspace.store) for run in list_runs(workspace.store, contest.id)
    )


def _rebuild(workspace: Workspace, contest: Contest, run: Run) -> int:
    jobs = {job.fold: job for job in run.jobs}
    folder = workspace.run_events_dir(contest.name, run.name, run.id)
    wanted = {fold for fold, job in jobs.items() if job.state != "running" and not any((folder / f"fold-{fold}").glob("*tfevents*"))}
    if not wanted:
        return 0
    pairs = load_folds(workspace, get_folds(workspace.store, run.folds_id))
    written = 0
    for fold, rows in groupby(list_epochs(workspace.store, run.id), lambda row: row.fold):
        if fold in wanted:
            job = jobs[fold]
            started_at = job.started_at or run.created_at
            n_steps = steps_per_epoch(len(pairs.train_idx(fold)), run.recipe.train.batch_size)
            points = _points(list(rows), n_steps, started_at)
            TensorBoardFold(tracked_fold(workspace, contest, run, fold, job.token, started_at), points).close("done")
            written += 1
    return written


def _points(rows: list[EpochRow], n_steps: int, started_at: float) -> list[Point]:
    at = started_at + np.cumsum([row.elapsed_s for row in rows])
    return [Point(row.epoch * n_steps, float(when), epoch_values(row)) for row, when in zip(rows, at, strict=True)]
