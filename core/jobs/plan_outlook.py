"""What a plan would take on this machine, before it is queued: where the weights of its runs are, how long they would train, what speaks against them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean

import numpy as np
from huggingface_hub import constants
from numpy.typing import NDArray

from core.analysis.overview import expected_fold_s
from core.base.errors import PitwallError
from core.jobs.disk import FLOAT_BYTES, fold_bytes, free_bytes, run_bytes
from core.jobs.launch import check_launch
from core.recipes.advice import RowFacts, doubts
from core.recipes.plan import ReadPlan
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run, list_runs
from core.training.schedule import plan_epochs
from core.training.task import backbone_of
from core.workspace import Workspace
from models.catalog import UnknownBackbone, find_backbone
from models.weights import Place, where_are_weights


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan. `place` is where its weights are here, None where it fetches them, or has none. `fold_s` is what a fold takes after the
    run `after`, scaled by multiply-adds where that trained another network; both are None where nothing is known. `problems` keep it from
    training, `doubts` do not."""

    recipe: Recipe
    place: Place | None
    fold_s: float | None
    after: Run | None
    problems: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def fetches(self) -> bool:
        """Whether its weights come from the hub."""
        return self.recipe.model.pretrained and self.place is None


@dataclass(frozen=True)
class PlanOutlook:
    """The runs of a plan over `fold_numbers`; `disk_bytes` are an upper bound of what they write, of which `free_bytes` are free."""

    runs: tuple[PlannedRun, ...]
    fold_numbers: tuple[int, ...]
    disk_bytes: int
    free_bytes: int

    def seconds(self, n_devices: int) -> float | None:
        """How long all of it takes on so many devices; None while one of its runs is unknown."""
        known = [run.fold_s * run.recipe.train.n_seeds for run in self.runs if run.fold_s is not None]
        return len(self.fold_numbers) * sum(known) / max(1, n_devices) if len(known) == len(self.runs) else None


def look_at_plan(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    read: ReadPlan,
    fold_numbers: Sequence[int],
    *,
    labels: NDArray[np.integer],
    facts: RowFacts,
    has_gpu: bool,
) -> PlanOutlook:
    """Look at each run of a plan; `labels` are those of the rows that a fold trains on."""
    finished, numbers = [run for run in list_runs(workspace.store, contest.id) if run.results], tuple(fold_numbers)

    def look(recipe: Recipe) -> PlannedRun:
        try:
            check_launch(workspace, contest, folds, recipe, numbers)
        except PitwallError as refusal:
            return PlannedRun(recipe, None, None, None, (refusal.what,), ())
        place = where_are_weights(backbone_of(recipe, workspace.weights_dir), workspace.weights_dir) if recipe.model.pretrained else None
        is_out_of_reach = recipe.model.pretrained and place is None and constants.HF_HUB_OFFLINE
        problems = ("its weights are not here, and HF_HUB_OFFLINE keeps it from the hub",) if is_out_of_reach else ()
        expected = expected_fold_s(finished, recipe) or _scaled_fold_s(finished, recipe)
        fold_s, after = expected or (None, None)
        doubted = doubts(recipe, plan_epochs(recipe, labels), facts, has_gpu=has_gpu, weights_dir=workspace.weights_dir)
        return PlannedRun(recipe, place, fold_s, after, problems, doubted)

    runs = tuple(map(look, read.grid))
    shape = {"n_rows": contest.n_train, "n_test": contest.n_test, "n_classes": len(contest.spec.classes)}
    able = [run.recipe for run in runs if not run.problems]
    left = sum(
        recipe.train.n_seeds
        * run_bytes(
            recipe,
            checkpoint_bytes=0,
            weights_bytes=_weights_bytes(recipe, workspace.weights_dir),
            n_folds=len(numbers),
            n_at_once=0,
            **shape,
        )
        for recipe in able
    )
    at_once = max((fold_bytes(recipe, weights_dir=workspace.weights_dir, **shape) for recipe in able), default=0)
    return PlanOutlook(runs, numbers, left + at_once, free_bytes(workspace.root))


def _scaled_fold_s(finished: Sequence[Run], recipe: Recipe) -> tuple[float, Run] | None:
    """Seconds of a fold, from the newest run whose network has known multiply-adds: as many times as long as it has more of them."""
    wanted = _gmacs(recipe)
    for run in chain.from_iterable(run.parts for run in finished):
        known = _gmacs(run.recipe) if not run.is_imported else 0.0
        if known and wanted and run.results:
            per_epoch = fmean(result.elapsed_s / result.n_epochs for result in run.results)
            return per_epoch * recipe.train.epochs * wanted / known, run
    return None


def _gmacs(recipe: Recipe) -> float:
    """Billions of multiply-adds of one training image through the network, by its area; 0 where unknown."""
    try:
        backbone = find_backbone(recipe.model.backbone)
    except UnknownBackbone:  # of a run that an earlier version trained, or of texts
        return 0.0
    return backbone.gmacs * (recipe.input.size_px / backbone.input_px) ** 2 * recipe.area_share if backbone.input_px else 0.0


def _weights_bytes(recipe: Recipe, weights_dir: Path) -> int:
    return round(FLOAT_BYTES * backbone_of(recipe, weights_dir).params_m * 1e6)
