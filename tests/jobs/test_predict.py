"""Predictions of a run's networks as jobs, and runs that start from another run's networks."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest

from core.artefacts import load_manifest
from core.base.errors import InputError, RecipeError, StateError
from core.folds import save_folds
from core.jobs.engine import Engine
from core.jobs.launch import launch_prediction, launch_run
from core.jobs.queue import cancel_job
from core.jobs.worker import Stop, attempt
from core.predictions.again import Answer, read_answer
from core.predictions.oof import load_test_prob
from core.specs.folds import FoldsSpec
from core.store import attempts
from core.store.jobs import BESIDE, Job, get_job, list_jobs
from core.store.queue import pause, pause_devices
from core.store.runs import Run
from tests.finished_workspace import finish_run, make_recipe, read_fold_predictions
from tests.jobs.conftest import Ready

OWNER = {"engine": None, "host": "here", "worker": None}


def work(ready: Ready) -> None:
    """Everything that waits, by the worker's shell in this process."""
    store = ready.workspace.store
    for device in (BESIDE, "cpu"):
        while job := attempts.claim(store, owner=OWNER, device=device, now=time.time()):
            assert attempt(ready.workspace, job, Stop(), lambda: None) == 0


def answer_of(ready: Ready, run: Run, job: Job) -> Answer:
    done = get_job(ready.workspace.store, job.id)
    assert done.state == "done", done.error
    return read_answer(ready.workspace.answer_dir(ready.contest.folder, run.id, done.id, done.token))


def finished(ready: Ready) -> Run:
    return finish_run(ready.workspace, ready.contest, ready.folds, make_recipe(ready.contest, "made"))


@pytest.mark.slow
def test_a_runs_networks_predict_and_are_trained_on(ready: Ready) -> None:
    run = ready.launch(epochs=2, fold_numbers=(0, 1))
    work(ready)
    run = ready.read(run)
    image = Path(ready.contest.spec.root) / "images" / "0.png"
    with image.open("rb") as stream:
        given = launch_prediction(ready.workspace, run, files=[(f"C:\\x\\{image.name}", stream)])
    again = launch_prediction(ready.workspace, run, at_once=False)
    no_image = launch_prediction(ready.workspace, run, files=[("a.png", io.BytesIO(b"none"))])
    other = run.recipe.model_copy(update={"name": "further", "model": run.recipe.model.model_copy(update={"start_from": run.ref})})
    still = other.model_copy(update={"optim": other.optim.model_copy(update={"lr": 1e-12, "weight_decay": 0.0})})
    further = launch_run(ready.workspace, ready.contest, ready.folds, still, fold_numbers=(1,))
    work(ready)

    test = answer_of(ready, run, again)
    stored = load_test_prob(ready.workspace, run)
    assert test.prob.tobytes() == stored.tobytes() and test.largest_change == 0
    one = answer_of(ready, run, given)
    assert one.ids == (image.name,) and one.prob.shape == (1, 3) and (one.largest_change, one.n_seen) == (None, 1)
    refused = get_job(ready.workspace.store, no_image.id)
    assert refused.state == "failed" and refused.error and refused.error["type"] == "InputError"

    (result,) = ready.read(further).results
    folder = ready.workspace.absolute(result.path)
    before = read_fold_predictions(ready.workspace.absolute(run.results[1].path))
    np.testing.assert_allclose(read_fold_predictions(folder).valid_prob, before.valid_prob, atol=1e-4)
    start = load_manifest(ready.workspace.absolute(run.results[1].path) / "networks" / "main").fingerprint
    assert load_manifest(folder).parents["start"] == start
    assert run.ref in result.facts["weights"]

    def refusal(folds: FoldsSpec | None = None, fold: int = 0, **model: str) -> str:
        recipe = other.model_copy(update={"model": other.model.model_copy(update=model)})
        on = ready.folds if folds is None else save_folds(ready.workspace, ready.contest, folds)
        with pytest.raises(RecipeError, match="cannot start from") as caught:
            launch_run(ready.workspace, ready.contest, on, recipe, fold_numbers=(fold,))
        return caught.value.why

    assert refusal(fold=2) == "its fold 2 has not finished"
    assert "were trained on" in refusal(FoldsSpec(n_folds=3, seed=1))
    assert refusal(backbone="test_vit2") == "its network is test_vit"


def test_a_prediction_at_once_waits_for_no_device_no_pause_and_no_hold(ready: Ready) -> None:
    store = ready.workspace.store
    with pytest.raises(StateError, match="no network yet"):
        launch_prediction(ready.workspace, ready.launch(fold_numbers=(0,)))
    cancel_job(store, list_jobs(store)[0].id)
    run = finished(ready)
    at_once, later = launch_prediction(ready.workspace, run), launch_prediction(ready.workspace, run, at_once=False)
    with store.transaction() as connection:
        pause(connection, [run.id], True)
    pause_devices(store, now=0.0)
    assert attempts.claim(store, owner=OWNER, device="cpu", now=1.0) is None
    claimed = attempts.claim(store, owner=OWNER, device=BESIDE, now=1.0)
    assert claimed is not None and claimed.id == at_once.id
    watched = attempts.read_claim(store, at_once.id, claimed.token)
    assert watched is not None and not watched.pause_requested
    assert attempts.claim(store, owner=OWNER, device=BESIDE, now=2.0) is None
    assert cancel_job(store, later.id).state == "canceled"
    status = Engine(ready.workspace, devices=("cpu",)).status()
    assert [(device.name, device.hold is None) for device in status.devices] == [("cpu", False), (BESIDE, True)]


@pytest.mark.parametrize("names", [("a.png", "a.png"), ("a.png", "x/a.png"), ("a" * 300 + ".png",)])
def test_files_that_cannot_be_kept_are_refused_by_name(ready: Ready, names: tuple[str, ...]) -> None:
    run = finished(ready)
    with pytest.raises(InputError, match="cannot be kept"):
        launch_prediction(ready.workspace, run, files=[(name, io.BytesIO(b"")) for name in names])
