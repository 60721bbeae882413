"""From the engine's side, one attempt at a job: start the worker process, watch it, stop it when asked, and settle how it ended.

The worker gives its own verdict (done, failed, handed back) through the store. Only when it ended without one, because it was
killed or never came up, is the verdict given here.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from core.base.errors import DiskFull
from core.base.files import is_full
from core.base.messages import msg, reason
from core.jobs.disk import DISK_FULL_CODE, free_bytes, hand_back_for_disk, spend_reserve
from core.jobs.kinds import kind_of
from core.jobs.process import Handle, Launch, launch
from core.store import attempts
from core.store.database import DatabaseBusy
from core.store.jobs import Job
from core.training.machine import has_killed_since, kernel_kills
from core.workspace import Workspace

WATCH_S = 0.2
GRACE_S = 10.0
"""How long a worker that was told to stop may take before it is killed."""
SILENCE_S = attempts.LEASE_S
CALM_S = 600.0
"""A worker that was killed after having worked for so long was not killed by what it does: earlier deaths count no more."""
SETTLE_RETRY_S = 1.0

log = logging.getLogger(__name__)


class Supervisor:
    """One attempt. `run()` blocks until the worker is gone and the job is settled; `stop()` may be called from any thread."""

    def __init__(
        self,
        workspace: Workspace,
        job: Job,
        *,
        clock: Callable[[], float],
        on_end: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] | None = None,
        launch: Launch = launch,
    ) -> None:
        self.job = job
        self._workspace = workspace
        self._store = workspace.store
        self._clock = clock
        self._on_end = on_end
        self._environment = dict(environment or {})
        self._launch = launch
        self._stopping = threading.Event()
        self._look = threading.Event()
        self._told_to_pause = False
        self._log_path = workspace.log_path(job.id, job.token)
        self._kills_before: int | None = None
        self._began = time.monotonic()

    def stop(self) -> None:
        """Have the worker stop within a step; the job goes back to the queue."""
        self._stopping.set()
        self._look.set()

    def look(self) -> None:
        """Look for a request to cancel or to pause now rather than at the next turn."""
        self._look.set()

    def run(self) -> None:
        """Carry the attempt to its end. An exception in here (Ctrl-C in a terminal) stops the worker first."""
        try:
            worker = self._start()
            if worker is None:
                return
            try:
                exit_code, killed = self._watch(worker)
            except BaseException:
                self._stopping.set()
                exit_code, killed = self._watch(worker)
                self._settle(exit_code, killed)
                raise
            finally:
                # Whatever happened here: a worker that is still there sees this end, and stops by itself.
                worker.close()
            self._settle(exit_code, killed)
        finally:
            self._on_end()

    def _start(self) -> Handle | None:
        job = self.job
        arguments = ["--workspace", str(self._workspace.root), "--job", str(job.id), "--token", str(job.token)]
        self._kills_before, self._began = kernel_kills(), time.monotonic()
        try:
            worker = self._launch("core.jobs.worker", arguments, self._log_path, self._environment)
        except OSError as problem:
            if is_full(problem):
                self._hold_for_disk()
                return None
            error = _error(
                "Interrupted",
                "the worker could not be started",
                job,
                why=reason(problem),
                fix="make room on the machine, then retry the run",
            )
            self._persist(lambda: attempts.fail(self._store, job.id, job.token, error, now=self._clock()))
            return None
        identity = None if worker.identity is None else worker.identity.to_dict()
        path = self._workspace.relative(self._log_path)
        self._persist(lambda: attempts.attach_worker(self._store, job, worker=identity, log_path=path, now=self._clock()))
        return worker

    def _watch(self, worker: Handle) -> tuple[int, str]:
        """Wait for the worker's end, stopping it where that is wanted; returns its exit code, and why it was killed ("" when it was not)."""
        told_at: float | None = None
        lease, heard_at = 0.0, time.monotonic()
        killed = ""
        while (exit_code := worker.poll()) is None:
            claim = self._claim()
            if claim is not None and claim.lease_until != lease:
                lease, heard_at = claim.lease_until, time.monotonic()
            unwanted = self._stopping.is_set() or claim is None or claim.cancel_requested or claim.pause_requested
            if unwanted and told_at is None:
                told_at = time.monotonic()
                self._told_to_pause = claim is not None and claim.pause_requested
                worker.tell_to_stop()
            # Both are measured on the monotonic clock, which stands still while the machine sleeps.
            if told_at is not None and time.monotonic() - told_at > GRACE_S:
                killed = msg("it did not stop within {n:.0f} s of being told to", n=GRACE_S)
            elif time.monotonic() - heard_at > SILENCE_S:
                killed = msg("it gave no sign of life for {n:.0f} s", n=SILENCE_S)
            if killed:
                worker.kill()
            self._look.wait(WATCH_S)
            self._look.clear()
        return exit_code, killed

    def _claim(self) -> attempts.Claim | None:
        try:
            return attempts.read_claim(self._store, self.job.id, self.job.token)
        except DatabaseBusy:
            return attempts.Claim(cancel_requested=False, lease_until=0.0)

    def _settle(self, exit_code: int, killed: str) -> None:
        """Give the verdict of an attempt that gave none itself; every function of `attempts` refuses when it did."""
        job = self.job
        ran_long_enough = time.monotonic() - self._began >= CALM_S
        if self._stopping.is_set() or self._told_to_pause:
            self._persist(lambda: attempts.release(self._store, job.id, job.token, now=self._clock()))
        elif exit_code == DISK_FULL_CODE:
            self._hold_for_disk()
        elif (
            exit_code == -signal.SIGKILL
            and not killed
            and has_killed_since(self._kills_before)
            and kind_of(job).can_halve(self._workspace, job)
        ):
            self._persist(lambda: attempts.release(self._store, job.id, job.token, now=self._clock(), reason="memory"))
        elif (exit_code < 0 or killed) and (ran_long_enough or job.interruptions < attempts.MOST_INTERRUPTIONS):
            self._persist(
                lambda: attempts.release(
                    self._store, job.id, job.token, reason="killed" if ran_long_enough else "killed_again", now=self._clock()
                )
            )
        else:
            error = _verdict(job, exit_code, killed, self._log_path)
            self._persist(lambda: attempts.fail(self._store, job.id, job.token, error, now=self._clock()))

    def _hold_for_disk(self) -> None:
        needed, free = kind_of(self.job).needed_bytes(self._workspace, self.job), free_bytes(self._workspace.root)
        self._persist(lambda: hand_back_for_disk(self._workspace, self.job, needed=needed, free=free, now=self._clock()))

    def _persist(self, write: Callable[[], object]) -> None:
        """Write to the store, again and again while it is locked or the disk is full; given up when the engine stops.

        What is given up is found by `attempts.repair` at the next start.
        """
        while True:
            try:
                write()
                return
            except (DatabaseBusy, DiskFull) as problem:
                log.warning("job %d: %s", self.job.id, problem.what)
                if isinstance(problem, DiskFull) and spend_reserve(self._workspace):
                    continue
                if self._stopping.wait(SETTLE_RETRY_S):
                    return


def _verdict(job: Job, exit_code: int, killed: str, log_path: Path) -> dict[str, str]:
    """The typed error for a worker that ended without a word."""
    if killed:
        return _error(
            "Interrupted", "the worker was stopped by the engine", job, why=killed, fix="retry the run; if it happens again, read the log"
        )
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        if -exit_code == signal.SIGKILL:
            why = "probably out of memory: the system kills the largest process with SIGKILL when memory runs out"
            fix = "retry with a smaller batch, smaller images or fewer loader workers"
        else:
            why, fix = msg("it received {signal} from outside, or crashed", signal=name), "retry the run; if it happens again, read the log"
        return _error("Interrupted", msg("the worker was ended by {signal}", signal=name), job, why=why, fix=fix)
    lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log_path.exists() else []
    said = lines[-1] if lines else "its log is empty"
    return _error(
        "Bug",
        msg("the worker ended with code {code} before it could say why", code=exit_code),
        job,
        why=said,
        fix="read the log, then retry the run",
    )


def _error(kind: str, what: str, job: Job, *, why: str, fix: str) -> dict[str, str]:
    return {"type": kind, "what": what, "where": msg("{job} on {device}", job=job.title, device=job.device), "why": why, "fix": fix}
