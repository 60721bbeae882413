"""C1. The disk is full while a checkpoint, the artefact or the row of a fold is written: what was acknowledged is there, the queue is
paused and says so, and after space is made the run ends in the bytes of a calm one.

Full is a small file system of its own where this machine lets us mount one, and a limit on the size of files.
The bug to plant: a full disk is taken for a fault of the fold, which fails.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from core.jobs import disk, supervisor, worker
from core.jobs.engine import Engine
from core.store.jobs import Job, get_job
from core.store.queue import Hold, list_holds
from core.store.runs import Run
from core.workspace import Workspace, open_workspace
from tests.faults import places
from tests.faults.fault import Given, Outcome, main
from tests.faults.forked import Process, forked_workers, import_torch, lost_checkpoints, run_to_end, watching
from tests.faults.tiny import Tiny, add_tiny, differences, left_by

FULL_N = 42
SMALL_BYTES = 160 * 2**20
"""Of the small file system: more than the margin that must be free again after it was full."""
WHERE = ("a checkpoint", "the row", "a later checkpoint", "the weights", "the arrays", "the manifest", "the row, without reserve")


class Disk(Protocol):
    """A disk that can be filled. `fill` is called in a worker, the others in its engine."""

    name: str

    def fill(self) -> None: ...

    def is_full(self) -> bool: ...

    def empty(self, hold: Hold | None) -> None: ...

    def free_bytes(self, root: Path) -> int: ...


class SmallDisk:
    """A file system of its own, in memory, and a file that takes all its space."""

    name = "a small disk"

    def __init__(self, root: Path) -> None:
        self._root, self._filler = root, root / "filler"

    def fill(self) -> None:
        with self._filler.open("wb") as stream:
            while free := disk.free_bytes(self._root):
                os.posix_fallocate(stream.fileno(), stream.seek(0, os.SEEK_END), free)

    def is_full(self) -> bool:
        return self._filler.exists()

    def empty(self, hold: Hold | None) -> None:
        self._filler.unlink()

    def free_bytes(self, root: Path) -> int:
        return disk.free_bytes(root)


class LimitedFiles:
    """No file of the worker may grow beyond a few bytes, which is how a used up quota looks; the engine is told that nothing is free."""

    name = "limited files"

    def __init__(self, marker: Path) -> None:
        self._marker = marker
        self._free = 10**12

    def fill(self) -> None:
        self._marker.touch()
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))

    def is_full(self) -> bool:
        if self._marker.exists():
            self._free = 0
        return self._marker.exists()

    def empty(self, hold: Hold | None) -> None:
        self._marker.unlink()
        self._free = 10**12 if hold is None else hold.needed_bytes

    def free_bytes(self, root: Path) -> int:
        return self._free


@dataclass
class Ground:
    """A workspace on such a disk, and what a calm run of each modality left there."""

    disk: Disk
    workspace: Workspace
    engine: Engine
    calm: dict[str, tuple[Tiny, Run, dict[str, Any]]] = field(default_factory=dict)

    def prepare(self, modality: str) -> tuple[Tiny, Run, dict[str, Any]]:
        if modality not in self.calm:
            tiny = add_tiny(self.workspace, modality, self.workspace.root / f"source-{modality}")
            run = tiny.launch(epochs=4)
            with forked_workers(self.workspace):
                run_to_end(self.engine, run.jobs[0].id)
            self.calm[modality] = tiny, run, left_by(self.workspace, run)
        return self.calm[modality]


def run(given: Given) -> Outcome:
    """Fill the disk of `n` runs at these places in turn, on both disks in turn."""
    outcome = Outcome()
    supervisor.WATCH_S, supervisor.SETTLE_RETRY_S = 0.02, 0.05
    with contextlib.ExitStack() as stack:
        small = given.root / "small"
        disks: list[Disk] = [LimitedFiles(given.root / "full")]
        if stack.enter_context(_mounted(small)):
            disks.insert(0, SmallDisk(small))
        roots = {"a small disk": small / "workspace", "limited files": given.root / "workspace"}
        modalities = ["text", "image"] if given.n > len(disks) * len(WHERE) else ["text"]
        import_torch(*modalities)
        grounds: list[Ground] = []
        for each in disks:
            workspace = open_workspace(roots[each.name])
            grounds.append(Ground(each, workspace, Engine(workspace, ("cpu",), free_bytes=each.free_bytes)))
        for number in range(given.n):
            turn, which = divmod(number, len(grounds))
            rounds, place = divmod(turn, len(WHERE))
            _fill(grounds[which], modalities[rounds % len(modalities)], WHERE[place], given, outcome)
        for ground in grounds:
            ground.workspace.store.close()
    if len(disks) == 1:
        outcome.notes.append("a small disk was not tried: none can be mounted here")
    return outcome


def _fill(ground: Ground, modality: str, where: str, given: Given, outcome: Outcome) -> None:
    tiny, before, calm = ground.prepare(modality)
    workspace = ground.workspace
    run = tiny.launch(epochs=4)
    is_filled = False

    def fill() -> None:
        nonlocal is_filled
        if not is_filled:
            is_filled = True
            if where == "the row, without reserve":
                disk.spend_reserve(workspace)
            ground.disk.fill()

    def prepare(token: int) -> None:
        places.keep_every_step()
        worker.PATIENCE_S, worker.RETRY_S = 0.5, 0.05
        if given.is_mutant:
            worker.DiskFull = type("Unknown", (Exception,), {})  # type: ignore[misc, assignment]
        if token == 1:
            _arm(where, fill)

    with forked_workers(workspace, prepare=prepare):
        problem = _stop_and_go(ground, run, is_stuck=where == "the row, without reserve" and isinstance(ground.disk, SmallDisk))
        job = get_job(workspace.store, run.jobs[0].id)
        if not problem and (lost := lost_checkpoints(workspace, job)):
            outcome.missing(f"{ground.disk.name}, {modality}, full before {where}: {lost[0]}")
        if not problem and (changed := differences(left_by(workspace, run), calm)):
            problem = f"other {changed}"
        if not problem and (changed := differences(left_by(workspace, before), calm)):
            problem = f"of the run before, other {changed}"
        if problem:
            outcome.wrong(f"{ground.disk.name}, {modality}, full before {where}: {problem}")


def _stop_and_go(ground: Ground, run: Run, *, is_stuck: bool) -> str:
    """Run until the disk is full, make space, run to the end; returns what was wrong. `is_stuck`: nothing at all can be written down
    while it is full, so that space is made while the supervisor tries."""
    workspace, engine, (waiting,) = ground.workspace, ground.engine, run.jobs
    with _making_space(ground) if is_stuck else contextlib.nullcontext():
        engine.run_next()
    job, holds = get_job(workspace.store, waiting.id), list_holds(workspace.store)
    try:
        if job.state == "done":
            return "" if ground.disk.is_full() else "the disk was never full"  # the reserve was enough for the row
        if (job.state, job.error) != ("queued", None) or not holds:
            return f"the job is {job.state}, {len(holds)} holds: {job.error}"
        said = disk.hold_text(holds[0], engine.status().free_bytes)
        if not said.startswith("paused: disk full, ") or not (holds[0].error or {}).get("fix"):
            return f"it says: {said}"
        if leftovers := [path.name for path in workspace.contest_dir("").rglob("*.tmp")]:
            return f"left over: {leftovers}"
        if ground.disk.is_full() and (engine.run_next() or get_job(workspace.store, job.id).token != job.token):
            return "it was tried again although the disk is full"
    finally:
        if ground.disk.is_full():
            ground.disk.empty(holds[0] if holds else None)
    job = run_to_end(engine, job.id)
    if job.state != "done" or list_holds(workspace.store):
        return f"after space was made, the job is {job.state}, {len(list_holds(workspace.store))} holds: {job.error}"
    return "" if disk.reserve_path(workspace).exists() else "there is no reserve again"


@contextlib.contextmanager
def _making_space(ground: Ground) -> Iterator[None]:
    """Make space as soon as the worker has given up."""
    threads: list[threading.Thread] = []

    def started(process: Process, _job: Job) -> None:
        handle = os.pidfd_open(process.pid)

        def wait() -> None:
            select.select([handle], [], [])
            os.close(handle)
            time.sleep(0.3)  # the supervisor tries in vain meanwhile
            ground.disk.empty(None)

        threads.append(threading.Thread(target=wait, name="making-space"))
        threads[-1].start()

    with watching(started):
        yield
    for thread in threads:
        thread.join()


def _arm(where: str, fill: Callable[[], None]) -> None:
    match where:
        case "a checkpoint":
            places.at_checkpoint(fill, before=True, number=1)
        case "a later checkpoint":
            places.at_checkpoint(fill, before=True, number=6)
        case "the weights":
            places.before_weights(fill)
        case "the arrays":
            places.before_predictions(fill)
        case "the manifest":
            places.before_manifest(fill)
        case _:
            places.before_commit(fill)


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[bool]:
    """A small file system in memory at `folder`; False where this user may not mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(folder)]
    try:
        is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        is_mounted = False
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
