"""One engine per workspace, across processes: a lock that the kernel drops when its holder ends, and who that holder is."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from core.base.messages import msg
from core.jobs.process import ProcessIdentity, is_alive, of_self


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
    """A lock on one file. Not for several threads at once; a second object on the same file is a second claimant."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what
        self._descriptor: int | None = None

    @property
    def is_mine(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, *, now: float) -> bool:
        """Take the lock and write down who holds it; False when somebody else has it. Holding it already is True."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        holder = {"what": self.what, "host": socket.gethostname(), "since": now, **of_self().to_dict()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder, ensure_ascii=False).encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go of the lock. Twice is once."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
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
