"""Memory and processor as psutil and the control groups tell them."""

from __future__ import annotations

import logging
import os
import signal
from collections import namedtuple
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from core.training import machine
from core.training.machine import (
    ProcessorShare,
    end_with_loader,
    forget_peak,
    has_killed_since,
    kernel_kills,
    machine_memory,
    peak_bytes,
    resident_bytes,
)

GB = 2**30
Times = namedtuple("Times", "user nice system idle iowait guest")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the control groups are, of a machine with 16 GB of which 12 are free."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=16 * GB, available=12 * GB))
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "own")
    return tmp_path / "cgroup"


def limit(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, said in files.items():
        (folder / name).write_text(said + "\n")


def test_a_machine_without_limits(groups: Path) -> None:
    assert machine_memory() == (16 * GB, 12 * GB)


def test_the_limit_of_a_container_counts(groups: Path) -> None:
    machine.OWN_CGROUPS.write_text("0::/job/inner\n")
    limit(groups / "job", {"memory.max": str(8 * GB), "memory.current": str(5 * GB), "memory.stat": f"anon 7\ninactive_file {GB}"})
    limit(groups / "job" / "inner", {"memory.max": "max", "memory.current": str(GB)})
    assert machine_memory() == (8 * GB, 4 * GB)


def test_the_limit_of_an_older_container_counts(groups: Path) -> None:
    machine.OWN_CGROUPS.write_text("5:cpu:/\n4:memory:/job\n0::/\n")
    limit(groups / "memory" / "job", {"memory.limit_in_bytes": str(2 * GB), "memory.usage_in_bytes": str(GB // 2)})
    (groups / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert machine_memory() == (2 * GB, 3 * GB // 2)


def test_a_peak_is_remembered_until_it_is_forgotten() -> None:
    before = resident_bytes()
    held = np.ones(150 * 2**20)
    del held
    assert peak_bytes() - before > 300 * 2**20
    if forget_peak():
        assert peak_bytes() - resident_bytes() < 100 * 2**20


def test_the_share_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    now = Times(1.0, 0.0, 0.5, 8.0, 0.5, 0.0)
    busy = now._replace(user=9000.0)  # a core that this process may not use
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2}, raising=False)
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [now, busy, now])
    share = ProcessorShare()
    assert share.of_others() is None  # no time has passed
    busy = busy._replace(user=99000.0)
    now = now._replace(user=1001.0, idle=1007.0, guest=500.0)  # a guest's time is in `user` too
    assert share.of_others() == pytest.approx(1000 / 1999, abs=0.01)


def test_the_kernel_says_whether_it_has_ended_a_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counter = tmp_path / "vmstat"
    monkeypatch.setattr(machine, "VMSTAT", counter)
    assert kernel_kills() is None and not has_killed_since(None)
    counter.write_text("pgfault 12\noom_kill 3\noom_kill_other 9\n")
    assert kernel_kills() == 3 and not has_killed_since(3) and has_killed_since(2)


@pytest.mark.parametrize(("raised", "ends"), [("loader", True), ("starter", True), ("file", False), ("bug", False)])
def test_a_loader_that_was_killed_ends_its_process(raised: str, ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    signals: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", signals.append)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    (reading, writing), end = os.pipe(), "DataLoader worker (pid(s) 7) exited unexpectedly"
    os.close(writing)
    try:
        if raised == "starter":
            forkserver.read_signed(reading)
        raise {"loader": RuntimeError(end), "file": EOFError("no more"), "bug": RuntimeError("shapes differ")}[raised]
    except (EOFError, RuntimeError) as problem:
        end_with_loader(problem)
    finally:
        os.close(reading)
    assert signals == [signal.SIGKILL] * ends
