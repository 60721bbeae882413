"""What a lack of memory looks like from outside a worker, and whether its job can go on with less."""

from __future__ import annotations

from pathlib import Path

from core.specs.recipe import Recipe
from core.store.attempts import MOST_HALVINGS
from core.store.jobs import Job
from core.store.runs import get_run
from core.workspace import Workspace

VMSTAT = Path("/proc/vmstat")


def can_halve(recipe: Recipe, halvings: int) -> bool:
    """Whether a micro-batch that was halved so often has two rows or more, and may be halved again."""
    return halvings < MOST_HALVINGS and recipe.train.micro_batch(halvings) > 1


def job_can_halve(workspace: Workspace, job: Job) -> bool:
    """`can_halve` of the fold that a job trains."""
    return can_halve(get_run(workspace.store, job.run_id).recipe, job.halvings)


def kernel_kills() -> int | None:
    """How many processes the kernel has ended for lack of memory since the machine started; None where it does not say."""
    try:
        lines = VMSTAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def has_killed_since(before: int | None) -> bool:
    """Whether the kernel has ended a process for lack of memory since `kernel_kills` said `before`; False where it does not say."""
    now = kernel_kills()
    return before is not None and now is not None and now > before
