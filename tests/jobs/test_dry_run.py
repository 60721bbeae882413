"""A dry run in its process: what it answers, and that it is gone when nobody waits for it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from core.base.errors import OutOfMemory, PitwallError, RecipeError, StateError
from core.base.files import write_json
from core.jobs import dry_run as module, process as process_module
from core.jobs.dry_run import DryRun, busy_with, default_when
from core.jobs.engine import Engine
from core.jobs.forecast import Forecast, Neighbour
from core.jobs.process import ProcessIdentity, is_alive, of_pid
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.jobs import Job
from core.training import machine
from tests.jobs.conftest import BROKEN_PX, Ready
from tests.jobs.test_forecast import FORECAST

ROOT = Path(__file__).parents[2]
OWNER = {"engine": None, "host": "elsewhere", "worker": None}
WaitFor = Callable[..., float]


def recipe_of(**inputs: object) -> Recipe:
    return Recipe.model_validate(
        {
            "modality": "image",
            "model": {"backbone": "test_vit", "pretrained": False},
            "input": {"size_px": 32, **inputs},
            "augment": {"hflip": False},
            "train": {"epochs": 2, "batch_size": 10},
        }
    )


def try_out(ready: Ready, recipe: Recipe | None = None, **given: Any) -> DryRun:
    return DryRun(ready.workspace, ready.contest, ready.folds, recipe or recipe_of(), **{"device": "cpu", **given})


def files(folder: Path) -> dict[str, int]:
    """Every file with its time of change, but for what SQLite makes to read."""
    return {
        str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix not in (".db-wal", ".db-shm")
    }


def claim(ready: Ready) -> Job:
    """A job that another machine trains on this device's name."""
    ready.launch(name="busy")
    job = attempts.claim(ready.workspace.store, owner=OWNER, device="cpu", now=time.time())
    assert job
    return job


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[ProcessIdentity]:
    """The processes that are started."""
    found: list[ProcessIdentity] = []
    real = subprocess.Popen

    def popen(*given: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = real(*given, **options)
        identity = of_pid(process.pid)
        assert identity
        found.append(identity)
        return process

    monkeypatch.setattr(process_module.subprocess, "Popen", popen)
    return found


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.slow
def test_it_answers_and_leaves_nothing(ready: Ready, scratch: Path) -> None:
    before = files(ready.workspace.root)
    forecast = try_out(ready).run()
    assert forecast.rows == ((20, 10),) * 3
    assert (forecast.device, forecast.n_test, forecast.n_classes, forecast.n_epochs, forecast.busy_with) == ("cpu", 6, 3, 2, ())
    assert forecast.costs.n_timed >= 3 and forecast.start_s > 0.5 and forecast.costs.total_bytes > forecast.costs.peak_bytes
    assert files(ready.workspace.root) == before
    assert list(scratch.iterdir()) == []


@pytest.mark.slow
def test_a_typed_failure_comes_through(ready: Ready) -> None:
    with pytest.raises(RecipeError) as caught:
        try_out(ready, recipe_of(size_px=BROKEN_PX)).run()
    assert caught.value.where == "model" and caught.value.fix


def test_a_bug_in_the_process_is_an_answer_too(ready: Ready, tmp_path: Path) -> None:
    asked = {"contest_id": 1, "folds_id": 1, "recipe": recipe_of().to_dict(), "device": "cpu", "halvings": 0, "began": "no time"}
    write_json(tmp_path / "request.json", asked)
    command = [sys.executable, "-m", "core.jobs.dry_run", "--workspace", str(ready.workspace.root), "--scratch", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr and "Traceback" in process.stderr.read()
    assert process.returncode == 0
    assert json.loads((tmp_path / "answer.json").read_text())["error"]["type"] == "Bug"


def test_what_a_launch_would_refuse_is_refused_at_once(ready: Ready, spawned: list[ProcessIdentity]) -> None:
    for settings, match in (({"modality": "text"}, "cannot train on"), ({"model": {"backbone": "resnet5000"}}, "resnet5000")):
        with pytest.raises(RecipeError, match=match):
            try_out(ready, Recipe.model_validate(settings)).run()
    assert spawned == []


def test_it_is_stopped_within_a_second(ready: Ready, spawned: list[ProcessIdentity], scratch: Path, wait_for: WaitFor) -> None:
    tried = try_out(ready).start()
    wait_for(lambda: spawned)
    assert tried.status().phase == "working"
    tried.stop()
    assert wait_for(lambda: tried.status().phase == "failed", 10.0) < 5.0
    assert isinstance(tried.status().error, StateError)
    assert not is_alive(spawned[0])
    assert list(scratch.iterdir()) == []


def test_it_is_given_up_after_a_while(ready: Ready, spawned: list[ProcessIdentity], scratch: Path) -> None:
    with pytest.raises(StateError, match="given up") as caught:
        try_out(ready, limit_s=0.3).run()
    assert caught.value.fix and not is_alive(spawned[0])
    assert list(scratch.iterdir()) == []


ASKER = """
import sys, time
from pathlib import Path
from core.jobs import dry_run, process
from core.recipes.plan import load_preset
from core.specs.recipe import Recipe
from core.store.contests import get_contest
from core.store.folds import list_folds
from core.workspace import open_workspace

workspace = open_workspace(sys.argv[1])
contest = get_contest(workspace.store, "colours")
popen = process.subprocess.Popen

def told(*given, **options):
    started = popen(*given, **options)
    print(started.pid, flush=True)
    return started

process.subprocess.Popen = told
recipe = Recipe.model_validate_json(sys.argv[2])
dry_run.DryRun(workspace, contest, list_folds(workspace.store, contest.id)[0], recipe, device="cpu").run()
"""


@pytest.mark.slow
def test_it_ends_with_its_asker(ready: Ready, scratch: Path, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(scratch))
    assert ready.workspace.store
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKER, str(ready.workspace.root), recipe_of().model_dump_json()], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert asker.stdout
    child = of_pid(int(asker.stdout.readline()))
    assert child
    asker.send_signal(signal.SIGKILL)
    asker.wait()
    asker.stdout.close()
    assert wait_for(lambda: not is_alive(child), 15.0) < 10.0
    assert list(scratch.iterdir()) == []


def test_jobs_on_the_same_device_are_named(ready: Ready) -> None:
    store = ready.workspace.store
    assert busy_with(store, "cpu") == ()
    job = claim(ready)
    assert busy_with(store, "cpu") == busy_with(store, "cpu:1") == (Neighbour(f"busy (r{job.run_id})", "fold 0"),)
    assert busy_with(store, "cuda:0") == ()
    assert [default_when(name) for name in ("cpu", "cpu:1", "cuda:0", "mps")] == ["now", "now", "free", "free"]


class Told(DryRun):
    """A dry run whose processes end as a test says."""

    answers: list[tuple[int, str, str]]
    asked: list[int]

    def _one_process(self, scratch: Path, halvings: int) -> tuple[int, str, str]:
        self.asked.append(halvings)
        return self.answers.pop(0)


def told(ready: Ready, *answers: tuple[int, str, str], **given: Any) -> Told:
    tried = Told(ready.workspace, ready.contest, ready.folds, recipe_of(), **{"device": "cpu", **given})
    tried.answers, tried.asked = list(answers), []
    return tried


def answer_of(forecast: Forecast) -> str:
    return json.dumps({"forecast": asdict(forecast)})


def test_beside_a_job_it_says_so(ready: Ready) -> None:
    job = claim(ready)
    assert told(ready, (0, answer_of(FORECAST), "")).run().busy_with == (Neighbour(f"busy (r{job.run_id})", "fold 0"),)


def test_it_waits_for_the_device_when_asked(ready: Ready, wait_for: WaitFor) -> None:
    job = claim(ready)
    tried = told(ready, (0, answer_of(FORECAST), ""), when="free")
    tried.start()
    wait_for(lambda: tried.status().phase == "waiting")
    assert tried.status().busy_with and tried.asked == []
    attempts.fail(ready.workspace.store, job.id, job.token, PitwallError("x").to_dict(), now=time.time())
    wait_for(lambda: tried.status().phase == "done")
    status = tried.status()
    assert status.forecast == FORECAST and status.forecast.busy_with == ()


def test_waiting_can_be_stopped(ready: Ready, wait_for: WaitFor) -> None:
    claim(ready)
    tried = told(ready, when="free")
    tried.start()
    wait_for(lambda: tried.status().phase == "waiting")
    tried.stop()
    wait_for(lambda: tried.status().phase == "failed")
    assert tried.asked == []


def test_what_the_kernel_ends_for_lack_of_memory_is_tried_with_half(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = iter(range(100))
    for reader in (module, machine):
        monkeypatch.setattr(reader, "kernel_kills", lambda: next(kills))
    killed = (-signal.SIGKILL, "", "")
    tried = told(ready, killed, killed, (0, answer_of(FORECAST), ""))
    assert tried.run() == FORECAST and tried.asked == [0, 1, 2]
    tried = told(ready, *[killed] * 9)
    with pytest.raises(OutOfMemory, match="the machine ran out") as caught:
        tried.run()
    assert tried.asked == [0, 1, 2, 3, 4] and "1 row at once" in caught.value.why and caught.value.fix


def test_a_bug_keeps_its_traceback_in_the_log(ready: Ready, caplog: pytest.LogCaptureFixture, wait_for: WaitFor) -> None:
    error = {"type": "Bug", "what": "KeyError: 'x'", "where": "w", "why": "y", "fix": "report it"}
    with pytest.raises(PitwallError, match="KeyError"):
        told(ready, (0, json.dumps({"error": error}), "Traceback of the process")).run()
    assert "Traceback of the process" in caplog.text
    nothing_to_say = told(ready)
    nothing_to_say.start()
    wait_for(lambda: nothing_to_say.status().phase == "failed")
    assert "IndexError" in str(nothing_to_say.status().error) and "IndexError" in caplog.text


@pytest.mark.parametrize(("exit_code", "how"), [(-signal.SIGSEGV, "SIGSEGV"), (3, "code 3"), (-signal.SIGKILL, "SIGKILL")])
def test_an_end_without_an_answer_is_told_with_the_last_words(exit_code: int, how: str, ready: Ready) -> None:
    with pytest.raises(PitwallError, match=how) as caught:
        told(ready, (exit_code, "", "line one\nlast words\n")).run()
    assert caught.value.why == "last words"


def test_the_engine_says_when_a_run_would_end(ready: Ready) -> None:
    engine = Engine(ready.workspace, ("cpu",))
    assert engine.run_end_s([5.0, 6.0]) == 11.0
    ready.launch()
    assert engine.run_end_s([5.0]) is None  # nobody knows how long what waits will take
    assert Engine(ready.workspace, ()).run_end_s([5.0]) is None
