"""`blend`, `blends` and `submit`: scores, proofs and bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.blend.ensemble import open_ensemble
from core.blend.optimum import gap_at
from core.store.contests import get_contest
from core.store.folds import list_folds
from core.store.runs import get_run
from tests.commands.conftest import Terminal
from tests.finished_workspace import finish_run, make_recipe


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


def test_a_file_that_cannot_be_written_is_refused_before_the_ledger(finished: Terminal, tmp_path: Path) -> None:
    from core.store.blends import list_submissions

    assert finished.refused("submit", "good", "-o", str(tmp_path / "no" / "x.csv"))["type"] == "InputError"
    assert finished.refused("submit", "good", "-o", str(tmp_path))["type"] == "InputError"
    assert list_submissions(finished.workspace.store) == ()
