"""How much memory and processor time this process takes, what others take, what the machine has, and how a lack of memory or disk looks.

Imports no torch.
"""

import ctypes
import logging
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb

import psutil

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
VMSTAT = Path("/proc/vmstat")
MEMORY_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc")
_NO_LIMIT = 2**60
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""
log = logging.getLogger(__name__)
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def machine_memory() -> tuple[int, int]:
    """Bytes this process may use in all, of the machine or of the container it lives in, and how many of them nobody uses now."""
    machine = psutil.virtual_memory()
    total, free = machine.total, machine.available
    for limit, used in _cgroup_limits():
        total, free = min(total, limit), max(0, min(free, limit - used))
    return total, free


def resident_bytes() -> int:
    """What this process has in memory now."""
    return psutil.Process().memory_info().rss


def peak_bytes() -> int:
    """The most this process had in memory since it started, or since `forget_peak`."""
    if STATUS.exists():  # `ru_maxrss` may be that of the process which started this one, and is not forgotten
        return _named(STATUS, "VmHWM:") * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


def forget_peak() -> bool:
    """Let `peak_bytes` begin anew; False where the system cannot."""
    try:
        CLEAR_REFS.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def keep_freed_memory() -> None:
    """From now on memory that is freed stays with this process for the next step, where its C library is glibc (`man mallopt`).

    Left alone it gives large tensors back to the system, which clears new pages for the next step: 126,000 a step of ResNet-18 at 224 px, a
    quarter of its processor time. For steps of one shape: where lengths differ the heap would grow by what does not fit the gaps, a fifth for
    texts.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)  # never


def loaders_bytes() -> int:
    """What the loader processes of this one have in memory; pages they share count once among them, where the system says."""
    found = 0
    for loader in _loaders():
        try:
            info = loader.memory_full_info()
        except psutil.Error:  # it has just ended
            continue
        found += getattr(info, "pss", info.uss)
    return found


def own_cores() -> frozenset[int]:
    """The numbers of the cores that this process may use: a container, `taskset` or a batch system may keep it to some."""
    affinity = getattr(os, "sched_getaffinity", None)
    return frozenset(range(os.cpu_count() or 1) if affinity is None else affinity(0))


class ProcessorShare:
    """Which share of the cores that this process may use others used since this was made."""

    def __init__(self) -> None:
        self._before = self._look()

    def of_others(self) -> float | None:
        """0 to 1 of these cores; None when no time has passed."""
        whole, busy, own = (after - before for after, before in zip(self._look(), self._before, strict=True))
        return None if whole <= 0 else min(1.0, max(0.0, (busy - own) / whole))

    def _look(self) -> tuple[float, float, float]:
        """Seconds since the machine started, over these cores: in all, at work, and at work for this process and its loaders."""
        each, allowed = psutil.cpu_times(percpu=True), own_cores()
        cores = [core._asdict() for number, core in enumerate(each) if number in allowed or max(allowed) >= len(each)]
        times, own = {name: sum(core[name] for core in cores) for name in cores[0]}, 0.0
        whole = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)  # which are in `user` and `nice`
        for process in (psutil.Process(), *_loaders()):
            try:
                taken = process.cpu_times()
            except psutil.Error:  # it has just ended
                continue
            own += taken.user + taken.system
        return whole, whole - times["idle"] - times.get("iowait", 0.0), own


def kernel_kills() -> int | None:
    """How many processes the kernel has ended for lack of memory since the machine started; None where it does not say."""
    return _named(VMSTAT, "oom_kill") if VMSTAT.exists() else None


def has_killed_since(before: int | None) -> bool:
    """Whether the kernel has ended a process for lack of memory since `kernel_kills` said `before`; False where it does not say."""
    now = kernel_kills()
    return before is not None and now is not None and now > before


def is_memory(problem: BaseException) -> bool:
    """Whether what was raised is a lack of memory, as torch and the processor's allocator say it."""
    # torch's own class is named, not imported: this is asked also when torch could not be imported.
    is_known = isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError"
    return is_known or any(sign in str(problem).lower() for sign in MEMORY_SIGNS)


def end_with_loader(problem: BaseException) -> None:
    """End this process with SIGKILL where what was raised is the death of a loader process, which the kernel ends first when memory runs out.

    Whoever watches this process then knows what to do about it: it goes on from its checkpoint, with less where memory was the reason.
    """
    is_loader = isinstance(problem, RuntimeError) and str(problem).startswith("DataLoader worker")  # as torch says it
    # What starts them was killed: the other end of a pipe of `multiprocessing` is gone.
    is_starter = isinstance(problem, EOFError | ConnectionError) and any(
        frame.f_globals.get("__name__", "").startswith("multiprocessing.") for frame, _ in walk_tb(problem.__traceback__)
    )
    if is_loader or is_starter:
        log.error("a loader process was killed, and this process ends with it: %s", problem)
        logging.shutdown()
        signal.raise_signal(signal.SIGKILL)


def _loaders() -> Iterator[psutil.Process]:
    for child in multiprocessing.active_children():
        try:
            yield psutil.Process(child.pid)
        except psutil.NoSuchProcess:
            continue


def _cgroup_limits() -> Iterator[tuple[int, int]]:
    """(limit, used) in bytes of each control group above this process that has a limit; the cache of files is not counted as used."""
    for line in OWN_CGROUPS.read_text(encoding="utf-8").splitlines() if OWN_CGROUPS.exists() else ():
        _, kinds, name = line.split(":", 2)
        if kinds == "":
            root, limit_file, used_file, cache = CGROUPS, "memory.max", "memory.current", "inactive_file"
        elif kinds == "memory":
            root, limit_file, used_file, cache = CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
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
    """The number behind a name, in a file with a name and a number a line; 0 where it is not there."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(words[1]) for words in map(str.split, lines) if words[:1] == [name]), 0)
