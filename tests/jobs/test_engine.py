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

import pytest

from core.base.errors import StateError
from core.jobs.engine import Engine, EngineLock, holder_of
from core.jobs.process import ProcessIdentity, is_alive, of_self
from core.jobs.queue import cancel_run, pause_queue, pause_run, resume_queue, resume_run
from core.jobs.supervisor import GRACE_S
from core.store import attempts
from core.store.jobs import Job
from core.store.runs import list_epochs
from core.workspace import Workspace, open_workspace
from tests.jobs.conftest import ENDLESS, Bench, is_training

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
    bench: Bench, engine: Engine, wait_for: Callable[..., float]
) -> None:
    broken, good = bench.launch_broken(), bench.launch(name="good")
    engine.start()
    wait_for(lambda: bench.read(good).state == "done")
    failed, done = bench.job(broken), bench.job(good)
    assert failed.state == "failed" and failed.error and failed.error["fix"]
    assert failed.finished_at and done.started_at and failed.finished_at <= done.started_at
    assert bench.read(good).is_complete and "done: " in bench.log(done)
    wait_for(lambda: engine.status().devices[0].job is None)


@pytest.mark.slow
def test_cancel_stops_what_runs_within_a_step_and_what_waits_at_once(bench: Bench, engine: Engine, wait_for: Callable[..., float]) -> None:
    run = bench.launch(epochs=ENDLESS, fold_numbers=(0, 1))
    engine.start()
    wait_for(lambda: is_training(bench.job(run)))
    status = engine.status()
    assert (
        status.n_queued == 1
        and status.devices[0].run_name == "tiny"
        and status.devices[0].job
        and status.devices[0].job.id == bench.job(run).id
    )
    worker = worker_of(bench.job(run))
    cancel_run(bench.workspace.store, run.id)  # as another process would: the engine is not told
    assert bench.job(run, 1).state == "canceled"
    assert wait_for(lambda: bench.read(run).state == "canceled", GRACE_S) < GRACE_S
    wait_for(lambda: not is_alive(worker), GRACE_S)
    job = bench.job(run)
    assert job.error is None and "handed back: canceled" in bench.log(job)  # it stopped by itself, it was not killed
    left = [path.name for path in bench.workspace.run_dir("colours", run.id).glob("fold-0/*")]
    assert bench.read(run).results == () and left == ["checkpoints"]  # a retry goes on from there


@pytest.mark.slow
def test_what_is_paused_stops_within_a_step_and_goes_on_from_its_place(
    bench: Bench, engine: Engine, wait_for: Callable[..., float]
) -> None:
    endless, short = bench.launch(epochs=ENDLESS, name="endless"), bench.launch(name="short")
    engine.start()
    wait_for(lambda: is_training(bench.job(endless)))
    pause_run(bench.workspace.store, endless.id)  # as another process would: the engine is not told
    assert wait_for(lambda: bench.job(endless).state == "queued", GRACE_S) < GRACE_S
    assert "handed back: queued" in bench.log(bench.job(endless))  # it stopped by itself, it was not killed
    wait_for(lambda: bench.read(short).state == "done")
    status = engine.status()
    assert (status.n_queued, status.n_paused, status.is_paused, status.queue_end_s) == (1, 1, False, 0.0)
    assert bench.job(endless).token == 1
    resume_run(bench.workspace.store, endless.id)
    wait_for(lambda: bench.job(endless).token == 2 and bench.job(endless).state == "running")
    pause_queue(bench.workspace.store)
    wait_for(lambda: bench.job(endless).state == "queued")
    wait_for(lambda: engine.status().devices[0].job is None)
    paused = engine.status()
    assert paused.is_paused and paused.devices[0].hold and paused.devices[0].hold.kind == "person"
    resume_queue(bench.workspace.store)
    wait_for(lambda: bench.job(endless).token == 3)


@pytest.mark.slow
def test_two_slots_work_side_by_side_one_job_each(bench: Bench, wait_for: Callable[..., float]) -> None:
    first, second, third = (bench.launch(epochs=ENDLESS, name=name) for name in "abc")
    engine = Engine(bench.workspace, ("cpu:0", "cpu:1"))
    engine.start()
    try:
        wait_for(lambda: is_training(bench.job(first)) and is_training(bench.job(second)))
        assert {bench.job(first).device, bench.job(second).device} == {"cpu:0", "cpu:1"}
        assert bench.job(third).state == "queued"  # no device is free
        freed = bench.job(second).device
        cancel_run(bench.workspace.store, second.id)
        wait_for(lambda: bench.job(third).state == "running")
        assert bench.job(third).device == freed and bench.job(first).state == "running"
        assert [device.job.run_id for device in engine.status().devices if device.job] in ([first.id, third.id], [third.id, first.id])
    finally:
        engine.stop()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_supervisor_that_dies_leaves_neither_an_orphan_nor_a_job_that_seems_to_run(
    bench: Bench, engine: Engine, wait_for: Callable[..., float]
) -> None:
    run = bench.launch(epochs=ENDLESS)
    engine.start()
    wait_for(lambda: is_training(bench.job(run)))
    worker = worker_of(bench.job(run))
    (thread,) = (thread for thread in threading.enumerate() if thread.name == f"pitwall-job-{bench.job(run).id}")
    assert thread.ident
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    wait_for(lambda: not is_alive(worker), GRACE_S)
    wait_for(lambda: bench.job(run).token == 2 and bench.job(run).state == "running")


@pytest.mark.slow
def test_a_killed_worker_is_followed_by_another_that_goes_on(bench: Bench, engine: Engine, wait_for: Callable[..., float]) -> None:
    run = bench.launch()
    thread = threading.Thread(target=engine.run_next)
    thread.start()
    wait_for(lambda: (job := bench.job(run)).owner and job.owner.get("worker"))
    os.kill(worker_of(bench.job(run)).pid, signal.SIGKILL)
    thread.join()
    job = bench.job(run)
    assert (job.state, job.interruptions, job.error) == ("queued", 1, None)
    assert engine.run_next()
    again = bench.read(run)
    assert again.state == "done" and again.results[0].token == 2 and again.jobs[0].error is None


@pytest.mark.slow
def test_stopping_the_engine_puts_the_job_back_and_the_next_engine_takes_it(
    bench: Bench, engine: Engine, wait_for: Callable[..., float]
) -> None:
    run = bench.launch(epochs=ENDLESS)
    engine.start()
    wait_for(lambda: is_training(bench.job(run)))
    worker = worker_of(bench.job(run))
    started = time.monotonic()
    engine.stop()
    assert time.monotonic() - started < GRACE_S and not is_alive(worker)
    job = bench.job(run)
    assert (job.state, job.owner, job.progress, job.error) == ("queued", None, None, None) and "handed back: queued" in bench.log(job)
    following = Engine(bench.workspace, ("cpu",))
    assert following.start()
    wait_for(lambda: bench.job(run).token == 2 and is_training(bench.job(run)))
    assert "resumed from epoch" in bench.log(bench.job(run))
    assert [row.epoch for row in list_epochs(bench.workspace.store, run.id)][:1] == [1]
    following.stop()
    assert bench.job(run).state == "queued"


@pytest.mark.slow
def test_when_the_engine_is_killed_its_worker_ends_and_the_queue_survives(
    bench: Bench, engine: Engine, other: subprocess.Popen[bytes], wait_for: Callable[..., float]
) -> None:
    endless, short = bench.launch(epochs=ENDLESS, name="endless"), bench.launch(name="short")
    wait_for(lambda: is_training(bench.job(endless)))
    worker = worker_of(bench.job(endless))
    other.kill()
    other.wait()
    assert wait_for(lambda: not is_alive(worker), 10.0) < 10.0  # no orphan
    assert [bench.job(endless).state, bench.job(short).state] == ["queued", "queued"]  # and no engine was needed to say so
    cancel_run(bench.workspace.store, endless.id)
    assert engine.run_next()
    assert bench.read(short).state == "done" and len(bench.read(short).results) == 1


@pytest.mark.slow
def test_a_frozen_worker_of_a_killed_engine_is_ended_by_the_next(
    bench: Bench, engine: Engine, other: subprocess.Popen[bytes], wait_for: Callable[..., float]
) -> None:
    run = bench.launch(epochs=ENDLESS)
    wait_for(lambda: (job := bench.job(run)).owner and job.owner.get("worker"))
    worker, token = worker_of(bench.job(run)), bench.job(run).token
    os.kill(worker.pid, signal.SIGSTOP)
    other.kill()
    other.wait()
    assert engine.start()
    wait_for(lambda: not is_alive(worker), 2 * GRACE_S)
    wait_for(lambda: bench.job(run).token == token + 1)


def test_a_job_whose_owner_is_gone_is_repaired_at_start(bench: Bench, engine: Engine, wait_for: Callable[..., float]) -> None:
    run = bench.launch(fold_numbers=(0, 1, 2))
    ended = ProcessIdentity(boot_id=of_self().boot_id, pid=of_self().pid, start_time="1").to_dict()  # a stranger has its pid now
    here = {"engine": ended, "host": os.uname().nodename}
    attempts.claim(bench.workspace.store, owner={**here, "worker": ended}, device="cpu", now=time.time())
    attempts.claim(bench.workspace.store, owner={**here, "worker": None}, device="cpu", now=time.time())
    elsewhere = {"engine": {**ended, "boot_id": "another machine"}, "host": "another-machine", "worker": ended}
    attempts.claim(bench.workspace.store, owner=elsewhere, device="cpu", now=time.time())
    cancel_run(bench.workspace.store, run.id)  # so that nothing starts to train here
    engine.start()
    assert wait_for(lambda: [job.state for job in bench.read(run).jobs] == ["canceled", "canceled", "running"], 10.0) < 10.0


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
    bench: Bench, engine: Engine, monkeypatch: pytest.MonkeyPatch, wait_for: Callable[..., float]
) -> None:
    def broken(store: object, device: str) -> None:
        raise ZeroDivisionError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(attempts, "next_job", broken)
        engine.start()
        wait_for(lambda: engine.status().problem, 10)
        assert "planted" in (engine.status().problem or {})["what"]
    wait_for(lambda: engine.status().problem is None, 10)
    run = bench.launch()
    engine.wake()
    wait_for(lambda: bench.job(run).state == "running", 10)


def test_an_engine_that_was_not_started_only_looks(bench: Bench) -> None:
    run = bench.launch()
    observer = Engine(open_workspace(bench.workspace.root), ("cpu",))
    assert observer.status().n_queued == 1 and observer.status().queue_end_s is None
    assert bench.job(run).state == "queued"


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
