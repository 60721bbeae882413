"""The engine: a scheduler thread that gives queued jobs to free devices, and a supervisor thread for each job that runs.

One engine per workspace, held by a file lock; another one opened meanwhile is read-only and takes over when the holder is
gone. What it knows is in the store, so that engines, pages and commands in several processes see the same truth.
"""

import fcntl
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.base.errors import DiskFull, PitwallError, StateError, bug
from core.base.files import full_disk_told
from core.base.messages import msg, reason
from core.jobs.devices import detect_devices, thread_limit
from core.jobs.disk import MARGIN_BYTES, FreeBytes, disk_full, free_bytes, keep_reserve, remove_leftovers, spend_reserve
from core.jobs.forecast import queue_end_s, run_end_s
from core.jobs.kinds import kind_of
from core.jobs.process import Launch, ProcessIdentity, is_alive, launch, of_self, terminate
from core.jobs.supervisor import GRACE_S, Supervisor
from core.store import attempts
from core.store.database import DatabaseBusy
from core.store.jobs import PLACES, SLOTS, Job
from core.store.queue import EVERY_DEVICE, Hold, hold_device_for_disk, lift_disk_hold, list_holds, read_live
from core.trash import empty_old, make_space
from core.workspace import Workspace

POLL_S = 0.3
REPAIR_S = 1.0
CLEAN_AGAIN_S = 60.0
"""How long after something could not be removed it is tried again."""
HOLDER_BYTES = 1024
"""The length of the file that says who holds a workspace, filled up with blanks."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """The process that holds a workspace. `what` is in a person's words; `since` in epoch seconds."""

    identity: ProcessIdentity
    host: str
    what: str
    since: float

    def __str__(self) -> str:
        return msg(
            "{what} (process {pid} on {host}, since {since})",
            what=self.what,
            pid=self.identity.pid,
            host=self.host,
            since=time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since)),
        )


class EngineLock:
    """One engine per workspace, across processes: a lock on a file, which the kernel drops when its holder ends.

    Not for several threads at once; a second object on the same file is a second claimant.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what
        self._descriptor: int | None = None

    @property
    def is_mine(self) -> bool:
        return self._descriptor is not None

    def acquire(self, *, now: float) -> bool:
        """Take the lock and write down who holds it; False when somebody else has it. Holding it already is True.

        On a full disk it is held all the same, and only who holds it is not known to others. Raises DiskFull where there is no such file yet.
        """
        if self._descriptor is not None:
            return True
        with full_disk_told(self.path):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        holder = {"what": self.what, "host": socket.gethostname(), "since": now, **of_self().to_dict()}
        self._descriptor = descriptor
        try:
            os.pwrite(descriptor, json.dumps(holder, ensure_ascii=False).encode().ljust(HOLDER_BYTES), 0)
        except OSError as problem:
            log.warning("who holds the workspace could not be written down: %s", problem)
        return True

    def release(self) -> None:
        """Let go of the lock. Idempotent."""
        if self._descriptor is not None:
            # Not cut: in a file of the same length the next holder is written down on a full disk too.
            with suppress(OSError):
                os.pwrite(self._descriptor, b" " * HOLDER_BYTES, 0)
            os.close(self._descriptor)
            self._descriptor = None


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock on that file; None when nobody does, or the process that did is gone."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        holder = Holder(
            identity=ProcessIdentity.from_dict(said), host=str(said["host"]), what=str(said["what"]), since=float(said["since"])
        )
    except (FileNotFoundError, ValueError, KeyError):
        return None  # never taken, released, or caught between truncation and writing
    if holder.host == socket.gethostname() and not is_alive(holder.identity):
        return None
    return holder


@dataclass(frozen=True)
class DeviceStatus:
    """One device and what it does: the job and the name of its run or contest, or None and ""; `hold` says why it takes no other job."""

    name: str
    job: Job | None
    run_name: str
    hold: Hold | None


@dataclass(frozen=True)
class EngineStatus:
    """A snapshot. `queue_end_s` is in seconds from now, None while unknown; `problem` is the typed error that holds the queue up.

    `is_paused`: a person paused the whole queue. Of `n_queued` waiting jobs, `n_paused` belong to runs that are paused by
    themselves. `free_bytes` is what the disk has left.
    """

    is_mine: bool
    holder: Holder | None
    devices: tuple[DeviceStatus, ...]
    n_queued: int
    n_paused: int
    is_paused: bool
    queue_end_s: float | None
    free_bytes: int
    problem: dict[str, str] | None

    @property
    def held_by(self) -> str:
        """Who holds the workspace, in words."""
        return "another process" if self.holder is None else str(self.holder)


class Engine:
    """Runs the queue of one workspace. All methods may be called from any thread."""

    def __init__(
        self,
        workspace: Workspace,
        devices: tuple[str, ...] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        free_bytes: FreeBytes = free_bytes,
        what: str = "a Pitwall engine",
        launch: Launch = launch,
    ) -> None:
        self.workspace = workspace
        self.devices = detect_devices() if devices is None else devices
        self._clock = clock
        self._free_bytes = free_bytes
        self._launch = launch
        self._lock = EngineLock(workspace.engine_lock_path, what)
        self._identity = of_self()
        self._guard = threading.RLock()
        self._supervisors: dict[int, tuple[Supervisor, threading.Thread]] = {}
        self._scheduler: threading.Thread | None = None
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._orphans: dict[int, float] = {}
        self._problem: dict[str, str] | None = None
        self._left_behind: dict[str, str] | None = None

    @property
    def is_mine(self) -> bool:
        return self._lock.is_mine

    def start(self) -> bool:
        """Begin to run the queue. False when another engine holds the workspace: this one is then read-only, and takes over
        by itself when that one is gone. Idempotent. Raises CheckpointError when the database is damaged."""
        self.workspace.store.check()
        with self._guard:
            if self._stopping.is_set():
                raise StateError(
                    "the engine was stopped", where="engine", why="a stopped engine does not start again", fix="make a new one"
                )
            mine = self._lock.acquire(now=self._clock())
            if self._scheduler is None:
                self._scheduler = threading.Thread(target=self._schedule, name="pitwall-scheduler", daemon=True)
                self._scheduler.start()
            return mine

    def stop(self) -> None:
        """Stop: running workers stop within a step and their jobs go back to the queue; then let go of the workspace."""
        self._stopping.set()
        self._wake.set()
        with self._guard:
            scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            scheduler.join()
        with self._guard:
            supervised = list(self._supervisors.values())
        for supervisor, _ in supervised:
            supervisor.stop()
        for _, thread in supervised:
            if thread is not threading.current_thread():
                thread.join(timeout=2 * GRACE_S)
        self._lock.release()

    def wake(self) -> None:
        """Look at the queue now: something was queued or canceled."""
        self._wake.set()
        with self._guard:
            supervised = list(self._supervisors.values())
        for supervisor, _ in supervised:
            supervisor.look()

    def run_next(self) -> bool:
        """Run the first queued job to its end in this thread; False when none waits that may be taken. For tests.

        Raises StateError when another engine holds the workspace.
        """
        had_lock = self._lock.is_mine
        if not self._lock.acquire(now=self._clock()):
            raise StateError(
                "the workspace is in use",
                where=str(self.workspace.root),
                why="it is held by {holder}",
                fix="stop that process, or let it do the work",
                holder=holder_of(self._lock.path),
            )
        try:
            if not had_lock:
                self._repair()
                keep_reserve(self.workspace)
            job = next((job for device in (*PLACES, *self.devices[:1]) if (job := self._take(device)) is not None), None)
            if job is not None:
                supervisor = self._supervisor(job)
                with self._guard:
                    self._supervisors[job.id] = (supervisor, threading.current_thread())
                supervisor.run()
            return job is not None
        finally:
            if not had_lock:
                self._lock.release()

    def status(self) -> EngineStatus:
        """What every device does and how long the queue is, from the store: the same for the engine that holds it and for others."""
        live = read_live(self.workspace.store)
        by_device = {job.device: job for job in live.running}
        names = [
            *self.devices,
            *sorted(name for name in by_device if name not in self.devices and (name in PLACES or not self.is_mine)),
        ]

        def status_of(name: str, job: Job | None) -> DeviceStatus:
            hold = next((hold for hold in live.holds if hold.covers(name) and name not in PLACES), None)
            return DeviceStatus(name, job, "" if job is None else live.owners[job.id], hold)

        devices = tuple(status_of(name, by_device.get(name)) for name in names)
        takeable = [job for job in live.queued if job.run_id not in live.paused and job.kind not in SLOTS]
        n_slots = sum(device.hold is None or device.job is not None for device in devices if device.name in self.devices)
        return EngineStatus(
            is_mine=self.is_mine,
            holder=holder_of(self._lock.path),
            devices=devices,
            n_queued=len(live.queued),
            n_paused=len(live.queued) - len(takeable),
            is_paused=any(hold.device == EVERY_DEVICE for hold in live.holds),
            queue_end_s=queue_end_s(_on_devices(live.running), takeable, live.mean_s, n_slots=n_slots, now=self._clock()),
            free_bytes=self._free_bytes(self.workspace.root),
            problem=self._problem,
        )

    def run_end_s(self, fold_s: Sequence[float]) -> float | None:
        """Seconds until a run would end that is queued now, its folds taking `fold_s`; None while that is unknown, or devices are held."""
        live = read_live(self.workspace.store)
        takeable = [job for job in live.queued if job.run_id not in live.paused and job.kind not in SLOTS]
        n_slots = sum(not any(hold.covers(name) for hold in live.holds) for name in self.devices)
        if not n_slots:
            return None
        return run_end_s(_on_devices(live.running), takeable, live.mean_s, fold_s, n_slots=n_slots, now=self._clock())

    def _schedule(self) -> None:
        repaired_at, clean_at = float("-inf"), float("-inf")
        while not self._stopping.is_set():
            try:
                with self._guard:
                    is_mine = self._lock.acquire(now=self._clock())
                if is_mine:
                    if time.monotonic() - repaired_at >= REPAIR_S:
                        self._repair()
                        if time.monotonic() >= clean_at:
                            self._left_behind = self._clean()
                            clean_at = float("inf") if self._left_behind is None else time.monotonic() + CLEAN_AGAIN_S
                        if self._free_bytes(self.workspace.root) > MARGIN_BYTES:
                            keep_reserve(self.workspace)
                        repaired_at = time.monotonic()
                    self._give_out()
                self._problem = self._left_behind
            except PitwallError as problem:
                # A locked database or a full disk: said in the status, and tried again at the next turn.
                if isinstance(problem, DiskFull):
                    spend_reserve(self.workspace)
                self._problem = problem.to_dict()
                log.warning("the engine waits: %s", problem)
            except Exception as problem:
                # A scheduler that ended would leave a queue that stands still and looks as if it worked.
                self._problem = bug(problem, where="engine", fix="read the log")
                log.exception("the engine met a bug, and goes on")
            self._wake.wait(POLL_S)
            self._wake.clear()

    def _clean(self) -> dict[str, str] | None:
        """Remove what killed processes left, and from the trash what is too old. What cannot be removed is returned as an error: no job
        waits for that."""
        try:
            remove_leftovers(self.workspace)
            empty_old(self.workspace, now=self._clock())
        except (DatabaseBusy, DiskFull):
            raise
        except PitwallError as problem:
            log.warning("the engine goes on: %s", problem)
            return problem.to_dict()
        except OSError as problem:
            log.warning("the engine goes on: %s", problem)
            return StateError(
                "what a killed process left cannot be removed",
                where=str(problem.filename or self.workspace.root),
                why=reason(problem),
                fix="see that it may be removed, or remove it yourself",
            ).to_dict()
        return None

    def _give_out(self) -> None:
        with self._guard:
            busy = {supervisor.job.device for supervisor, _ in self._supervisors.values()}
        for device in (*self.devices, *PLACES) if self.devices else ():
            if device in busy or self._stopping.is_set():
                continue
            if (job := self._take(device)) is not None:
                self._supervise(job)

    def _take(self, device: str) -> Job | None:
        """Claim the next job for a free device; None when none waits that may be taken, or the disk has no room for it."""
        store, root = self.workspace.store, self.workspace.root
        full = next((hold for hold in list_holds(store) if hold.kind == "disk" and hold.device == device), None)
        if full is not None:
            if not make_space(self.workspace, full.needed_bytes, self._free_bytes):
                return None
            lift_disk_hold(store, device)
            keep_reserve(self.workspace)
            log.info("%s goes on: there is space again", device)
        waiting = attempts.next_job(store, device)
        if waiting is None:
            return None
        needed = kind_of(waiting).needed_bytes(self.workspace, waiting)
        if not make_space(self.workspace, needed, self._free_bytes):
            free = self._free_bytes(root)
            error = disk_full(root, needed=needed, free=free)
            hold_device_for_disk(store, device, error=error.to_dict(), needed_bytes=needed, now=self._clock())
            log.warning("%s is paused: %s", device, error.what)
            return None
        owner = {"engine": self._identity.to_dict(), "host": socket.gethostname(), "worker": None}
        return attempts.claim(
            store,
            owner=owner,
            device=device,
            now=self._clock(),
            is_taken=lambda job: self.workspace.has_attempt(job.id, job.token, run_id=job.run_id, fold=job.fold),
        )

    def _supervise(self, job: Job) -> None:
        supervisor = self._supervisor(job)
        thread = threading.Thread(target=supervisor.run, name=f"pitwall-job-{job.id}", daemon=True)
        with self._guard:
            self._supervisors[job.id] = (supervisor, thread)
            thread.start()

    def _supervisor(self, job: Job) -> Supervisor:
        def ended() -> None:
            with self._guard:
                self._supervisors.pop(job.id, None)
            self._wake.set()

        limits = thread_limit(job.device, self.devices)
        return Supervisor(self.workspace, job, clock=self._clock, on_end=ended, environment=limits, launch=self._launch)

    def _repair(self) -> None:
        with self._guard:
            # A thread that was killed could not say that it ended; the job and its worker are then found like any orphan.
            self._supervisors = {job_id: pair for job_id, pair in self._supervisors.items() if pair[1].is_alive()}
        repaired = attempts.repair(self.workspace.store, now=self._clock(), is_gone=self._is_gone)
        for job_id in repaired:
            self._orphans.pop(job_id, None)
            log.warning("job %d was running under an engine that is gone; it waits in the queue again", job_id)

    def _is_gone(self, job: Job) -> bool:
        """Whether nobody works on a running job. The lock is ours, so every other engine is gone; its worker may still be stopping."""
        with self._guard:
            if job.id in self._supervisors:
                return False
        owner = job.owner or {}
        engine = owner.get("engine")
        local = owner.get("host") == socket.gethostname() or (engine is not None and engine["boot_id"] == self._identity.boot_id)
        if not local:
            return job.lease_until is None or job.lease_until < self._clock()
        worker = ProcessIdentity.from_dict(owner["worker"]) if owner.get("worker") else None
        if worker is None or not is_alive(worker):
            return True
        # It saw the end of its standard input and should be gone within a step.
        if time.monotonic() - self._orphans.setdefault(job.id, time.monotonic()) > GRACE_S:
            terminate(worker)
        return False


def _on_devices(running: Sequence[Job]) -> list[Job]:
    """The running jobs without those that run beside the devices."""
    return [job for job in running if job.device not in PLACES]
