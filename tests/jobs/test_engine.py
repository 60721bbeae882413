"""The engine with real worker processes: the calm path, and what must hold when something is stopped or killed."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core.base.errors import StateError
from core.jobs.engine import Engine, EngineLock, holder_of
from core.jobs.process import ProcessIdentity, is_alive, of_self
from core.jobs.queue import cancel_run, pause_queue, pause_run, resume_queue, resume_run
from core.jobs.supervisor import GRACE_S
from core.store import attempts
from core.store.jobs import Job
from core.store.runs import list_epochs
from core.store.trash import list_trash, plan_removal, put_in_trash
from core.workspace import Workspace, open_workspace
from tests.jobs.conftest import ENDLESS, Ready, is_training

ROOT = Path(__file__).parents[2]
SERVE = "import sys; from core.jobs.engine import Engine; from core.workspace import open_workspace;\
 print(Engine(open_workspace(sys.argv[1]), ('cpu',), what='another engine').start(), flush=True); sys.stdin.read()"


@pytest.fixture
def engine(workspace: Workspace) -> Iterator[Engine]:
    engine = Engine(workspace, ("cpu",), what="the test")
    yield engine
    engine.stop()


@pytest.fixture
def other(workspace: Workspace) -> Iterator[subprocess.Popen[bytes]]:
    """An engine in a process of its own, started."""
    assert workspace.store
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(workspace.root)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"True\n"
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()


def worker_of(job: Job) -> ProcessIdentity:
    assert job.owner and job.owner["worker"]
    return ProcessIdentity.from_dict(job.owner["worker"])


def test_an_empty_queue_is_idle(engine: Engine, workspace: Workspace) -> None:
    assert not engine.run_next()
    assert not engine.is_mine
    assert engine.start() and engine.start() and engine.is_mine
    status = engine.status()
    assert [(device.name, device.job, device.run_name) for device in status.devices] == [("cpu", None, "")]
    assert (status.is_mine, status.n_queued, status.queue_end_s, status.problem) == (True, 0, 0.0, None)
    assert status.holder and status.holder.identity == of_self()
    engine.stop()
    engine.stop()
    assert Engine(workspace, ("cpu",)).status().holder is None
    with pytest.raises(StateError, match="was stopped"):
        engine.start()


@pytest.mark.slow
def test_the_queue_is_worked_off_in_order_and_a_failure_blocks_nothing(
    ready: Ready, engine: Engine, wait_for: Callable[..., float]
) -> None:
    broken, good = ready.launch_broken(), ready.launch(name="good")
    engine.start()
    wait_for(lambda: ready.read(good).state == "done")
    failed, done = ready.job(broken), ready.job(good)
    assert failed.state == "failed" and failed.error and failed.error["fix"]
    assert failed.finished_at and done.started_at and failed.finished_at <= done.started_at
    assert ready.read(good).is_complete and "done: " in ready.log(done)
    wait_for(lambda: engine.status().devices[0].job is None)


@pytest.mark.slow
def test_cancel_stops_what_runs_within_a_step_and_what_waits_at_once(ready: Ready, engine: Engine, wait_for: Callable[..., float]) -> None:
    run = ready.launch(epochs=ENDLESS, fold_numbers=(0, 1))
    engine.start()
    wait_for(lambda: is_training(ready.job(run)))
    status = engine.status()
    assert (
        status.n_queued == 1
        and status.devices[0].run_name == "tiny"
        and status.devices[0].job
        and status.devices[0].job.id == ready.job(run).id
    )
    worker = worker_of(ready.job(run))
    cancel_run(ready.workspace.store, run.id)  # as another process would: the engine is not told
    assert ready.job(run, 1).state == "canceled"
    assert wait_for(lambda: ready.read(run).state == "canceled", GRACE_S) < GRACE_S
    wait_for(lambda: not is_alive(worker), GRACE_S)
    job = ready.job(run)
    assert job.error is None and "handed back: canceled" in ready.log(job)  # it stopped by itself, it was not killed
    left = [path.name for path in ready.workspace.run_dir("colours", run.id).glob("fold-0/*")]
    assert ready.read(run).results == () and left == ["checkpoints"]  # a retry goes on from there


@pytest.mark.slow
def test_what_is_paused_stops_within_a_step_and_goes_on_from_its_place(
    ready: Ready, engine: Engine, wait_for: Callable[..., float]
) -> None:
    endless, short = ready.launch(epochs=ENDLESS, name="endless"), ready.launch(name="short")
    engine.start()
    wait_for(lambda: is_training(ready.job(endless)))
    pause_run(ready.workspace.store, endless.id)  # as another process would: the engine is not told
    assert wait_for(lambda: ready.job(endless).state == "queued", GRACE_S) < GRACE_S
    assert "handed back: queued" in ready.log(ready.job(endless))  # it stopped by itself, it was not killed
    wait_for(lambda: ready.read(short).state == "done")
    status = engine.status()
    assert (status.n_queued, status.n_paused, status.is_paused, status.queue_end_s) == (1, 1, False, 0.0)
    assert ready.job(endless).token == 1
    resume_run(ready.workspace.store, endless.id)
    wait_for(lambda: ready.job(endless).token == 2 and ready.job(endless).state == "running")
    pause_queue(ready.workspace.store)
    wait_for(lambda: ready.job(endless).state == "queued")
    wait_for(lambda: engine.status().devices[0].job is None)
    paused = engine.status()
    assert paused.is_paused and paused.devices[0].hold and paused.devices[0].hold.kind == "person"
    resume_queue(ready.workspace.store)
    wait_for(lambda: ready.job(endless).token == 3)


@pytest.mark.slow
def test_two_slots_work_side_by_side_one_job_each(ready: Ready, wait_for: Callable[..., float]) -> None:
    first, second, third = (ready.launch(epochs=ENDLESS, name=name) for name in "abc")
    engine = Engine(ready.workspace, ("cpu:0", "cpu:1"))
    engine.start()
    try:
        wait_for(lambda: is_training(ready.job(first)) and is_training(ready.job(second)))
        assert {ready.job(first).device, ready.job(second).device} == {"cpu:0", "cpu:1"}
        assert ready.job(third).state == "queued"  # no device is free
        freed = ready.job(second).device
        cancel_run(ready.workspace.store, second.id)
        wait_for(lambda: ready.job(third).state == "running")
        assert ready.job(third).device == freed and ready.job(first).state == "running"
        assert [device.job.run_id for device in engine.status().devices if device.job] in ([first.id, third.id], [third.id, first.id])
    finally:
        engine.stop()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_supervisor_that_dies_leaves_neither_an_orphan_nor_a_job_that_seems_to_run(
    ready: Ready, engine: Engine, wait_for: Callable[..., float]
) -> None:
    run = ready.launch(epochs=ENDLESS)
    engine.start()
    wait_for(lambda: is_training(ready.job(run)))
    worker = worker_of(ready.job(run))
    (thread,) = (thread for thread in threading.enumerate() if thread.name == f"pitwall-job-{ready.job(run).id}")
    assert thread.ident
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    wait_for(lambda: not is_alive(worker), GRACE_S)
    wait_for(lambda: ready.job(run).token == 2 and ready.job(run).state == "running")


@pytest.mark.slow
def test_a_killed_worker_is_followed_by_another_that_goes_on(ready: Ready, engine: Engine, wait_for: Callable[..., float]) -> None:
    run = ready.launch()
    thread = threading.Thread(target=engine.run_next)
    thread.start()
    wait_for(lambda: (job := ready.job(run)).owner and job.owner.get("worker"))
    os.kill(worker_of(ready.job(run)).pid, signal.SIGKILL)
    thread.join()
    job = ready.job(run)
    assert (job.state, job.interruptions, job.error) == ("queued", 1, None)
    assert engine.run_next()
    again = ready.read(run)
    assert again.state == "done" and again.results[0].token == 2 and again.jobs[0].error is None


@pytest.mark.slow
def test_a_killed_loader_is_as_a_killed_worker(ready: Ready, engine: Engine, wait_for: Callable[..., float]) -> None:
    run = ready.launch(epochs=ENDLESS, loader_workers=1)
    thread = threading.Thread(target=engine.run_next)
    thread.start()
    wait_for(lambda: is_training(ready.job(run)))
    worker = worker_of(ready.job(run)).pid
    next(child for child in psutil.Process(worker).children(recursive=True) if child.ppid() != worker).kill()  # others it starts itself
    thread.join()
    job = ready.job(run)
    assert (job.state, job.interruptions, job.error) == ("queued", 1, None) and "a loader process was killed" in ready.log(job)


@pytest.mark.slow
def test_stopping_the_engine_puts_the_job_back_and_the_next_engine_takes_it(
    ready: Ready, engine: Engine, wait_for: Callable[..., float]
) -> None:
    run = ready.launch(epochs=ENDLESS)
    engine.start()
    wait_for(lambda: is_training(ready.job(run)))
    worker = worker_of(ready.job(run))
    started = time.monotonic()
    engine.stop()
    assert time.monotonic() - started < GRACE_S and not is_alive(worker)
    job = ready.job(run)
    assert (job.state, job.owner, job.progress, job.error) == ("queued", None, None, None) and "handed back: queued" in ready.log(job)
    following = Engine(ready.workspace, ("cpu",))
    assert following.start()
    wait_for(lambda: ready.job(run).token == 2 and is_training(ready.job(run)))
    assert "resumed from epoch" in ready.log(ready.job(run))
    assert [row.epoch for row in list_epochs(ready.workspace.store, run.id)][:1] == [1]
    following.stop()
    assert ready.job(run).state == "queued"


@pytest.mark.slow
def test_when_the_engine_is_killed_its_worker_ends_and_the_queue_survives(
    ready: Ready, engine: Engine, other: subprocess.Popen[bytes], wait_for: Callable[..., float]
) -> None:
    endless, short = ready.launch(epochs=ENDLESS, name="endless"), ready.launch(name="short")
    wait_for(lambda: is_training(ready.job(endless)))
    worker = worker_of(ready.job(endless))
    other.kill()
    other.wait()
    assert wait_for(lambda: not is_alive(worker), 10.0) < 10.0  # no orphan
    assert [ready.job(endless).state, ready.job(short).state] == ["queued", "queued"]  # and no engine was needed to say so
    cancel_run(ready.workspace.store, endless.id)
    assert engine.run_next()
    assert ready.read(short).state == "done" and len(ready.read(short).results) == 1


@pytest.mark.slow
def test_a_frozen_worker_of_a_killed_engine_is_ended_by_the_next(
    ready: Ready, engine: Engine, other: subprocess.Popen[bytes], wait_for: Callable[..., float]
) -> None:
    run = ready.launch(epochs=ENDLESS)
    wait_for(lambda: (job := ready.job(run)).owner and job.owner.get("worker"))
    worker, token = worker_of(ready.job(run)), ready.job(run).token
    os.kill(worker.pid, signal.SIGSTOP)
    other.kill()
    other.wait()
    assert engine.start()
    wait_for(lambda: not is_alive(worker), 2 * GRACE_S)
    wait_for(lambda: ready.job(run).token == token + 1)


def test_a_job_whose_owner_is_gone_is_repaired_at_start(ready: Ready, engine: Engine, wait_for: Callable[..., float]) -> None:
    run = ready.launch(fold_numbers=(0, 1, 2))
    ended = ProcessIdentity(boot_id=of_self().boot_id, pid=of_self().pid, start_time="1").to_dict()  # a stranger has its pid now
    here = {"engine": ended, "host": os.uname().nodename}
    attempts.claim(ready.workspace.store, owner={**here, "worker": ended}, device="cpu", now=time.time())
    attempts.claim(ready.workspace.store, owner={**here, "worker": None}, device="cpu", now=time.time())
    elsewhere = {"engine": {**ended, "boot_id": "another machine"}, "host": "another-machine", "worker": ended}
    attempts.claim(ready.workspace.store, owner=elsewhere, device="cpu", now=time.time())
    cancel_run(ready.workspace.store, run.id)  # so that nothing starts to train here
    engine.start()
    assert wait_for(lambda: [job.state for job in ready.read(run).jobs] == ["canceled", "canceled", "running"], 10.0) < 10.0


def test_a_second_engine_only_reads_and_takes_over_when_the_first_is_gone(
    engine: Engine, other: subprocess.Popen[bytes], wait_for: Callable[..., float]
) -> None:
    assert not engine.start()
    status = engine.status()
    assert not status.is_mine and status.holder and (status.holder.what, status.holder.identity.pid) == ("another engine", other.pid)
    with pytest.raises(StateError, match="in use") as caught:
        engine.run_next()
    assert "another engine" in caught.value.why
    other.kill()
    other.wait()
    wait_for(lambda: engine.is_mine, 10.0)
    assert engine.status().is_mine


def test_a_bug_in_the_scheduler_is_said_and_the_queue_goes_on(
    ready: Ready, engine: Engine, monkeypatch: pytest.MonkeyPatch, wait_for: Callable[..., float]
) -> None:
    def broken(store: object, device: str) -> None:
        raise ZeroDivisionError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(attempts, "next_job", broken)
        engine.start()
        wait_for(lambda: engine.status().problem, 10)
        assert "planted" in (engine.status().problem or {})["what"]
    wait_for(lambda: engine.status().problem is None, 10)
    run = ready.launch()
    engine.wake()
    wait_for(lambda: ready.job(run).state == "running", 10)


def test_what_cannot_be_removed_is_said_and_keeps_no_job_waiting(
    ready: Ready, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for: Callable[..., float]
) -> None:
    monkeypatch.setattr("core.jobs.engine.CLEAN_AGAIN_S", 0.1)
    gone, run = ready.launch(), ready.launch()
    put_in_trash(ready.workspace.store, plan_removal(ready.workspace.store, {"run": [gone.id]}), now=0.0)
    folder = ready.workspace.run_dir(ready.contest.folder, gone.id)
    folder.rmdir()
    folder.symlink_to(tmp_path)  # a person moved it to a larger disk
    engine.start()
    wait_for(lambda: ready.job(run).state == "running", 20)
    assert (engine.status().problem or {})["what"] == "the trash cannot be emptied"
    folder.unlink()
    wait_for(lambda: engine.status().problem is None, 10)
    assert list_trash(ready.workspace.store)[0].is_gone


def test_an_engine_that_was_not_started_only_looks(ready: Ready) -> None:
    run = ready.launch()
    observer = Engine(open_workspace(ready.workspace.root), ("cpu",))
    assert observer.status().n_queued == 1 and observer.status().queue_end_s is None
    assert ready.job(run).state == "queued"


ROOT = Path(__file__).parents[2]
HOLD = (
    "import sys; from pathlib import Path; from core.jobs.engine import EngineLock; lock = EngineLock(Path(sys.argv[1]), 'another window');\
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
