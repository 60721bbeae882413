"""Memory as the system tells it, from files laid out as it does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.training.memory import ProcessorShare, forget_peak, machine_memory, peak_bytes, resident_bytes

GB = 2**30


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(
        "MemTotal:       16777216 kB\nMemFree:         1024 kB\nMemAvailable:   12582912 kB\nHugePages_Total:       0\n"
    )
    return folder


def limit(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, said in files.items():
        (folder / name).write_text(said + "\n")


def test_a_machine_without_limits(proc: Path, tmp_path: Path) -> None:
    found = machine_memory(proc, tmp_path / "none")
    assert (found.total_bytes, found.free_bytes) == (16 * GB, 12 * GB)


def test_the_limit_of_a_container_counts(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("0::/job/inner\n")
    groups = tmp_path / "cgroup"
    limit(groups / "job", {"memory.max": str(8 * GB), "memory.current": str(5 * GB), "memory.stat": f"anon 7\ninactive_file {GB}"})
    limit(groups / "job" / "inner", {"memory.max": "max", "memory.current": str(GB)})
    found = machine_memory(proc, groups)
    assert (found.total_bytes, found.free_bytes) == (8 * GB, 4 * GB)


def test_the_limit_of_an_older_container_counts(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("5:cpu:/\n4:memory:/job\n0::/\n")
    groups = tmp_path / "cgroup"
    limit(groups / "memory" / "job", {"memory.limit_in_bytes": str(2 * GB), "memory.usage_in_bytes": str(GB // 2)})
    (groups / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    found = machine_memory(proc, groups)
    assert (found.total_bytes, found.free_bytes) == (2 * GB, 3 * GB // 2)


def test_a_peak_is_remembered_until_it_is_forgotten() -> None:
    before = resident_bytes()
    held = np.ones(150 * 2**20)
    del held
    assert peak_bytes() - before > 300 * 2**20
    if forget_peak():
        assert peak_bytes() - resident_bytes() < 100 * 2**20


def ticks(proc: Path, line: str) -> None:
    (proc / "stat").write_text(f"cpu  {line}\ncpu0 1 1 1 1\n")


def test_the_share_of_others(proc: Path) -> None:
    ticks(proc, "100 0 50 800 50 0 0 0 0 0")
    share = ProcessorShare(proc)
    ticks(proc, "100 0 50 800 50 0 0 0 0 0")
    assert share.of_others() is None
    ticks(proc, "100000 0 50 100700 50 0 0 0 0 0")
    assert share.of_others() == pytest.approx(0.5, abs=0.01)


def test_a_system_that_does_not_say(tmp_path: Path) -> None:
    assert ProcessorShare(tmp_path).of_others() is None
    assert machine_memory(tmp_path, tmp_path).free_bytes is None
    assert resident_bytes(tmp_path) > 2**20
