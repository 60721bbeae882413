from __future__ import annotations

from dataclasses import replace

import pytest

from core.base.errors import NotFoundError, RecipeError, StateError
from core.jobs.launch import launch_run, launch_runs
from core.jobs.queue import cancel_run, retry_run, take_back
from core.recipes.plan import make_grid
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.jobs import get_job, list_jobs
from core.store.runs import list_runs
from core.store.trash import list_trash
from core.trash import empty_trash
from tests.finished_workspace import claim, finish_job, put_away
from tests.jobs.conftest import Ready

OWNER = {"engine": None, "host": "here", "worker": None}
ERROR = {"type": "Bug", "what": "w", "where": "", "why": "", "fix": ""}


def test_a_run_is_one_job_per_fold_first_come_first_served(ready: Ready) -> None:
    first = launch_run(ready.workspace, ready.contest, ready.folds, Recipe(name="a"), now=1.0)
    second = ready.launch(fold_numbers=(2, 0), name="a")
    assert (first.name, first.fold_numbers, second.name, second.fold_numbers) == ("a", (0, 1, 2), "a-2", (0, 2))
    assert [(job.run_id, job.fold) for job in list_jobs(ready.workspace.store)] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 2)]


def test_a_grid_is_queued_whole_or_not_at_all(ready: Ready) -> None:
    good = Recipe.model_validate({"name": "tiny", "model": {"backbone": "test_vit", "pretrained": False}})
    broken = Recipe.model_validate({"name": "broken", "model": {"backbone": "no_such_network"}})
    with pytest.raises(RecipeError, match="no_such_network"):
        launch_runs(ready.workspace, ready.contest, ready.folds, make_grid([good, broken], (0, 1)))
    assert list_runs(ready.workspace.store) == ()
    runs = launch_runs(ready.workspace, ready.contest, ready.folds, make_grid([good], (0, 1)), fold_numbers=(0, 2), priority=3, now=1.0)
    assert [run.name for run in runs] == ["tiny-s0", "tiny-s1"]
    assert [(job.run_id, job.fold, job.priority) for job in list_jobs(ready.workspace.store)] == [
        (1, 0, 3),
        (1, 2, 3),
        (2, 0, 3),
        (2, 2, 3),
    ]


def test_what_cannot_be_trained_is_refused_and_nothing_is_queued(ready: Ready) -> None:
    with pytest.raises(RecipeError, match="recipe for text"):
        launch_run(ready.workspace, ready.contest, ready.folds, Recipe(modality="text"))
    with pytest.raises(RecipeError, match="no_such_network"):
        ready.launch(backbone="no_such_network")
    with pytest.raises(RecipeError, match="no such fold"):
        ready.launch(fold_numbers=(0, 3))
    with pytest.raises(RecipeError, match="no fold was chosen"):
        ready.launch(fold_numbers=())
    with pytest.raises(StateError, match="another contest"):
        launch_run(ready.workspace, replace(ready.contest, id=99), ready.folds, Recipe())
    assert list_runs(ready.workspace.store) == ()


def test_a_launch_is_taken_back_with_what_trains_and_what_has_a_finished_fold_is_canceled(ready: Ready) -> None:
    workspace, store = ready.workspace, ready.workspace.store
    recipes = make_grid([Recipe.model_validate({"name": "tiny", "model": {"backbone": "test_vit", "pretrained": False}})], [0, 1, 2])
    runs = launch_runs(workspace, ready.contest, ready.folds, recipes, fold_numbers=(0, 1))
    finish_job(workspace, ready.contest, ready.folds, claim(workspace), recipes[0], strength=1.0, seed=0)
    claim(workspace)
    training = [claim(workspace), claim(workspace)]

    def stop(_: float) -> None:
        for job in training:
            assert get_job(store, job.id).cancel_requested
            attempts.release(store, job.id, job.token, now=9.0)

    (stays,) = take_back(workspace, [run.id for run in runs], sleep=stop)
    assert (stays.id, [job.state for job in stays.jobs]) == (runs[0].id, ["done", "running"])
    assert [run.id for run in list_runs(store)] == [runs[0].id]
    assert [item.id for item in list_trash(store)[0].asked] == [run.id for run in runs[1:]]


def test_cancel_retry_cancel(ready: Ready) -> None:
    store, run = ready.workspace.store, ready.launch(fold_numbers=(0, 1))
    with pytest.raises(StateError, match="nothing to retry"):
        retry_run(store, run.id)
    assert cancel_run(store, run.id).state == "canceled"
    with pytest.raises(StateError, match="nothing to cancel"):
        cancel_run(store, run.id)
    assert retry_run(store, run.id).state == "queued"
    job = attempts.claim(store, owner=OWNER, device="cpu", now=7.0)
    assert job and cancel_run(store, run.id).state == "running" and ready.job(run).cancel_requested
    for change in (cancel_run, retry_run):
        with pytest.raises(NotFoundError):
            change(store, 99)


def test_a_run_goes_with_its_files_and_logs_once_the_trash_is_emptied(ready: Ready) -> None:
    workspace, run = ready.workspace, ready.launch()
    other = ready.launch(name="other")
    job = attempts.claim(workspace.store, owner=OWNER, device="cpu", now=1.0)
    assert job
    artefact = workspace.attempt_dir("colours", run.id, 0, job.token)
    artefact.mkdir(parents=True)
    (artefact / "weights.safetensors").write_bytes(b"w")
    logs = [workspace.log_path(job.id, 1), workspace.log_path(ready.job(other).id, 1)]
    for log in logs:
        log.write_text("said")
    with pytest.raises(StateError, match="r1 is running"):
        put_away(workspace.store, "run", run.id)
    attempts.fail(workspace.store, job.id, job.token, ERROR, now=2.0)
    put_away(workspace.store, "run", run.id)
    assert [left.id for left in list_runs(workspace.store)] == [other.id] and artefact.exists() and logs[0].exists()
    empty_trash(workspace)
    assert not workspace.run_dir("colours", run.id).exists() and [log.exists() for log in logs] == [False, True]
