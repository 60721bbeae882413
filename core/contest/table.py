"""The contest's rows as every later stage reads them: one frame for training, one for the test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.artefacts import load_manifest, verify_file
from core.base.errors import CheckpointError, InputError
from core.base.files import resolve_inside
from core.base.messages import reason
from core.specs.contest import ContestSpec
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.store.contests import Contest

KNOWN = ("label", "labels", "group")
"""What registration finds out about training rows; it is kept apart from them."""
SAMPLE_SUBMISSION = "sample_submission.csv"
"""The byte copy of the contest's sample submission, in the contest's artefact."""


@dataclass(frozen=True)
class ContestTable:
    """Rows in the order of every array.

    Columns of both: id (str), input (str: the text, or the image's path below `image_base`), sha256 (of the image file or the text),
    col.<name> for every original column. `test` may be empty. `image_base` is None for texts. What is known about the training rows,
    labels and groups, is loaded by `core.contest.truth`.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    image_base: Path | None

    def image_path(self, name: str) -> Path:
        """The file behind an image row's `input`; refuses a path that has come to lead outside the contest's folder."""
        if self.image_base is None:
            raise InputError("this contest has no images", where=name, why="its rows are texts", fix="read the column `input` instead")
        return resolve_inside(self.image_base, name)


def load_table(workspace: Workspace, contest: Contest) -> ContestTable:
    """Read a registered contest's rows; raises CheckpointError when the stored tables are damaged."""
    folder = workspace.absolute(contest.path)
    manifest = load_manifest(folder)
    frames = [read_frame(verify_file(folder, manifest, name)) for name in ("train.parquet", "test.parquet")]
    frames[0] = frames[0].drop(columns=list(KNOWN), errors="ignore")
    return ContestTable(frames[0], frames[1], image_base(workspace, contest.spec, manifest.facts.get("root_in_workspace")))


def read_frame(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A Parquet file that was verified, or some of its columns. Raises CheckpointError when it cannot be read."""
    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, ValueError, KeyError) as problem:
        fix = "delete the contest and register it again"
        raise CheckpointError("{file} cannot be read", where=str(path), why=reason(problem), fix=fix, file=path.name) from None


def labels_of(train: pd.DataFrame, n_classes: int) -> NDArray[np.integer]:
    """The labels of a frame with a column `label` or `labels`, as registration makes it.

    They are class indices (n,) int64, or where a row has several, 0 or 1 for each class (n, n_classes) int8.
    """
    if "label" in train:
        return train["label"].to_numpy(dtype=np.int64, copy=True)
    truth = np.zeros((len(train), n_classes), dtype=np.int8)
    counts = train["labels"].map(len).to_numpy(dtype=np.int64)
    if counts.any():
        truth[np.repeat(np.arange(len(train)), counts), np.concatenate(train["labels"].tolist()).astype(np.int64)] = 1
    return truth


def count_classes(truth: NDArray[np.integer], n_classes: int) -> NDArray[np.int64]:
    """Rows that have each class (n_classes,), of a truth as `labels_of` gives it; -1 is a row whose class is not known."""
    return truth.sum(axis=0, dtype=np.int64) if truth.ndim == 2 else np.bincount(truth[truth >= 0], minlength=n_classes)


def by_turns(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Row numbers (n,) in an order where the classes take turns (a row's first, where it has several), so that a first page shows them all."""
    first = pd.Series(labels if labels.ndim == 1 else np.where(labels.any(axis=1), labels.argmax(axis=1), -1))
    turn = first.groupby(first).cumcount().to_numpy()
    return np.lexsort((first.to_numpy(), turn))


def rows_of_class(labels: NDArray[np.integer], label: int | None) -> NDArray[np.int64]:
    """Numbers of the rows that have a class, alone or among others; of those that have no class for None."""
    if labels.ndim == 1:
        return np.flatnonzero(labels == label)
    return np.flatnonzero(~labels.any(axis=1) if label is None else labels[:, label])


def rows_by_size(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many rows have 0, 1, 2 … classes, where a row has several: shape (most + 1,)."""
    return np.bincount(labels.sum(axis=1, dtype=np.int64))


def image_base(workspace: Workspace, spec: ContestSpec, inside: str | None) -> Path | None:
    """The folder that `input` paths of images start from, None for texts.

    A contest that lies in the workspace (a sample, an upload) is found there, so that a workspace can be moved.
    """
    if spec.modality == "text":
        return None
    base = workspace.absolute(inside) if inside else Path(spec.root)
    if not base.is_dir():
        raise InputError(
            "the contest's images are gone",
            where=str(base),
            why="the folder was moved or deleted",
            fix="put the folder back, or register the contest again from its new place",
        )
    return base
