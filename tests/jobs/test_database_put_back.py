"""An older copy of the database beside newer files: no number of a run or of an attempt is given twice, so nothing is written over and
no fold fails after its training because its place is taken."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from core.jobs.engine import Engine
from core.jobs.process import LocalProcess, launch
from core.workspace import Workspace, open_workspace
from tests.jobs.conftest import Ready


@pytest.fixture
def copy(ready: Ready, tmp_path: Path) -> Path:
    """A copy of the database, taken before anything was queued."""
    return save_copy(ready.workspace, tmp_path / "copy.db")


def save_copy(workspace: Workspace, to: Path) -> Path:
    workspace.store.close()
    shutil.copy(workspace.db_path, to)
    return to


def put_back(ready: Ready, copy: Path) -> Ready:
    ready.workspace.store.close()
    shutil.copy(copy, ready.workspace.db_path)
    return replace(ready, workspace=open_workspace(ready.workspace.root))


def work(ready: Ready) -> list[str]:
    """Work the queue off with workers that end at once; returns the names of the logs, one an attempt."""
    asked: list[str] = []

    def started(_module: str, _arguments: object, log: Path, environment: Mapping[str, str]) -> LocalProcess:
        asked.append(log.name)
        return launch("this", ["--help"], log, environment)

    engine = Engine(ready.workspace, ("cpu",), launch=started)
    while engine.run_next():
        pass
    return asked


def test_a_number_of_a_run_is_not_given_again(ready: Ready, copy: Path) -> None:
    lost = [ready.launch(name=name) for name in "ab"]
    again = put_back(ready, copy)
    assert [again.launch(name="c").id, again.launch(name="d").id] == [lost[-1].id + 1, lost[-1].id + 2]


def test_an_attempt_does_not_take_the_place_of_one_that_is_forgotten(ready: Ready, tmp_path: Path) -> None:
    run = ready.launch()
    queued = save_copy(ready.workspace, tmp_path / "queued.db")
    assert work(ready) == ["job-1-1.log"]
    again = put_back(ready, queued)
    assert work(again) == ["job-1-2.log"], "the job of the run that the copy knows"
    shutil.rmtree(again.workspace.logs_dir)
    again.workspace.attempt_dir(ready.contest.folder, run.id, 0, 1).mkdir(parents=True)
    again = put_back(again, queued)
    assert work(again) == ["job-1-2.log"], "without its log, by what it published"


@pytest.mark.slow
def test_what_is_trained_after_a_copy_was_put_back_is_kept(ready: Ready, copy: Path) -> None:
    lost = ready.launch()
    assert Engine(ready.workspace, ("cpu",)).run_next() and ready.read(lost).state == "done"
    again = put_back(ready, copy)
    run = again.launch(epochs=2)
    assert Engine(again.workspace, ("cpu",)).run_next()
    job = again.job(run)
    assert (job.state, job.error) == ("done", None) and again.workspace.attempt_dir(ready.contest.folder, lost.id, 0, 1).exists()
