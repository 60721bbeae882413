"""On the page Train a backbone is adapted to the contest's texts, becomes the start of the form, and is compared with what it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.train.grid import start_key
from core.recipes.pretraining import pretraining_recipe
from core.specs.progress import EpochReport
from core.store.contests import Contest
from core.store.folds import Folds, list_folds
from core.store.jobs import PRETRAIN, list_jobs
from core.store.pretrainings import add_pretraining, list_pretrainings
from core.store.runs import get_run, list_runs
from core.workspace import Workspace
from tests.app.hands import press, unfold
from tests.finished_workspace import finish_jobs

OpenPage = Callable[..., AppTest]
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def adapted(opened: Workspace, folded: Contest) -> str:
    """The reference of a pretraining of MiniLM that gained something at the first of two epochs."""
    epochs = [EpochReport(0, epoch, 2, loss, loss, {}, 1e-4, 1.0) for epoch, loss in enumerate((3.5, 2.25, 2.5))]
    with opened.store.transaction() as connection:
        add_pretraining(
            connection,
            job_id=17,
            contest_id=folded.id,
            recipe=pretraining_recipe(MINILM, Path()),
            path=f"contests/{folded.folder}/pretraining/p17/attempt-1",
            fingerprint="f" * 64,
            facts={"best_epoch": 1, "n_texts": 57, "elapsed_s": 12.0, "fresh_head": ["cls"]},
            epochs=epochs,
            now=0.0,
        )
    return "p17"


def opened_box(open_page: OpenPage, contest: Contest) -> AppTest:
    at = open_page("train")
    at = at.selectbox(key=start_key(contest)).select("preset text-minilm").run()
    return unfold(at, f"adapt-{contest.id}")


def test_the_forms_backbone_is_queued_to_be_adapted(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    at = opened_box(open_page, folded)
    at.selectbox(key=f"adapt-{folded.id}-epochs").select(3).run()
    at = at.button(key=f"adapt-{folded.id}-queue").click().run()
    (job,) = list_jobs(opened.store)
    recipe = job.payload["recipe"]
    assert (job.kind, recipe["model"]["backbone"], recipe["train"]["epochs"]) == (PRETRAIN, MINILM, 3)
    assert recipe["input"]["max_tokens"] == 128 and not at.exception
    assert any(job.ref in part.value for part in at.markdown)


def test_runs_start_from_it_and_a_pair_shows_its_gain(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, adapted: str
) -> None:
    at = press(opened_box(open_page, folded), "Start from it")
    assert any(f"({adapted})" in part.value for part in at.markdown)
    assert f"{adapted}: the backbone adapted" in str(at.table[0].value)
    at = press(at, "Queue without and with it")
    with_it, without = list_runs(opened.store, folded.id)
    assert (with_it.recipe.model.start_from, without.recipe.model.start_from) == (adapted, "") and not at.exception
    for run, strength in ((without, 1.0), (with_it, 3.0)):
        finish_jobs(opened, folded, folds, run.recipe, folds.n_folds, strength=strength)
    assert get_run(opened.store, with_it.id).is_complete
    at = at.run()
    (table,) = [frame.value for frame in at.dataframe if "before" in frame.value]
    assert str(table["gain"].tolist()[0]).startswith("+") and table[["before", "after", "epoch"]].values.tolist() == [[3.5, 2.25, "1/10"]]
    press(at, "Delete")
    assert list_pretrainings(opened.store) != () and list_folds(opened.store, folded.id)
