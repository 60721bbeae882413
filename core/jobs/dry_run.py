"""A dry run of a fold: a process of its own tries a few steps (`python -m core.jobs.dry_run`), watched, limited in time, and stopped with its asker.

The process reads what to try from `request.json` in its scratch folder and writes `answer.json` there, a forecast or a typed error. It ends
at once when its standard input does. The workspace is only read: a dry run needs no engine, and one that is killed leaves nothing to repair.
"""

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from core.base.errors import KINDS, OutOfMemory, PitwallError, StateError, bug
from core.base.files import write_json
from core.base.messages import msg
from core.base.settings import parse_settings
from core.contest.extra_rows import load_rows, rows_of_recipe
from core.contest.table import load_kept, load_table
from core.folds import load_folds
from core.jobs.devices import thread_limit, torch_name
from core.jobs.fold import load_task, recipe_can_halve
from core.jobs.forecast import Forecast, Neighbour
from core.jobs.launch import check_launch
from core.jobs.process import Handle, launch
from core.jobs.worker import NICENESS
from core.specs.recipe import Recipe
from core.store.attempts import MOST_HALVINGS
from core.store.contests import Contest, get_contest
from core.store.database import Store
from core.store.folds import Folds, get_folds
from core.store.queue import read_live
from core.training.machine import end_with_loader, has_killed_since, kernel_kills
from core.training.schedule import plan_epochs
from core.workspace import Workspace, open_workspace

LIMIT_S = 600.0
WATCH_S = 0.1
BUSY_S = 1.0
"""How often a busy device is looked at by one who waits for it."""
REQUEST, ANSWER = "request.json", "answer.json"

log = logging.getLogger("core.jobs.dry_run")

Phase = Literal["waiting", "working", "done", "failed"]
When = Literal["now", "free"]


@dataclass(frozen=True)
class DryRunStatus:
    """Where a dry run is: since how many seconds, and its forecast or its error when it is over. `busy_with` are the jobs it waits for."""

    phase: Phase
    elapsed_s: float
    forecast: Forecast | None = None
    error: PitwallError | None = None
    busy_with: tuple[Neighbour, ...] = ()


class DryRun:
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
        self._status = DryRunStatus("working", 0.0)

    def start(self) -> Self:
        """Begin in a thread of its own."""
        threading.Thread(target=self._work, name="dry-run", daemon=True).start()
        return self

    def status(self) -> DryRunStatus:
        """A snapshot, from any thread."""
        now = self._status
        return now if now.phase in ("done", "failed") else replace(now, elapsed_s=time.monotonic() - self._began)

    def stop(self) -> None:
        """End it, from any thread: its process is gone within a second, and it has failed as one that was stopped."""
        self._stopping.set()

    def run(self) -> Forecast:
        """Try it. Raises what a training would (RecipeError, WeightsError, InputError, OutOfMemory, CheckpointError), and StateError
        when it was stopped or took too long."""
        check_launch(self._workspace, self._contest, self._folds, self._recipe, (0,))
        if self._recipe.model.is_tfidf:
            raise StateError(
                "there is nothing to try",
                where="model.backbone",
                why="{backbone} is fitted in one go, in seconds and without a GPU",
                fix="queue the run: `train`, or the button on the page Train",
                backbone=self._recipe.model.backbone,
            )
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
            error = PitwallError.from_dict(_bug(problem, self.device))
        took = time.monotonic() - self._began
        self._status = DryRunStatus("failed" if forecast is None else "done", took, forecast, error)

    def _wait_until_free(self) -> None:
        while jobs := busy_with(self._workspace.store, self.device):
            self._status = DryRunStatus("waiting", 0.0, busy_with=jobs)
            if self._stopping.wait(BUSY_S):
                raise _stopped()
        self._began = time.monotonic()
        self._status = DryRunStatus("working", 0.0)

    def _try(self) -> Forecast:
        """One process after another, with half the micro-batch after each that the kernel ended for lack of memory."""
        halvings = 0
        while True:
            kills_before = kernel_kills()
            with TemporaryDirectory(prefix="pitwall-dry-run-") as scratch:
                exit_code, said, output = self._one_process(Path(scratch), halvings)
            if exit_code == -signal.SIGKILL and has_killed_since(kills_before):
                if recipe_can_halve(self._recipe, halvings):
                    halvings += 1
                    continue
                n = self._recipe.train.micro_batch(halvings)
                raise OutOfMemory(
                    "the machine ran out of memory",
                    where=self.device,
                    why="the system ended the dry run at {n} {n:row|rows} at once",
                    fix="choose a smaller backbone or input, or fewer loader workers",
                    n=n,
                )
            return _read(said, output, exit_code, self.device)

    def _one_process(self, scratch: Path, halvings: int) -> tuple[int, str, str]:
        """Exit code, answer and output of one try; raises StateError when it was stopped or took too long."""
        asked = _Request(self._contest.id, self._folds.id, self._recipe.to_dict(), self.device, halvings, began=time.time())
        write_json(scratch / REQUEST, asdict(asked))
        arguments = ["--workspace", str(self._workspace.root), "--scratch", str(scratch)]
        process = launch("core.jobs.dry_run", arguments, scratch / "output", self._limits)
        try:
            exit_code = self._watch(process)
        finally:
            process.kill()
            process.close()
        answer, output = scratch / ANSWER, scratch / "output"
        said = answer.read_text(encoding="utf-8") if answer.exists() else ""
        return exit_code, said, output.read_text(encoding="utf-8", errors="replace")

    def _watch(self, process: Handle) -> int:
        until = time.monotonic() + self._limit_s
        while (exit_code := process.poll()) is None:
            if self._stopping.wait(WATCH_S):
                raise _stopped()
            if time.monotonic() > until:
                raise StateError(
                    "the dry run was given up after {n:.0f} s",
                    where=self.device,
                    why="a few steps should not take so long: the device is busy, or much too slow for this recipe",
                    fix="try a smaller backbone, input or batch, or another device",
                    n=self._limit_s,
                )
        return exit_code


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


def _read(said: str, output: str, exit_code: int, device: str) -> Forecast:
    if exit_code == 0 and said:
        answer: dict[str, Any] = json.loads(said)
        if "forecast" in answer:
            return Forecast.from_dict(answer["forecast"])
        if answer["error"]["type"] not in KINDS:
            log.error("a dry run met a bug:\n%s", output)
        raise PitwallError.from_dict(answer["error"])
    log.error("a dry run ended with %d:\n%s", exit_code, output)
    last = (output.strip().splitlines() or ["it said nothing"])[-1]
    how = signal.Signals(-exit_code).name if exit_code < 0 else f"code {exit_code}"
    raise PitwallError(
        "the dry run ended with {signal} before it could answer",
        where=device,
        why=last,
        fix="try again; a training would end in the same way",
        signal=how,
    )


def _stopped() -> StateError:
    return StateError("the dry run was stopped", fix="start it again when you want to know")


def _bug(problem: Exception, device: str) -> dict[str, str]:
    fix = "please report it; its traceback is in the terminal that runs Pitwall"
    return bug(problem, where=msg("a dry run on {device}", device=device), fix=fix)


# From here on the process that tries


@dataclass(frozen=True)
class _Request:
    """What to try: a fold of which contest under which recipe, where, and with a micro-batch halved how often. `began` is in epoch seconds."""

    contest_id: int
    folds_id: int
    recipe: dict[str, Any]
    device: str
    halvings: int
    began: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer in the scratch folder."""
    parser = argparse.ArgumentParser(prog="core.jobs.dry_run", description="Try a few steps of a fold. Not started by hand.")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    os.nice(NICENESS)
    threading.Thread(target=_end_with_parent, args=(given.scratch,), name="listener", daemon=True).start()
    asked = _Request(**json.loads((given.scratch / REQUEST).read_text(encoding="utf-8")))
    try:
        answer = {"forecast": asdict(_forecast(open_workspace(given.workspace), asked, given.scratch / "out"))}
    except PitwallError as error:
        answer = {"error": error.to_dict()}
    except Exception as problem:  # a bug is an answer too, and keeps its traceback in the output
        end_with_loader(problem)
        log.exception("a dry run met a bug")
        answer = {"error": _bug(problem, asked.device)}
    write_json(given.scratch / ANSWER, answer)
    return 0


def _forecast(workspace: Workspace, asked: _Request, out_dir: Path) -> Forecast:
    contest, folds = get_contest(workspace.store, asked.contest_id), get_folds(workspace.store, asked.folds_id)
    recipe = parse_settings(Recipe, asked.recipe, where="recipe")
    pairs = load_folds(workspace, folds).keeping(load_kept(workspace, contest, contest.truth))
    # Imported here, when someone listens already: torch takes seconds to come up.
    from core.training.dry_run import dry_run

    out_dir.mkdir()
    task = load_task(workspace, contest, folds, recipe, 0, device=asked.device, out_dir=out_dir, halvings=asked.halvings)
    start_s = max(0.0, time.time() - asked.began)
    described = rows_of_recipe(workspace, contest, recipe)
    ids = load_table(workspace, contest).train["id"].tolist() if described is not None else []
    extra = load_rows(described, ids, task.labels) if described is not None else None

    def rows_of(fold: int) -> NDArray[np.int64]:
        train_idx = pairs.train_idx(fold)
        return train_idx if extra is None else np.concatenate([train_idx, contest.n_train + extra.beside(train_idx)])

    costs = dry_run(task, max_halvings=MOST_HALVINGS)
    return Forecast(
        device=asked.device,
        costs=costs,
        rows=tuple((plan_epochs(recipe, task.labels[rows_of(fold)]).n_rows, len(pairs.valid_idx(fold))) for fold in range(folds.n_folds)),
        n_test=len(task.test_inputs),
        n_classes=len(task.classes),
        n_epochs=recipe.train.epochs,
        area_share=recipe.area_share,
        start_s=start_s,
    )


_ENDING = threading.Lock()
"""Held by whoever ends this process: what removes the scratch folder is not cut off by the end of the dry run."""


def _end_with_parent(scratch: Path) -> None:
    """Wait for the end of standard input, and leave nothing; nothing else here needs to end in order."""
    while os.read(0, 4096):
        pass
    _ENDING.acquire()
    while scratch.exists():  # the dry run may write into it meanwhile
        shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    try:
        code = main()
    finally:
        _ENDING.acquire()
    os._exit(code)  # torch takes seconds to take itself down, and nobody waits for that
