"""A run's page lists what it keeps, and says what it had to go through."""

from __future__ import annotations

import pytest

from core.folds import save_folds
from core.jobs.launch import launch_run
from core.specs.folds import FoldsSpec
from core.store import attempts
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.jobs import get_job
from core.workspace import Workspace
from tests import finished_workspace as made
from tests.app.conftest import OpenPage


@pytest.fixture
def folds(opened: Workspace, headlines: Contest) -> Folds:
    return save_folds(opened, headlines, FoldsSpec(n_folds=2))


def test_checkpoints_are_listed_with_their_standing(open_page: OpenPage, opened: Workspace, headlines: Contest, folds: Folds) -> None:
    run = launch_run(opened, headlines, folds, made.make_recipe(headlines, "long"))
    at = open_page("runs", contest=headlines.name, run=run.ref)
    at.session_state["run-tab"] = "checkpoints"
    at.run()
    assert not at.exception
    assert any("first checkpoint after 20 s" in caption.value for caption in at.caption)
    job = made.claim(opened)
    made.keep_checkpoint(opened, headlines, job, 2, 17, scores={"accuracy": 0.71})
    broken = made.keep_checkpoint(opened, headlines, job, 2, 30)
    (broken / "state.json").write_text("{ }")
    at.run()
    assert not at.exception
    table = at.dataframe[-1].value
    assert table["step"].tolist() == [30, 17] and table["state"].tolist() == [["damaged"], ["verified"]]
    assert "state.json is damaged" in table["why"].iloc[0]


def test_troubles_that_were_survived_are_said(open_page: OpenPage, opened: Workspace, headlines: Contest, folds: Folds) -> None:
    recipe = made.make_recipe(headlines, "tough")
    run = launch_run(opened, headlines, folds, recipe)
    job = made.claim(opened)
    attempts.release(opened.store, job.id, job.token, now=made.START, reason="memory")
    job = made.claim(opened)
    attempts.release(opened.store, job.id, job.token, reason="killed_again", now=made.START)
    job = made.claim(opened)
    assert (get_job(opened.store, job.id).halvings, get_job(opened.store, job.id).interruptions) == (1, 1)
    conditions = {"device": "cpu", "threads": 2, "precision": "bf16", "micro_batch": 16}
    resumed = [{"epoch": 2, "step": 5, **conditions, "micro_batch": 32}]
    facts = {**conditions, "resumed": resumed, "quarantined": ["epoch-2-step-9-attempt-1"]}
    made.finish_job(opened, headlines, folds, job, recipe, strength=3.0, seed=0, facts=facts)
    at = open_page("runs", contest=headlines.name, run=run.ref)
    assert not at.exception
    said = " ".join(entry.value for entry in at.markdown).replace("\\", "")
    for words in (
        "it computes 16 rows at once instead of 32. A step still has 32 rows",
        "was killed (1 in a row)",
        "went on from a checkpoint: epoch 2 after 5 steps",
        "other conditions (micro_batch)",
        "epoch-2-step-9-attempt-1 was damaged",
    ):
        assert words in said, words
