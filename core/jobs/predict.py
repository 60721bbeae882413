"""The jobs that predict by the networks of a run; the payload says what (`core.predictions.again.rows_asked`)."""

import time
from collections.abc import Callable
from importlib import import_module

from core.jobs.devices import torch_name
from core.jobs.disk import RESERVE_BYTES
from core.jobs.reporter import Reporter
from core.specs.progress import Interrupted, Progress
from core.store.attempts import Record
from core.store.contests import get_contest
from core.store.jobs import Job
from core.store.runs import get_run
from core.workspace import Workspace


def needed_bytes(workspace: Workspace, job: Job) -> int:
    """Bytes that the predictions of the test set take, and some to spare."""
    contest = get_contest(workspace.store, job.contest_id or 0)
    return RESERVE_BYTES + 8 * contest.n_test * len(contest.spec.classes)


def run(workspace: Workspace, job: Job, reporter: Reporter, should_stop: Callable[[], bool]) -> Record:
    """Predict the rows by all finished folds of the job's run, and publish the answer. What the store has to know is that it is done."""
    contest, mine = get_contest(workspace.store, job.contest_id or 0), get_run(workspace.store, job.run_id or 0)
    reporter.report(Progress("loading"))
    # Imported here, when someone listens already: torch takes seconds to come up.
    import_module("core.training.predictor")
    from core.predictions.again import rows_asked, write_answer

    if should_stop():
        raise Interrupted
    rows = rows_asked(workspace, contest, job.payload)
    n_steps, done, started = len(rows.ids) * len(mine.results), 0, time.monotonic()

    def after_batch(n: int) -> None:
        nonlocal done
        if should_stop():
            raise Interrupted
        done += n
        left_s = (time.monotonic() - started) / done * (n_steps - done)
        reporter.report(Progress("predicting", step=done, n_steps=n_steps, eta_s=left_s))

    folder = workspace.answer_dir(contest.folder, mine.id, job.id, job.token)
    write_answer(workspace, contest, mine, rows, folder, device=torch_name(job.device), after_batch=after_batch)
    return lambda _connection: None
