"""What is said of a plan before it is queued: where weights are, how long it takes, and what this machine cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from core.base.settings import apply_sets
from core.contest.table import load_table, load_truth
from core.folds import load_folds, save_folds
from core.jobs.plan_outlook import PlanOutlook, look_at_plan
from core.recipes.advice import row_facts
from core.recipes.plan import ReadPlan, load_plan, load_preset
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.folds import Folds
from core.workspace import Workspace
from models.catalog import find_backbone
from tests.finished_workspace import add_glyphs, finish_run, make_recipe

USED_CARS = load_plan(Path("used-cars"), "image", Path())


@pytest.fixture
def contest(workspace: Workspace, tmp_path: Path) -> Contest:
    return add_glyphs(workspace, tmp_path / "glyphs")


@pytest.fixture
def folds(workspace: Workspace, contest: Contest) -> Folds:
    return save_folds(workspace, contest, FoldsSpec(n_folds=3))


def look(workspace: Workspace, contest: Contest, folds: Folds, read: ReadPlan = USED_CARS, *, has_gpu: bool = False) -> PlanOutlook:
    labels = load_truth(workspace, contest).labels[load_folds(workspace, folds).train_idx(0)]
    facts = row_facts(load_table(workspace, contest))
    return look_at_plan(workspace, contest, folds, read, (0, 1, 2), labels=labels, facts=facts, has_gpu=has_gpu)


def test_of_a_new_contest_weights_disk_and_doubts_are_known_and_no_time(workspace: Workspace, contest: Contest, folds: Folds) -> None:
    seen = look(workspace, contest, folds)
    assert len(seen.runs) == 7 and seen.seconds(1) is None
    assert [run.fetches for run in seen.runs] == [True] * 7
    params_m = [find_backbone(run.recipe.model.backbone).params_m for run in seen.runs]
    kept = 3 * 4e6 * sum(params_m)
    assert kept < seen.disk_bytes < kept + 20 * 4e6 * max(params_m)
    said = {run.recipe.name: " ".join(run.doubts) for run in seen.runs}
    assert all(
        "on a processor: expect hours" in doubts for name, doubts in said.items() if "resnet" not in name and "b7" not in name.lower()
    )
    assert not any("on a processor" in doubt for run in look(workspace, contest, folds, has_gpu=True).runs for doubt in run.doubts)


def test_time_is_that_of_a_run_scaled_by_its_multiply_adds(workspace: Workspace, contest: Contest, folds: Folds) -> None:
    done = finish_run(workspace, contest, folds, make_recipe(contest, "done", backbone="resnet50.a1_in1k", epochs=5))
    seen = look(workspace, contest, folds)
    (convnext,) = [run for run in seen.runs if run.recipe.name == "cars-convnext_base"]
    assert convnext.after is not None and convnext.after.id == done.id and convnext.fold_s is not None
    per_epoch = done.results[0].elapsed_s / 5
    backbone, own = find_backbone(convnext.recipe.model.backbone), find_backbone("resnet50.a1_in1k")
    per_image = backbone.gmacs * (convnext.recipe.input.size_px / backbone.input_px) ** 2
    ratio = per_image / (own.gmacs * (done.recipe.input.size_px / own.input_px) ** 2)
    assert convnext.fold_s == pytest.approx(per_epoch * convnext.recipe.train.epochs * ratio)
    known = [run.fold_s for run in seen.runs]
    assert seen.seconds(2) == pytest.approx(3 * sum(seconds or 0 for seconds in known) / 2)


def test_what_cannot_be_trained_here_is_said_with_its_run(
    workspace: Workspace, contest: Contest, folds: Folds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert all("HF_HUB_OFFLINE" in run.problems[0] for run in look(workspace, contest, folds).runs)
    wrong = apply_sets(load_preset("digits-small"), ["sampling.kind=counts", "sampling.counts=[1, 2]"])
    (run,) = look(workspace, contest, folds, ReadPlan.of([wrong])).runs
    assert "sampling.counts" in run.problems[0]
