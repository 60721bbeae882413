"""B7. The server, a worker, or the thread that watches it is killed: within 10 s no orphan is left, and the status is true.

The bug to plant: a worker that does not notice the end of its standard input, and so outlives its server.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs.engine import Engine
from core.jobs.launch import launch_run
from core.jobs.process import ProcessIdentity, is_alive, terminate
from core.jobs.queue import cancel_run, retry_run
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.jobs import Job, get_job
from core.store.runs import Run
from core.workspace import Workspace, open_workspace
from tests.conftest import write_headlines_to
from tests.faults.fault import Given, Outcome, main, wait_until

FULL_N = 40
LIMIT_S = 10.0
DELAY_S = 2.5
"""A worker is struck anywhere between its first breath and its training."""
START_S = 90.0
ROOT = Path(__file__).parents[2]
FAULTS = ("server", "worker", "thread")
DEAF = """
import os, threading
_read = os.read
def read(descriptor, length):
    said = _read(descriptor, length)
    if descriptor == 0 and not said:
        threading.Event().wait()
    return said
os.read = read
"""


def run(given: Given) -> Outcome:
    """`n` times: let a worker start or train for a moment, kill something, look for orphans and for lies."""
    outcome, workspace = Outcome(), open_workspace(given.root / "workspace")
    endless = _launch(workspace, given.root / "headlines")
    environment = dict(os.environ)
    if given.is_mutant:
        (given.root / "sitecustomize.py").write_text(DEAF)
        environment["PYTHONPATH"] = str(given.root)
    server: subprocess.Popen[str] | None = None
    seen: list[ProcessIdentity] = []
    try:
        for number in range(given.n):
            if server is None:
                server = _serve(workspace, environment)
            if not wait_until(lambda: _worker(workspace, endless) is not None, START_S):
                outcome.wrong(f"no worker within {START_S:.0f} s: the job is {_job(workspace, endless).state}")
                break
            worker = _worker(workspace, endless)
            assert worker is not None
            seen.append(worker)
            time.sleep(DELAY_S * given.rng.random())
            fault = "server" if given.is_mutant else FAULTS[number % len(FAULTS)]
            server = _strike(fault, server, worker)
            if not wait_until(lambda worker=worker: not is_alive(worker), LIMIT_S):
                outcome.wrong(f"{fault} killed: its worker still runs after {LIMIT_S:.0f} s")
                terminate(worker)
            elif not wait_until(lambda server=server: _is_true(workspace, endless, server), LIMIT_S):
                job = _job(workspace, endless)
                outcome.wrong(f"{fault} killed: the job is said to be {job.state}, its worker is gone")
            if _job(workspace, endless).state == "failed":
                retry_run(workspace.store, endless.id)
        if _job(workspace, endless).state not in ("queued", "running", "failed"):
            outcome.missing(f"the job is {_job(workspace, endless).state}")
        cancel_run(workspace.store, endless.id)
    finally:
        if server is not None:
            _end(server)
        for identity in seen:
            if wait_until(lambda identity=identity: not is_alive(identity), LIMIT_S):
                continue
            outcome.wrong("a worker outlives everything")
            terminate(identity)
        workspace.store.close()
    return outcome


def _launch(workspace: Workspace, folder: Path) -> Run:
    contest = add_contest(workspace, inspect_path(write_headlines_to(folder)).draft)
    recipe = Recipe.model_validate(
        {
            "name": "endless",
            "modality": "text",
            "model": {"backbone": "tiny_transformer", "pretrained": False},
            "input": {"max_tokens": 16},
            "train": {"epochs": 1000, "batch_size": 8},
        }
    )
    return launch_run(workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=2)), recipe, fold_numbers=(0,))


def _serve(workspace: Workspace, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.kill_server", "--serve", str(workspace.root)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True, env=environment)


def _strike(fault: str, server: subprocess.Popen[str], worker: ProcessIdentity) -> subprocess.Popen[str] | None:
    """Kill one of the three; returns the server, None when it is that."""
    if fault == "server":
        _end(server)
        return None
    if fault == "worker":
        terminate(worker, signal.SIGKILL)
    else:
        assert server.stdin is not None
        server.stdin.write("kill thread\n")
        server.stdin.flush()
    return server


def _is_true(workspace: Workspace, run: Run, server: subprocess.Popen[str] | None) -> bool:
    """A job that is said to run has a worker that lives, or a server that is just starting one."""
    job = _job(workspace, run)
    if job.state != "running":
        return True
    worker = (job.owner or {}).get("worker")
    return server is not None and (worker is None or is_alive(ProcessIdentity.from_dict(worker)))


def _worker(workspace: Workspace, run: Run) -> ProcessIdentity | None:
    job = _job(workspace, run)
    worker = (job.owner or {}).get("worker")
    identity = ProcessIdentity.from_dict(worker) if worker else None
    return identity if job.state == "running" and identity and is_alive(identity) else None


def _job(workspace: Workspace, run: Run) -> Job:
    return get_job(workspace.store, run.jobs[0].id)


def _end(server: subprocess.Popen[str]) -> None:
    server.kill()
    server.wait()
    if server.stdin is not None:
        server.stdin.close()


def serve(root: Path) -> None:
    """The process of a server, which kills the threads of its own supervisors when it is told to."""
    threading.excepthook = lambda arguments: None
    Engine(open_workspace(root), ("cpu",), what="a server").start()
    for _ in sys.stdin:
        for thread in threading.enumerate():
            if thread.name.startswith("pitwall-job-") and thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
    else:
        sys.exit(main(run, full_n=FULL_N))
