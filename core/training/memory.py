"""How much memory and processor time this process takes, what others take, and what the machine has; from the system's own
figures. Imports no torch."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
_NO_LIMIT = 2**60
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class MachineMemory:
    """Bytes this process may use in all, and how many of them nobody uses now (None where the system does not say)."""

    total_bytes: int
    free_bytes: int | None


def machine_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> MachineMemory:
    """The machine's memory, or the limit of the container this process lives in where that is less."""
    total, free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    meminfo = proc / "meminfo"
    if meminfo.exists():
        said = dict(_kilobytes(meminfo))
        total, free = said["MemTotal"], said["MemAvailable"]
    for limit, used in _limits(proc, cgroups):
        total = min(total, limit)
        free = max(0, min(limit if free is None else free, limit - used))
    return MachineMemory(total, free)


def resident_bytes(proc: Path = PROC) -> int:
    """What this process has in memory now; where the system does not say, the most it ever had."""
    return _status(proc, "VmRSS")


def peak_bytes(proc: Path = PROC) -> int:
    """The most this process had in memory since it started, or since `forget_peak`."""
    return _status(proc, "VmHWM")


def forget_peak(proc: Path = PROC) -> bool:
    """Let `peak_bytes` begin anew; False where the system cannot."""
    try:
        (proc / "self" / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def loaders_bytes(proc: Path = PROC) -> int:
    """What the loader processes of this one have in memory; pages they share count once among them."""
    found = 0
    for pid in _loaders():
        rollup = proc / str(pid) / "smaps_rollup"
        try:
            found += dict(_kilobytes(rollup)).get("Pss", 0)
        except OSError:  # it has just ended, or the system does not say
            continue
    return found


class ProcessorShare:
    """Which share of the processor others used since this was made."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._before = self._look()

    def of_others(self) -> float | None:
        """0 to 1 of all cores; None where the system does not say, or no time has passed."""
        now = self._look()
        if now is None or self._before is None:
            return None
        whole, busy, own = (after - before for after, before in zip(now, self._before, strict=True))
        return None if whole <= 0 else min(1.0, max(0.0, (busy - own) / whole))

    def _look(self) -> tuple[float, float, float] | None:
        """Seconds since the machine started, over all cores: in all, at work, and at work for this process and its loaders."""
        try:
            first = (self._proc / "stat").read_text(encoding="ascii").splitlines()[0]
        except OSError:
            return None
        user, nice, system, idle, waiting, *rest = (int(ticks) for ticks in first.split()[1:9])
        tick = os.sysconf("SC_CLK_TCK")
        busy = user + nice + system + sum(rest)
        own = time.process_time() + sum(_ticks(self._proc / str(pid) / "stat") for pid in _loaders()) / tick
        return (busy + idle + waiting) / tick, busy / tick, own


def _loaders() -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


def _ticks(path: Path) -> int:
    """The processor time of a process; 0 when it has just ended."""
    try:
        behind_the_name = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return int(behind_the_name[11]) + int(behind_the_name[12])


def _status(proc: Path, key: str) -> int:
    path = proc / "self" / "status"
    if path.exists():
        return dict(_kilobytes(path))[key]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


def _kilobytes(path: Path) -> Iterator[tuple[str, int]]:
    """The lines of a file of /proc that end in kB, in bytes."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            yield words[0].removesuffix(":"), int(words[1]) * 1024


def _limits(proc: Path, cgroups: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) in bytes of each control group above this process that has a limit; the cache of files is not counted as used."""
    path = proc / "self" / "cgroup"
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        _, kinds, name = line.split(":", 2)
        if kinds == "":
            root, limit_file, used_file, cache = cgroups, "memory.max", "memory.current", "inactive_file"
        elif kinds == "memory":
            root, limit_file, used_file, cache = cgroups / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        inner = root / name.lstrip("/")
        for folder in (inner, *inner.parents):
            if folder == root.parent:
                break
            limit = _number(folder / limit_file)
            if limit is not None and limit < _NO_LIMIT:
                yield limit, max(0, (_number(folder / used_file) or 0) - _named(folder / "memory.stat", cache))


def _number(path: Path) -> int | None:
    """The number a file holds; None for "max", and where there is no such file."""
    try:
        said = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(said) if said.isdigit() else None


def _named(path: Path, name: str) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
