"""Predictions made again, from the weights that a run's folds have kept. Loads torch only when a network is loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.artefacts import load_manifest, verify_file
from core.base.errors import StateError
from core.contest.table import ContestTable
from core.predictions.oof import finished_folds
from core.specs.network import NETWORKS_DIR, NetworkSpec
from core.store.contests import Contest
from core.store.runs import FoldResult, Run
from core.workspace import Workspace
from models.catalog import find_backbone

if TYPE_CHECKING:
    from core.training.predictor import Predictor

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Rows to predict: an id and an input each (a text, or the path of an image), and the sha256 of each file where it must not change.

    `is_test`: they are the contest's test rows, in their order.
    """

    ids: Sequence[str]
    inputs: Sequence[str] | Sequence[Path]
    sha256: Sequence[str] = ()
    is_test: bool = False


def rows_of_test(table: ContestTable) -> Rows:
    """The contest's test rows; their images are refused when they have changed."""
    return replace(_rows_of(table, table.test), is_test=True)


def rows_of_train(table: ContestTable, rows: NDArray[np.int64]) -> Rows:
    """Some of the contest's training rows, by their numbers."""
    return _rows_of(table, table.train.iloc[rows])


def _rows_of(table: ContestTable, frame: pd.DataFrame) -> Rows:
    names = frame["input"].tolist()
    inputs = names if table.image_base is None else [table.image_path(name) for name in names]
    return Rows(frame["id"].tolist(), inputs, frame["sha256"].tolist() if table.image_base else ())


def predict_run(
    workspace: Workspace,
    contest: Contest,
    run: Run,
    rows: Rows,
    *,
    fold_numbers: Collection[int] | None = None,
    device: str = "",
    after_batch: Callable[[int], None] | None = None,
) -> Array:
    """Probabilities (n, n_classes) of any rows: the mean over the networks of the run's finished folds, as `load_test_prob` has it.

    `fold_numbers` names the folds where not all; `device` "" is the kind that each network was trained on. Raises StateError for a run
    without networks, CheckpointError for one that is damaged, RecipeError for a device that is not here.
    """
    total = np.zeros((len(rows.ids), len(contest.spec.classes)), dtype=np.float64)
    chosen = finished_folds(run, fold_numbers)
    for result in chosen:
        networks = load_fold(workspace, contest, run, result, device=device)
        total += mean_of(network.predict(rows.inputs, sha256=rows.sha256, after_batch=after_batch) for network in networks)
    return (total / len(chosen)).astype(np.float32)


def mean_of(probs: Iterable[Array]) -> Array:
    """What the networks of a fold say together: their mean, accumulated in float64."""
    parts = list(probs)
    return parts[0] if len(parts) == 1 else np.stack(parts).mean(axis=0, dtype=np.float64).astype(np.float32)


def network_folders(folder: Path) -> tuple[Path, ...]:
    """The folders of a fold's networks, as its manifest names them; each is an artefact that is verified when it is loaded."""
    manifest = load_manifest(folder)
    names = [name for name in manifest.files if name.startswith(f"{NETWORKS_DIR}/")]
    return tuple(verify_file(folder, manifest, name).parent for name in names)


def load_fold(workspace: Workspace, contest: Contest, run: Run, result: FoldResult, *, device: str = "") -> tuple[Predictor, ...]:
    """The networks of a finished fold.

    One that an earlier version kept has no `network.json`: what it is follows from the run's recipe, the contest and the fold's facts, and
    a pretrained tokenizer is looked for as it was while training.
    """
    from core.training.predictor import load_network, load_torch

    folder = workspace.absolute(result.path)
    found = network_folders(folder)
    if found:
        return tuple(load_network(each, device=device) for each in found)
    manifest = load_manifest(folder)
    kept = [name for name in ("weights.safetensors", "tokenizer.json") if name in manifest.files]
    if run.is_imported or "weights.safetensors" not in kept:
        raise StateError(
            "{run} has no network of fold {folds}",
            where=run.ref,
            why="its predictions were imported" if run.is_imported else "only its predictions were kept",
            fix="choose a run that was trained here",
            run=run.name,
            folds=result.fold,
        )
    for name in kept:
        verify_file(folder, manifest, name)
    spec = _spec_of(contest, run, result)
    saved = folder if "tokenizer.json" in kept else None
    return (load_torch(folder, spec, device, saved=saved, weights_dir=workspace.weights_dir),)


def _spec_of(contest: Contest, run: Run, result: FoldResult) -> NetworkSpec:
    """What the network of an earlier version is."""
    recipe, facts, backbone = run.recipe, result.facts, find_backbone(run.recipe.model.backbone)
    return NetworkSpec(
        modality=recipe.modality,
        labels=contest.spec.labels,
        classes=contest.spec.classes,
        fold=result.fold,
        seed=recipe.train.seed,
        backbone=backbone.name,
        library=backbone.library,
        dropout=recipe.model.dropout,
        drop_path=recipe.model.drop_path,
        input_px=recipe.input.size_px if recipe.modality == "image" else 0,
        pooling=recipe.model.pooling if recipe.modality == "text" else "",
        max_tokens=recipe.input.max_tokens if recipe.modality == "text" else 0,
        device=str(facts["device"]).partition(":")[0],
        precision=facts["precision"],
        threads=facts["threads"],
        micro_batch=facts["micro_batch"],
        versions=facts["versions"],
    )
