"""A1. A worker is killed with -9 at random instants, one to three times a run: the run ends in the bytes of a calm one, every time.

Images and texts, accumulation, a moving average, early stopping, 0 and 2 loader processes; most runs with forked workers, some with
`python -m core.jobs.worker`. Lost is an acknowledged checkpoint that the next attempt did not go on from.
The bugs to plant, in turn: the average, the sum of losses, the best score or the order of rows is not what it was.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

from core.jobs import supervisor
from core.jobs.engine import Engine
from core.store.jobs import Job
from core.store.runs import Run, get_run
from core.training.state import TrainState
from core.workspace import open_workspace
from tests.faults.fault import Given, Outcome, main
from tests.faults.forked import (
    Killer,
    Process,
    forked_workers,
    import_torch,
    log_of,
    lost_checkpoints,
    newest_said,
    outlives,
    run_to_end,
    watching,
)
from tests.faults.places import keep_every
from tests.faults.tiny import Tiny, add_tiny, differences, left_by

FULL_N = 72
MOST_KILLS = 3
MOST_LOST_S = 30.0
OFTEN = (1e-9, 0.1, 0.4)
"""Seconds between the checkpoints of a forked worker; recipes ask for a second or more."""
LONG: dict[str, Any] = {"epochs": 40, "patience": 20}
"""For workers that are real processes, so that more than their start can be struck."""


@dataclass(frozen=True)
class Case:
    """What a run is like; `is_process`: its workers are real processes, not forks."""

    modality: str
    loader_workers: int = 0
    is_process: bool = False


TEXT, IMAGE = Case("text"), Case("image")
LOADERS = (Case("text", 2), Case("image", 2))
PROCESSES = (Case("text", 0, True), Case("image", 2, True), Case("image", 0, True))
ROUND = (TEXT, LOADERS[1], IMAGE, TEXT, IMAGE, PROCESSES[0], TEXT, IMAGE, LOADERS[0], TEXT, IMAGE, PROCESSES[1])
ROUNDS = (*ROUND, *ROUND[:-1], PROCESSES[2])


@dataclass
class Struck:
    """A run and what was done to it."""

    run: Run
    n_planned: int
    duration_s: float
    past_best: tuple[int, int]
    """After this step every one of the planted bugs changes something."""
    killers: list[tuple[Killer, Job]] = field(default_factory=list)


@dataclass
class Trial:
    """What the runs have in common."""

    given: Given
    engine: Engine
    tinies: dict[str, Tiny]
    outcome: Outcome
    calm: dict[tuple[str, int, bool], tuple[dict[str, Any], float]] = field(default_factory=dict)
    n_kills: int = 0
    n_said: int = 0
    lost_s: float = 0.0

    def launch(self, case: Case, seed: int) -> Run:
        more = {**(LONG if case.is_process else {}), "loader_workers": case.loader_workers, "seed": seed}
        return self.tinies[case.modality].launch(checkpoint_s=1, **more)

    def run_calmly(self, case: Case, seed: int) -> tuple[dict[str, Any], float]:
        """What a run leaves that nothing happens to, its rows read by one process, and how many seconds it trains."""
        key = (case.modality, seed, case.is_process)
        if key not in self.calm:
            workspace, run = self.engine.workspace, self.launch(replace(case, loader_workers=0), seed)
            with nullcontext() if case.is_process else forked_workers(workspace):
                run_to_end(self.engine, run.jobs[0].id)
            self.calm[key] = left_by(workspace, run), get_run(workspace.store, run.id).elapsed_s
        return self.calm[key]


def run(given: Given) -> Outcome:
    """`n` runs, each killed at least once, compared with calm ones of the same seed."""
    workspace = open_workspace(given.root / "workspace")
    supervisor.WATCH_S = 0.05
    cases = [ROUNDS[number % len(ROUNDS)] for number in range(given.n)]
    modalities = sorted({case.modality for case in cases})
    import_torch(*modalities)
    tinies = {modality: add_tiny(workspace, modality, given.root / modality) for modality in modalities}
    trial = Trial(given, Engine(workspace, ("cpu",)), tinies, Outcome())
    for number, case in enumerate(cases):
        # The loaders and processes are slow to start: their runs share a seed, so that few calm ones are needed.
        seed = 0 if case.is_process else number // len(ROUND) % 3
        _strike(trial, case, seed, number)
    if not trial.n_said:
        trial.outcome.wrong("no checkpoint was ever acknowledged")
    trial.outcome.notes.append(f"{trial.n_kills} kills, {trial.lost_s:.1f} s of training lost at most")
    workspace.store.close()
    return trial.outcome


def _strike(trial: Trial, case: Case, seed: int, number: int) -> None:
    calm, duration_s = trial.run_calmly(case, seed)
    name = f"run {number}, {case}"
    _, best_epoch, _ = json.loads(calm["scores"])
    while True:
        struck = Struck(trial.launch(case, seed), trial.given.rng.randint(1, MOST_KILLS), duration_s, (best_epoch + 1, 0))
        job = _run_and_kill(trial, case, struck, number)
        _look_for_loss(trial, struck, job, name)
        if any(killer.killed_at for killer, _ in struck.killers):
            break
        duration_s /= 2  # it was too quick: once more
    if job.state != "done":
        trial.outcome.wrong(f"{name}: the job is {job.state}: {job.error}")
        return
    if changed := differences(left_by(trial.engine.workspace, struck.run), calm):
        trial.outcome.wrong(f"{name}, {job.token} attempts: other {changed}")


def _run_and_kill(trial: Trial, case: Case, struck: Struck, number: int) -> Job:
    rng, workspace = trial.given.rng, trial.engine.workspace
    every_s = rng.choice(OFTEN)

    def prepare(_token: int) -> None:
        keep_every(every_s)
        if trial.given.is_mutant:
            _plant(number)

    def started(process: Process, job: Job) -> None:
        for killer, _ in struck.killers:
            killer.end()
        if len(struck.killers) == struck.n_planned:
            return

        def has_trained() -> bool:
            log = log_of(workspace, job.id, job.token)
            kept = newest_said(log, "checkpoint") or (0, 0)
            return kept > struck.past_best if trial.given.is_mutant else kept > (0, 0) or newest_said(log, "resumed") is not None

        # Most instants are of training; the others may also be of what comes before it.
        is_any = not trial.given.is_mutant and rng.random() < 0.2
        after_s = 0.0 if trial.given.is_mutant else rng.random() * struck.duration_s / (1 + len(struck.killers) / 2)
        struck.killers.append((Killer(process.pid, when=(lambda: True) if is_any else has_trained, after_s=after_s), job))

    with ExitStack() as stack:
        stack.enter_context(watching(started))
        if not case.is_process:
            stack.enter_context(forked_workers(workspace, prepare=prepare))
        job = run_to_end(trial.engine, struck.run.jobs[0].id)
    for killer, _ in struck.killers:
        killer.end()
        if killer.killed_at and outlives(killer.pid):
            trial.outcome.wrong(f"run {number}, {case}: a process outlives the worker that started it")
    return job


def _look_for_loss(trial: Trial, struck: Struck, job: Job, name: str) -> None:
    """Every attempt goes on from the newest checkpoint that one before it acknowledged, and that was made not long ago."""
    workspace = trial.engine.workspace
    for found in lost_checkpoints(workspace, job):
        trial.outcome.missing(f"{name}: {found}")
    for killer, attempt in struck.killers:
        if killer.killed_at is None:
            continue
        trial.n_kills += 1
        kept = re.findall(r"^(\S+ \S+) (checkpoint:|resumed)", log_of(workspace, job.id, attempt.token), re.MULTILINE)
        trial.n_said += len(kept)
        if kept:
            lost_s = killer.killed_at - datetime.strptime(kept[-1][0], "%Y-%m-%d %H:%M:%S,%f").timestamp()
            trial.lost_s = max(trial.lost_s, lost_s)
            if lost_s > MOST_LOST_S:
                trial.outcome.missing(f"{name}: {lost_s:.1f} s of training")


def _plant(number: int) -> None:
    """Forget something when a checkpoint is read."""
    restore = TrainState.restore

    def forgetful(self: TrainState, folder: Any) -> None:
        restore(self, folder)
        match number % 4:
            case 0:
                assert self.average is not None
                self.average.module.load_state_dict(self.model.state_dict())
            case 1:
                self.position.loss_sum = 0.0
            case 2:
                self.position.epochs.clear()
            case _:
                self.position.step = 0

    TrainState.restore = forgetful  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
