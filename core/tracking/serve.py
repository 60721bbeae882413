"""TensorBoard on loopback as a child process: `python -m core.tracking.serve --workspace DIR`. Ends with its standard input.

Runs that have no event files (trained before Pitwall wrote them, or copied without their logs) get them first, from the store's epochs.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from tensorboard import program

from core.contest.table import load_kept
from core.folds import load_folds
from core.store.contests import Contest, list_contests
from core.store.folds import get_folds
from core.store.runs import EpochRow, Run, list_epochs, list_runs
from core.tracking.recorder import epoch_values, tracked_fold
from core.tracking.tensorboard import FILES, EventFile
from core.tracking.tracker import Point
from core.training.schedule import plan_epochs
from core.workspace import Workspace, open_workspace

LOOPBACK = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until standard input ends; the first line on standard output is the address."""
    parser = argparse.ArgumentParser(
        prog="core.tracking.serve", description="TensorBoard for a workspace. Started by `python -m core tensorboard`."
    )
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--port", type=int, default=None, help="else the first free one from 6006")
    given = parser.parse_args(arguments)
    workspace = open_workspace(given.workspace)
    workspace.events_dir.mkdir(parents=True, exist_ok=True)
    rebuild_events(workspace)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    board = program.TensorBoard()
    board.configure(logdir=str(workspace.events_dir), host=LOOPBACK, port=given.port, window_title="Pitwall", reload_interval=5.0)
    sys.stdout.write(f"{board.launch()}\n")
    sys.stdout.flush()
    while os.read(0, 4096):
        pass
    return 0


def rebuild_events(workspace: Workspace) -> int:
    """Write the event file of each fold that has epochs and no event file, and is not at work; returns how many."""
    return sum(
        _rebuild(workspace, contest, run) for contest in list_contests(workspace.store) for run in list_runs(workspace.store, contest.id)
    )


def _rebuild(workspace: Workspace, contest: Contest, run: Run) -> int:
    jobs = {job.fold: job for job in run.jobs}
    folder = workspace.run_events_dir(contest.name, run.name, run.id)
    wanted = {fold for fold, job in jobs.items() if job.state != "running" and not any((folder / f"fold-{fold}").glob(FILES))}
    if not wanted:
        return 0
    pairs = load_folds(workspace, get_folds(workspace.store, run.folds_id)).keeping(load_kept(workspace, contest, run.truth_id))
    written = 0
    for fold, rows in groupby(list_epochs(workspace.store, run.id), lambda row: row.fold):
        if fold in wanted:
            job = jobs[fold]
            started_at = job.started_at or run.created_at
            n_steps = plan_epochs(run.recipe, len(pairs.train_idx(fold))).n_steps
            EventFile(
                tracked_fold(workspace, contest, run, fold, job.token, started_at), 1, _points(list(rows), n_steps, started_at)
            ).close()
            written += 1
    return written


def _points(rows: list[EpochRow], n_steps: int, started_at: float) -> list[Point]:
    at = started_at + np.cumsum([row.elapsed_s for row in rows])
    return [Point(row.epoch * n_steps, float(when), epoch_values(row)) for row, when in zip(rows, at, strict=True)]


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
