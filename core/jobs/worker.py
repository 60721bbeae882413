"""The process that trains one fold: `python -m core.jobs.worker --workspace DIR --job ID --token T`.

It ends with a verdict in the store, whatever happens: done, failed with a typed error, or handed back. It stops within one
training step when it reads "stop" on standard input, when that ends (the engine died), on SIGTERM, or when its claim is lost.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core.artefacts import load_manifest, publishing
from core.base.errors import DiskFull, OutOfMemory, PitwallError, bug
from core.base.files import write_json
from core.base.messages import msg, reason
from core.jobs.disk import DISK_FULL_CODE, free_bytes, hand_back_for_disk, is_full, spend_reserve
from core.jobs.memory import job_can_halve
from core.jobs.reporter import Reporter
from core.specs.progress import Interrupted, Progress
from core.store import attempts
from core.store.contests import get_contest
from core.store.database import DatabaseBusy
from core.store.folds import get_folds
from core.store.jobs import Job, get_job
from core.store.runs import FoldResult, get_run
from core.tracking.recorder import record
from core.tracking.tracker import Outcome
from core.training.checkpoint import remove_checkpoints
from core.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from core.training.task import FoldOutput

NICENESS = 10
ORPHAN_GRACE_S = 8.0
"""How long a worker whose engine died may take to stop before it ends itself without further ado."""
PATIENCE_S = 600.0
RETRY_S = 1.0

log = logging.getLogger("core.jobs.worker")
T = TypeVar("T")


class Stop:
    """The wish that this worker stops, from whichever side it came."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.is_starting = True
        """Nothing has been done yet that would need to be ended in order, so that a wish to stop need not wait for torch."""

    def ask(self, why: str) -> None:
        """Ask for it; the first reason is logged."""
        if not self._event.is_set():
            log.info("stopping: %s", why)
        self._event.set()

    def __call__(self) -> bool:
        return self._event.is_set()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one attempt; the exit code is 0 when the worker could give its verdict, 1 when its claim was not valid any more."""
    parser = argparse.ArgumentParser(prog="core.jobs.worker", description="Train one fold. Started by the engine, not by hand.")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--job", type=int, required=True)
    parser.add_argument("--token", type=int, required=True)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    os.nice(NICENESS)
    stop = Stop()
    workspace = open_workspace(given.workspace)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stop.ask(signal.Signals(received).name))

    def hand_back() -> None:
        state = attempts.release(workspace.store, given.job, given.token, now=time.time())
        log.info("handed back: %s", state or "the claim was not valid any more")

    threading.Thread(target=_listen, args=(workspace, stop, hand_back), name="listener", daemon=True).start()
    job = get_job(workspace.store, given.job)
    if job.state != "running" or job.token != given.token:
        log.info("job %d is %s at attempt %d; attempt %d has nothing to do", job.id, job.state, job.token, given.token)
        return 1
    return _attempt(workspace, job, stop, hand_back)


def _attempt(workspace: Workspace, job: Job, stop: Stop, hand_back: Callable[[], None]) -> int:
    """Train and commit; every way this can end becomes one verdict."""
    reporter = Reporter(workspace.store, job_id=job.id, run_id=job.run_id, token=job.token)
    reporter.start()
    outcome: Outcome = "stopped"
    try:
        try:
            result = _train(workspace, job, reporter, stop)
        finally:
            reporter.close()
        _patiently(workspace, lambda: attempts.commit(workspace.store, job.id, result, epochs=reporter.unwritten, now=time.time()))
        log.info("done: %s", ", ".join(f"{name} {score:.5f}" for name, score in result.scores.items()))
        _clean_up(workspace.absolute(result.path))
        outcome = "done"
        return 0
    except Interrupted:
        _patiently(workspace, hand_back)
        return 0
    except Exception as problem:  # whatever ended the attempt becomes its verdict; a bug keeps its traceback in the log
        error = typed_error(problem, job)
        log.error("%s", error if isinstance(error, PitwallError) else problem, exc_info=not isinstance(problem, PitwallError))
        if isinstance(error, DiskFull):
            return _hold_for_disk(workspace, job)
        if isinstance(error, OutOfMemory) and job_can_halve(workspace, job):
            state = _patiently(workspace, lambda: attempts.release_for_memory(workspace.store, job.id, job.token, now=time.time()))
            log.info("the micro-batch is halved, the batch stays; handed back: %s", state or "the claim was not valid any more")
            return 0
        outcome = "failed"
        where, fix = msg("fold {fold} on {device}", fold=job.fold, device=job.device), "the log has the traceback; please report it"
        verdict = bug(problem, where=where, fix=fix) if error is None else error.to_dict()
        valid = _patiently(workspace, lambda: attempts.fail(workspace.store, job.id, job.token, verdict, now=time.time()))
        return 0 if valid else 1
    finally:
        reporter.end_tracking(outcome)  # the verdict is given: no tracker delays it


def _hold_for_disk(workspace: Workspace, job: Job) -> int:
    """Hand the job back, and let its device wait until there is more space than now, when the attempt's files are gone.

    Where even that cannot be written, the exit code says it, and the supervisor writes it when it can.
    """
    free = free_bytes(workspace.root)
    try:
        state = _patiently(workspace, lambda: hand_back_for_disk(workspace, job, free=free, now=time.time()))
    except DiskFull:
        return DISK_FULL_CODE
    log.info("the disk is full; handed back: %s", state or "the claim was not valid any more")
    return 0


def _train(workspace: Workspace, job: Job, reporter: Reporter, stop: Stop) -> FoldResult:
    """Train the fold and publish its artefact: predictions, weights, and `fold.json` with its scores."""
    reporter.report(Progress("starting", job.fold))
    run = get_run(workspace.store, job.run_id)
    contest = get_contest(workspace.store, run.contest_id)
    folds = get_folds(workspace.store, run.folds_id)
    log.info("%s (%s), fold %d of %s on %s, attempt %d", run.name, run.ref, job.fold, contest.name, job.device, job.token)
    reporter.recorder = record(workspace, contest, run, job)
    # Imported here, when someone listens already: torch takes seconds to come up.
    from core.jobs.task import load_task
    from core.predictions.oof import FoldPredictions, write_fold_predictions
    from core.training.checkpoint import Checkpointing, Identity
    from core.training.fold import train_fold

    def should_stop() -> bool:
        return stop() or reporter.lost.is_set()

    stop.is_starting = False
    if should_stop():
        raise Interrupted
    reporter.report(Progress("loading", job.fold))
    destination = workspace.attempt_dir(contest.name, run.id, job.fold, job.token)
    _remove_unfinished(destination.parent)
    parents = {"contest": contest.fingerprint, "folds": folds.fingerprint, "recipe": run.recipe.fingerprint}
    checkpointing = Checkpointing(
        folder=workspace.checkpoints_dir(contest.name, run.id, job.fold),
        identity=Identity({**parents, "fold": str(job.fold)}),
        token=job.token,
        every_s=run.recipe.checkpoints.every_s,
        keep=run.recipe.checkpoints.keep,
    )
    with publishing(destination, kind="fold", parents=parents, facts={"fold": job.fold}) as folder:
        device, halvings = job.device, job.halvings
        task = load_task(
            workspace, contest, folds, run.recipe, job.fold, device=device, out_dir=folder, checkpointing=checkpointing, halvings=halvings
        )
        output = train_fold(task, report=reporter.report, should_stop=should_stop)
        reporter.report(Progress("saving", job.fold))
        found = FoldPredictions(valid_idx=task.valid_idx, valid_prob=output.valid_prob, test_prob=output.test_prob)
        write_fold_predictions(folder, found, multilabel=task.is_multilabel)
        write_json(folder / "fold.json", _facts(job, output))
    return FoldResult(
        run_id=run.id,
        fold=job.fold,
        token=job.token,
        path=workspace.relative(destination),
        fingerprint=load_manifest(destination).fingerprint,
        scores=dict(output.scores),
        best_epoch=output.best_epoch,
        n_epochs=output.n_epochs,
        elapsed_s=output.elapsed_s,
        facts=dict(output.facts),
        created_at=time.time(),
    )


def _facts(job: Job, output: FoldOutput) -> dict[str, object]:
    """What stands beside the arrays; nothing that differs between two equal trainings."""
    return {"fold": job.fold, "scores": dict(output.scores), "best_epoch": output.best_epoch, "n_epochs": output.n_epochs}


def _listen(workspace: Workspace, stop: Stop, hand_back: Callable[[], None]) -> None:
    """Read standard input for the word "stop" and for its end, which says that the engine is gone."""
    heard = b""
    while received := os.read(0, 4096):
        heard += received
        if b"stop\n" in heard:
            stop.ask("told by the engine")
            _end_if_starting(workspace, stop, hand_back)
    stop.ask("the engine is gone")
    _end_if_starting(workspace, stop, hand_back)
    time.sleep(ORPHAN_GRACE_S)
    log.error("it takes too long to stop in order; ending now")
    try:
        hand_back()
    finally:
        os._exit(1)


def _end_if_starting(workspace: Workspace, stop: Stop, hand_back: Callable[[], None]) -> None:
    if stop.is_starting:
        _patiently(workspace, hand_back)
        logging.shutdown()
        os._exit(0)


def _patiently(workspace: Workspace, write: Callable[[], T]) -> T:
    """Write to the store, waiting out a lock that somebody else holds for long, and a full disk behind its reserve."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return write()
        except (DatabaseBusy, DiskFull) as problem:
            log.warning("%s; trying again", problem.what)
            if isinstance(problem, DiskFull) and spend_reserve(workspace):
                continue
            if time.monotonic() > until:
                raise
            time.sleep(RETRY_S)


def typed_error(problem: Exception, job: Job) -> PitwallError | None:
    """The typed error behind an exception: itself, or what a full disk or memory looks like from inside; None for a bug."""
    where = msg("fold {fold} on {device}", fold=job.fold, device=job.device)
    if isinstance(problem, PitwallError):
        return problem
    if is_full(problem):
        return DiskFull(
            "the disk is full", where=getattr(problem, "filename", None) or where, why=reason(problem), fix="make space, then retry the run"
        )
    # torch's own class is named, not imported: this runs also when torch could not be imported.
    if isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(problem):
        return OutOfMemory(
            "{device} ran out of memory",
            where=where,
            why=str(problem).splitlines()[0] if str(problem) else "",
            fix="use a smaller batch or smaller inputs, then retry",
            device=job.device,
        )
    return None


def _remove_unfinished(folder: Path) -> None:
    """Remove what killed attempts at this fold left half written."""
    if folder.exists():
        for leftover in folder.glob(".attempt-*.tmp"):
            shutil.rmtree(leftover)


def _clean_up(winner: Path) -> None:
    """Remove what earlier attempts published but could not commit, and the checkpoints: a finished fold has nothing to go on from."""
    for other in winner.parent.glob("attempt-*"):
        if other != winner:
            shutil.rmtree(other)
    remove_checkpoints(winner.parent / "checkpoints")


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # The verdict is in the store. torch takes seconds to take itself down, in which the device would stand idle.
    os._exit(code)
