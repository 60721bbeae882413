"""A plan into the queue: its folds, its runs, and the weights that their blend starts from."""

from __future__ import annotations

from collections.abc import Sequence

from core.artefacts import load_manifest
from core.base.settings import parse_settings
from core.folds.save import save_folds
from core.jobs.queue import launch_runs
from core.recipes.plan import ReadPlan, keep_plan_weights
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run
from core.workspace import Workspace


def make_folds_of(workspace: Workspace, contest: Contest, read: ReadPlan) -> Folds | None:
    """The folds that a plan describes, made where they are not there yet; None where it describes none."""
    return save_folds(workspace, contest, read.plan.folds) if read.plan.folds else None


def spec_of_folds(workspace: Workspace, folds: Folds) -> FoldsSpec:
    """The settings that folds were made with, from their manifest."""
    facts = load_manifest(workspace.absolute(folds.path)).facts
    return parse_settings(FoldsSpec, {name: facts[name] for name in FoldsSpec.model_fields if name in facts}, where=f"folds {folds.id}")


def launch_plan(
    workspace: Workspace, contest: Contest, folds: Folds, read: ReadPlan, *, fold_numbers: Sequence[int] | None = None
) -> tuple[Run, ...]:
    """Queue every run of a plan, or none; `fold_numbers` takes the place of the plan's own. Errors as of `launch_runs`."""
    runs = launch_runs(workspace, contest, folds, read.grid, fold_numbers=fold_numbers or read.plan.fold_numbers or None)
    keep_plan_weights(workspace, contest, read, runs)
    return runs
