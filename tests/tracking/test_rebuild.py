"""Runs that were trained before event files were written have them too."""

from __future__ import annotations

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.store.runs import list_epochs
from core.tracking.board import rebuild_events
from tests.finished_workspace import claim, finish_run, make_recipe, run_halfway
from tests.tracking.conftest import Headlines


def test_the_epochs_of_the_store_become_event_files_once(headlines: Headlines) -> None:
    recipe = make_recipe(headlines.contest, "old", epochs=3)
    run = finish_run(headlines.workspace, headlines.contest, headlines.folds, recipe, n_done=2)
    run_halfway(headlines.workspace, claim(headlines.workspace), recipe)
    assert rebuild_events(headlines.workspace) == 2, "the fold that is at work has a worker that writes its own"
    folder = headlines.workspace.run_events_dir("headlines", "old", run.id)
    assert sorted(path.name for path in folder.iterdir()) == ["fold-0", "fold-1"]
    accumulator = EventAccumulator(str(folder / "fold-1"))
    accumulator.Reload()
    rows = [row for row in list_epochs(headlines.workspace.store, run.id) if row.fold == 1]
    events = accumulator.Scalars("loss/valid")
    np.testing.assert_allclose([event.value for event in events], [row.valid_loss for row in rows], rtol=1e-6)
    assert [event.step for event in events] == [1, 2, 3], "32 rows in batches of 32"
    assert rebuild_events(headlines.workspace) == 0
