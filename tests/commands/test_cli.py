"""The commands as a person or a script calls them; predictions are made up, so that nothing is trained here."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.main import get_group

from core.__main__ import COMMANDS, main
from core.blend.ensemble import open_ensemble
from core.blend.optimum import gap_at
from core.commands.console import note, print_table, say
from core.commands.follow import Board
from core.commands.settings import settings_page
from core.exchange.exchange import DOUBTS
from core.jobs.engine import EngineLock
from core.jobs.queue import launch_run
from core.store.attempts import release
from core.store.contests import get_contest
from core.store.folds import list_folds
from core.store.runs import get_run
from core.workspace import Workspace
from tests.contest.contest_folders import write_csv
from tests.emotions import finish_emotions, write_emotions
from tests.finished_workspace import claim, finish_run, keep_checkpoint, make_recipe

ROOT = Path(__file__).parents[2]


class Terminal:
    """Calls commands on one workspace and keeps what they say."""

    def __init__(self, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        self.workspace = workspace
        self._capsys = capsys

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._capsys.readouterr()
        code = main(["--workspace", str(self.workspace.root), *arguments])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def read(self, *arguments: str) -> Any:
        """What a command prints with --json; all of standard output must be that one document."""
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def refused(self, *arguments: str) -> dict[str, str]:
        """The one typed error of a command that fails."""
        code, out, err = self.run(*arguments, "--json")
        assert (code, out) == (2, "")
        return json.loads(err)["error"]


@pytest.fixture
def terminal(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(workspace, capsys)


@pytest.fixture
def headlines(terminal: Terminal, tmp_path: Path, write_headlines: Callable[[Path], Path]) -> Terminal:
    """A terminal on a workspace that has the contest `headlines` and three folds."""
    terminal.read("contest", "add", str(write_headlines(tmp_path / "headlines")), "--set", "metric=accuracy")
    terminal.read("folds", "make", "headlines", "--n", "3")
    return terminal


@pytest.fixture
def finished(headlines: Terminal) -> Terminal:
    """The same with two finished runs, `good` and `poor`."""
    store = headlines.workspace.store
    contest = get_contest(store, "headlines")
    folds = list_folds(store, contest.id)[0]
    for name, strength, seed in (("good", 3.0, 1), ("poor", 0.5, 2)):
        finish_run(headlines.workspace, contest, folds, make_recipe(contest, name), strength=strength, seed=seed)
    return headlines


def test_help_comes_in_the_order_of_the_flow_and_quickly() -> None:
    done = subprocess.run([sys.executable, "-m", "core", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    commands = done.stdout.split("Commands:")[1]
    assert [line.split()[0] for line in commands.splitlines() if line.startswith("  ") and line.split()[0] in COMMANDS] == list(COMMANDS)
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [[], ["contest"], ["folds"]])
def test_a_group_without_a_command_shows_its_help(terminal: Terminal, arguments: list[str]) -> None:
    code, out, err = terminal.run(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith("Usage:")


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (["nope"], "InputError", "nope"),
        (["runs"], "InputError", "CONTEST"),
        (["contest", "list", "--colour"], "InputError", "--colour"),
        (["folds", "make", "x", "--n", "many"], "InputError", "--n"),
        (["runs", "x"], "NotFoundError", "x"),
        (["show", "r9"], "NotFoundError", "r9"),
        (["sample", "nope"], "NotFoundError", "nope"),
        (["submit", "b1", "-o", "x.csv"], "NotFoundError", "b1"),
        (["contest", "add", "/no/such/folder"], "InputError", "/no/such/folder"),
    ],
)
def test_whatever_is_wrong_is_one_typed_error_and_exit_code_2(terminal: Terminal, arguments: list[str], kind: str, says: str) -> None:
    error = terminal.refused(*arguments)
    assert error["type"] == kind
    assert says in error["what"] + error["where"]
    assert error["fix"]
    code, out, err = terminal.run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"{kind}: ") and err.count("Error: ") == 1


def test_a_folder_becomes_a_contest_and_says_what_was_understood(
    terminal: Terminal, tmp_path: Path, write_headlines: Callable[[Path], Path]
) -> None:
    folder = write_headlines(tmp_path / "headlines")
    code, out, _ = terminal.run("contest", "add", str(folder), "--dry-run")
    assert code == 0 and "text" in out
    assert terminal.read("contest", "list") == []
    record = terminal.read("contest", "add", str(folder), "--name", "뉴스", "--set", "metric=macro_f1")
    assert (record["contest"], record["metric"], record["n_train"], record["n_test"]) == ("뉴스", "macro_f1", 48, 12)
    assert record["classes"] == ["politik", "스포츠"]
    assert [each["contest"] for each in terminal.read("contest", "list")] == ["뉴스"]
    assert terminal.refused("contest", "add", str(folder), "--name", "뉴스")["type"] == "StateError"


def test_rows_with_several_classes_are_understood_and_can_be_corrected(terminal: Terminal, tmp_path: Path) -> None:
    folder = write_emotions(tmp_path / "kote")
    code, out, _ = terminal.run("contest", "add", str(folder), "--dry-run")
    assert code == 0 and "several" in out and "1.20 labels per row" in " ".join(out.split())
    draft = terminal.read("contest", "add", str(folder), "--dry-run", "--set", "label_separator=space")["spec"]
    assert (draft["labels"], draft["label_separator"]) == ("several", " ")
    code, out, _ = terminal.run("contest", "add", str(folder), "--dry-run", "--json", "--set", "labels=one")
    assert code == 2 and json.loads(out)["spec"]["labels"] == "one"  # rows without a label
    record = terminal.read("contest", "add", str(folder))
    assert (record["labels"], record["n_classes"], record["metric"]) == ("several", 6, "macro_f1")
    _, out, _ = terminal.run("contest", "list")
    assert "6, several" in out


def test_folds_make_follows_what_the_contest_says(terminal: Terminal, tmp_path: Path) -> None:
    rows = [(row, f"words {row}", "c" if row == 1 else "ab"[row % 2], f"u{row % 8}", 1 + row % 4) for row in range(40)]
    write_csv(tmp_path / "reviews" / "train.csv", ("id", "text", "label", "user", "part"), rows)
    terminal.read("contest", "add", str(tmp_path / "reviews"), "--set", "label_column=label")
    found = terminal.read("folds", "make", "reviews", "--n", "4")
    assert found["kind"] == "stratified" and "fewer rows than folds: c (1)" in found["remarks"][0]
    assert terminal.read("folds", "make", "reviews", "--n", "4", "--group", "user")["kind"] == "stratified_group"
    assert terminal.read("folds", "make", "reviews", "--column", "part")["parts"] == ["1", "2", "3", "4"]
    assert "ignored" in terminal.refused("folds", "make", "reviews", "--kind", "kfold", "--group", "user")["why"]
    terminal.read(
        "contest", "add", str(tmp_path / "reviews"), "--name", "grouped", "--set", "label_column=label", "--set", "group_column=user"
    )
    own = terminal.read("folds", "make", "grouped", "--n", "4")
    assert (own["kind"], own["group_column"]) == ("stratified_group", "user")
    assert "8 of 8 groups" in terminal.refused("folds", "make", "grouped", "--n", "4", "--kind", "stratified")["why"]


def test_a_dry_run_says_what_was_found_and_ends_as_registration_would(
    terminal: Terminal, tmp_path: Path, write_headlines: Callable[[Path], Path]
) -> None:
    folder = write_headlines(tmp_path / "headlines")
    answer = terminal.read("contest", "add", f"file://{folder}", "--dry-run")
    assert answer["spec"]["name"] == "headlines"
    assert {"level": "note", "what": "metric"} in [{key: found[key] for key in ("level", "what")} for found in answer["findings"]]
    assert all(found.keys() == {"level", "what", "value", "detail"} for found in answer["findings"])
    train = folder / "train.csv"
    train.write_text(train.read_text().replace("politik", "", 1))
    code, out, err = terminal.run("contest", "add", str(folder), "--dry-run", "--json")
    assert code == 2 and json.loads(out)["spec"]["name"] == "headlines"
    assert "the label is empty" in json.loads(err)["error"]["what"]


def test_an_advised_correction_is_a_command_that_can_be_pasted(terminal: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "my contest"
    folder.mkdir()
    (folder / "train.csv").write_bytes("id,text,label\n1,这部电影非常好看,a\n2,服务态度太差了,b\n".encode("gb18030"))
    fix = terminal.refused("contest", "add", str(folder), "--dry-run")["fix"]
    command = shlex.split(fix.partition("as a command: ")[2])
    assert command[:3] == ["python", "-m", "core"]
    assert terminal.read(*command[3:])["n_train"] == 2


def test_equal_folds_are_made_once(headlines: Terminal) -> None:
    again = headlines.read("folds", "make", "headlines", "--n", "3")
    other = headlines.read("folds", "make", "headlines", "--n", "3", "--seed", "1")
    assert [each["folds"] for each in headlines.read("folds", "list", "headlines")] == [other["folds"], again["folds"]]
    assert headlines.refused("folds", "make", "headlines", "--n", "99")["type"] == "RecipeError"


def test_queued_run_waits_with_its_settings(headlines: Terminal) -> None:
    run = headlines.read(
        "train", "headlines", "--recipe", "news-tiny", "--name", "first", "--set", "train.epochs=2", "--fold", "1", "--queue"
    )
    assert (run["contest"], run["run"], run["state"], run["metric"]) == ("headlines", "first", "queued", "accuracy")
    assert (run["fold_scores"], run["cv_score"], run["fold_numbers"]) == ([None, None, None], None, [1])
    details = headlines.read("show", "first")
    assert details["recipe"]["train"]["epochs"] == 2
    assert [job["fold"] for job in details["jobs"]] == [1]


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


def test_a_blend_is_scored_saved_and_submitted_as_the_same_bytes(finished: Terminal, tmp_path: Path) -> None:
    blend = finished.read("blend", "headlines", "good", "r2", "--weights", "3,1", "--name", "mix")
    assert (blend["blend"], blend["run"], blend["weights"]) == ("mix", ["good", "poor"], [0.75, 0.25])
    assert len(blend["fold_scores"]) == 3 and blend["cv_score"] == pytest.approx(sum(blend["fold_scores"]) / 3)
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    record = finished.read("submit", "mix", "-o", str(first))
    assert finished.run("submit", blend["ref"], "--output", str(second))[0] == 0
    assert first.read_bytes() == second.read_bytes()
    lines = first.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "id,label" and len(lines) == 13 and record["n_rows"] == 12
    assert {line.split(",")[1] for line in lines[1:]} <= {"politik", "스포츠"}


@pytest.mark.parametrize("weights", ["3", "3,x", "-1,2", "0,0"])
def test_weights_that_cannot_be_used_are_refused(finished: Terminal, weights: str) -> None:
    assert finished.refused("blend", "headlines", "good", "poor", f"--weights={weights}")["type"] in ("InputError", "RecipeError")


def test_a_name_that_a_run_and_a_blend_share_is_asked_back(finished: Terminal, tmp_path: Path) -> None:
    finished.read("blend", "headlines", "good", "poor", "--name", "good")
    error = finished.refused("submit", "good", "-o", str(tmp_path / "x.csv"))
    assert error["type"] == "InputError" and "r1" in error["why"] and "b1" in error["why"]
    assert finished.run("submit", "b1", "-o", str(tmp_path / "x.csv"))[0] == 0


def test_a_blend_is_tuned_by_name_and_scored_honestly(finished: Terminal) -> None:
    blend = finished.read("blend", "headlines", "good", "poor", "--set", "way=optimal", "--set", "mean=auto", "--set", "temperature=true")
    assert blend["honest"]["low"] <= blend["honest"]["score"] <= blend["honest"]["high"]
    assert finished.read("blend", "headlines", "good", "poor")["honest"] is None
    said = " ".join(finished.run("blend", "headlines", "good", "poor", "--set", "way=greedy", "--set", "temperature=true")[1].split())
    for part in (
        "cross-fitted score: CV",
        ", OOF",
        "stand on the best epoch of each fold",
        "on out-of-fold rows, each predicted by one network; on test rows",
    ):
        assert part in said
    assert {"temperature", "test_temperature", "epoch_optimism"} <= blend.keys()
    assert "way" in finished.refused("blend", "headlines", "good", "poor", "--set", "way=luck")["why"]


@pytest.mark.parametrize("mean", ["arithmetic", "logit", "auto"])
def test_the_optimum_is_proved_on_the_terminal_too(finished: Terminal, mean: str) -> None:
    blend = ("blend", "headlines", "good", "poor", "--set", "way=optimal", "--set", f"mean={mean}")
    gap = finished.read(*blend)["optimality_gap"]
    assert 0 <= gap < 1e-5
    said = finished.run(*blend)[1]
    assert (
        f"proved optimal: no other weights can have a log loss lower by more than {f'{gap:.0e}' if gap else '0'} (optimality gap)" in said
    )
    assert "proved optimal before shrinkage" in finished.run(*blend, "--set", "shrinkage=0.3")[1]


def test_the_gap_is_that_of_the_rows_a_blend_stands_on(finished: Terminal) -> None:
    contest = get_contest(finished.workspace.store, "headlines")
    folds = list_folds(finished.workspace.store, contest.id)[0]
    part = finish_run(finished.workspace, contest, folds, make_recipe(contest, "part"), n_done=2)
    blend = finished.read("blend", "headlines", "good", "part", "--shared-folds", "--set", "way=optimal")
    good = get_run(finished.workspace.store, "good", contest.id)
    scorer = open_ensemble(finished.workspace, contest, [good, part], (0, 1)).scorer("arithmetic")
    assert blend["optimality_gap"] == pytest.approx(gap_at(scorer, blend["weights"]), abs=1e-12) and blend["optimality_gap"] < 1e-6


@pytest.mark.parametrize("settings", [["way=greedy"], ["way=optimal", "chooses_members=true"], ["way=equal"]])
def test_no_proof_is_claimed_where_there_is_none(finished: Terminal, settings: list[str]) -> None:
    blend = ["blend", "headlines", "good", "poor", *(part for each in settings for part in ("--set", each))]
    assert finished.read(*blend)["optimality_gap"] is None
    assert "proved" not in finished.run(*blend)[1]


def test_blends_are_listed_and_compared_by_name(finished: Terminal) -> None:
    assert "no blend yet" in finished.run("blends", "list", "headlines")[1]
    for name, weights in (("mostly-good", "9,1"), ("mostly-poor", "1,9")):
        finished.read("blend", "headlines", "good", "poor", "--weights", weights, "--name", name)
    assert [each["blend"] for each in finished.read("blends", "list", "headlines")] == ["mostly-poor", "mostly-good"]
    assert "mostly-good" in finished.run("blends", "list", "headlines")[1]
    found = finished.read("blends", "compare", "mostly-good", "b2", "poor")
    assert [each["name"] for each in found["sources"]] == ["mostly-good", "mostly-poor", "poor"]
    assert found["sources"][0]["weights"] == pytest.approx({"good": 0.9, "poor": 0.1})
    assert [each["verdict"] for each in found["comparisons"]] == ["first", "first"]
    gain = found["comparisons"][1]
    assert gain["gain_low"] <= gain["gain"] <= gain["gain_high"] and gain["n_rows"] == 48
    said = finished.run("blends", "compare", "b2", "b1")[1]
    assert "mostly-good is better than mostly-poor" in said
    assert "score the same" in finished.run("blends", "compare", "b1", "b1")[1]
    assert finished.refused("blends", "compare", "b1")["type"] == "InputError"
    assert finished.refused("blends", "compare", "b1", "nothing")["type"] == "NotFoundError"


def test_runs_that_miss_folds_are_blended_on_those_they_share_only_when_asked(finished: Terminal) -> None:
    contest = get_contest(finished.workspace.store, "headlines")
    folds = list_folds(finished.workspace.store, contest.id)[0]
    finish_run(finished.workspace, contest, folds, make_recipe(contest, "part"), n_done=2)
    assert "--shared-folds" in finished.refused("blend", "headlines", "good", "part")["fix"]
    blend = finished.read("blend", "headlines", "good", "part", "--shared-folds", "--name", "two")
    assert (blend["folds"], blend["n_rows"], len(blend["fold_scores"])) == ([0, 1], 32, 2)
    said = finished.run("blend", "headlines", "good", "part", "--shared-folds")[1]
    assert "folds 0, 1 only: 32 of 48 rows" in said and "good 3, part 2" in said
    assert finished.read("blend", "headlines", "good", "poor", "--shared-folds")["folds"] is None


def test_predictions_leave_and_come_back_as_a_run(finished: Terminal, tmp_path: Path) -> None:
    oof, test = str(tmp_path / "minsu.csv"), str(tmp_path / "minsu-test.parquet")
    finished.read("predictions", "export", "good", "--oof", oof, "--test", test)
    run = finished.read("predictions", "import", "headlines", oof, test, "--name", "minsu")
    good = finished.read("show", "good")
    assert (run["run"], run["state"], run["backbone"]) == ("minsu", "done", None) and run["imported"]["oof_file"] == "minsu.csv"
    assert run["fold_scores"] == pytest.approx(good["fold_scores"])
    assert "imported" in finished.run("runs", "headlines")[1] and "minsu.csv" in finished.run("show", "minsu")[1]
    assert finished.refused("predictions", "import", "headlines", test, test)["type"] == "AlignmentError"
    assert finished.refused("predictions", "export", "good")["type"] == "InputError"
    assert finished.read("blend", "headlines", "good", "minsu")["run"] == ["good", "minsu"]


def test_an_import_says_what_it_could_not_check_and_what_is_suspect(finished: Terminal, tmp_path: Path) -> None:
    oof, test = tmp_path / "oof.npy", tmp_path / "test.parquet"
    finished.read("predictions", "export", "good", "--oof", str(oof), "--test", str(test))
    open_questions = [DOUBTS["rows"], DOUBTS["folds"]]
    assert finished.read("predictions", "import", "headlines", str(oof), str(test))["warnings"] == open_questions
    np.save(oof, np.load(oof)[:, ::-1])
    code, out, err = finished.run("predictions", "import", "headlines", str(oof), str(test))
    assert code == 0 and "warning" not in out
    assert err.splitlines() == [f"warning: {doubt}" for doubt in (DOUBTS["frequent"], *open_questions)]
    finished.read("predictions", "export", "good", "--oof", str(tmp_path / "oof.csv"))
    assert finished.read("predictions", "import", "headlines", str(tmp_path / "oof.csv"), str(test))["warnings"] == []
    frame = pd.read_csv(tmp_path / "oof.csv").drop(columns="fold")
    frame.to_csv(tmp_path / "oof.csv", index=False)
    assert finished.read("predictions", "import", "headlines", str(tmp_path / "oof.csv"), str(test))["warnings"] == [DOUBTS["folds"]]


def test_the_order_of_an_array_s_classes_is_read_from_a_file(finished: Terminal, tmp_path: Path) -> None:
    oof, test, order = tmp_path / "oof.npy", tmp_path / "test.npy", tmp_path / "classes.txt"
    finished.read("predictions", "export", "good", "--oof", str(oof), "--test", str(test))
    order.write_bytes("politik\r\n스포츠\r\n".encode("cp949"))
    run = finished.read("predictions", "import", "headlines", str(oof), str(test), "--classes", str(order))
    assert run["fold_scores"] == pytest.approx(finished.read("show", "good")["fold_scores"])
    order.write_text("politik\nsport\n", encoding="utf-8")
    assert "1 unknown: sport" in finished.refused("predictions", "import", "headlines", str(oof), str(test), "--classes", str(order))["why"]
    assert finished.refused("predictions", "import", "headlines", str(oof), str(test), "--classes", "gone.txt")["type"] == "InputError"


def test_a_file_that_cannot_be_written_is_refused_before_the_ledger(finished: Terminal, tmp_path: Path) -> None:
    from core.store.blends import list_submissions

    assert finished.refused("submit", "good", "-o", str(tmp_path / "no" / "x.csv"))["type"] == "InputError"
    assert finished.refused("submit", "good", "-o", str(tmp_path))["type"] == "InputError"
    assert list_submissions(finished.workspace.store) == ()


def test_a_second_engine_is_refused_and_names_the_first(terminal: Terminal) -> None:
    lock = EngineLock(terminal.workspace.engine_lock_path, "the workbench")
    assert lock.acquire(now=0.0)
    try:
        code, _, err = terminal.run("engine", "--drain")
    finally:
        lock.release()
    assert code == 2 and err.startswith("StateError") and "the workbench" in err


def test_an_engine_with_an_empty_queue_drains_at_once(terminal: Terminal) -> None:
    code, out, _ = terminal.run("engine", "--drain")
    assert (code, out) == (0, "")


def test_the_workspace_option_stands_before_or_behind(terminal: Terminal, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.read("sample", "news")
    assert main(["contest", "list", "--json", "--workspace", str(terminal.workspace.root)]) == 0
    assert [each["contest"] for each in json.loads(capsys.readouterr().out)] == ["news"]
    assert main(["contest", "list", "--json", "--workspace", str(tmp_path / "other")]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_the_page_of_settings_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page(), "run `make docs`"


def test_every_setting_is_explained() -> None:
    from core.commands.settings import all_settings

    assert [row["setting"] for _, _, rows in all_settings() for row in rows if not row["meaning"]] == []


def test_every_command_stands_in_the_page_of_the_command_line() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    made = {name: place for place, _ in COMMANDS.values() for name in get_group(import_module(f"core.commands.{place}").app).commands}
    assert made == {name: place for name, (place, _) in COMMANDS.items()}
    assert [name for name in COMMANDS if f"| `{name}" not in page] == []


def test_every_preset_that_the_documents_name_exists() -> None:
    from core.recipes.plan import load_preset

    named = {
        name
        for page in ("README.md", "docs/cli.md")
        for name in re.findall(r"--recipe ([\w.-]+)", (ROOT / page).read_text(encoding="utf-8"))
    }
    assert named - {"NAME"} and all(load_preset(name) for name in named - {"NAME"})


def test_rows_with_several_labels_are_submitted_and_exchanged(terminal: Terminal, tmp_path: Path) -> None:
    finish_emotions(terminal.workspace, tmp_path / "emotions", layout="cells")
    out, oof, test = (tmp_path / name for name in ("s.csv", "oof.csv", "test.npy"))
    record = terminal.read("submit", "roberta", "-o", str(out))
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "ID,labels" and len(lines) == 61 and record["n_rows"] == 60
    assert all(re.fullmatch(r'te\d{4},([0-5]?|"[0-5](,[0-5])+")', line) for line in lines[1:]), lines[1:]
    terminal.read("predictions", "export", "roberta", "--oof", str(oof), "--test", str(test))
    back = terminal.read("predictions", "import", "emotions", str(oof), str(test), "--name", "back")
    assert (back["run"], back["cv_score"]) == ("back", pytest.approx(terminal.read("show", "roberta")["cv_score"]))
    terminal.read("submit", "back", "-o", str(tmp_path / "again.csv"))
    assert (tmp_path / "again.csv").read_bytes() == out.read_bytes()
    oof.write_text(re.sub(r",0\.\d+\n", ",1.5\n", oof.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    refusal = terminal.refused("predictions", "import", "emotions", str(oof), str(test))
    assert refusal["type"] == "InputError" and "sigmoid" in refusal["fix"] and "tr0000" in refusal["where"]


def test_a_name_is_printed_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """Rich would read marks, links and codes of emoji in it, or fail."""
    name = "[/bold] :warning: [red]x[/red] [link=http://evil.example]y[/link]"
    print_table([name, f">{name}"], [[name, name]], title=name)
    say(name)
    note(name)
    said = capsys.readouterr()
    assert said.out.count(name) == 6 and said.err.strip() == name


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
