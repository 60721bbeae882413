"""Real workers: tracking changes no byte of what is trained, and records what the store records."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.jobs.engine import Engine
from core.jobs.launch import launch_run
from core.store.jobs import list_jobs
from core.store.runs import get_run, list_epochs
from core.tracking.tracker import is_installed, notes_of_run
from core.trash import empty_trash
from core.workspace import Workspace
from tests.finished_workspace import put_away
from tests.tracking.conftest import Headlines

TRACKERS = tuple(name for name in ("wandb", "mlflow") if is_installed(name))


def read(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return accumulator


def has_delivered(workspace: Workspace, run_id: int) -> bool:
    """Whether the trackers of fold 0 are closed; they may go on delivering when its worker is gone."""
    found = notes_of_run(workspace, run_id, (0,))
    return len(found) == len(TRACKERS) and all(notes.notes[0].state != "open" for notes in found)


@pytest.mark.slow
def test_a_tracked_fold_is_the_same_fold(headlines: Headlines, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., None]) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    engine = Engine(headlines.workspace, devices=("cpu",))
    runs = []
    for trackers in ((), TRACKERS):
        run = launch_run(
            headlines.workspace, headlines.contest, headlines.folds, headlines.recipe(epochs=3, trackers=trackers), fold_numbers=(0,)
        )
        assert engine.run_next()
        runs.append(get_run(headlines.workspace.store, run.id))
    plain, tracked = runs
    assert plain.recipe.fingerprint == tracked.recipe.fingerprint
    assert plain.results[0].fingerprint == tracked.results[0].fingerprint
    assert notes_of_run(headlines.workspace, plain.id, (0,)) == (), "no process is started where no tracker is named"
    wait_until(lambda: has_delivered(headlines.workspace, tracked.id), 90)
    assert [notes.notes[0].tracker for notes in notes_of_run(headlines.workspace, tracked.id, (0,))] == list(TRACKERS)
    for run in runs:
        folder = headlines.workspace.run_events_dir(headlines.contest.folder, run.name, run.id)
        events = read(folder / "fold-0")
        rows = list_epochs(headlines.workspace.store, run.id)
        assert [event.value for event in events.Scalars("score/accuracy")] == pytest.approx([row.scores["accuracy"] for row in rows])
        assert [event.value for event in events.Scalars("train/lr")] == pytest.approx([row.lr for row in rows])
        assert [event.step for event in events.Scalars("loss/valid")] == [4, 8, 12]
        assert [event.step for event in events.Scalars("loss/train_step")] == list(range(1, 13))
        put_away(headlines.workspace.store, "run", run.id)
        empty_trash(headlines.workspace)
        assert not folder.exists() and not headlines.workspace.tracking_dir(run.id).exists()


@pytest.mark.slow
def test_a_fold_whose_worker_is_killed_draws_one_line(headlines: Headlines, wait_until: Callable[..., None]) -> None:
    recipe = headlines.recipe(epochs=60).model_copy(
        update={"checkpoints": headlines.recipe().checkpoints.model_copy(update={"every_s": 1.0})}
    )
    run = launch_run(headlines.workspace, headlines.contest, headlines.folds, recipe, fold_numbers=(0,))
    engine = Engine(headlines.workspace, devices=("cpu",))
    engine.start()

    def job():
        (only,) = list_jobs(headlines.workspace.store, run_id=run.id)
        return only

    try:
        wait_until(lambda: (now := job()).progress and now.progress.epoch >= 4, 60)
        owner = job().owner
        assert owner and owner["worker"]
        os.kill(owner["worker"]["pid"], signal.SIGKILL)
        wait_until(lambda: job().state == "done", 120)
    finally:
        engine.stop()
    assert job().token > 1
    events = read(headlines.workspace.run_events_dir(headlines.contest.folder, run.name, run.id) / "fold-0")
    assert [event.step for event in events.Scalars("loss/train_step")] == list(range(1, 241))
    assert [event.step for event in events.Scalars("loss/valid")] == list(range(4, 241, 4))
