"""How much disk a fold needs, how much there is, a reserve file that makes room for the words "the disk is full", and what killed
processes left."""

import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from core.base.errors import DiskFull, RecipeError
from core.base.messages import msg
from core.contest.uploads import remove_abandoned
from core.jobs.process import of_pid
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.contests import list_contests
from core.store.jobs import Job
from core.store.pretrainings import list_pretrainings
from core.store.queue import Hold
from core.store.runs import list_runs
from core.training.checkpoint import list_checkpoints, remove_checkpoints
from core.training.task import backbone_of
from core.workspace import Workspace

RESERVE_BYTES = 8 * 2**20
"""Ample for the rollback journal of the few rows that say so."""
MARGIN_BYTES = 64 * 2**20
"""After a full disk at least this much more must be free than there was then: the same try would end in the same way."""
FLOAT_BYTES = 4
LEAST_WIDTH = 256
"""A matrix has so many rows and columns at least, of which LoRA's beside it have the rank."""

DISK_FULL_CODE = 28
"""What a worker exits with when the disk is so full that it cannot say so in the store."""

ABANDONED_S = 3600.0
"""Nothing is written for so long; a folder younger than this may be somebody's at work, on this machine or another."""

REGISTERED_PARTS = {"data", "truth", "groups"}
"""What registration writes of a contest."""

T = TypeVar("T")
FreeBytes = Callable[[Path], int]

log = logging.getLogger(__name__)


def free_bytes(root: Path) -> int:
    """Bytes that this user may still write on the file system of a folder."""
    return shutil.disk_usage(root).free


def fold_bytes(recipe: Recipe, *, weights_dir: Path, n_rows: int, n_test: int, n_classes: int) -> int:
    """An upper estimate of what one fold of a recipe writes: checkpoints, weights, and predictions of float32."""
    try:
        n_parameters = backbone_of(recipe, weights_dir).params_m * 1e6
    except RecipeError:
        n_parameters = 0  # its worker will refuse it, and say why better than an estimate could
    n_checkpoints = recipe.checkpoints.keep + 1  # one more while the newest is written
    in_one = 3 + recipe.average.n_copies + bool(recipe.average.ema)  # weights, two moments, those that are kept, moving average
    share = 1.0 if recipe.model.lora == "none" else min(1.0, 2 * recipe.model.lora_rank / LEAST_WIDTH)
    copies = n_checkpoints * in_one * share + 1  # and the published weights
    return round(FLOAT_BYTES * copies * n_parameters) + _predictions_bytes(n_rows, n_test, n_classes) + RESERVE_BYTES


def run_bytes(
    recipe: Recipe,
    *,
    checkpoint_bytes: int,
    weights_bytes: int,
    n_folds: int,
    n_at_once: int,
    n_rows: int,
    n_test: int,
    n_classes: int,
) -> int:
    """What a run needs at the most, from the real sizes of its checkpoints and weights: what its folds leave, and the checkpoints of
    those that train at once. `n_rows` are all training rows."""
    left = n_folds * weights_bytes + _predictions_bytes(n_rows, n_folds * n_test, n_classes)
    return left + n_at_once * (recipe.checkpoints.keep + 1) * checkpoint_bytes + RESERVE_BYTES


def _predictions_bytes(n_valid: int, n_test: int, n_classes: int) -> int:
    """Probabilities in float32, and the numbers of the validated rows."""
    return FLOAT_BYTES * n_classes * (n_valid + n_test) + 8 * n_valid


def disk_full(root: Path, *, needed: int, free: int) -> DiskFull:
    """The error of a disk on which a job does not fit."""
    return DiskFull(
        "disk full: {needed} needed, {free} free",
        where=str(root),
        why="a job needs room for what it writes: a fold for its checkpoints, its weights and its predictions",
        fix="make space: the queue goes on by itself; or resume it as it is",
        needed=size_text(needed),
        free=size_text(free),
    )


def hand_back_for_disk(workspace: Workspace, job: Job, *, needed: int, free: int, now: float) -> str | None:
    """Put the job of an attempt whose disk was full back into the queue, and hold its device; see `attempts.release_for_disk`.

    `needed` are the bytes that such a job needs, `free` those that there were when the disk was found full: where this can be written only
    after space was made, that space counts.
    """
    needed = max(needed, free + MARGIN_BYTES)
    error = disk_full(workspace.root, needed=needed, free=free).to_dict()
    return attempts.release_for_disk(workspace.store, job.id, job.token, error, needed_bytes=needed, now=now)


def hold_text(hold: Hold, free: int | None = None) -> str:
    """Why a device stands still, in one line, with the bytes that are free now where they are given."""
    if hold.kind == "disk":
        known = "paused: disk full, {needed} needed" if free is None else "paused: disk full, {needed} needed, {free} free"
        return msg(known, needed=size_text(hold.needed_bytes), free=size_text(free or 0))
    return "paused"


def size_text(n_bytes: float) -> str:
    """A size as a person says it, in powers of ten: 640 kB, 12 MB, 3.1 GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= factor:
            amount = n_bytes / factor
            return f"{amount:.1f} {unit}" if amount < 10 or unit == "GB" else f"{amount:.0f} {unit}"
    return f"{n_bytes / 1e3:.0f} kB"


def reserve_path(workspace: Workspace) -> Path:
    """The file that is given up when the disk is full."""
    return workspace.root / "reserve"


def keep_reserve(workspace: Workspace) -> bool:
    """Make the reserve file, really allocated, unless it is there; False when there is no room for it."""
    path = reserve_path(workspace)
    if path.exists():
        return True
    try:
        with path.open("xb") as stream:
            stream.write(bytes(RESERVE_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError:
        return True  # another process was faster
    except OSError as problem:
        path.unlink(missing_ok=True)
        log.warning("there is no room for the reserve file: %s", problem)
        return False
    return True


def spend_reserve(workspace: Workspace) -> bool:
    """Give the reserve's space back, so that a state can be written on a full disk; False when it was spent already."""
    path = reserve_path(workspace)
    if not path.exists():
        return False
    path.unlink(missing_ok=True)
    log.warning("the disk is full: its reserve was given up so that this can be written down")
    return True


def with_reserve(workspace: Workspace, change: Callable[[], T]) -> T:
    """Make a change that a full disk must not prevent, such as a deletion: for its few rows the reserve is given up."""
    try:
        return change()
    except DiskFull:
        if not spend_reserve(workspace):
            raise
        return change()


def remove_leftovers(workspace: Workspace) -> int:
    """When an engine takes a workspace over: remove half-written artefacts that nobody writes any more, and checkpoints of finished folds,
    which a process leaves that is killed between the commit and its clean-up, and uploads that became no contest. Returns how many folders."""
    n_removed = 0
    for folder in (workspace.root / "contests").rglob(".*.tmp"):
        if folder.is_dir() and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            n_removed += 1
    n_removed += remove_abandoned(workspace, time.time())
    n_removed += _remove_unregistered(workspace)
    for contest in list_contests(workspace.store):
        results = (result for run in list_runs(workspace.store, contest.id) for part in run.parts for result in part.results)
        ended = [workspace.checkpoints_dir(contest.folder, result.run_id, result.fold) for result in results]
        ended += [workspace.absolute(each.path).parent / "checkpoints" for each in list_pretrainings(workspace.store, contest.id)]
        for checkpoints in ended:
            if list_checkpoints(checkpoints):
                remove_checkpoints(checkpoints)
                n_removed += 1
    if n_removed:
        log.info("removed %d folders that killed processes had left", n_removed)
    return n_removed


def _remove_unregistered(workspace: Workspace) -> int:
    """Remove what a registration published that was killed before the contest's row was written and never went on; returns how many folders.

    They hold rows, truth and groups alone: a folder with folds or runs is of a contest, of which an older copy of the database may not know.
    """
    n_removed, known = 0, {contest.folder for contest in list_contests(workspace.store, with_trash=True)}
    for folder in (workspace.root / "contests").iterdir():
        parts = {path.name.partition("-")[0] for path in folder.iterdir()} if folder.is_dir() and folder.name not in known else set[str]()
        if parts and parts <= REGISTERED_PARTS and time.time() - folder.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(folder)
            n_removed += 1
    return n_removed


def _is_abandoned(folder: Path) -> bool:
    """Whether the process in the name of a temporary folder is gone, and the folder old: numbers of processes are used again."""
    newest = max((path.stat().st_mtime for path in (folder, *folder.rglob("*")) if path.exists()), default=0.0)
    pid = folder.name.rsplit(".", 3)[-3]
    is_running = pid.isdigit() and of_pid(int(pid)) is not None
    return not is_running and time.time() - newest > ABANDONED_S
