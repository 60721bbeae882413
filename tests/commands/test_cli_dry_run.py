"""`train --dry-run`: what it prints, and that it queues nothing. One of them is real; else the answer is made up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.__main__ import main
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs import dry_run
from core.jobs.forecast import Forecast, Neighbour
from core.jobs.queue import pause_queue
from core.specs.folds import FoldsSpec
from core.store.runs import list_runs
from core.workspace import Workspace
from tests.jobs.test_forecast import COSTS, FORECAST, GB

ANSWER = replace(FORECAST, device="cpu")
TRAIN = ("train", "headlines", "--recipe", "news-tiny", "--dry-run")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def prepared(workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("PITWALL_DEVICES", "cpu")
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    save_folds(workspace, contest, FoldsSpec(n_folds=2))
    return workspace


@pytest.fixture
def command(prepared: Workspace, capsys: pytest.CaptureFixture[str]) -> Command:
    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(["--workspace", str(prepared.root), *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Forecast], None]:
    """Let every dry run give this forecast, at once."""

    def answers(forecast: Forecast) -> None:
        monkeypatch.setattr(dry_run.DryRun, "run", lambda self: forecast)

    answers(ANSWER)
    return answers


@pytest.mark.slow
def test_a_real_one_tells_memory_time_and_disk_and_queues_nothing(command: Command, prepared: Workspace) -> None:
    started = time.time()
    code, out, err = command(*TRAIN, "--set", "input.max_tokens=16", "--set", "train.batch_size=8", "--json")
    assert code == 0, err
    record = json.loads(out)
    assert (record["device"], record["fits"], record["problems"]) == ("cpu", True, [])
    assert 0 < record["memory"]["above_start_bytes"] < record["memory"]["peak_bytes"] < record["memory"]["total_bytes"]
    assert 0 < record["time"]["step_s"] < record["time"]["epoch_s"] < record["time"]["run_s"]
    assert record["time"]["run_s"] == pytest.approx(sum(record["time"]["fold_s"]))
    assert record["time"]["ends_at"] > started + record["time"]["run_s"]
    assert record["disk"]["needed_bytes"] > 3 * record["disk"]["checkpoint_bytes"]
    assert list_runs(prepared.store) == ()


DOUBT = "a batch of 32 for 24 training rows: every epoch is a single step"


def test_the_table_has_a_column_for_each_recipe(command: Command, answers: Callable[[Forecast], None]) -> None:
    code, out, err = command(*TRAIN, "--recipe", "news-minilm")
    assert code == 0 and err.splitlines() == [f"{name}: {DOUBT}" for name in ("news-tiny", "news-minilm")]
    assert out.splitlines()[0].split() == ["news-tiny", "news-minilm"]
    names = [line.split()[0] for line in out.splitlines()[1:]]
    assert names == ["device", "parameters", "rows", "memory", "step", "epoch", "fold", "run", "ends", "disk"]
    assert "2.0 GB at the most, 10.0 GB free" in out and "640 ms, the mean of 20" in out
    fold, run = (next(line for line in out.splitlines() if line.startswith(name)) for name in ("fold", "run"))
    assert "39 s, 3 epochs" in fold and "1 min 16 s, 2 folds" in run


def test_folds_and_seeds_count(command: Command, answers: Callable[[Forecast], None]) -> None:
    _, out, _ = command(*TRAIN, "--fold", "1", "--json")
    (fold_s,) = json.loads(out)["time"]["fold_s"]
    assert fold_s == pytest.approx(ANSWER.fold_s(1))
    _, out, _ = command(*TRAIN, "--seeds", "0,1,2", "--json")
    wait = json.loads(out)["time"]["ends_at"] - time.time()
    assert wait == pytest.approx(3 * (ANSWER.fold_s(0) + ANSWER.fold_s(1)), abs=5)


def test_recipes_end_one_after_another(command: Command, answers: Callable[[Forecast], None]) -> None:
    _, out, _ = command(*TRAIN, "--recipe", "news-minilm", "--json")
    first, second = json.loads(out)
    assert second["time"]["ends_at"] - first["time"]["ends_at"] == pytest.approx(first["time"]["run_s"], abs=1)


def test_what_does_not_fit_is_told_and_is_a_failure(command: Command, answers: Callable[[Forecast], None]) -> None:
    answers(replace(ANSWER, costs=replace(COSTS, peak_bytes=12 * GB)))
    code, out, err = command(*TRAIN, "--json")
    assert code == 2
    assert json.loads(out)["fits"] is False and json.loads(out)["doubts"] == [DOUBT]
    error = json.loads(err)["error"]
    assert (error["type"], error["what"]) == ("OutOfMemory", "12.0 GB of memory needed, 10.0 GB are there")
    code, out, err = command(*TRAIN)
    assert code == 2 and out and "\nOutOfMemory: " in err


def test_what_one_must_know_to_read_it_is_said(command: Command, answers: Callable[[Forecast], None], prepared: Workspace) -> None:
    answers(replace(ANSWER, costs=replace(COSTS, halvings=2, micro_batch=16), busy_with=(Neighbour("big (r1)", "fold 0"),)))
    _, out, err = command(*TRAIN)
    assert "64 in a step, 16 at once" in out and "16.0 GB in all" in out
    assert "--set train.accumulate=4" in err and "busy with big (r1), fold 0" in err
    answers(replace(ANSWER, costs=replace(COSTS, others=0.5)))
    assert "other programs used 50%" in command(*TRAIN)[2]
    pause_queue(prepared.store)
    assert "not known: the queue is paused" in command(*TRAIN)[1]


@pytest.mark.parametrize(
    ("arguments", "kind", "where"),
    [
        ((*TRAIN, "--when", "later"), "InputError", "--when"),
        ((*TRAIN, "--device", "gpu"), "InputError", "PITWALL_DEVICES"),
        ((*TRAIN, "--fold", "7"), "RecipeError", "fold_numbers"),
        (("train", "headlines", "--recipe", "news-tiny", "--device", "cpu"), "InputError", "--device, --when"),
        (("train", "headlines", "--recipe", "digits-small", "--dry-run"), "RecipeError", "modality"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_tried(
    arguments: tuple[str, ...], kind: str, where: str, command: Command, answers: Callable[[Forecast], None]
) -> None:
    code, out, err = command(*arguments, "--json")
    error = json.loads(err)["error"]
    assert (code, out, error["type"], error["where"]) == (2, "", kind, where) and error["fix"]
