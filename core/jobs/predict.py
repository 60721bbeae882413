"""The jobs that predict by the networks of a run; the payload says what: rows that are given (`core.predictions.again.rows_asked`), `views` of its
out-of-fold rows and, for a `member`, of the test rows, or a `probe` under disturbances."""

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from core.jobs.devices import torch_name
from core.jobs.disk import RESERVE_BYTES
from core.jobs.reporter import Reporter
from core.predictions.networks import Runtime
from core.specs.progress import Interrupted, Progress
from core.store.attempts import Record
from core.store.contests import Contest, get_contest
from core.store.jobs import Job
from core.store.runs import Run, get_run
from core.workspace import Workspace

MOST_HALVINGS = 8


def needed_bytes(workspace: Workspace, job: Job) -> int:
    """Bytes that the predictions take, and some to spare."""
    contest = get_contest(workspace.store, job.contest_id or 0)
    n_rows, row_bytes = 2 * contest.n_test, 4 * len(contest.spec.classes)
    if "views" in job.payload:
        n_views = len(job.payload["views"]) + 1
        n_folds = len(get_run(workspace.store, job.run_id or 0).results) if "member" in job.payload else 0
        n_rows = n_views * (contest.n_train + n_folds * contest.n_test) + n_folds * contest.n_test + contest.n_train
    elif "probe" in job.payload:
        n_rows = 30 * job.payload["probe"]
    return RESERVE_BYTES + row_bytes * n_rows


def can_halve(_workspace: Workspace, job: Job) -> bool:
    """Whether the job can go on with half the rows at once after it was ended for lack of memory: what it has kept stays."""
    return "views" in job.payload and job.halvings < MOST_HALVINGS


class _Rows:
    """Counts the rows that are predicted, says so, and stops where that is asked."""

    def __init__(self, reporter: Reporter, should_stop: Callable[[], bool], n_networks: int) -> None:
        self._reporter, self._should_stop, self._n_networks = reporter, should_stop, n_networks
        self._done, self._started = 0, time.monotonic()

    def __call__(self, n: int, total: int, message: str = "") -> None:
        """A network has done `n` more of `total` rows, which each of several seeds predicts."""
        total *= self._n_networks
        if self._should_stop():
            raise Interrupted
        self._done = min(total, self._done + n)  # rows count again where memory ran out
        left_s = (time.monotonic() - self._started) / self._done * (total - self._done)
        self._reporter.report(Progress("predicting", step=self._done, n_steps=total, eta_s=left_s, message=message))


def run(workspace: Workspace, job: Job, reporter: Reporter, should_stop: Callable[[], bool]) -> Record:
    """Predict what the payload asks by all finished folds of the job's run, and publish it; returns what the store has to know of it."""
    contest, mine = get_contest(workspace.store, job.contest_id or 0), get_run(workspace.store, job.run_id or 0)
    reporter.report(Progress("loading"))
    # Imported here, when someone listens already: torch takes seconds to come up, and ONNX Runtime does without.
    import_module("core.training.predictor" if job.payload.get("runtime", "torch") == "torch" else "core.onnx.runtime")
    if should_stop():
        raise Interrupted
    rows = _Rows(reporter, should_stop, len(mine.parts))
    if "views" in job.payload:
        return _views(workspace, contest, mine, job, rows)
    if "probe" in job.payload:
        from core.analysis.probe import probe_run

        n_rows, device = job.payload["probe"], torch_name(job.device)
        probe_run(workspace, contest, mine, n_rows=n_rows, device=device, after_batch=lambda piece, n, total: rows(n, total, piece.view))
        return _nothing
    _answer(workspace, contest, mine, job, rows)
    return _nothing


def _nothing(_connection: Any) -> None:
    """What the store has to know is that it is done."""


def _views(workspace: Workspace, contest: Contest, mine: Run, job: Job, rows: _Rows) -> Record:
    from core.analysis.views import compare_views
    from core.exchange.views import publish_views
    from core.predictions.views import pieces_of, predict_pieces, read_views

    views = read_views(job.payload["views"])
    pieces = pieces_of(workspace, contest, mine, read_views(["plain", *views]), "oof")
    if "member" in job.payload and contest.n_test:
        pieces += pieces_of(workspace, contest, mine, views, "test")
    total = sum(piece.n_rows for piece in pieces if not piece.is_kept)
    predict_pieces(
        workspace,
        contest,
        mine,
        pieces,
        device=torch_name(job.device),
        batch=job.payload["batch"],
        halvings=job.halvings,
        after_batch=lambda piece, n: rows(n, total, piece.view),
    )
    compare_views(workspace, contest, mine)  # kept for the page
    if "member" not in job.payload:
        return _nothing
    return publish_views(workspace, contest, mine, views, name=job.payload["member"], key=f"views-{job.id}-{job.created_at:.3f}")


def _answer(workspace: Workspace, contest: Contest, mine: Run, job: Job, rows: _Rows) -> None:
    from core.predictions.again import rows_asked, write_answer

    asked = rows_asked(workspace, contest, job.payload)
    total = len(asked.ids) * len(mine.results)
    folder = workspace.answer_dir(contest.folder, mine.id, job.id, job.token)
    runtime: Runtime = job.payload.get("runtime", "torch")
    device = torch_name(job.device)
    write_answer(workspace, contest, mine, asked, folder, device=device, runtime=runtime, after_batch=lambda n: rows(n, total))
