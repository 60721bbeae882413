"""What a run leaves on the disk, damage included, and the end of a log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from core.__main__ import main
from core.analysis.kept import list_kept, read_tail
from core.base.errors import CheckpointError
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs.launch import launch_run
from core.jobs.queue import cancel_run, restart_run
from core.specs.folds import FoldsSpec
from core.store import attempts
from core.store.contests import Contest
from core.store.jobs import Job
from core.store.runs import Run, get_run
from core.training.checkpoint import Identity, list_checkpoints, newest_verified, quarantine
from core.workspace import Workspace
from tests import finished_workspace as made


@pytest.fixture
def contest(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> Contest:
    return add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)


@pytest.fixture
def half_done(workspace: Workspace, contest: Contest) -> tuple[Run, Job]:
    """A run of two folds: one finished, one under way with two checkpoints of its first attempt."""
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=2))
    recipe = made.make_recipe(contest, "long")
    run = launch_run(workspace, contest, folds, recipe)
    made.finish_job(workspace, contest, folds, made.claim(workspace), recipe, strength=3.0, seed=0)
    job = made.claim(workspace)
    made.keep_checkpoint(workspace, contest, job, 2, 40, scores={"accuracy": 0.7})
    made.keep_checkpoint(workspace, contest, job, 3, 0, scores={"accuracy": 0.8})
    return get_run(workspace.store, run.id), job


def damage(folder: Path) -> None:
    path = folder / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def test_each_entry_says_where_it_stands(workspace: Workspace, contest: Contest, half_done: tuple[Run, Job]) -> None:
    run, job = half_done
    folder = workspace.checkpoints_dir(contest.folder, run.id, job.fold)
    newest, before = list_checkpoints(folder)
    damage(newest.path)
    rows = [(kept.fold, kept.kind, kept.epoch, kept.step, kept.standing) for kept in list_kept(workspace, run)]
    assert rows == [
        (0, "weights", 4, None, "verified"),
        (1, "checkpoint", 3, 0, "damaged"),
        (1, "checkpoint", 2, 40, "verified"),
    ]
    assert newest_verified(folder, Identity({"contest": contest.fingerprint})) == before
    kept = list_kept(workspace, run)
    assert [(item.epoch, item.standing) for item in kept[1:]] == [(2, "verified"), (3, "quarantined")]
    assert "network.safetensors is damaged" in kept[2].why and kept[1].scores == {"accuracy": 0.7} and kept[1].n_bytes > 51_200


def test_a_checkpoint_without_a_manifest_is_damaged_not_a_crash(workspace: Workspace, contest: Contest, half_done: tuple[Run, Job]) -> None:
    run, job = half_done
    newest, _ = list_checkpoints(workspace.checkpoints_dir(contest.folder, run.id, job.fold))
    (newest.path / "manifest.json").unlink()
    kept = list_kept(workspace, run)[1]
    assert (kept.standing, kept.scores, kept.created_at) == ("damaged", {}, 0.0)


def test_the_command_lists_them(
    workspace: Workspace, contest: Contest, half_done: tuple[Run, Job], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--workspace", str(workspace.root), "checkpoints", "long"]
    assert main([*arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["fold"], row["kind"], row["epoch"], row["step"], row["standing"]) for row in rows] == [
        (0, "weights", 4, None, "verified"),
        (1, "checkpoint", 3, 0, "verified"),
        (1, "checkpoint", 2, 40, "verified"),
    ]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "0.8000" in said and "52 kB" in said and said.count("verified") == 3


def test_a_run_that_has_none_says_when_there_will_be_one(
    workspace: Workspace, contest: Contest, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=2))
    launch_run(workspace, contest, folds, made.make_recipe(contest, "fresh"))
    assert main(["--workspace", str(workspace.root), "checkpoints", "fresh"]) == 0
    assert "first checkpoint after 20 s" in capsys.readouterr().out


def test_a_retry_goes_on_and_a_restart_does_not(workspace: Workspace, contest: Contest, half_done: tuple[Run, Job]) -> None:
    run, job = half_done
    folder = workspace.checkpoints_dir(contest.folder, run.id, job.fold)
    quarantine(list_checkpoints(folder)[0], CheckpointError("damaged"))
    attempts.release(workspace.store, job.id, job.token, now=made.START, reason="memory")
    cancel_run(workspace.store, run.id)
    restart_run(workspace, run.id)
    again = get_run(workspace.store, run.id)
    assert [entry.state for entry in again.jobs] == ["done", "queued"] and again.jobs[1].halvings == 0
    assert list_checkpoints(folder) == () and [kept.standing for kept in list_kept(workspace, again)] == ["verified", "quarantined"]


def test_a_short_log_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text("eins\n둘\n", encoding="utf-8")
    assert read_tail(path).text == "eins\n둘\n"
    assert not read_tail(path).is_cut


def test_a_long_log_is_cut_at_the_start_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text("".join(f"줄 {number:05d}\n" for number in range(2000)), encoding="utf-8")
    tail = read_tail(path, max_bytes=1001)
    assert tail.is_cut
    assert tail.text.startswith("줄 ")
    assert tail.text.endswith("줄 01999\n")
    assert tail.n_bytes == path.stat().st_size


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_tail(tmp_path / "none.log").text == ""
