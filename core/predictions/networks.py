"""Where the networks of a run's folds are, and the ONNX files that were made of them. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.artefacts import load_manifest, verify, verify_file
from core.base.errors import StateError
from core.base.messages import msg
from core.specs.network import NETWORKS_DIR, read_network_spec
from core.store.contests import Contest
from core.store.runs import FoldResult, Run
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.onnx.runtime import OnnxPredictor
    from core.onnx.text import OnnxTextPredictor
    from core.training.predictor import Predictor

Runtime = Literal["torch", "onnx", "int8"]
"""What predicts: torch, or ONNX Runtime in fp32 or with eight-bit integers."""
Exported = Literal["onnx", "int8"]
KIND = "onnx"
ONNX_FILE = "network.onnx"


@dataclass(frozen=True)
class Export:
    """The ONNX file of one network of a fold, a folder with `network.onnx`.

    `facts`: `differences` of a probability from torch's in fp32, for each batch that was tried, and the `argmax_agreement`; of an int8 file what
    it costs on `n_rows` out-of-fold rows instead: `scores` by metric, those of the fp32 file and its own, and their `argmax_agreement`.
    """

    fold: int
    folder: Path
    facts: Mapping[str, Any]
    n_bytes: int


def network_folders(folder: Path) -> tuple[Path, ...]:
    """The folders of a fold's networks, as its manifest names them; each is an artefact that is verified when it is loaded."""
    manifest = load_manifest(folder)
    names = [name for name in manifest.files if name.startswith(f"{NETWORKS_DIR}/")]
    return tuple(verify_file(folder, manifest, name).parent for name in names)


def trained_for(run: Run, result: FoldResult) -> list[tuple[Run, FoldResult]]:
    """What was trained for a finished fold, and by which run: of several seeds each."""
    return [(seed, each) for seed in run.seeds for each in seed.results if each.fold == result.fold] or [(run, result)]


def networks_of(workspace: Workspace, run: Run, result: FoldResult) -> tuple[Path, ...]:
    """The folders of all networks of a finished fold, of several seeds those of each."""
    return tuple(folder for _, each in trained_for(run, result) for folder in network_folders(workspace.absolute(each.path)))


def is_tfidf(run: Run) -> bool:
    """Whether the run's networks are terms and weights, which predict without torch and cannot be exported."""
    return run.own_recipe is not None and run.own_recipe.model.is_tfidf


def export_dirs(workspace: Workspace, contest: Contest, run: Run, result: FoldResult, how: Exported) -> tuple[Path, ...]:
    """Where the exports of a fold's networks are, or are to be, in the order of the networks: named after the networks' fingerprints.

    The one network that an earlier version kept is the fold's own artefact.
    """
    folders = [workspace.absolute(each.path) for _, each in trained_for(run, result)]
    keys = [load_manifest(each).fingerprint[:12] for folder in folders for each in network_folders(folder) or (folder,)]
    return tuple(workspace.onnx_dir(contest.folder, run.id, f"{key}-int8" if how == "int8" else key) for key in keys)


def list_exports(workspace: Workspace, contest: Contest, run: Run, how: Exported) -> tuple[Export, ...] | None:
    """The exports of all networks of a run's finished folds, of which none is read yet; None while one is missing."""
    found: list[Export] = []
    for result in run.results:
        for folder in export_dirs(workspace, contest, run, result, how):
            if not folder.is_dir():
                return None
            n_bytes = sum(path.stat().st_size for path in folder.iterdir())
            found.append(Export(result.fold, folder, load_manifest(folder).facts, n_bytes))
    return tuple(found) or None


def _exported_files(workspace: Workspace, contest: Contest, run: Run, result: FoldResult, how: Exported) -> tuple[Path, ...]:
    """The exported files of a fold's networks, verified. Raises StateError where they were not exported, CheckpointError where a file is damaged."""
    folders = export_dirs(workspace, contest, run, result, how)
    for folder in folders:
        if not folder.is_dir():
            raise StateError(
                "fold {fold} of {run} was not exported to ONNX",
                where=str(folder),
                why="its int8 file is missing" if how == "int8" else "its file is missing",
                fix=msg("`python -m core export {ref} --int8`, or the tab Predict of the run", ref=run.ref)
                if how == "int8"
                else msg("`python -m core export {ref}`, or the tab Predict of the run", ref=run.ref),
                fold=result.fold,
                run=run.name,
            )
        verify(folder)
    return tuple(folder / ONNX_FILE for folder in folders)


def load_exported(workspace: Workspace, contest: Contest, run: Run, result: FoldResult, how: Exported) -> tuple[OnnxPredictor, ...]:
    """A fold's image networks in ONNX Runtime. Raises StateError where they were not exported, CheckpointError where a file is damaged."""
    from core.onnx.runtime import load_onnx

    return tuple(map(load_onnx, _exported_files(workspace, contest, run, result, how)))


def load_exported_texts(
    workspace: Workspace, contest: Contest, run: Run, result: FoldResult, how: Exported
) -> tuple[OnnxTextPredictor, ...]:
    """A fold's text networks in ONNX Runtime. Raises as `load_exported` does."""
    from core.onnx.text import load_onnx_text

    return tuple(map(load_onnx_text, _exported_files(workspace, contest, run, result, how)))


def load_text_predictors(workspace: Workspace, contest: Contest, run: Run) -> tuple[tuple[Predictor, ...], ...]:
    """What predicts texts of each finished fold without torch: TF-IDF as it is, networks by their exports in fp32. Raises as `load_exported` does."""
    if not is_tfidf(run):
        return tuple(load_exported_texts(workspace, contest, run, result, "onnx") for result in run.results)
    from core.training.tfidf import load_tfidf

    def load(folder: Path) -> Predictor:
        verify(folder)
        return load_tfidf(folder, read_network_spec(folder), "cpu")

    return tuple(tuple(map(load, networks_of(workspace, run, result))) for result in run.results)


def load_run_exports(workspace: Workspace, contest: Contest, run: Run, how: Exported) -> tuple[tuple[OnnxPredictor, ...], ...]:
    """The networks of each finished fold. Raises as `load_exported` does."""
    return tuple(load_exported(workspace, contest, run, result, how) for result in run.results)
