"""B5. The recorded pid of a worker belongs to a stranger by now: no signal is sent to it, and its job is given out again.

The bug to plant: a process is recognised by its bare pid.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

from core.jobs import engine as engine_module, process
from core.jobs.engine import Engine
from core.jobs.process import ProcessIdentity, of_pid, of_self, terminate
from core.store import attempts
from core.store.jobs import list_jobs
from core.workspace import Workspace, open_workspace
from tests.faults.fault import Given, Outcome, made_up_store, main

FULL_N = 500
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
STRANGER = """
import signal, sys
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda received, _: print("heard", received, flush=True))
print("ready", flush=True)
sys.stdin.read()
"""


def run(given: Given) -> Outcome:
    """`n` times: a job is running under a pid that is now a stranger's, who leads a process group of its own."""
    outcome, workspace = Outcome(), open_workspace(given.root / "workspace")
    made_up_store(workspace.db_path, 1)
    if given.is_mutant:
        process.is_alive = engine_module.is_alive = _is_some_process
    engine_module.GRACE_S = 0.0
    stranger = subprocess.Popen(
        [sys.executable, "-c", STRANGER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    try:
        assert stranger.stdin is not None and stranger.stdout is not None
        stranger.stdout.readline()
        identity = of_pid(stranger.pid)
        assert identity is not None
        for _ in range(given.n):
            if stranger.poll() is not None:
                break
            _round(given, workspace, identity, outcome)
        if stranger.poll() is not None:
            outcome.wrong(f"the stranger was ended by signal {-stranger.returncode}")
        stranger.stdin.close()
        if heard := stranger.stdout.read().split("\n")[0]:
            outcome.wrong(f"the stranger {heard}")
    finally:
        stranger.kill()
        stranger.wait()
        if stranger.stdout is not None:
            stranger.stdout.close()
        workspace.store.close()
    return outcome


def _round(given: Given, workspace: Workspace, stranger: ProcessIdentity, outcome: Outcome) -> None:
    recorded = given.rng.choice(
        (
            replace(stranger, start_time=str(int(stranger.start_time) - given.rng.randrange(1, 10**6))),
            replace(stranger, boot_id="another boot"),
            replace(stranger, start_time=""),
        )
    )
    if terminate(recorded, given.rng.choice(SIGNALS)):
        outcome.wrong(f"a signal was sent to {recorded}")
    owner = {
        "engine": replace(of_self(), start_time="1").to_dict(),
        "host": os.uname().nodename,
        "worker": recorded.to_dict(),
    }
    job = attempts.claim(workspace.store, owner=owner, device="cpu", now=time.time())
    if job is None:
        outcome.missing("the job is not in the queue")
        return
    following = Engine(workspace, ("cpu",))
    for _ in range(2):  # the first look starts the grace of an orphan, which is none here
        following._repair()  # pyright: ignore[reportPrivateUsage]
    if [job.state for job in list_jobs(workspace.store)] != ["queued"]:
        outcome.wrong("a job whose worker is gone seems to run")
        attempts.release(workspace.store, job.id, job.token, now=time.time())


def _is_some_process(identity: ProcessIdentity) -> bool:
    return of_pid(identity.pid) is not None


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
