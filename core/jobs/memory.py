"""What a lack of memory looks like from outside a worker."""

from __future__ import annotations

from pathlib import Path

VMSTAT = Path("/proc/vmstat")


def kernel_kills() -> int | None:
    """How many processes the kernel has ended for lack of memory since the machine started; None where it does not say."""
    try:
        lines = VMSTAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def has_killed_since(before: int | None) -> bool:
    """Whether the kernel has ended a process for lack of memory since `kernel_kills` said `before`; False where it does not say."""
    now = kernel_kills()
    return before is not None and now is not None and now > before
