"""The jobs that register a contest: its settings are the payload, and its rows are read and its images decoded in this process."""

import time
from collections.abc import Callable
from pathlib import Path

from core.jobs.disk import RESERVE_BYTES
from core.jobs.reporter import Reporter
from core.specs.contest import ContestSpec
from core.specs.progress import Interrupted, Progress
from core.store.attempts import Record
from core.store.contests import Contest, list_contests
from core.store.jobs import Job
from core.workspace import Workspace

TABLES_IN_WORKSPACE = 3
"""What is written of the tables takes at most so many times their size."""


def spec_of(job: Job) -> ContestSpec:
    """The contest that a job registers."""
    return ContestSpec.model_validate(job.payload["spec"])


def needed_bytes(workspace: Workspace, job: Job) -> int:
    """Bytes that the contest's tables take in the workspace, and some to spare."""
    spec = spec_of(job)
    tables = [Path(spec.root) / name for name in (spec.train, spec.test, spec.sample_submission) if name]
    return RESERVE_BYTES + TABLES_IN_WORKSPACE * sum(path.stat().st_size for path in tables if path.is_file())


def run(workspace: Workspace, job: Job, reporter: Reporter, should_stop: Callable[[], bool]) -> Record:
    """Verify every row and image, and register the contest. What the store has to know beside it is that the job is done."""
    from core.contest.register import add_contest

    spec, started = spec_of(job), time.monotonic()
    reporter.report(Progress("loading"))

    def progress(done: int, total: int) -> None:
        if should_stop():
            raise Interrupted
        left_s = (time.monotonic() - started) / max(1, done) * (total - done)
        reporter.report(Progress("checking", step=done, n_steps=total, eta_s=left_s))

    if registered_by(workspace, job) is None:
        add_contest(workspace, spec, progress=progress)
    return lambda _connection: None


def registered_by(workspace: Workspace, job: Job) -> Contest | None:
    """The contest that an attempt at a job has registered; None before that. An attempt may be killed between that and its verdict."""
    spec = spec_of(job)
    mine = (
        contest
        for contest in list_contests(workspace.store)
        if contest.name == spec.name and contest.spec.root == spec.root and contest.created_at >= job.created_at
    )
    return next(mine, None)
