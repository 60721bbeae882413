"""The tab of a run about views and robustness: what is asked becomes a job, and what was found is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.analysis.probe import N_ROWS, probe_run, sample_rows
from core.analysis.views import compare_views
from core.contest.table import load_truth
from core.data.views import CORRUPTIONS
from core.folds import save_folds
from core.predictions.views import pieces_of, pieces_of_sample
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.jobs import PREDICT, list_jobs
from core.store.runs import Run
from core.workspace import Workspace
from tests.app.conftest import OpenPage
from tests.finished_workspace import add_glyphs, finish_run, keep_pieces, make_recipe


@pytest.fixture
def glyphs(opened: Workspace, tmp_path: Path) -> tuple[Contest, Run]:
    contest = add_glyphs(opened, tmp_path / "glyphs")
    return contest, finish_run(opened, contest, save_folds(opened, contest, FoldsSpec(n_folds=3)), make_recipe(contest, "made"))


def test_views_are_tried_compared_and_made_a_run(open_page: OpenPage, opened: Workspace, glyphs: tuple[Contest, Run]) -> None:
    contest, run = glyphs
    at = open_page("runs", contest=contest.name, run=run.ref)
    at.session_state["run-tab"] = "views"
    at.run()
    assert not at.exception
    next(button for button in at.button if button.label == "Predict out-of-fold rows").click().run()
    (job,) = (job for job in list_jobs(opened.store, states=["queued"]) if job.kind == PREDICT)
    assert job.payload == {"views": ["mirror", "flip"], "batch": "trained"}

    truth = load_truth(opened, contest).labels
    keep_pieces(opened, pieces_of(opened, contest, run, ["plain", "mirror", "flip"], "oof"), truth, 3, {"mirror": 4.0, "flip": -3.0})
    choice = compare_views(opened, contest, run)
    assert choice.chosen == ("plain", "mirror")
    at.run()
    assert not at.exception
    table = next(frame.value for frame in at.dataframe if "broken" in frame.value)
    assert table["view"].tolist() == ["mirrored left to right", "upside down"] and table["verdict"].tolist() == ["helps", "harms"]
    assert any("Proposed: **as it is, mirrored left to right**" in text.value for text in at.markdown)
    next(button for button in at.button if button.label == "Make it a run").click().run()
    made = list_jobs(opened.store, states=["queued"])[-1]
    assert made.payload == {"views": ["plain", "mirror"], "batch": "trained", "member": "made-views"}


def test_a_probe_says_which_disturbance_costs_most(open_page: OpenPage, opened: Workspace, glyphs: tuple[Contest, Run]) -> None:
    contest, run = glyphs
    at = open_page("runs", contest=contest.name, run=run.ref)
    at.session_state["run-tab"] = "views"
    at.run()
    next(button for button in at.button if button.label == "Probe it").click().run()
    assert [job.payload for job in list_jobs(opened.store, states=["queued"])] == [{"probe": N_ROWS}]

    views = ["plain", *(f"{kind}-{strength:g}" for kind, each in CORRUPTIONS.items() for strength in each.strengths)]
    rows, _ = sample_rows(opened, contest, run)
    strengths = {"blur-0.5": -2.0, "blur-1": -2.0, "blur-2": -2.0}
    keep_pieces(opened, pieces_of_sample(opened, contest, run, views, rows), load_truth(opened, contest).labels, 3, strengths)
    assert probe_run(opened, contest, run).is_brittle
    at.run()
    assert not at.exception
    assert any(warning.value.startswith("brittle:") and "under blur 0.5 px" in warning.value for warning in at.warning)
    table = next(frame.value for frame in at.dataframe if "loss" in frame.value)
    assert len(table) == 18 and table.iloc[0]["strength"] == "0.5 px"
