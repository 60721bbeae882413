"""`contest rows`: added, listed, and checked by a run of TF-IDF that never saw their sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.folds import list_folds
from core.jobs import fold
from core.jobs.launch import launch_run
from core.jobs.reporter import Reporter
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.contests import get_contest
from tests.commands.conftest import Terminal
from tests.contest.contest_folders import write_csv
from tests.finished_workspace import ELSEWHERE, START

WORDS = ("good warm film", "poor cold film")


def test_rows_are_added_checked_and_left_out(terminal: Terminal, tmp_path: Path) -> None:
    rows = [(f"r{number}", f"{WORDS[number % 2]} number {number}", ("good", "poor")[number % 2]) for number in range(40)]
    write_csv(tmp_path / "reviews" / "train.csv", ("id", "text", "label"), rows)
    write_csv(tmp_path / "reviews" / "test.csv", ("id", "text"), [("t1", "a")])
    terminal.read("contest", "add", str(tmp_path / "reviews"), "--set", "label_column=label", "--set", "id_column=id")
    terminal.read("folds", "make", "reviews", "--n", "2")
    write_csv(tmp_path / "more.csv", ("source", "text"), [("r0", WORDS[0]), ("r2", WORDS[1]), ("r1", WORDS[1]), ("r3", WORDS[1])])
    terminal.read("contest", "rows", "add", "reviews", str(tmp_path / "more.csv"), "--kind", "augmented")
    workspace = terminal.workspace
    contest, store = get_contest(workspace.store, "reviews"), workspace.store
    recipe = Recipe.model_validate(
        {"modality": "text", "model": {"backbone": "tfidf-logreg", "pretrained": False}, "tfidf": {"min_rows": 1}}
    )
    run = launch_run(workspace, contest, list_folds(store, contest.id)[0], recipe, fold_numbers=[0, 1])
    for _ in range(2):
        job: Any = attempts.claim(store, owner=ELSEWHERE, device="cpu", now=START, lease_s=1e10)
        attempts.finish(store, job.id, job.token, fold.run(workspace, job, Reporter(store, job), lambda: False), now=START)
    asked = ("contest", "rows", "check", "reviews", "more", "--run", run.ref)
    code, said, _ = terminal.run(*asked)
    assert code == 0 and "1 of 4 rows are predicted as another class than their source's" in said and "--leave-out-as more-checked" in said
    found = terminal.read(*asked, "--leave-out-as", "more-checked")
    (mismatch,) = found["mismatches"]
    assert (mismatch["source"], mismatch["text"], mismatch["label"], mismatch["predicted"], found["n_unknown"]) == ("r2", WORDS[1], 0, 1, 0)
    assert {each["name"]: each["n_rows"] for each in terminal.read("contest", "rows", "list", "reviews")} == {"more": 4, "more-checked": 3}
    assert "no set of extra rows" in terminal.refused("contest", "rows", "check", "reviews", "nothing", "--run", run.ref)["what"]
