"""`queue` as a person or a script calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from core.__main__ import main
from core.commands.follow import follow
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs.engine import Engine
from core.jobs.kinds import KINDS, Kind
from core.jobs.launch import launch_job, launch_run
from core.jobs.queue import pause_queue, resume_queue
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.contests import list_contests
from core.store.jobs import list_jobs
from core.store.queue import hold_device_for_disk
from core.store.runs import Run
from core.workspace import Workspace


@pytest.fixture
def say(
    workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """A function that runs a command on a workspace with the queued runs a, b and c."""
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=2))
    for name in "abc":
        recipe = Recipe.model_validate(
            {"name": name, "modality": "text", "model": {"backbone": "tiny_transformer", "pretrained": False}, "input": {"max_tokens": 16}}
        )
        launch_run(workspace, contest, folds, recipe)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["--workspace", str(workspace.root), "queue", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def order(said: tuple[int, str, str]) -> tuple[str, dict[str, Any]]:
    code, out, err = said
    assert code == 0, err
    record = json.loads(out)
    return "".join(run["run"] for run in record["runs"]), record


def test_the_order_is_shown_and_changed(say: Callable[..., tuple[int, str, str]]) -> None:
    first, record = order(say("--json"))
    assert first == "abc" and record["runs"][0] == {
        "ref": "r1",
        "run": "a",
        "priority": 0,
        "paused": False,
        "waiting": [0, 1],
        "running": [],
        "others": [],
    }
    assert order(say("next", "c", "--json"))[0] == "cab"
    assert order(say("down", "r3", "--json"))[0] == "acb"
    assert order(say("up", "b", "--json"))[0] == "abc"
    assert order(say("move", "a", "3", "--json"))[0] == "bca"
    assert order(say("priority", "b", "-2", "--json"))[0] == "cab"
    assert order(say("cancel", "a", "--json"))[0] == "cb"
    assert order(say("retry", "a", "--json"))[0] == "cab"
    code, out, _ = say()
    assert code == 0 and [line.split()[:3] for line in out.splitlines()[1:]] == [["1", "r3", "c"], ["2", "r1", "a"], ["3", "r2", "b"]]


def test_a_job_of_any_kind_is_shown_and_canceled_and_retried_by_its_reference(
    say: Callable[..., tuple[int, str, str]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "count", Kind(lambda *_: 0, lambda *_: lambda _connection: None, lambda *_: None))
    (contest,) = list_contests(workspace.store)
    job = launch_job(workspace.store, kind="count", contest_id=contest.id)

    def jobs(*arguments: str) -> list[tuple[str, str, str]]:
        return [(each["ref"], each["of"], each["state"]) for each in order(say(*arguments, "--json"))[1]["jobs"]]

    assert jobs() == [(job.ref, "headlines", "queued")]
    assert jobs("cancel", job.ref) == [(job.ref, "headlines", "canceled")]
    assert "canceled" in next(line for line in say()[1].splitlines() if line.startswith(job.ref))
    assert jobs("retry", job.ref) == [(job.ref, "headlines", "queued")]
    fold = list_jobs(workspace.store)[0]
    assert order(say("cancel", fold.ref, "--json"))[1]["runs"][0]["waiting"] == [1], "one fold of a run is a job too"
    assert json.loads(say("cancel", "j999", "--json")[2])["error"]["type"] == "NotFoundError"
    assert json.loads(say("retry", job.ref, "--json")[2])["error"]["type"] == "StateError"


def test_pausing_is_said(say: Callable[..., tuple[int, str, str]], workspace: Workspace) -> None:
    assert not order(say("--json"))[1]["paused"]
    assert [run["paused"] for run in order(say("pause", "b", "--json"))[1]["runs"]] == [False, True, False]
    assert order(say("pause", "--json"))[1]["paused"]
    _, out, _ = say()
    assert "the queue: paused" in out and "paused" in next(line for line in out.splitlines() if " b " in line)
    hold_device_for_disk(workspace.store, "cpu", error={}, needed_bytes=3 * 10**18, now=1.0)
    assert "cpu: paused: disk full, 3000000000.0 GB needed, " in say()[1]
    _, record = order(say("resume", "--json"))
    assert not record["holds"] and record["runs"][1]["paused"]
    assert not order(say("resume", "b", "--json"))[1]["runs"][1]["paused"]


def test_who_watches_is_told_why_nothing_happens(workspace: Workspace) -> None:
    said = StringIO()
    looks = iter([pause_queue, resume_queue, lambda store: None])

    def read() -> list[Run]:
        next(looks)(workspace.store)
        return []

    console = Console(file=said, width=200)
    follow(Engine(workspace, ("cpu",)), read, console, is_over=lambda runs: said.getvalue().count("\n") == 2)
    assert said.getvalue().splitlines() == ["the queue is paused; `python -m core queue resume` lets it go on", "the queue goes on"]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("resume",), "StateError"),
        (("resume", "a"), "StateError"),
        (("next", "nobody"), "NotFoundError"),
        (("retry", "a"), "StateError"),
        (("priority", "a", "1000"), "InputError"),
        (("move", "a", "0"), "InputError"),
        (("sideways", "a"), "InputError"),
    ],
)
def test_what_cannot_be_is_one_typed_error(say: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], kind: str) -> None:
    code, out, err = say(*arguments, "--json")
    assert (code, out) == (2, "") and json.loads(err)["error"]["type"] == kind
