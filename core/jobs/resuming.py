"""Where a fold that was handed back will go on: the place of its newest checkpoint, until its next attempt trains."""

from __future__ import annotations

from core.base.errors import CheckpointError
from core.specs.progress import Progress
from core.store.jobs import FoldJob
from core.store.runs import Run
from core.training.checkpoint import Checkpoint, list_checkpoints
from core.workspace import Workspace


def places(workspace: Workspace, contest: str, run: Run) -> dict[int, Progress]:
    """By fold, the step that a waiting or starting job of the run will do next; folds that begin at their beginning are not in it.

    Whether the checkpoint verifies is not looked at: its hashes are compared when training goes on from it.
    """
    found: dict[int, Progress] = {}
    for job in run.jobs:
        newest = next(iter(list_checkpoints(workspace.checkpoints_dir(contest, run.id, job.fold))), None) if _is_on_its_way(job) else None
        if newest is not None:
            found[job.fold] = _next_step(newest, run, job)
    return found


def share_of(job: FoldJob, place: Progress | None) -> float:
    """How much of a job is done, 0 to 1; `place` is where it will go on, of `places`."""
    if job.state == "done":
        return 1.0
    at = place if place is not None else job.progress if job.state == "running" else None
    return at.fraction if at is not None else 0.0


def _is_on_its_way(job: FoldJob) -> bool:
    """It had an attempt before, and none has got to training since."""
    if job.state == "queued":
        return job.token > 0
    return job.state == "running" and job.token > 1 and (job.progress is None or job.progress.phase in ("starting", "loading"))


def _next_step(newest: Checkpoint, run: Run, job: FoldJob) -> Progress:
    n_epochs, n_steps = run.recipe.train.epochs, _n_steps(newest)
    if newest.epoch > n_epochs:
        return Progress("predicting", job.fold, n_epochs, n_epochs, n_steps, n_steps)
    return Progress("training", job.fold, newest.epoch, n_epochs, min(newest.step + 1, n_steps or newest.step + 1), n_steps)


def _n_steps(checkpoint: Checkpoint) -> int:
    """Steps of an epoch; 0 where the checkpoint does not say, or cannot be read."""
    try:
        return int(checkpoint.facts.get("n_steps", 0))
    except CheckpointError:
        return 0
