"""From a contest in the workspace to the task of one of its folds: a worker trains it, a dry run tries it. Loads torch."""

from __future__ import annotations

from pathlib import Path

from core.contest.table import labels_of, load_table
from core.folds.save import load_folds
from core.jobs.devices import torch_name
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.training.checkpoint import Checkpointing
from core.training.task import FoldTask
from core.workspace import Workspace


def load_task(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    recipe: Recipe,
    fold: int,
    *,
    device: str,
    out_dir: Path,
    checkpointing: Checkpointing | None = None,
    halvings: int = 0,
) -> FoldTask:
    """The task of a fold, with its rows read and verified; `device` is a slot of the engine. Raises CheckpointError."""
    table = load_table(workspace, contest)
    pairs = load_folds(workspace, folds)

    def inputs(names: list[str]) -> list[str] | list[Path]:
        return names if table.image_base is None else [table.image_path(name) for name in names]

    return FoldTask(
        recipe=recipe,
        metric=contest.spec.metric,
        classes=contest.spec.classes,
        inputs=inputs(table.train["input"].tolist()),
        labels=labels_of(table.train, len(contest.spec.classes)),
        is_multilabel=contest.spec.is_multilabel,
        train_idx=pairs.train_idx(fold),
        valid_idx=pairs.valid_idx(fold),
        test_inputs=inputs(table.test["input"].tolist()),
        fold=fold,
        weights_dir=workspace.weights_dir,
        out_dir=out_dir,
        device=torch_name(device),
        checkpointing=checkpointing,
        halvings=halvings,
        sha256=table.train["sha256"].tolist(),
        test_sha256=table.test["sha256"].tolist(),
    )
