from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from core.jobs.lock import EngineLock, holder_of
from core.jobs.process import of_self

ROOT = Path(__file__).parents[2]
HOLD = (
    "import sys; from pathlib import Path; from core.jobs.lock import EngineLock; lock = EngineLock(Path(sys.argv[1]), 'another window');\
 print(lock.acquire(now=1.0), flush=True); sys.stdin.read()"
)


def test_one_holder_at_a_time_and_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    assert holder_of(path) is None
    first, second = EngineLock(path, "the workbench"), EngineLock(path, "a command")
    assert first.acquire(now=1.0) and first.acquire(now=2.0) and not second.acquire(now=3.0)
    holder = holder_of(path)
    assert holder and (holder.what, holder.identity, holder.since) == ("the workbench", of_self(), 1.0)
    assert f"the workbench (process {holder.identity.pid} on" in str(holder)
    first.release()
    first.release()
    assert holder_of(path) is None and second.acquire(now=4.0)
    second.release()


def test_the_lock_of_a_killed_process_is_free_and_nobody_is_named(tmp_path: Path, wait_for: Callable[..., float]) -> None:
    path = tmp_path / "engine.lock"
    mine = EngineLock(path, "mine")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout and other.stdout.readline() == "True\n"
        assert not mine.acquire(now=1.0)
        holder = holder_of(path)
        assert holder and (holder.what, holder.identity.pid) == ("another window", other.pid)
        other.kill()
        other.wait()
    assert path.read_text() and holder_of(path) is None
    assert mine.acquire(now=2.0)
    mine.release()
