"""A contest is registered by a job: outside the server, whole or not at all, whatever happens to its process."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from core.base.errors import StateError
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_table
from core.jobs import register
from core.jobs.engine import Engine
from core.jobs.launch import launch_registration
from core.jobs.queue import cancel_job, forget_job, pause_queue, retry_job
from core.jobs.reporter import Reporter
from core.specs.contest import ContestSpec
from core.specs.progress import Interrupted
from core.store import attempts
from core.store.contests import list_contests
from core.store.jobs import BESIDE, REGISTERING, Job, get_job
from core.store.queue import list_other_jobs, read_live
from core.workspace import Workspace
from tests.contest.contest_folders import image_contest, text_contest

OWNER = {"engine": None, "host": "here", "worker": None}


@pytest.fixture
def draft(tmp_path: Path) -> ContestSpec:
    return inspect_path(image_contest(tmp_path / "c")).draft


def claimed(workspace: Workspace, draft: ContestSpec) -> tuple[Job, Reporter]:
    launch_registration(workspace, draft)
    job = attempts.claim(workspace.store, owner=OWNER, device=REGISTERING, now=time.time())
    assert job is not None
    return job, Reporter(workspace.store, job)


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_job_registers_what_the_command_line_does(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    spec = inspect_path((image_contest if kind == "image" else text_contest)(tmp_path / "c")).draft
    job = launch_registration(workspace, spec)
    pause_queue(workspace.store)
    assert read_live(workspace.store).owners[job.id] == "c" and list_other_jobs(workspace.store)[0][1] == "c"
    assert Engine(workspace, devices=("cpu",)).run_next(), "a held queue keeps training, not this"
    assert get_job(workspace.store, job.id).state == "done", (workspace.root / get_job(workspace.store, job.id).log_path).read_text()
    (contest,) = list_contests(workspace.store)
    other = add_contest(workspace, spec.model_copy(update={"name": "other"}))
    assert (contest.fingerprint, contest.truth.fingerprint) == (other.fingerprint, other.truth.fingerprint)
    assert load_table(workspace, contest).train.equals(load_table(workspace, other).train)


def test_it_waits_for_no_prediction_and_is_queued_once(workspace: Workspace, draft: ContestSpec) -> None:
    job = launch_registration(workspace, draft)
    with pytest.raises(StateError, match="is being registered"):
        launch_registration(workspace, draft)
    assert attempts.next_job(workspace.store, BESIDE) is None and attempts.next_job(workspace.store, "cpu") is None
    assert cancel_job(workspace.store, job.id).state == "canceled"
    assert launch_registration(workspace, draft).state == "queued"


def test_a_refusal_is_kept_until_it_is_dismissed(workspace: Workspace, draft: ContestSpec) -> None:
    (Path(draft.root) / "images/002.png").write_bytes(b"no image")
    job = launch_registration(workspace, draft)
    Engine(workspace, devices=("cpu",)).run_next()
    failed = get_job(workspace.store, job.id)
    assert failed.state == "failed" and failed.error is not None and "images/002.png" in failed.error["what"]
    assert not list_contests(workspace.store) and not any((workspace.root / "contests").iterdir())
    forget_job(workspace, job.id)
    assert not list_other_jobs(workspace.store)


def test_it_stops_between_two_images_and_leaves_nothing(workspace: Workspace, draft: ContestSpec) -> None:
    job, reporter = claimed(workspace, draft)
    with pytest.raises(Interrupted):
        register.run(workspace, job, reporter, lambda: True)
    assert not list_contests(workspace.store) and not any((workspace.root / "contests").iterdir())


def test_an_attempt_that_was_killed_before_its_verdict_is_not_made_twice(workspace: Workspace, draft: ContestSpec) -> None:
    job, reporter = claimed(workspace, draft)
    register.run(workspace, job, reporter, lambda: False)
    before = list_contests(workspace.store)
    attempts.release(workspace.store, job.id, job.token, now=time.time(), reason="killed")
    assert Engine(workspace, devices=("cpu",)).run_next()
    assert get_job(workspace.store, job.id).state == "done" and list_contests(workspace.store) == before


@pytest.mark.slow
def test_a_killed_process_is_started_again_and_registers_once(workspace: Workspace, tmp_path: Path) -> None:
    root = image_contest(tmp_path / "c", n_train=600)
    job = launch_registration(workspace, inspect_path(root).draft)
    engine = Engine(workspace, devices=("cpu",))
    thread = threading.Thread(target=engine.run_next)
    thread.start()
    while (owner := get_job(workspace.store, job.id).owner) is None or owner.get("worker") is None:
        time.sleep(0.01)
    os.kill(owner["worker"]["pid"], signal.SIGKILL)
    thread.join()
    assert get_job(workspace.store, job.id).state == "queued" and not list_contests(workspace.store)
    assert engine.run_next()
    assert get_job(workspace.store, job.id).state == "done" and len(list_contests(workspace.store)) == 1


def test_the_images_went_away_meanwhile(workspace: Workspace, draft: ContestSpec) -> None:
    job = launch_registration(workspace, draft)
    shutil.move(draft.root, f"{draft.root}-moved")
    Engine(workspace, devices=("cpu",)).run_next()
    assert get_job(workspace.store, job.id).state == "failed"
    shutil.move(f"{draft.root}-moved", draft.root)
    retry_job(workspace.store, job.id)
    Engine(workspace, devices=("cpu",)).run_next()
    assert get_job(workspace.store, job.id).state == "done"
