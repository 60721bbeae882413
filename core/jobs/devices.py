"""Which devices train, found without torch in this process: a server that imported it would be four seconds and 650 MB heavier."""

import logging
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.base.errors import InputError
from core.base.messages import msg
from core.training.machine import own_cores

ENV_VARIABLE = "PITWALL_DEVICES"

_PROBE = "import torch; print(torch.cuda.device_count())"
_NAME = re.compile(r"cpu(:\d+)?|cuda:\d+|mps")
_PROBE_TIMEOUT_S = 120.0

log = logging.getLogger(__name__)


def detect_devices(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Which devices train, one job at a time on each: those that PITWALL_DEVICES names, else every CUDA device, else MPS on
    Apple silicon, else the processor. Raises InputError for a name that is none."""
    if named := environment.get(ENV_VARIABLE, "").strip():
        return read_devices(named)
    if (any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()) and (n_devices := _count_cuda()):
        return tuple(f"cuda:{number}" for number in range(n_devices))
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return ("mps",)
    return ("cpu",)


def read_devices(named: str) -> tuple[str, ...]:
    """The devices of a list such as `cuda:0,cuda:2`; `cpu:0,cpu:1` are two slots on the processor. Raises InputError."""
    devices = tuple(part.strip() for part in named.split(","))
    wrong = [name for name in devices if not _NAME.fullmatch(name)]
    if wrong or len(set(devices)) < len(devices):
        raise InputError(
            msg("'{name}' is no device", name=wrong[0]) if wrong else "a device is named twice",
            where=ENV_VARIABLE,
            why="it says {names}",
            fix="write for example cuda:0,cuda:1, or cpu:0,cpu:1 for two slots on the processor",
            names=named,
        )
    return devices


def torch_name(device: str) -> str:
    """What torch calls a device: all slots on the processor are its one `cpu`."""
    return "cpu" if device.startswith("cpu") else device


def has_gpu(devices: Sequence[str]) -> bool:
    """Whether any of them is not the processor."""
    return any(torch_name(device) != "cpu" for device in devices)


def thread_limit(device: str, devices: Sequence[str], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Environment variables that give each slot on the processor its share of the cores; none where a person has set them."""
    n_slots = sum(name.startswith("cpu") for name in devices)
    if not device.startswith("cpu") or n_slots < 2 or "OMP_NUM_THREADS" in environment:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, len(own_cores()) // n_slots))}


def worker_environment(limits: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that trains: this one's, with `thread_limit`.

    Its threads wait for each other asleep, not spinning: beside any other busy process (a browser is enough) spinning made a fold
    take thirty times as long and cost six times the processor time.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, **limits, "PYTHONUNBUFFERED": "1"}


def _count_cuda() -> int:
    """Ask torch in a process of its own; a driver that does not answer is said in the log and counts as none."""
    try:
        said = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=True)
        return int(said.stdout.strip() or 0)
    except (subprocess.SubprocessError, ValueError) as problem:
        log.warning("an NVIDIA device is there, but torch could not be asked about it: %s", problem)
        return 0
