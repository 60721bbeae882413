"""The process that does one job: `python -m core.jobs.worker --workspace DIR --job ID --token T`.

It ends with a verdict in the store, whatever happens: done, failed with a typed error, or handed back. It stops within one
training step when it reads "stop" on standard input, when that ends (the engine died), on SIGTERM, or when its claim is lost.
"""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from core.base.errors import DiskFull, OutOfMemory, PitwallError, bug
from core.base.files import is_full
from core.base.messages import msg, reason
from core.base.secrets import mask_output
from core.jobs.disk import DISK_FULL_CODE, free_bytes, hand_back_for_disk, spend_reserve
from core.jobs.kinds import kind_of
from core.jobs.reporter import Reporter
from core.specs.progress import Interrupted, Progress
from core.store import attempts
from core.store.database import DatabaseBusy
from core.store.jobs import Job, get_job
from core.tracking.tracker import Outcome
from core.training.machine import end_with_loader, is_memory
from core.workspace import Workspace, open_workspace

NICENESS = 10
ORPHAN_GRACE_S = 8.0
"""How long a worker whose engine died may take to stop before it ends itself without further ado."""
PATIENCE_S = 600.0
RETRY_S = 1.0

log = logging.getLogger("core.jobs.worker")
T = TypeVar("T")


class Stop(threading.Event):
    """The wish that this worker stops, from whichever side it came."""

    is_starting = True
    """Nothing has been done yet that would need to be ended in order, so that a wish to stop need not wait for torch."""

    def ask(self, why: str) -> None:
        """Ask for it; the first reason is logged."""
        if not self.is_set():
            log.info("stopping: %s", why)
        self.set()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one attempt; the exit code is 0 when the worker could give its verdict, 1 when its claim was not valid any more."""
    parser = argparse.ArgumentParser(prog="core.jobs.worker", description="Do one job. Started by the engine, not by hand.")
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

    job = get_job(workspace.store, given.job)  # before anybody listens, who may hand it back
    threading.Thread(target=_listen, args=(workspace, stop, hand_back), name="listener", daemon=True).start()
    if job.state != "running" or job.token != given.token:
        log.info("job %d is %s at attempt %d; attempt %d has nothing to do", job.id, job.state, job.token, given.token)
        return 1
    return attempt(workspace, job, stop, hand_back)


def attempt(workspace: Workspace, job: Job, stop: Stop, hand_back: Callable[[], None]) -> int:
    """Work and commit; every way this can end becomes one verdict."""
    kind, reporter = kind_of(job), Reporter(workspace.store, job)
    reporter.start()
    outcome: Outcome = "stopped"

    def should_stop() -> bool:
        stop.is_starting = False
        return stop.is_set() or reporter.lost.is_set()

    try:
        try:
            reporter.report(Progress("starting", job.fold))
            record = kind.run(workspace, job, reporter, should_stop)
        finally:
            reporter.close()
        epochs = reporter.unwritten
        _patiently(workspace, lambda: attempts.finish(workspace.store, job.id, job.token, record, epochs=epochs, now=time.time()))
        log.info("done: %s", job.title)
        kind.cleanup(workspace, job)
        outcome = "done"
        return 0
    except Interrupted:
        _patiently(workspace, hand_back)
        return 0
    except Exception as problem:  # whatever ended the attempt becomes its verdict; a bug keeps its traceback in the log
        end_with_loader(problem)
        error = typed_error(problem, job)
        log.error("%s", error if isinstance(error, PitwallError) else problem, exc_info=not isinstance(problem, PitwallError))
        if isinstance(error, DiskFull):
            return _hold_for_disk(workspace, job)
        if isinstance(error, OutOfMemory) and kind.can_halve(workspace, job):
            state = _patiently(workspace, lambda: attempts.release(workspace.store, job.id, job.token, now=time.time(), reason="memory"))
            log.info("the micro-batch is halved, the batch stays; handed back: %s", state or "the claim was not valid any more")
            return 0
        outcome = "failed"
        where, fix = msg("{job} on {device}", job=job.title, device=job.device), "the log has the traceback; please report it"
        verdict = bug(problem, where=where, fix=fix) if error is None else error.to_dict()
        valid = _patiently(workspace, lambda: attempts.fail(workspace.store, job.id, job.token, verdict, now=time.time()))
        return 0 if valid else 1
    finally:
        reporter.end_tracking(outcome)  # the verdict is given: no tracker delays it


def _hold_for_disk(workspace: Workspace, job: Job) -> int:
    """Hand the job back, and let its device wait until there is more space than now, when the attempt's files are gone.

    Where even that cannot be written, the exit code says it, and the supervisor writes it when it can.
    """
    needed, free = kind_of(job).needed_bytes(workspace, job), free_bytes(workspace.root)
    try:
        state = _patiently(workspace, lambda: hand_back_for_disk(workspace, job, needed=needed, free=free, now=time.time()))
    except DiskFull:
        return DISK_FULL_CODE
    log.info("the disk is full; handed back: %s", state or "the claim was not valid any more")
    return 0


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
    where = msg("{job} on {device}", job=job.title, device=job.device)
    if isinstance(problem, PitwallError):
        return problem
    if is_full(problem):
        return DiskFull(
            "the disk is full", where=getattr(problem, "filename", None) or where, why=reason(problem), fix="make space, then retry the run"
        )
    if is_memory(problem):
        return OutOfMemory(
            "{device} ran out of memory",
            where=where,
            why=str(problem).splitlines()[0] if str(problem) else "",
            fix="use a smaller batch or smaller inputs, then retry",
            device=job.device,
        )
    return None


if __name__ == "__main__":
    mask_output()
    code = main()
    logging.shutdown()
    sys.stderr.close()
    # The verdict is in the store. torch takes seconds to take itself down, in which the device would stand idle.
    os._exit(code)
