"""What becomes of a worker that does not speak: the verdict is the supervisor's, and it is typed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.jobs import process, supervisor
from core.jobs.disk import DISK_FULL_CODE
from core.jobs.process import ProcessIdentity, is_alive
from core.jobs.queue import cancel_run, retry_run
from core.jobs.supervisor import Supervisor
from core.store import attempts
from core.store.jobs import Job, get_job
from core.store.queue import list_holds
from core.training import machine
from tests.jobs.conftest import Ready


@pytest.fixture
def supervise(ready: Ready) -> Callable[[], tuple[Supervisor, threading.Thread]]:
    """Claim the next job and supervise it in a thread."""

    def start() -> tuple[Supervisor, threading.Thread]:
        job = attempts.claim(ready.workspace.store, owner={"engine": None, "host": "here", "worker": None}, device="cpu", now=time.time())
        assert job
        made = Supervisor(ready.workspace, job, clock=time.time)
        thread = threading.Thread(target=made.run)
        thread.start()
        return made, thread

    return start


def freeze(ready: Ready, job: Job, wait_for: Callable[..., float]) -> ProcessIdentity:
    """Stop the worker of a job as soon as it is known."""
    wait_for(lambda: (now := get_job(ready.workspace.store, job.id)).owner and now.owner.get("worker"))
    owner = get_job(ready.workspace.store, job.id).owner
    assert owner
    identity = ProcessIdentity.from_dict(owner["worker"])
    os.kill(identity.pid, signal.SIGSTOP)
    return identity


def test_a_worker_that_cannot_come_up_is_a_failure_with_its_last_words(
    ready: Ready, supervise: Callable[[], tuple[Supervisor, threading.Thread]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process, "ROOT", tmp_path)  # where there is no package `core`
    run = ready.launch()
    _, thread = supervise()
    thread.join()
    job = ready.job(run)
    assert job.state == "failed" and job.error and job.error["type"] == "Bug"
    assert "code 1" in job.error["what"] and "core" in job.error["why"] and job.error["why"] in ready.log(job)


def test_a_worker_that_could_not_even_say_that_the_disk_is_full_is_understood(
    ready: Ready, supervise: Callable[[], tuple[Supervisor, threading.Thread]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "core" / "jobs"
    fake.mkdir(parents=True)
    (fake / "worker.py").write_text(f"raise SystemExit({DISK_FULL_CODE})")
    monkeypatch.setattr(process, "ROOT", tmp_path)
    run = ready.launch()
    _, thread = supervise()
    thread.join()
    (hold,) = list_holds(ready.workspace.store)
    assert ready.job(run).state == "queued" and (hold.device, hold.kind) == ("cpu", "disk") and hold.error
    assert "needed" in hold.error["what"] and "free" in hold.error["what"]


def test_a_worker_gets_the_environment_that_its_device_asks_for(ready: Ready, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "core" / "jobs"
    fake.mkdir(parents=True)
    (fake / "worker.py").write_text("import os; raise SystemExit('threads ' + os.environ['OMP_NUM_THREADS'])")
    monkeypatch.setattr(process, "ROOT", tmp_path)
    run = ready.launch()
    job = attempts.claim(ready.workspace.store, owner={"engine": None, "host": "here", "worker": None}, device="cpu:0", now=time.time())
    assert job
    Supervisor(ready.workspace, job, clock=time.time, environment={"OMP_NUM_THREADS": "7"}).run()
    assert ready.log(ready.job(run)).strip() == "threads 7"


def test_a_frozen_worker_is_ended_and_named(
    ready: Ready,
    supervise: Callable[[], tuple[Supervisor, threading.Thread]],
    monkeypatch: pytest.MonkeyPatch,
    wait_for: Callable[..., float],
) -> None:
    monkeypatch.setattr(supervisor, "SILENCE_S", 1.0)
    monkeypatch.setattr(attempts, "MOST_INTERRUPTIONS", 0)
    run = ready.launch()
    made, thread = supervise()
    worker = freeze(ready, made.job, wait_for)
    thread.join()
    job = ready.job(run)
    assert not is_alive(worker) and job.state == "failed" and job.error
    assert job.error["type"] == "Interrupted" and "no sign of life for 1 s" in job.error["why"]


def put_fake_worker(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let workers run this code instead."""
    fake = folder / "core" / "jobs"
    fake.mkdir(parents=True)
    (fake / "worker.py").write_text(code)
    monkeypatch.setattr(process, "ROOT", folder)


def test_a_killed_worker_is_followed_by_another_a_few_times(
    ready: Ready, supervise: Callable[[], tuple[Supervisor, threading.Thread]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put_fake_worker(tmp_path, monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    run = ready.launch()
    counts = []
    while (job := ready.job(run)).state == "queued":
        counts.append(job.interruptions)
        _, thread = supervise()
        thread.join()
    assert counts == list(range(attempts.MOST_INTERRUPTIONS + 1))
    assert job.state == "failed" and job.error and "SIGSEGV" in job.error["what"]
    assert retry_run(ready.workspace.store, run.id).jobs[0].interruptions == 0


def test_deaths_far_apart_are_not_counted_together(
    ready: Ready, supervise: Callable[[], tuple[Supervisor, threading.Thread]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put_fake_worker(tmp_path, monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    monkeypatch.setattr(supervisor, "CALM_S", 0.0)
    run = ready.launch()
    for _ in range(attempts.MOST_INTERRUPTIONS + 2):
        _, thread = supervise()
        thread.join()
    assert (ready.job(run).state, ready.job(run).interruptions) == ("queued", 1)


def test_a_worker_that_the_kernel_ended_for_memory_goes_on_with_less(
    ready: Ready, supervise: Callable[[], tuple[Supervisor, threading.Thread]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counter = tmp_path / "vmstat"
    counter.write_text("pgfault 12\noom_kill 3\noom_kill_other 9\n")
    monkeypatch.setattr(machine, "VMSTAT", counter)
    code = f"import os, signal; open({str(counter)!r}, 'w').write('oom_kill 4'); os.kill(os.getpid(), signal.SIGKILL)"
    put_fake_worker(tmp_path, monkeypatch, code)
    run = ready.launch()
    _, thread = supervise()
    thread.join()
    assert (ready.job(run).state, ready.job(run).halvings, ready.job(run).interruptions) == ("queued", 1, 0)
    _, thread = supervise()  # the count stands still now: this time it was somebody else
    thread.join()
    assert (ready.job(run).state, ready.job(run).halvings, ready.job(run).interruptions) == ("queued", 1, 1)


@pytest.mark.parametrize("state", ["canceled", "queued"])
def test_a_worker_that_will_not_stop_is_killed_after_the_grace(
    state: str,
    ready: Ready,
    supervise: Callable[[], tuple[Supervisor, threading.Thread]],
    monkeypatch: pytest.MonkeyPatch,
    wait_for: Callable[..., float],
) -> None:
    monkeypatch.setattr(supervisor, "GRACE_S", 0.5)
    run = ready.launch()
    made, thread = supervise()
    worker = freeze(ready, made.job, wait_for)
    if state == "canceled":
        cancel_run(ready.workspace.store, run.id)
    else:
        made.stop()
    thread.join()
    job = ready.job(run)
    assert not is_alive(worker) and (job.state, job.error, job.cancel_requested) == (state, None, False)
