"""Processes that work for this one: who each is, and the one launcher that starts a job's worker or a dry run and gives a handle to it.

A fork in a test, or another machine, is one more function of the type `Launch`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self

import psutil

from core.jobs.devices import worker_environment

ROOT = Path(__file__).resolve().parents[2]
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ProcessIdentity:
    """One process, for ever: no other one has the same three. A bare pid may belong to a stranger by the time a signal is sent.

    `start_time` is in clock ticks, on Linux since boot.
    """

    boot_id: str
    pid: int
    start_time: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; more keys may be there."""
        return cls(boot_id=str(values["boot_id"]), pid=int(values["pid"]), start_time=str(values["start_time"]))


def of_self() -> ProcessIdentity:
    identity = of_pid(os.getpid())
    assert identity is not None
    return identity


def of_pid(pid: int) -> ProcessIdentity | None:
    """The identity of the process that has this pid now; None when there is none, or only its exit code is left."""
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
    except psutil.NoSuchProcess:
        return None
    # What psutil itself compares: `create_time` moves when the clock is set.
    _, started_s = process._ident  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    return ProcessIdentity(_boot_id(), pid, str(round(started_s * os.sysconf("SC_CLK_TCK"))))


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether that very process still runs. A stopped one (SIGSTOP) is alive, a zombie is not."""
    return of_pid(identity.pid) == identity


def terminate(identity: ProcessIdentity, signal_number: int = signal.SIGKILL) -> bool:
    """Signal that process, with its group when it leads one; False, and no signal, when the pid is now a stranger's."""
    if not is_alive(identity):
        return False
    try:
        if os.getpgid(identity.pid) == identity.pid:
            os.killpg(identity.pid, signal_number)
        else:
            os.kill(identity.pid, signal_number)
    except ProcessLookupError:
        return False
    return True


@cache
def _boot_id() -> str:
    if BOOT_ID.exists():
        return BOOT_ID.read_text(encoding="ascii").strip()
    return subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=True).stdout.strip()


class Handle(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int: ...

    @property
    def identity(self) -> ProcessIdentity | None:
        """Who it is; None when it had ended before anybody looked."""
        ...

    @property
    def returncode(self) -> int | None:
        """None while it runs, as far as `poll` has seen; negative for the signal that ended it."""
        ...

    def poll(self) -> int | None:
        """Its `returncode` now."""
        ...

    def tell_to_stop(self) -> None:
        """Ask it to stop in order."""
        ...

    def kill(self) -> None:
        """End it with all that it started, and wait until it is gone."""
        ...

    def close(self) -> None:
        """Let go of it: it sees that nobody waits for it any more, and ends by itself if it still runs."""
        ...


Launch = Callable[[str, Sequence[str], Path, Mapping[str, str]], Handle]
"""Start a module with arguments, its output appended to a file, with more environment variables. Raises OSError."""


class LocalProcess:
    """A process of this machine, which hears through its standard input: "stop" asks it to stop, the end says that its starter is gone."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.identity = of_pid(process.pid)

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def poll(self) -> int | None:
        return self._process.poll()

    def tell_to_stop(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has just ended by itself
            self._process.stdin.write(b"stop\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        if self._process.poll() is None and (self.identity is None or not terminate(self.identity, signal.SIGKILL)):
            self._process.kill()
        self._process.wait()

    def close(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()


def launch(module: str, arguments: Sequence[str], output: Path, environment: Mapping[str, str]) -> LocalProcess:
    """Start `python -m MODULE ARGUMENTS` in a session of its own; see `Launch`."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=worker_environment(environment),
        )
    return LocalProcess(process)
