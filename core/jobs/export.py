"""The jobs that export a run's networks to ONNX; the payload says whether in int8 too."""

import time
from collections.abc import Callable
from importlib import import_module

from core.jobs.disk import RESERVE_BYTES
from core.jobs.reporter import Reporter
from core.specs.progress import Interrupted, Progress
from core.store.attempts import Record
from core.store.contests import get_contest
from core.store.jobs import Job
from core.store.runs import get_run
from core.workspace import Workspace


def needed_bytes(workspace: Workspace, job: Job) -> int:
    """Bytes that the files take: those of the weights, twice for a moment, and some to spare."""
    folders = [workspace.absolute(result.path) for result in get_run(workspace.store, job.run_id or 0).results]
    weights = [path.stat().st_size for folder in folders for path in folder.rglob("*.safetensors")]
    return RESERVE_BYTES + 2 * sum(weights)


def run(workspace: Workspace, job: Job, reporter: Reporter, should_stop: Callable[[], bool]) -> Record:
    """Export what is not there yet. What the store has to know is that it is done."""
    contest, mine = get_contest(workspace.store, job.contest_id or 0), get_run(workspace.store, job.run_id or 0)
    reporter.report(Progress("loading"))
    # Imported here, when someone listens already: torch takes seconds to come up.
    import_module("core.training.predictor")
    from core.predictions.export import export_run

    started = time.monotonic()

    def after_network(done: int, n: int) -> None:
        if should_stop():
            raise Interrupted
        left_s = (time.monotonic() - started) / done * (n - done) if done else None
        reporter.report(Progress("exporting", step=done, n_steps=n, eta_s=left_s))

    export_run(workspace, contest, mine, int8=job.payload["int8"], after_network=after_network)
    return lambda _connection: None
