"""Which devices train, found without torch in this process: a server that imported it would be four seconds and 650 MB heavier."""

from __future__ import annotations

import logging
import platform
import subprocess
import sys
from pathlib import Path

_PROBE = "import torch; print(torch.cuda.device_count())"
_PROBE_TIMEOUT_S = 120.0

log = logging.getLogger(__name__)


def detect_devices() -> tuple[str, ...]:
    """Names as torch knows them, one job at a time on each: every CUDA device, else MPS on Apple silicon, else the processor."""
    if _has_nvidia_node():
        n_devices = _count_cuda()
        if n_devices:
            return tuple(f"cuda:{number}" for number in range(n_devices))
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return ("mps",)
    return ("cpu",)


def _has_nvidia_node() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()


def _count_cuda() -> int:
    """Ask torch in a process of its own; a driver that does not answer is said in the log and counts as none."""
    try:
        said = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=True)
        return int(said.stdout.strip() or 0)
    except (subprocess.SubprocessError, ValueError) as problem:
        log.warning("an NVIDIA device is there, but torch could not be asked about it: %s", problem)
        return 0
