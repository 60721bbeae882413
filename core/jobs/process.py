"""Who a process is: boot, pid and start time. A bare pid may belong to a stranger by the time a signal is sent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ProcessIdentity:
    """One process, for ever: no other one has the same three. `start_time` is in the system's own words (ticks, or a date)."""

    boot_id: str
    pid: int
    start_time: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ProcessIdentity:
        """The inverse of `to_dict`."""
        return cls(boot_id=str(values["boot_id"]), pid=int(values["pid"]), start_time=str(values["start_time"]))


def of_self() -> ProcessIdentity:
    """The identity of this process."""
    identity = of_pid(os.getpid())
    if identity is None:
        raise RuntimeError("this process does not find itself in the process table")
    return identity


def of_pid(pid: int) -> ProcessIdentity | None:
    """The identity of the process that has this pid now; None when there is none, or only its exit code is left."""
    start_time = _start_time(pid)
    return None if start_time is None else ProcessIdentity(boot_id=_boot_id(), pid=pid, start_time=start_time)


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
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=True).stdout.strip()


def _start_time(pid: int) -> str | None:
    """Field 22 of /proc/pid/stat in clock ticks since boot; elsewhere what `ps` says."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The second field is the program's name in brackets, which may itself hold spaces and brackets.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    said = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    state, _, started = said.partition(" ")
    return None if not said or state.startswith("Z") else started.strip()
