"""`train --queue`, `runs` and `show`: what is queued, what is refused before, and what is told of a run."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from statistics import stdev

import pytest
from rich.console import Console

from core.commands.follow import Board
from core.contest.table import load_table
from core.jobs.launch import launch_run
from core.recipes.advice import row_facts, suggest_recipe
from core.recipes.plan import list_backbones
from core.store.attempts import release
from core.store.contests import get_contest
from core.store.folds import list_folds
from tests.commands.conftest import Terminal
from tests.finished_workspace import claim, finish_jobs, keep_checkpoint, make_recipe


def test_queued_run_waits_with_its_settings(headlines: Terminal) -> None:
    run = headlines.read(
        "train", "headlines", "--recipe", "news-tiny", "--name", "first", "--set", "train.epochs=2", "--fold", "1", "--queue"
    )
    assert (run["contest"], run["run"], run["state"], run["metric"]) == ("headlines", "first", "queued", "accuracy")
    assert (run["fold_scores"], run["cv_score"], run["fold_numbers"]) == ([None, None, None], None, [1])
    details = headlines.read("show", "first")
    assert details["recipe"]["train"]["epochs"] == 2
    assert [job["fold"] for job in details["jobs"]] == [1]


def test_what_the_page_suggests_can_be_queued_by_its_name(headlines: Terminal) -> None:
    run = headlines.read("train", "headlines", "--recipe", "suggested", "--set", "train.epochs=2", "--queue")
    recipe = headlines.read("show", run["run"])["recipe"]
    workspace = headlines.workspace
    listed = list_backbones(workspace, "text")
    expected = suggest_recipe("text", listed, row_facts(load_table(workspace, get_contest(workspace.store, "headlines"))), has_gpu=False)
    assert (recipe["model"]["backbone"], recipe["input"]["max_tokens"]) == (expected.model.backbone, expected.input.max_tokens)
    assert recipe["train"]["epochs"] == 2


def test_a_grid_is_queued_with_names_that_say_what_differs(headlines: Terminal) -> None:
    sets = ("--set", "input.max_tokens=16", "--queue")
    runs = headlines.read("train", "headlines", "--recipe", "news-tiny", "--seeds", "0,7", "--fold", "1", *sets)
    assert [(run["run"], run["state"], run["fold_numbers"]) for run in runs] == [
        ("news-tiny-s0", "queued", [1]),
        ("news-tiny-s7", "queued", [1]),
    ]
    assert headlines.read("show", "news-tiny-s7")["recipe"]["train"]["seed"] == 7
    assert headlines.refused("train", "headlines", "--recipe", "news-tiny", "--seeds", "0,x", *sets)["where"] == "--seeds"


def test_a_plan_file_queues_its_grid(headlines: Terminal, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("recipes:\n- {preset: news-tiny, set: {input.max_tokens: 16}}\nseeds: [0, 7]\nfold_numbers: [0]\n")
    runs = headlines.read("train", "headlines", "--plan", str(plan), "--queue")
    assert [(run["run"], run["fold_numbers"]) for run in runs] == [("news-tiny-s0", [0]), ("news-tiny-s7", [0])]
    other = headlines.read("train", "headlines", "--plan", str(plan), "--fold", "1", "--queue")
    assert [run["fold_numbers"] for run in other] == [[1], [1]]
    assert "--seeds" in headlines.refused("train", "headlines", "--plan", str(plan), "--seeds", "1", "--queue")["what"]
    plan.write_text("recipes:\n- {preset: news-tinny}\nseed: [0]\nfolds: {n_folds: 1}\n")
    error = headlines.refused("train", "headlines", "--plan", str(plan), "--queue")
    assert all(part in error["why"] for part in ("recipes.0.preset: no preset named 'news-tinny'", "seed: unknown", "folds.n_folds = 1"))


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ([], "InputError"),
        (["--plan", "no-such-plan.yaml"], "RecipeError"),
        (["--recipe", "no-such-preset"], "NotFoundError"),
        (["--recipe", "no-such-file.yaml"], "RecipeError"),
        (["--recipe", "digits-small"], "RecipeError"),
        (["--recipe", "news-tiny", "--set", "train.epochs=0"], "RecipeError"),
        (["--recipe", "news-tiny", "--set", "train.epoch=3"], "RecipeError"),
        (["--recipe", "news-tiny", "--fold", "3"], "RecipeError"),
        (["--recipe", "news-tiny", "--folds", "7"], "NotFoundError"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_before_it_is_queued(headlines: Terminal, arguments: list[str], kind: str) -> None:
    assert headlines.refused("train", "headlines", *arguments, "--queue")["type"] == kind
    assert headlines.read("runs", "headlines") == []


def test_training_needs_folds(terminal: Terminal, tmp_path: Path, write_headlines: Callable[[Path], Path]) -> None:
    terminal.read("contest", "add", str(write_headlines(tmp_path / "headlines")))
    error = terminal.refused("train", "headlines", "--recipe", "news-tiny", "--queue")
    assert error["type"] == "StateError" and "folds make headlines" in error["fix"]


def test_runs_and_contests_tell_their_scores(finished: Terminal) -> None:
    poor, good = finished.read("runs", "headlines")
    assert (good["run"], good["state"], len(good["fold_scores"])) == ("good", "done", 3)
    assert good["cv_score"] == pytest.approx(sum(good["fold_scores"]) / 3)
    (contest,) = finished.read("contest", "list")
    best = good if good["cv_score"] >= poor["cv_score"] else poor
    assert contest["cv_score"] == best["cv_score"] and len(contest["fold_scores"]) == 3
    code, out, _ = finished.run("runs", "headlines")
    assert code == 0 and "higher is better" in out and "±" in out
    code, out, _ = finished.run("show", "good")
    crossed = finished.read("show", "good")["cross_fitted_epochs"]
    assert code == 0 and "CV accuracy" in out and f"CV {crossed['cv_score']:.4f}" in out and "with cross-fitted epochs" in out
    assert len(crossed["epochs"]) == 3


def test_a_run_that_was_handed_back_says_where_it_goes_on(headlines: Terminal) -> None:
    workspace = headlines.workspace
    contest = get_contest(workspace.store, "headlines")
    recipe = make_recipe(contest, "halfway", epochs=4)
    launch_run(workspace, contest, list_folds(workspace.store, contest.id)[0], recipe)
    job = claim(workspace)
    keep_checkpoint(workspace, contest, job, 3, 12)
    release(workspace.store, job.id, job.token, now=0.0)
    (run,) = headlines.read("runs", "headlines")
    assert run["goes_on"] == {"0": {"phase": "training", "epoch": 3, "n_epochs": 4, "step": 13, "n_steps": 104}}
    assert run["share_done"] == pytest.approx((2 * 104 + 13) / 416 / 3)
    said = "goes on at epoch 3 of 4, step 13 of 104"
    assert f"queued 18%, fold 0 {said}" in " ".join(headlines.run("runs", "headlines")[1].split())
    assert f"queued, {said}" in " ".join(headlines.run("show", "halfway")[1].split())


def test_runs_of_one_name_have_bars_of_their_own(headlines: Terminal) -> None:
    contest = get_contest(headlines.workspace.store, "headlines")
    (folds,) = list_folds(headlines.workspace.store, contest.id)
    names = ["all", "[/bold] :warning: x"]
    runs = [launch_run(headlines.workspace, contest, folds, make_recipe(contest, name)) for name in names]
    screen = io.StringIO()
    board = Board(Console(file=screen, force_terminal=True, width=200, color_system=None))
    with board.live:
        board.draw(runs, None)
    assert len(board.live.tasks) == 3 and names[1] in screen.getvalue()


def test_seeds_are_averaged_listed_and_added(finished: Terminal) -> None:
    more = finished.read("run", "seeds", "good", "3")
    assert more["seeds"][0]["ref"] == finished.read("show", "good")["ref"] and more["state"] == "queued"
    contest = get_contest(finished.workspace.store, "headlines")
    folds = list_folds(finished.workspace.store, contest.id)[0]
    finish_jobs(finished.workspace, contest, folds, make_recipe(contest, "good"), 6)
    record = finished.read("show", more["ref"])
    assert [(seed["seed"], seed["folds_done"], seed["state"]) for seed in record["seeds"]] == [(seed, 3, "done") for seed in range(3)]
    assert record["seed_sd"] == pytest.approx(stdev(seed["cv_score"] for seed in record["seeds"])) and None not in record["fold_scores"]
    assert len(finished.read("runs", "headlines")) == 3, "the seeds that were made for it are in its line"
    code, said, _ = finished.run("show", more["ref"])
    assert code == 0 and f"±{record['seed_sd']:.4f}" in said and "good-s2" in said
    (duel,) = finished.read("blends", "compare", more["ref"], "poor")["comparisons"]
    assert duel["retraining"]["n_seeds"] == [3, 1] and not duel["retraining"]["covers_gain"]
    assert "a retraining may move it by" in finished.run("blends", "compare", more["ref"], "poor")[1]
    assert "has 3 seeds already" in finished.refused("run", "seeds", more["ref"], "3")["what"]
    plan = finished.read(
        "train", "headlines", "--recipe", "news-tiny", "--set", "train.n_seeds=2", "--set", "input.max_tokens=16", "--queue"
    )
    assert len(plan["seeds"]) == 2 and plan["share_done"] == 0.0
