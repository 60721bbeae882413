"""One engine per server process, whatever reloads; one per workspace, whichever process."""

from __future__ import annotations

import importlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.shell import runtime
from core.base.errors import StateError
from core.folds import save_folds
from core.jobs.engine import Engine
from core.recipes.plan import ReadPlan
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.jobs import list_jobs
from core.workspace import Workspace

TINY = Recipe.model_validate({"modality": "text", "model": {"backbone": "tiny_transformer", "pretrained": False}})


def scheduler_threads() -> int:
    return sum(thread.name == "pitwall-scheduler" and thread.is_alive() for thread in threading.enumerate())


def test_many_sessions_and_a_reload_share_one_engine(opened: Workspace) -> None:
    first = runtime.engine()
    before = scheduler_threads()
    with ThreadPoolExecutor(8) as pool:
        assert {id(engine) for engine in pool.map(lambda _: runtime.engine(), range(32))} == {id(first)}
    again = importlib.reload(runtime)
    assert again.engine() is first
    assert scheduler_threads() == before


def test_closing_twice_is_closing_once(opened: Workspace) -> None:
    runtime.close()
    runtime.close()
    with pytest.raises(StateError, match="own server"):
        runtime.engine()
    fresh = Engine(opened, devices=())
    assert fresh.start(), "the workspace was let go"
    fresh.stop()


def test_what_changes_the_queue_wakes_the_engine(opened: Workspace, headlines: Contest, monkeypatch: pytest.MonkeyPatch) -> None:
    folds = save_folds(opened, headlines, FoldsSpec(n_folds=3))
    woken: list[int] = []
    monkeypatch.setattr(runtime.engine(), "wake", lambda: woken.append(len(list_jobs(opened.store))))
    (run,) = runtime.steer(lambda: runtime.launch.launch_plan(opened, headlines, folds, ReadPlan.of([TINY])))
    assert woken == [3] and run.state == "queued"


def test_a_held_workspace_refuses_what_would_change_the_queue(opened: Workspace, headlines: Contest) -> None:
    folds = save_folds(opened, headlines, FoldsSpec(n_folds=3))
    holder = runtime.engine()
    runtime.start_engine(Engine(opened, devices=()))
    try:
        assert runtime.is_read_only()
        with pytest.raises(StateError) as refusal:
            runtime.steer(lambda: runtime.launch.launch_plan(opened, headlines, folds, ReadPlan.of([TINY])))
        assert "process" in refusal.value.why
        assert list_jobs(opened.store) == ()
    finally:
        holder.stop()
