"""One dry run under way, from the side of who asked for it: a process of its own, watched, limited in time, and stopped with its asker.

The workspace is only read. So a dry run needs no engine, and one that is killed leaves nothing to repair.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from core.base.errors import KINDS, OutOfMemory, PitwallError, StateError
from core.jobs.devices import thread_limit, torch_name, worker_environment
from core.jobs.fold import recipe_can_halve
from core.jobs.forecast import Forecast, Neighbour
from core.jobs.memory import has_killed_since, kernel_kills
from core.jobs.process import of_pid, terminate
from core.jobs.queue import check_launch
from core.jobs.supervisor import ROOT
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.database import Store
from core.store.folds import Folds
from core.store.jobs import read_live
from core.workspace import Workspace

LIMIT_S = 600.0
WATCH_S = 0.1
BUSY_S = 1.0
"""How often a busy device is looked at by one who waits for it."""

log = logging.getLogger(__name__)

Phase = Literal["waiting", "working", "done", "failed"]
When = Literal["now", "free"]


@dataclass(frozen=True)
class RehearsalStatus:
    """Where a dry run is: since how many seconds, and its forecast or its error when it is over. `busy_with` are the jobs it waits for."""

    phase: Phase
    elapsed_s: float
    forecast: Forecast | None
    error: PitwallError | None
    busy_with: tuple[Neighbour, ...]


class Rehearsal:
    """`run()` gives the forecast in this thread; `start()` works in one of its own, and `status()` tells how far it is."""

    def __init__(
        self,
        workspace: Workspace,
        contest: Contest,
        folds: Folds,
        recipe: Recipe,
        *,
        device: str,
        devices: Sequence[str] = (),
        when: When | None = None,
        limit_s: float = LIMIT_S,
    ) -> None:
        """`device` is one of the engine's `devices`. With `when` "free" it is waited for until no job runs on it; by default so on
        a GPU, where a dry run could take the memory of the job that trains, and not on the processor."""
        self._workspace, self._contest, self._folds, self._recipe = workspace, contest, folds, recipe
        self.device = device
        self._limits = thread_limit(device, devices)
        self._waits = (when or default_when(device)) == "free"
        self._limit_s = limit_s
        self._stopping = threading.Event()
        self._began = time.monotonic()
        self._status = RehearsalStatus("working", 0.0, None, None, ())

    def start(self) -> Rehearsal:
        """Begin in a thread of its own."""
        threading.Thread(target=self._work, name="rehearsal", daemon=True).start()
        return self

    def status(self) -> RehearsalStatus:
        """A snapshot, from any thread."""
        now = self._status
        return now if now.phase in ("done", "failed") else replace(now, elapsed_s=time.monotonic() - self._began)

    def stop(self) -> None:
        """End it, from any thread: its process is gone within a second, and it has failed as one that was stopped."""
        self._stopping.set()

    def run(self) -> Forecast:
        """Try it. Raises what a training would (RecipeError, WeightsError, InputError, OutOfMemory, CheckpointError), and StateError
        when it was stopped or took too long."""
        check_launch(self._contest, self._folds, self._recipe, (0,))
        if self._waits:
            self._wait_until_free()
        before = busy_with(self._workspace.store, self.device)
        forecast = self._try()
        after = busy_with(self._workspace.store, self.device)
        return replace(forecast, busy_with=tuple(dict.fromkeys((*before, *after))))

    def _work(self) -> None:
        forecast, error = None, None
        try:
            forecast = self.run()
        except PitwallError as problem:
            error = problem
        except Exception as problem:  # a thread that ended without a word would look as if it worked for ever
            log.exception("a dry run met a bug")
            why, fix = "this is a bug in Pitwall", "please report it; its traceback is in the terminal that runs Pitwall"
            error = PitwallError(
                "{place}: {lacks}",
                where="a dry run on {device}",
                why=why,
                fix=fix,
                device=self.device,
                place=type(problem).__name__,
                lacks=problem,
            )
        took = time.monotonic() - self._began
        self._status = RehearsalStatus("failed" if forecast is None else "done", took, forecast, error, ())

    def _wait_until_free(self) -> None:
        while jobs := busy_with(self._workspace.store, self.device):
            self._status = RehearsalStatus("waiting", 0.0, None, None, jobs)
            if self._stopping.wait(BUSY_S):
                raise _stopped()
        self._began = time.monotonic()
        self._status = RehearsalStatus("working", 0.0, None, None, ())

    def _try(self) -> Forecast:
        """One process after another, with half the micro-batch after each that the kernel ended for lack of memory."""
        halvings = 0
        while True:
            kills_before = kernel_kills()
            with TemporaryDirectory(prefix="pitwall-dry-run-") as scratch:
                exit_code, said, complained = self._one_process(Path(scratch), halvings)
            if exit_code == -signal.SIGKILL and has_killed_since(kills_before):
                if recipe_can_halve(self._recipe, halvings):
                    halvings += 1
                    continue
                raise _killed(self.device, self._recipe.train.micro_batch(halvings))
            return _read(said, complained, exit_code, self.device)

    def _one_process(self, scratch: Path, halvings: int) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of one try; raises StateError when it was stopped or took too long."""
        command = [sys.executable, "-m", "core.jobs.dry_run", "--workspace", str(self._workspace.root)]
        command += ["--contest", str(self._contest.id), "--folds", str(self._folds.id), "--device", self.device]
        command += ["--recipe", json.dumps(self._recipe.to_dict()), "--halvings", str(halvings), "--scratch", str(scratch / "out")]
        command += ["--began", str(time.time())]
        (scratch / "out").mkdir()
        with (scratch / "answer").open("w+b") as answer, (scratch / "complaints").open("w+b") as complaints:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=answer,
                stderr=complaints,
                start_new_session=True,
                env=worker_environment(self._limits),
            )
            try:
                self._watch(process)
            finally:
                _end(process)
            texts: list[str] = []
            for stream in (answer, complaints):
                stream.seek(0)
                texts.append(stream.read().decode(errors="replace"))
        return process.returncode, texts[0], texts[1]

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + self._limit_s
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(WATCH_S)
                return
            if self._stopping.is_set():
                raise _stopped()
            if time.monotonic() > until:
                raise StateError(
                    "the dry run was given up after {n:.0f} s",
                    where=self.device,
                    why="a few steps should not take so long: the device is busy, or much too slow for this recipe",
                    fix="try a smaller backbone, input or batch, or another device",
                    n=self._limit_s,
                )


def default_when(device: str) -> When:
    """When a dry run begins unless it is said: beside other jobs on the processor, alone on a GPU."""
    return "now" if torch_name(device) == "cpu" else "free"


def busy_with(store: Store, device: str) -> tuple[Neighbour, ...]:
    """The jobs of this workspace that run on a device now."""
    live = read_live(store)
    return tuple(
        Neighbour(live.owners[job.id] if job.run_id is None else f"{live.owners[job.id]} (r{job.run_id})", job.title)
        for job in live.running
        if torch_name(job.device) == torch_name(device)
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """See to it that the process and its loader processes are gone."""
    identity = of_pid(process.pid)
    if process.poll() is None and (identity is None or not terminate(identity)):
        process.kill()
    process.wait()
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()


def _read(said: str, complained: str, exit_code: int, device: str) -> Forecast:
    lines = said.strip().splitlines()
    if exit_code == 0 and lines:
        answer: dict[str, Any] = json.loads(lines[-1])
        if "forecast" in answer:
            return Forecast.from_dict(answer["forecast"])
        if answer["error"]["type"] not in KINDS:
            log.error("a dry run met a bug:\n%s", complained)
        raise PitwallError.from_dict(answer["error"])
    log.error("a dry run ended with %d:\n%s", exit_code, complained)
    last = (complained.strip().splitlines() or ["it said nothing"])[-1]
    how = signal.Signals(-exit_code).name if exit_code < 0 else f"code {exit_code}"
    raise PitwallError(
        "the dry run ended with {signal} before it could answer",
        where=device,
        why=last,
        fix="try again; a training would end in the same way",
        signal=how,
    )


def _killed(device: str, micro_batch: int) -> OutOfMemory:
    return OutOfMemory(
        "the machine ran out of memory",
        where=device,
        why="the system ended the dry run at {n} rows at once" if micro_batch > 1 else "the system ended the dry run at {n} row at once",
        fix="choose a smaller backbone or input, or fewer loader workers",
        n=micro_batch,
    )


def _stopped() -> StateError:
    return StateError("the dry run was stopped", fix="start it again when you want to know")
