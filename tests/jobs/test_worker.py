"""The worker's protocol, spoken with real processes: how it starts, how it stops, what it leaves."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core.artefacts import verify
from core.base.errors import DiskFull, OutOfMemory, RecipeError
from core.contest.table import parents_of
from core.jobs import worker
from core.jobs.queue import cancel_run
from core.store import attempts
from core.store.jobs import Job
from core.store.runs import list_epochs
from core.training.checkpoint import list_checkpoints
from tests.jobs.conftest import ENDLESS, Ready, is_training

ROOT = Path(__file__).parents[2]
OWNER = {"engine": None, "host": "here", "worker": None}


@pytest.fixture
def start(ready: Ready, tmp_path: Path) -> Iterator[Callable[[Job], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "worker.log").open("ab")

    def start(job: Job) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "core.jobs.worker",
            "--workspace",
            str(ready.workspace.root),
            "--job",
            str(job.id),
            "--token",
            str(job.token),
        ]
        started.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log))
        return started[-1]

    yield start
    log.close()
    for process in started:
        process.kill()
        process.wait()
        if process.stdin:
            process.stdin.close()


def claim(ready: Ready) -> Job:
    job = attempts.claim(ready.workspace.store, owner=OWNER, device="cpu", now=time.time())
    assert job
    return job


@pytest.mark.slow
def test_a_fold_is_trained_published_and_committed(ready: Ready, start: Callable[[Job], subprocess.Popen[bytes]]) -> None:
    run = ready.launch(epochs=2)
    job = claim(ready)
    leftover = ready.workspace.attempt_dir("colours", run.id, 0, 0).with_name(".attempt-0.1.aa.tmp")
    lost = ready.workspace.attempt_dir("colours", run.id, 0, 0)
    for folder in (leftover, lost):
        folder.mkdir(parents=True)
    assert start(job).wait(90) == 0
    done = ready.read(run)
    (result,) = done.results
    artefact = ready.workspace.absolute(result.path)
    manifest = verify(artefact)
    assert done.state == "done" and result.fingerprint == manifest.fingerprint and result.elapsed_s > 0
    made_from = {**parents_of(ready.contest, ready.contest.truth), "folds": ready.folds.fingerprint, "recipe": run.recipe.fingerprint}
    assert manifest.parents == made_from
    assert np.load(artefact / "valid_prob.npy").shape == (10, 3) and np.load(artefact / "test_prob.npy").shape == (6, 3)
    assert (
        json.loads((artefact / "fold.json").read_text())["scores"]
        == result.scores
        == {**result.scores, "accuracy": done.cv_score("accuracy")}
    )
    assert [row.epoch for row in list_epochs(ready.workspace.store, run.id)] == [1, 2]
    assert sorted(path.name for path in artefact.parent.iterdir()) == ["attempt-1"]


@pytest.mark.slow
def test_sigterm_stops_it_within_a_step_and_hands_the_job_back(
    ready: Ready, start: Callable[[Job], subprocess.Popen[bytes]], wait_for: Callable[..., float]
) -> None:
    run = ready.launch(epochs=ENDLESS)
    process = start(claim(ready))
    wait_for(lambda: is_training(ready.job(run)))
    process.terminate()
    assert process.wait(worker.ORPHAN_GRACE_S) == 0
    assert ready.job(run).state == "queued"
    assert [path.name for path in ready.workspace.run_dir("colours", run.id).glob("fold-0/*")] == ["checkpoints"]
    newest = list_checkpoints(ready.workspace.checkpoints_dir("colours", run.id, 0))[0]
    assert newest.token == 1 and verify(newest.path).parents["recipe"] == run.recipe.fingerprint


@pytest.mark.parametrize("word", [b"stop\n", b""], ids=["told to stop", "standard input ended"])
def test_a_worker_that_is_only_starting_ends_at_once(
    word: bytes, ready: Ready, start: Callable[[Job], subprocess.Popen[bytes]], wait_for: Callable[..., float]
) -> None:
    run = ready.launch()
    process = start(claim(ready))
    assert process.stdin
    if word:
        cancel_run(ready.workspace.store, run.id)
        process.stdin.write(word)
        process.stdin.flush()
    else:
        process.stdin.close()
    assert process.wait(30) == 0
    assert ready.job(run).state == ("canceled" if word else "queued")


@pytest.mark.slow
def test_a_worker_that_lost_its_claim_gives_up_and_commits_nothing(
    ready: Ready, start: Callable[[Job], subprocess.Popen[bytes]], wait_for: Callable[..., float]
) -> None:
    run = ready.launch(epochs=ENDLESS)
    job = claim(ready)
    process = start(job)
    wait_for(lambda: is_training(ready.job(run)))
    attempts.release(ready.workspace.store, job.id, job.token, now=time.time())
    again = claim(ready)
    assert process.wait(20) == 0
    assert (ready.job(run).state, ready.job(run).token, ready.read(run).results) == ("running", again.token, ())


def test_a_stale_token_does_nothing_at_all(ready: Ready, start: Callable[[Job], subprocess.Popen[bytes]]) -> None:
    run = ready.launch()
    stale = claim(ready)
    attempts.release(ready.workspace.store, stale.id, stale.token, now=time.time())
    before = ready.read(run)
    assert start(stale).wait(30) == 1
    assert ready.read(run) == before


@pytest.mark.slow
def test_a_typed_failure_reaches_the_job(ready: Ready, start: Callable[[Job], subprocess.Popen[bytes]]) -> None:
    run = ready.launch()
    table = ready.workspace.absolute(ready.contest.path) / "train.parquet"
    table.write_bytes(table.read_bytes()[:-1])
    assert start(claim(ready)).wait(60) == 0
    job = ready.job(run)
    assert job.state == "failed" and job.error
    assert job.error["type"] == "CheckpointError" and job.error["what"] == "train.parquet is damaged" and job.error["fix"]


def test_what_ended_an_attempt_gets_its_type(ready: Ready) -> None:
    ready.launch()
    job = claim(ready)
    full = worker.typed_error(OSError(errno.ENOSPC, "No space left on device", "weights.safetensors"), job)
    assert isinstance(full, DiskFull) and full.where == "weights.safetensors"
    assert isinstance(worker.typed_error(MemoryError(), job), OutOfMemory)
    recipe_error = RecipeError("x")
    assert worker.typed_error(recipe_error, job) is recipe_error
    assert worker.typed_error(ValueError("x"), job) is None
