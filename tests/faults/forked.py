"""Workers as forks of a process that has imported torch: an attempt starts in milliseconds, and can be struck at any instant or place.

The engine, its supervisor, the store and the worker's code are the real ones; only what launches a worker is another function.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import IO, Any, Protocol

from core.jobs import fold as fold_kind, supervisor, worker
from core.jobs.devices import worker_environment
from core.jobs.engine import Engine
from core.jobs.process import of_pid
from core.store.jobs import Job, get_job
from core.workspace import Workspace

IMPORTED = {"image": ("core.data.pixels", "models.image"), "text": ("core.data.batches", "models.text")}
GONE_S = 20.0
NO_RECORDER = SimpleNamespace(take=lambda said: None, end=lambda outcome: None, images=())
"""How long what a worker started may outlive it. torch in a loader process takes seconds to see the end when the machine is busy."""


class Process(Protocol):
    """What a supervisor asks of a worker's process, a fork or a real one."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...


Prepare = Callable[[int], None]
"""Called with the number of the attempt in the worker's process before it begins: where to strike is patched in here."""
Started = Callable[[Process, Job], None]
"""Called in the engine's process when a worker has just started, with the job as it was claimed."""


def import_torch(*modalities: str) -> None:
    """Import all that a worker imports, and start no thread, so that this process may fork."""
    import torch

    torch.set_num_threads(1)
    modules = ["core.training.fold", "core.predictions.oof", "torch._dynamo"]  # the last by the first optimiser
    for name in (*modules, *(name for modality in modalities for name in IMPORTED[modality])):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    # What the engine says of workers that were struck on purpose.
    for name in ("engine", "disk", "supervisor"):
        logging.getLogger(f"core.jobs.{name}").setLevel(logging.ERROR)


class ForkedWorker:
    """One attempt in a fork: the handle that the launcher of forks gives."""

    def __init__(self, arguments: Sequence[str], prepare: Prepare, stdout: IO[bytes], environment: Mapping[str, str]) -> None:
        self.returncode: int | None = None
        hear, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(tell)
            _be_a_worker(arguments, prepare, hear, stdout.fileno(), environment)
        os.close(hear)
        self.identity = of_pid(self.pid)
        self._stdin = os.fdopen(tell, "wb", buffering=0)

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it lives."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def tell_to_stop(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(b"stop\n")

    def close(self) -> None:
        self._stdin.close()

    def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _be_a_worker(arguments: Sequence[str], prepare: Prepare, hear: int, log: int, environment: Mapping[str, str]) -> None:
    """Never returns."""
    code = 1
    try:
        os.setsid()
        os.dup2(hear, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(worker_environment(environment))
        sys.modules["__main__"] = ModuleType("__main__")  # or every loader process would import the fault script
        fold_kind.record = lambda *_: NO_RECORDER  # type: ignore[assignment, return-value]  # a real one needs the contest on the disk
        prepare(int(arguments[list(arguments).index("--token") + 1]))
        code = worker.main(arguments)
        logging.shutdown()
    except BaseException:  # noqa: BLE001  # as the interpreter does with what nobody caught
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):  # its log may be on a full disk
            sys.stderr.flush()
        os._exit(code)


@contextlib.contextmanager
def forked_workers(workspace: Workspace, *, prepare: Prepare = lambda _: None) -> Iterator[None]:
    """Inside, the supervisors of this process start forks. Only with `Engine.run_next`: a process with threads must not fork."""

    def fork(module: str, arguments: Sequence[str], output: Path, environment: Mapping[str, str]) -> ForkedWorker:
        assert module == "core.jobs.worker"
        workspace.store.close()  # no connection is carried into a fork
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as stream:
            return ForkedWorker(arguments, prepare, stream, environment)

    init = supervisor.Supervisor.__init__

    def with_forks(self: supervisor.Supervisor, *given: Any, **named: Any) -> None:
        init(self, *given, **{**named, "launch": fork})

    supervisor.Supervisor.__init__ = with_forks  # type: ignore[method-assign]
    try:
        yield
    finally:
        supervisor.Supervisor.__init__ = init  # type: ignore[method-assign]


@contextlib.contextmanager
def watching(started: Started) -> Iterator[None]:
    """Inside, hear of every worker that starts, a fork or not, just before its supervisor begins to watch it."""
    watch = supervisor.Supervisor._watch  # pyright: ignore[reportPrivateUsage]

    def watch_and_tell(self: supervisor.Supervisor, process: Any) -> tuple[int, str]:
        started(process, self.job)
        return watch(self, process)

    supervisor.Supervisor._watch = watch_and_tell  # pyright: ignore[reportPrivateUsage]
    try:
        yield
    finally:
        supervisor.Supervisor._watch = watch  # pyright: ignore[reportPrivateUsage]


class Killer:
    """Kills a process with -9 some time after something holds, unless it has ended before."""

    def __init__(self, pid: int, *, after_s: float = 0.0, when: Callable[[], bool] = lambda: True) -> None:
        self.pid = pid
        self.killed_at: float | None = None
        """Epoch seconds; None when it has not killed."""
        self._handle = os.pidfd_open(pid)
        self._called_off = threading.Event()
        self._after_s, self._when = after_s, when
        self._thread = threading.Thread(target=self._run, name="killer")
        self._thread.start()

    def end(self) -> None:
        """Call it off, and be sure that no thread is left; twice is once."""
        self._called_off.set()
        self._thread.join()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _run(self) -> None:
        while not self._when():
            if self._called_off.wait(0.005):
                return
        if self._called_off.wait(self._after_s):
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            self.killed_at = time.time()


def run_to_end(engine: Engine, job_id: int, *, most: int = 12) -> Job:
    """Let the engine run attempts at a job until it is over, or nothing of the queue may be taken, or `most` were made."""
    for _ in range(most):
        if not engine.run_next() or get_job(engine.workspace.store, job_id).state not in ("queued", "running"):
            break
    return get_job(engine.workspace.store, job_id)


def outlives(session: int) -> bool:
    """Whether anything of a worker's session is still there after some seconds."""
    deadline = time.monotonic() + GONE_S
    while _members(session):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.02)
    return False


def _members(session: int) -> list[int]:
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, its_session = path.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(int(path.parent.name))
    return found


def log_of(workspace: Workspace, job_id: int, token: int) -> str:
    """What the worker of an attempt said."""
    path = workspace.log_path(job_id, token)
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def newest_said(log: str, word: str) -> tuple[int, int] | None:
    """The furthest (epoch, steps done) that a worker's log names after `word`: "checkpoint" or "resumed"."""
    return max(((int(epoch), int(step)) for epoch, step in re.findall(rf" {word}\b.*: epoch (\d+), (\d+) steps done", log)), default=None)


def lost_checkpoints(workspace: Workspace, job: Job) -> list[str]:
    """Which attempts did not go on from the newest checkpoint that one before had acknowledged in its log."""
    found: list[str] = []
    acknowledged: tuple[int, int] | None = None
    for token in range(1, job.token + 1):
        log = log_of(workspace, job.id, token)
        resumed, said = newest_said(log, "resumed"), newest_said(log, "checkpoint")
        has_trained = resumed or said or re.search(r" (epoch \d+/\d+|done):", log)
        if acknowledged and has_trained and (resumed is None or resumed < acknowledged):
            found.append(f"attempt {token} went on from {resumed}, {acknowledged} was acknowledged")
        acknowledged = max(filter(None, (acknowledged, said)), default=None)
    return found
