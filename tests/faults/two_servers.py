"""B6. Two servers on one workspace: one has the engine, the other reads only and names the holder, and takes over when it is gone.

The bug to plant: the lock on the workspace is granted to everybody.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.jobs import engine as engine_module
from core.jobs.engine import Engine
from core.workspace import open_workspace
from tests.faults.fault import Given, Outcome, made_up_store, main, wait_until

FULL_N = 100
TAKEOVER_S = 10.0
ROOT = Path(__file__).parents[2]


class Server:
    """A process that starts and stops engines as it is told, and tells how they stand."""

    def __init__(self, root: Path, is_mutant: bool) -> None:
        command = [sys.executable, "-m", "tests.faults.two_servers", "--serve", str(root), *(["--mutant"] if is_mutant else [])]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid

    def tell(self, word: str) -> None:
        """Say what to do, without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The answer to what was told."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ask(self, word: str) -> dict[str, Any]:
        """Say it, and wait for the answer."""
        self.tell(word)
        return self.hear()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def run(given: Given) -> Outcome:
    """`n` times: both start at once, and then the one that has the engine stops, or is killed."""
    outcome, workspace = Outcome(), open_workspace(given.root / "workspace")
    made_up_store(workspace.db_path, 0)

    def server() -> Server:
        return Server(workspace.root, given.is_mutant)

    servers = [server(), server()]
    try:
        for _ in range(given.n):
            _round(given, servers, server, outcome)
    finally:
        for each in servers:
            each.kill()
    return outcome


def _round(given: Given, servers: list[Server], server: Callable[[], Server], outcome: Outcome) -> None:
    given.rng.shuffle(servers)
    for each in servers:
        each.tell("start")
    for each in servers:
        each.hear()
    states = [each.ask("status") for each in servers]
    if [state["is_mine"] for state in states].count(True) != 1:
        outcome.wrong(f"{sum(state['is_mine'] for state in states)} engines on one workspace")
        for each in servers:
            each.ask("stop")
        return
    first = 0 if states[0]["is_mine"] else 1
    holder, other = servers[first], servers[1 - first]
    if states[1 - first]["holder"] != holder.pid:
        outcome.wrong(f"the holder is {holder.pid}, but {states[1 - first]['holder']} is named")
    if given.rng.random() < 0.3:
        holder.kill()
        servers[first] = server()
    else:
        holder.ask("stop")
    if not wait_until(lambda: other.ask("status")["is_mine"], TAKEOVER_S):
        outcome.wrong(f"nobody took over within {TAKEOVER_S:.0f} s")
    elif other.ask("status")["holder"] != other.pid:
        outcome.wrong("who took over is not named as the holder")
    for each in servers:
        each.ask("stop")


def serve(root: Path, is_mutant: bool) -> None:
    """The process of a server: one engine at a time."""
    if is_mutant:
        engine_module.fcntl.flock = lambda descriptor, operation: None  # type: ignore[assignment]
    engine: Engine | None = None
    for word in sys.stdin:
        if word == "start\n" and engine is None:
            engine = Engine(open_workspace(root), ("cpu",), what="a server")
            engine.start()
        elif word == "stop\n" and engine is not None:
            engine.stop()
            engine = None
        status = engine.status() if engine else None
        holder = status.holder.identity.pid if status and status.holder else None
        sys.stdout.write(json.dumps({"is_mine": status is not None and status.is_mine, "holder": holder, "pid": os.getpid()}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]), "--mutant" in sys.argv)
    else:
        sys.exit(main(run, full_n=FULL_N))
