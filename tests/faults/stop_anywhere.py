"""A3. A fold goes on from every place where it can have been left: any step, an end of an epoch, the end, before and after its row.

Its worker is killed, or told to stop, exactly there; the run ends in the bytes of a calm one, with one row.
The bug to plant: a fold goes on one step before the one that its state is of.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from core.artefacts import verify
from core.jobs import supervisor
from core.jobs.engine import Engine
from core.store.jobs import Job
from core.store.runs import get_run
from core.training.state import TrainState
from core.workspace import open_workspace
from tests.faults import places
from tests.faults.fault import Given, Outcome, main
from tests.faults.forked import Process, forked_workers, import_torch, lost_checkpoints, run_to_end, watching
from tests.faults.tiny import Tiny, add_tiny, differences, left_by

FULL_N = 10**4
"""All places of both modalities; how many there are is what is printed."""
N_EPOCHS, N_STEPS = 4, 3
SHORT: dict[str, Any] = {"epochs": N_EPOCHS, "patience": N_EPOCHS}

Step = tuple[int, int]


@dataclass(frozen=True)
class Place:
    """Where a run is left: `how`, and at which (epoch, steps done), once for each attempt but the last."""

    how: str
    at: tuple[Step, ...] = ((0, 0),)

    @property
    def resumed(self) -> list[Step]:
        """Where the attempts after that go on from."""
        if self.how == "stopped":  # the step after it is under way, or the validation
            return [(epoch, min(step + 1, N_STEPS)) for epoch, step in self.at]
        if self.how == "killed":
            return list(self.at)
        return [] if self.how in ("loading", "committed") else [(N_EPOCHS + 1, 0)]


SPECIAL = (
    Place("published"),
    Place("killed", ((2, 1), (2, 2))),
    Place("killed", ((1, N_STEPS),)),
    Place("killed", ((N_EPOCHS + 1, 0),)),
    Place("stopped", ((2, 2),)),
    Place("loading"),
    Place("predicting"),
    Place("committed"),
    Place("killed", ((1, 1), (1, 2), (1, N_STEPS), (2, 0))),
    Place("stopped", ((2, 1), (3, 1))),
)


def run(given: Given) -> Outcome:
    """Leave runs at the first `n` of these places."""
    outcome, workspace = Outcome(), open_workspace(given.root / "workspace")
    supervisor.WATCH_S = 0.02
    engine = Engine(workspace, ("cpu",))
    todo = list(islice(_all_places(), given.n))
    import_torch(*sorted({modality for modality, _ in todo}))
    tinies: dict[str, Tiny] = {}
    calm: dict[str, dict[str, Any]] = {}
    for modality, place in todo:
        if modality not in tinies:
            tiny = tinies[modality] = add_tiny(workspace, modality, given.root / modality)
            undisturbed = tiny.launch(**SHORT)
            with forked_workers(workspace):
                run_to_end(engine, undisturbed.jobs[0].id)
            calm[modality] = left_by(workspace, undisturbed)
        _leave(engine, tinies[modality], place, calm[modality], given, outcome)
    outcome.n = len(todo)
    workspace.store.close()
    return outcome


def _all_places() -> Iterator[tuple[str, Place]]:
    steps = [(epoch, step) for epoch in range(1, N_EPOCHS + 1) for step in range(N_STEPS + 1) if (epoch, step) != (1, 0)]
    for place in SPECIAL:
        yield "text", place
    for place in SPECIAL:
        yield "image", place
    for modality in ("text", "image"):
        for step in steps:
            yield modality, Place("killed", (step,))
        for step in steps:
            if step[1]:
                yield modality, Place("stopped", (step,))


def _leave(engine: Engine, tiny: Tiny, place: Place, calm: dict[str, Any], given: Given, outcome: Outcome) -> None:
    workspace, name = engine.workspace, f"{tiny.contest.name}, {place.how} at {place.at}"
    run = tiny.launch(**SHORT)
    published: list[str] = []

    def prepare(token: int) -> None:
        places.keep_every_step()
        if given.is_mutant:
            _plant()
        if token <= len(place.at):
            _arm(place.how, place.at[token - 1])

    def started(_process: Process, job: Job) -> None:
        left: Path = workspace.attempt_dir(tiny.contest.folder, run.id, 0, job.token - 1)
        if left.exists():
            published.append(verify(left).fingerprint)

    with watching(started), forked_workers(workspace, prepare=prepare):
        job = run_to_end(engine, run.jobs[0].id)
    for lost in lost_checkpoints(workspace, job):
        outcome.missing(f"{name}: {lost}")
    results = get_run(workspace.store, run.id).results
    if job.state != "done" or len(results) != 1:
        outcome.wrong(f"{name}: the job is {job.state} with {len(results)} rows: {job.error}")
        return
    (result,) = results
    resumed = [(entry["epoch"], entry["step"]) for entry in result.facts["resumed"]]
    if changed := differences(left_by(workspace, run), calm):
        outcome.wrong(f"{name}: other {changed}")
    elif resumed != place.resumed:
        outcome.wrong(f"{name}: went on from {resumed}, not from {place.resumed}")
    elif published != [result.fingerprint] * (place.how == "published"):
        outcome.wrong(f"{name}: before the row there was {published}, then {result.fingerprint}")
    elif place.how != "committed" and [path.name for path in tiny.fold_dir(run).iterdir()] != [f"attempt-{result.token}"]:
        outcome.wrong(f"{name}: there is more left than the committed attempt")


def _arm(how: str, at: Step) -> None:
    match how:
        case "killed":
            places.at_checkpoint(places.kill_self, before=False, at=at)
        case "stopped":
            places.at_report(places.ask_to_stop, "training", at)
        case "loading":
            places.at_report(places.kill_self, "loading")
        case "predicting":
            places.before_predictions(places.kill_self)
        case "published":
            places.before_commit(places.kill_self)
        case _:
            places.after_commit(places.kill_self)


def _plant() -> None:
    restore = TrainState.restore

    def one_step_back(self: TrainState, folder: Path) -> None:
        restore(self, folder)
        self.position.step = max(0, self.position.step - 1)

    TrainState.restore = one_step_back  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
