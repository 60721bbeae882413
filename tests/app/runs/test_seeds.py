"""A run of several seeds on the page Runs: one line with its noise, a row for each seed that opens it, more seeds at a press, a band where runs are compared."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app.runs.run_list import noise_band
from core.jobs.launch import launch_run, launch_seeds
from core.metrics.scores import get_metric
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run, get_run, list_runs
from core.workspace import Workspace
from tests.finished_workspace import claim, fail_job, finish_jobs, finish_run, make_recipe

OpenPage = Callable[..., AppTest]


@pytest.fixture
def several(opened: Workspace, folded: Contest, folds: Folds) -> Run:
    """Two seeds over all folds."""
    plain = make_recipe(folded, "several")
    recipe = plain.model_copy(update={"train": plain.train.model_copy(update={"n_seeds": 2})})
    run = launch_run(opened, folded, folds, recipe)
    finish_jobs(opened, folded, folds, plain, 2 * folds.n_folds)
    return get_run(opened.store, run.id)


def test_the_list_has_one_line_with_the_noise_of_a_retraining(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, several: Run
) -> None:
    finish_run(opened, folded, folds, make_recipe(folded, "lone"))
    table = open_page("runs").dataframe[0].value
    assert list(table["run"]) == ["lone", "several"] and list(table["seed"]) == ["0", "0–1"]
    assert list(table["noise"].isna()) == [True, False], "of one seed there is none"
    assert list(table["noise"])[1] == pytest.approx(several.seed_sd(folded.spec.metric))


def test_its_page_has_a_row_for_each_seed_and_says_the_noise(open_page: OpenPage, folded: Contest, several: Run) -> None:
    metric = folded.spec.metric
    at = open_page("runs", run=several.ref)
    assert not at.exception
    table = at.dataframe[0].value
    assert list(table["run"]) == [seed.name for seed in several.seeds] and list(table["seed"]) == [0, 1]
    for fold in several.fold_numbers:
        assert list(table[f"fold {fold}"]) == [seed.fold_scores(metric)[fold] for seed in several.seeds]
    assert f"retraining ±{several.seed_sd(metric):.4f} (2 seeds)" in at.metric[0].delta


def test_a_seed_has_its_own_page_and_leads_back(open_page: OpenPage, several: Run) -> None:
    at = open_page("runs", run=several.seeds[1].ref)
    assert not at.exception
    (back,) = [button for button in at.button if button.label == "seed 1 of several"]
    back.click().run()
    assert not at.exception and at.query_params["run"] in (several.ref, [several.ref])


def test_more_seeds_are_queued_from_the_page(open_page: OpenPage, opened: Workspace, several: Run) -> None:
    at = open_page("runs", run=several.ref)
    (button,) = [button for button in at.button if button.label.startswith("Queue")]
    assert button.label == f"Queue {len(several.fold_numbers)} trainings"
    button.click().run()
    more = list_runs(opened.store)[0]
    assert not at.exception and at.query_params["run"] in (more.ref, [more.ref])
    assert len(more.seeds) == 3 and more.seeds[:2] == several.seeds and more.state == "queued"


def test_a_failed_seed_is_named_with_its_fold(open_page: OpenPage, opened: Workspace, several: Run) -> None:
    more = launch_seeds(opened, several, 3)
    fail_job(opened, claim(opened))
    at = open_page("runs", run=more.ref)
    assert not at.exception and "Fold 0 (several-s2)" in "".join(str(error.proto) for error in at.error).replace("\\", "")


def test_the_band_is_a_standard_deviation_around_the_mean_of_single_seeds(folded: Contest, several: Run) -> None:
    one, other = several.seed_scores(folded.spec.metric)
    half = abs(one - other) / 2**0.5
    assert noise_band(several, get_metric(folded.spec.metric)) == pytest.approx(((one + other) / 2 - half, (one + other) / 2 + half))
    assert noise_band(several.seeds[0], get_metric(folded.spec.metric)) == (None, None)
