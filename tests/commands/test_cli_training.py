"""`train` and `engine` in processes of their own, with real workers: finishing, watching, and Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.specs.folds import FoldsSpec
from core.store.jobs import list_jobs
from core.workspace import Workspace

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PATIENCE_S = 180.0
RECIPE = ("train", "headlines", "--recipe", "news-tiny", "--set", "input.max_tokens=16", "--set", "train.batch_size=8")


@pytest.fixture
def contest_folder(workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path]) -> Workspace:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    save_folds(workspace, contest, FoldsSpec(n_folds=2))
    return workspace


@pytest.fixture
def start(contest_folder: Workspace) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts a command on the workspace; what is left of it is ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "core", *arguments, "--workspace", str(contest_folder.root)]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for: {what}"
        time.sleep(0.05)


def has_trained(workspace: Workspace) -> bool:
    return any(job.state == "running" and job.progress is not None and job.progress.epoch >= 1 for job in list_jobs(workspace.store))


def test_train_stays_until_the_run_is_finished(start: Callable[..., subprocess.Popen[str]]) -> None:
    out, err = (process := start(*RECIPE, "--set", "train.epochs=1", "--json")).communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    run = json.loads(out)
    assert (run["contest"], run["state"], len(run["fold_scores"])) == ("headlines", "done", 2)
    assert run["cv_score"] == pytest.approx(sum(run["fold_scores"]) / 2)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_puts_the_jobs_back_and_says_so(
    start: Callable[..., subprocess.Popen[str]], contest_folder: Workspace, kind: signal.Signals
) -> None:
    process = start(*RECIPE, "--set", "train.epochs=1000")
    wait_for("the first step", lambda: has_trained(contest_folder))
    process.send_signal(kind)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert err.count("Error: ") == 1 and "in the queue" in err
    assert [job.state for job in list_jobs(contest_folder.store)] == ["queued", "queued"]


def test_train_watches_the_engine_of_another_process(start: Callable[..., subprocess.Popen[str]], contest_folder: Workspace) -> None:
    engine = start("engine")
    wait_for("the engine", lambda: '"pid"' in _lock_of(contest_folder))
    out, err = (process := start(*RECIPE, "--set", "train.epochs=1")).communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "another process" in err and "python -m core engine" in err
    assert "done" in out
    engine.send_signal(signal.SIGINT)
    _, said = engine.communicate(timeout=30)
    assert engine.returncode == 0, said


def _lock_of(workspace: Workspace) -> str:
    path = workspace.engine_lock_path
    return path.read_text(encoding="utf-8") if path.exists() else ""
