"""`predict --tta` and `probe`: what they refuse, and what they say of predictions that are kept already."""

from __future__ import annotations

from pathlib import Path

from core.analysis.probe import sample_rows
from core.contest.table import load_truth
from core.data.views import CORRUPTIONS
from core.folds import save_folds
from core.predictions.views import pieces_of, pieces_of_sample
from core.specs.folds import FoldsSpec
from tests.commands.conftest import Terminal
from tests.finished_workspace import add_glyphs, finish_run, keep_pieces, make_recipe


def test_views_of_texts_of_blends_and_of_other_rows_are_refused(finished: Terminal) -> None:
    assert finished.refused("predict", "good", "--tta", "mirror", "-o", "x.csv")["what"] == "texts have no views"
    assert finished.refused("probe", "good")["what"] == "texts have no views"
    assert "own rows" in finished.refused("predict", "good", "--tta", "mirror", "--text", "a")["what"]
    assert finished.refused("predict", "good", "--name", "x", "-o", "x.csv")["where"] == "--name"
    blend = finished.read("blend", "headlines", "good", "poor", "--name", "both")["ref"]
    assert "no views of its own" in finished.refused("predict", blend, "--tta", "mirror")["what"]


def test_views_that_are_kept_are_compared_without_a_network(terminal: Terminal, tmp_path: Path) -> None:
    workspace = terminal.workspace
    contest = add_glyphs(workspace, tmp_path / "glyphs")
    run = finish_run(workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=2)), make_recipe(contest, "made"))
    truth = load_truth(workspace, contest).labels
    keep_pieces(workspace, pieces_of(workspace, contest, run, ["plain", "mirror", "flip"], "oof"), truth, 3, {"mirror": 4.0, "flip": -3.0})
    for wrong, what in (("0", "not so many"), ("11", "not so many"), ("a", "no view named"), ("mirror --batch x", "no such batch")):
        assert what in terminal.refused("predict", run.ref, "--tta", *wrong.split())["what"]
    said = terminal.read("predict", run.ref, "--tta", "hflip,vflip")
    assert (said["proposed"], said["chosen"]) == (["plain", "mirror"], ["mirror", "flip"])
    assert [view["verdict"] for view in said["views"]] == ["helps", "harms"] and said["honest"]["gain_low"] > 0
    _, out, err = terminal.run("predict", run.ref, "--tta", "mirror,flip")
    assert "proposed: plain, mirror;" in out and "warning: flip makes" in err


def test_a_probe_is_a_table_and_one_sentence(terminal: Terminal, tmp_path: Path) -> None:
    workspace = terminal.workspace
    contest = add_glyphs(workspace, tmp_path / "glyphs")
    run = finish_run(workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=2)), make_recipe(contest, "made"))
    views = ["plain", *(f"{kind}-{strength:g}" for kind, each in CORRUPTIONS.items() for strength in each.strengths)]
    rows, n_validated = sample_rows(workspace, contest, run, 50)
    keep_pieces(
        workspace, pieces_of_sample(workspace, contest, run, views, rows), load_truth(workspace, contest).labels, 3, {"shift-4": -2.0}
    )
    found = terminal.read("probe", run.ref, "--rows", "50")
    assert (found["n_rows"], found["n_validated"], found["brittle"]) == (50, n_validated, True)
    assert (found["worst"]["kind"], found["worst"]["strength"]) == ("shift", 4)
    assert "brittle:" in terminal.run("probe", run.ref, "--rows", "50")[1]
