"""What a processor starts from ends in time: the more so the slower the machine, and with the pace of what was trained there."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.folds import save_folds
from core.jobs.launch import launch_run
from core.recipes.fit import LEAST_EPOCHS, LIMIT_S, N_FOLDS, START_S, USUAL_ROW_S, fit_in_time, fold_s, measured_row_s, usual_row_s
from core.recipes.plan import load_preset
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.workspace import Workspace
from models.catalog import find_backbone
from tests.finished_workspace import add_glyphs, claim, finish_job, make_recipe

PRESET = load_preset("image-two-cores")
LITE = find_backbone(PRESET.model.backbone)


def run_s(recipe: Recipe, row_s: float, n_rows: int) -> float:
    return N_FOLDS * fold_s(recipe, row_s, n_rows - n_rows // N_FOLDS, n_rows // N_FOLDS)


def test_a_thousand_photographs_take_ten_minutes_at_the_usual_pace() -> None:
    recipe = fit_in_time(PRESET, USUAL_ROW_S, 1000, most_px=224)
    assert run_s(recipe, USUAL_ROW_S, 1000) <= LIMIT_S == 600
    assert (recipe.input.size_px, recipe.model.freeze) == (160, PRESET.model.freeze) and recipe.train.epochs >= LEAST_EPOCHS
    longer = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": recipe.train.epochs + 1})})
    assert run_s(longer, USUAL_ROW_S, 1000) > LIMIT_S


def test_a_slower_machine_gets_smaller_images_then_fewer_epochs_and_a_faster_one_trains_the_whole_network() -> None:
    paces = [USUAL_ROW_S * factor for factor in (0.05, 0.5, 1, 2, 4, 16)]
    found = [fit_in_time(PRESET, pace, 1000, most_px=224) for pace in paces]
    sizes = [recipe.input.size_px for recipe in found]
    assert sizes == sorted(sizes, reverse=True) and (sizes[0], sizes[-1]) == (224, 96)
    assert (found[0].model.freeze, found[1].model.freeze) == (0, PRESET.model.freeze)
    for recipe, pace in zip(found, paces, strict=True):
        assert run_s(recipe, pace, 1000) <= LIMIT_S or recipe.train.epochs == 1
        assert 0 <= recipe.train.probe_epochs < recipe.train.epochs or recipe.train.epochs == 1


def test_small_images_stay_small_and_few_rows_get_many_epochs() -> None:
    assert fit_in_time(PRESET, USUAL_ROW_S, 4000, most_px=64).input.size_px == 64
    assert fit_in_time(PRESET, USUAL_ROW_S, 100, most_px=224, least_epochs=25).train.epochs >= 25


def test_another_network_takes_the_time_of_its_multiply_adds() -> None:
    large = find_backbone("convnext_base.fb_in22k_ft_in1k")
    assert usual_row_s(LITE) == USUAL_ROW_S
    assert usual_row_s(large) == pytest.approx(USUAL_ROW_S * large.gmacs / LITE.gmacs)


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_the_pace_is_that_of_the_newest_run_on_the_processor(device: str, workspace: Workspace, tmp_path: Path) -> None:
    contest = add_glyphs(workspace, tmp_path / "glyphs")
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    recipe = make_recipe(contest, "done", backbone=LITE.name)
    launch_run(workspace, contest, folds, recipe)
    job = claim(workspace)
    result = finish_job(workspace, contest, folds, job, recipe, strength=1.0, seed=0, facts={"device": device})
    found = measured_row_s(workspace.store, LITE)
    n_valid = contest.n_train // 3
    learned_s = fold_s(recipe, found, contest.n_train - n_valid, n_valid) - START_S
    assert (learned_s == pytest.approx(result.elapsed_s)) == (device == "cpu")
    assert (found == USUAL_ROW_S) == (device != "cpu")
