"""Predictions made again from the weights that a run's folds have kept: of the test set, of given files, of one text.

What a page asks for becomes an answer, an artefact beside the run's folds. Loads torch only when a network is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.artefacts import load_manifest, publishing, verify, verify_file
from core.base.errors import InputError, RecipeError, StateError
from core.base.files import resolve_inside, sha256_file
from core.base.messages import msg, reason
from core.contest.csv_table import read_table
from core.contest.files import FORMATS, IMAGE_SUFFIXES, TABLE_SUFFIXES, ContestFiles
from core.contest.table import ContestTable, load_table
from core.data.compose import COLUMN, compose, compose_typed
from core.predictions.networks import Runtime, load_exported, load_exported_texts, network_folders, trained_for
from core.predictions.oof import finished_folds, load_test_prob, mean_of
from core.specs.contest import ContestSpec
from core.specs.network import NetworkSpec
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

    `table` holds the columns of rows of texts, as `compose` reads them; texts without them are composed by `compose_typed`.
    `is_test`: they are the contest's test rows, in their order.
    """

    ids: Sequence[str]
    inputs: Sequence[str] | Sequence[Path]
    sha256: Sequence[str] = ()
    is_test: bool = False
    table: pd.DataFrame | None = field(default=None, compare=False)

    def inputs_of(self, network: NetworkSpec) -> Sequence[str] | Sequence[Path]:
        """What a network reads: images, or texts as its recipe makes them of the columns. Raises as `compose` does."""
        if self.table is not None:
            return compose(network.compose, self.table)
        return [compose_typed(network.compose, str(text)) for text in self.inputs] if network.compose.only_column else self.inputs


def rows_of_test(table: ContestTable) -> Rows:
    """The contest's test rows; their images are refused when they have changed."""
    return replace(_rows_of(table, table.test), is_test=True)


def rows_of_train(table: ContestTable, rows: NDArray[np.int64]) -> Rows:
    """Some of the contest's training rows, by their numbers."""
    return _rows_of(table, table.train.iloc[rows])


def _rows_of(table: ContestTable, frame: pd.DataFrame) -> Rows:
    ids, names = frame["id"].tolist(), frame["input"].tolist()
    if table.image_base is None:
        return Rows(ids, names, table=frame)
    return Rows(ids, [table.image_path(name) for name in names], frame["sha256"].tolist())


def predict_run(
    workspace: Workspace,
    contest: Contest,
    run: Run,
    rows: Rows,
    *,
    fold_numbers: Collection[int] | None = None,
    device: str = "",
    runtime: Runtime = "torch",
    after_batch: Callable[[int], None] | None = None,
) -> Array:
    """Probabilities (n, n_classes) of any rows: the mean over the networks of the run's finished folds, as `load_test_prob` has it.

    `fold_numbers` names the folds where not all; `device` "" is the kind that each network was trained on. ONNX Runtime loads no torch, and
    predicts on the processor. Raises StateError for a run without networks, or without their exports, CheckpointError for one that is
    damaged, RecipeError for a device that is not here.
    """
    total = np.zeros((len(rows.ids), len(contest.spec.classes)), dtype=np.float64)
    chosen = finished_folds(run, fold_numbers)
    for result in chosen:
        networks = load_predictors(workspace, contest, run, result, device=device, runtime=runtime)
        total += mean_of(network.predict(rows.inputs_of(network.spec), sha256=rows.sha256, after_batch=after_batch) for network in networks)
    return (total / len(chosen)).astype(np.float32)


def load_predictors(
    workspace: Workspace, contest: Contest, run: Run, result: FoldResult, *, device: str = "", runtime: Runtime = "torch"
) -> Sequence[Predictor]:
    """The networks of a finished fold in a runtime. Raises as `predict_run` does."""
    if runtime != "torch" and device not in ("", "cpu"):
        raise RecipeError(
            "ONNX Runtime predicts on the processor here",
            where="device",
            why=msg("'{name}' was asked for", name=device),
            fix="leave the device out, or predict with torch",
        )
    if runtime == "torch":
        return load_fold(workspace, contest, run, result, device=device)
    load = load_exported if contest.spec.modality == "image" else load_exported_texts
    return load(workspace, contest, run, result, runtime)


def load_fold(workspace: Workspace, contest: Contest, run: Run, result: FoldResult, *, device: str = "") -> tuple[Predictor, ...]:
    """The networks of a finished fold, of several seeds those of each.

    One that an earlier version kept has no `network.json`: what it is follows from the run's recipe, the contest and the fold's facts, and
    a pretrained tokenizer is looked for as it was while training.
    """
    from core.training.predictor import load_network, load_torch

    if run.seeds:
        of_seeds = trained_for(run, result)
        return tuple(network for seed, each in of_seeds for network in load_fold(workspace, contest, seed, each, device=device))
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


def read_given(paths: Sequence[Path], spec: ContestSpec) -> Rows:
    """The rows of all these files, as the contest's own rows are made: texts of several columns are joined by a line break, unless a recipe
    makes other texts of the columns.

    A row's id is that of the contest's id column; else a number in a table, an image's name, its path below a given folder. Raises
    InputError for a file that holds no rows of the contest.
    """
    if spec.modality == "text":
        table = pd.concat([_of_table(path, spec) for path in paths], ignore_index=True).fillna("")
        return Rows(table["id"].tolist(), table["input"].tolist(), table=table)
    named = [named for path in paths for named in _images(path, spec)]
    return Rows([name for name, _ in named], [image for _, image in named])


def _images(path: Path, spec: ContestSpec) -> list[tuple[str, Path]]:
    """The images of a table, of a folder, or of one file, with their ids."""
    if _is_table(path):
        rows = _of_table(path, spec)
        return [(name, resolve_inside(path.parent, image)) for name, image in zip(rows["id"], rows["input"], strict=True)]
    if path.is_dir() and (files := ContestFiles(path)).images:
        return [(key, files.root / files.files[key]) for key in files.images]
    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        return [(path.name, path)]
    raise _holds_none(path, spec)


def _is_table(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in (*TABLE_SUFFIXES, ".parquet")


def _holds_none(path: Path, spec: ContestSpec) -> InputError:
    return InputError(
        "{file} cannot be predicted",
        where=str(path),
        why="the contest's rows are {modality}s, and it holds none" if path.exists() else "there is nothing at this path",
        fix="give images ({formats}), a folder of them, or a table"
        if spec.modality == "image"
        else "give a CSV or Parquet file with the texts",
        file=path.name,
        modality=spec.modality,
        formats=FORMATS,
    )


def _of_table(path: Path, spec: ContestSpec) -> pd.DataFrame:
    """The rows of a table: id, input, and `col.<name>` for every column, all of them texts."""
    if not _is_table(path):
        raise _holds_none(path, spec)
    try:
        frame = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else read_table(path, spec.encoding or None).frame
    except (OSError, ValueError) as problem:
        raise InputError(
            "cannot read {file}", where=str(path), why=reason(problem), fix="give a CSV or Parquet file", file=path.name
        ) from None
    if not spec.input_columns:
        raise InputError(
            "this contest has no column of images",
            where=str(path),
            why="its images lie in folders",
            fix="give the images, or a folder of them",
        )
    missing = [name for name in spec.input_columns if name not in frame.columns]
    if missing:
        raise InputError(
            "{file} has not the contest's columns",
            where=str(path),
            why="there is no {names}; there are {columns}",
            fix="name the columns {wanted}",
            file=path.name,
            names=", ".join(missing),
            columns=", ".join(map(str, frame.columns[:20])),
            wanted=", ".join(spec.input_columns),
        )
    cells = frame.astype("str").fillna("")
    inputs = cells[list(spec.input_columns)].agg("\n".join, axis=1) if len(cells) else []
    ids = cells[spec.id_column] if spec.id_column in cells.columns else map(str, range(len(cells)))
    return pd.DataFrame({"id": list(ids), "input": list(inputs)}, dtype="str").join(cells.reset_index(drop=True).add_prefix(COLUMN))


PREDICTIONS_FILE = "predictions.parquet"


@dataclass(frozen=True)
class Answer:
    """Probabilities `prob` (n, n_classes) of rows by id. Of the test set, `largest_change` is that against the stored ones; of other rows,
    `n_seen` counts those that are training rows, so that most of the networks have seen them with their truth."""

    ids: tuple[str, ...]
    prob: NDArray[np.float32]
    largest_change: float | None = None
    n_seen: int = 0

    def to_table(self, classes: Sequence[str]) -> pd.DataFrame:
        """Id and a column for each class."""
        table = pd.DataFrame(self.prob, columns=pd.Index(classes))
        table.insert(0, "id", list(self.ids), allow_duplicates=True)
        return table


def rows_asked(workspace: Workspace, contest: Contest, asked: Mapping[str, Any]) -> Rows:
    """The rows of `files` (paths relative to the workspace) or `text`; with neither the test set. Raises InputError."""
    if "text" in asked:
        return Rows(["1"], [asked["text"]])
    if "files" in asked:
        return read_given([workspace.absolute(path) for path in asked["files"]], contest.spec)
    return rows_of_test(load_table(workspace, contest))


def write_answer(
    workspace: Workspace,
    contest: Contest,
    run: Run,
    rows: Rows,
    folder: Path,
    *,
    device: str,
    runtime: Runtime,
    after_batch: Callable[[int], None],
) -> None:
    """Predict `rows` by the networks of all finished folds and publish the answer as `folder`. Raises as `predict_run` does."""
    prob = predict_run(workspace, contest, run, rows, device=device, runtime=runtime, after_batch=after_batch)
    facts: dict[str, Any] = {"run": run.ref, "device": device, "runtime": runtime}
    if rows.is_test:
        facts["largest_change"] = float(np.abs(prob - load_test_prob(workspace, run)).max(initial=0.0))
    else:
        train = load_table(workspace, contest).train
        known = set(train["input"] if contest.spec.modality == "text" else train["sha256"])
        facts["n_seen"] = sum((sha256_file(row) if isinstance(row, Path) else row) in known for row in rows.inputs)
    parents = {f"fold {result.fold}": result.fingerprint for result in run.results}
    with publishing(folder, kind="predictions", parents=parents, facts=facts) as to:
        numbers = [str(number) for number in range(len(contest.spec.classes))]
        Answer(tuple(rows.ids), prob).to_table(numbers).to_parquet(to / PREDICTIONS_FILE)


def read_answer(folder: Path) -> Answer:
    """An answer, its bytes verified. Raises CheckpointError."""
    facts = verify(folder).facts
    table = pd.read_parquet(folder / PREDICTIONS_FILE)
    prob = table.drop(columns="id").to_numpy(dtype=np.float32)
    return Answer(tuple(table["id"].astype("str")), prob, facts.get("largest_change"), facts.get("n_seen", 0))
