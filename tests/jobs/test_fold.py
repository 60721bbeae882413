"""A fold that was handed back says where it will go on, from its checkpoint, until it trains again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs.fold import N_IMAGES, places, share_of
from core.jobs.launch import launch_run
from core.jobs.worker import Stop, attempt
from core.specs.folds import FoldsSpec
from core.specs.progress import Progress
from core.store import attempts
from core.store.contests import Contest, list_contests
from core.store.jobs import Job
from core.store.runs import Run, get_run
from core.workspace import Workspace
from tests.finished_workspace import START, claim, keep_checkpoint, make_recipe, run_halfway
from tests.jobs.conftest import Ready

OWNER = {"engine": None, "host": "here", "worker": None}


@pytest.fixture
def contest(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> Contest:
    return add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)


@pytest.fixture
def job(workspace: Workspace, contest: Contest) -> Job:
    """The first fold of a run of four epochs, claimed and halfway."""
    recipe = make_recipe(contest, "halfway", epochs=4)
    launch_run(workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=3)), recipe, now=START)
    job = claim(workspace)
    run_halfway(workspace, job, recipe)
    return job


def read(workspace: Workspace) -> tuple[Run, Job, dict[int, Progress]]:
    run = get_run(workspace.store, 1)
    return run, run.jobs[0], places(workspace, list_contests(workspace.store)[0].name, run)


def test_what_trains_speaks_for_itself(workspace: Workspace, contest: Contest, job: Job) -> None:
    keep_checkpoint(workspace, contest, job, 2, 30)
    _, now, found = read(workspace)
    assert found == {} and share_of(now, None) == pytest.approx((2 * 104 + 41) / 416)


def test_what_was_handed_back_goes_on_after_its_newest_checkpoint_until_it_trains(workspace: Workspace, contest: Contest, job: Job) -> None:
    for epoch, step in ((2, 104), (3, 12)):
        keep_checkpoint(workspace, contest, job, epoch, step)
    attempts.release(workspace.store, job.id, job.token, now=START)
    run, waiting, found = read(workspace)
    assert (run.state, waiting.progress) == ("queued", None)
    assert found == {waiting.id: Progress("training", 0, 3, 4, 13, 104)}
    assert share_of(waiting, found[waiting.id]) == pytest.approx((2 * 104 + 13) / 416)
    again = claim(workspace)
    for phase in ("starting", "loading"):
        attempts.renew(workspace.store, again.id, again.token, now=START, progress=Progress(phase, 0), lease_s=1e10)
        assert read(workspace)[2] == found
    attempts.renew(workspace.store, again.id, again.token, now=START, progress=Progress("training", 0, 3, 4, 14, 104), lease_s=1e10)
    assert read(workspace)[2] == {}


def test_what_has_no_checkpoint_begins_at_its_beginning(workspace: Workspace, job: Job) -> None:
    attempts.release(workspace.store, job.id, job.token, now=START)
    _, waiting, found = read(workspace)
    assert found == {} and share_of(waiting, None) == 0.0


def test_after_the_last_epoch_predictions_are_left(workspace: Workspace, contest: Contest, job: Job) -> None:
    keep_checkpoint(workspace, contest, job, 5, 0)
    attempts.release(workspace.store, job.id, job.token, now=START)
    _, waiting, found = read(workspace)
    assert found[waiting.id].phase == "predicting" and share_of(waiting, found[waiting.id]) == 1.0


@pytest.mark.parametrize("damaged", [False, True])
def test_a_checkpoint_that_does_not_say_the_steps_of_an_epoch_still_says_where(
    workspace: Workspace, contest: Contest, job: Job, damaged: bool
) -> None:
    folder = keep_checkpoint(workspace, contest, job, 3, 12, n_steps=0)
    if damaged:
        (folder / "manifest.json").write_text("{")
    attempts.release(workspace.store, job.id, job.token, now=START)
    _, waiting, found = read(workspace)
    assert found == {waiting.id: Progress("training", 0, 3, 4, 13, 0)}
    assert share_of(waiting, found[waiting.id]) == 0.0


@pytest.mark.slow
def test_training_images_are_recorded_once_a_run(ready: Ready) -> None:
    run = ready.launch(fold_numbers=(0, 2))
    while job := attempts.claim(ready.workspace.store, owner=OWNER, device="cpu", now=time.time()):
        assert attempt(ready.workspace, job, Stop(), lambda: None) == 0
    shown = dict[int, list[tuple[int, int]]]()
    for fold in run.fold_numbers:
        folder = ready.workspace.run_events_dir(ready.contest.folder, run.name, run.id) / f"fold-{fold}"
        events = EventAccumulator(str(folder)).Reload()
        shown[fold] = [(image.height, image.width) for tag in events.Tags()["images"] for image in events.Images(tag)]
        assert [event.step for event in events.Scalars("train/epoch_s")] == [2]
    assert shown == {0: [(32, 32)] * N_IMAGES, 2: []}
