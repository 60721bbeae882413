"""What killed processes left on the disk and nobody will use again; removed when an engine takes a workspace over."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from core.jobs.process import of_pid
from core.store.contests import list_contests
from core.store.runs import list_runs
from core.training.checkpoint import list_checkpoints, remove_checkpoints
from core.workspace import Workspace

ABANDONED_S = 3600.0
"""Nothing is written for so long; a folder younger than this may be somebody's at work, on this machine or another."""

log = logging.getLogger(__name__)


def tidy(workspace: Workspace) -> int:
    """Remove half-written artefacts that nobody writes any more, and checkpoints of finished folds; returns how many folders.

    A process that is killed between the commit of a fold and its clean-up leaves the latter.
    """
    n_removed = 0
    for folder in (workspace.root / "contests").rglob(".*.tmp"):
        if folder.is_dir() and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            n_removed += 1
    for contest in list_contests(workspace.store):
        for run in list_runs(workspace.store, contest.id):
            for result in run.results:
                checkpoints = workspace.checkpoints_dir(contest.name, run.id, result.fold)
                if list_checkpoints(checkpoints):
                    remove_checkpoints(checkpoints)
                    n_removed += 1
    if n_removed:
        log.info("removed %d folders that killed processes had left", n_removed)
    return n_removed


def _is_abandoned(folder: Path) -> bool:
    """Whether the process in the name of a temporary folder is gone, and the folder old: numbers of processes are used again."""
    newest = max((path.stat().st_mtime for path in (folder, *folder.rglob("*")) if path.exists()), default=0.0)
    pid = folder.name.rsplit(".", 3)[-3]
    is_running = pid.isdigit() and of_pid(int(pid)) is not None
    return not is_running and time.time() - newest > ABANDONED_S
