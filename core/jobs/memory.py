"""What a lack of memory looks like from outside a worker, and whether its job can go on with less."""

from __future__ import annotations

from pathlib import Path

from core.store.attempts import MOST_HALVINGS
from core.store.jobs import Job
from core.store.runs import get_run
from core.workspace import Workspace

VMSTAT = Path("/proc/vmstat")


def can_halve(workspace: Workspace, job: Job) -> bool:
    """Whether a job's micro-batch has two rows or more, and was not halved too often."""
    return job.halvings < MOST_HALVINGS and get_run(workspace.store, job.run_id).recipe.train.micro_batch(job.halvings) > 1


def kernel_kills() -> int | None:
    """How many processes the kernel has ended for lack of memory since the machine started; None where it does not say."""
    try:
        lines = VMSTAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
