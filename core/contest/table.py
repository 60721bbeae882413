"""The contest's rows as every later stage reads them: one frame for training, one for the test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

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

SAMPLE_SUBMISSION = "sample_submission.csv"
"""The byte copy of the contest's sample submission, in the contest's artefact."""


@dataclass(frozen=True)
class ContestTable:
    """Rows in the order of every array.

    Columns of `train`: id (str), input (str: the text, or the image's path below `image_base`), label (int64, index into the
    classes) or, where a row has several, labels (their indices, ascending), group (str, only with a group column), sha256 (of the
    image file or the text), col.<name> for every original column. `test` has the same without label, labels and group, and may be
    empty. `image_base` is None for texts.
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
    frames = [_read_parquet(verify_file(folder, manifest, name)) for name in ("train.parquet", "test.parquet")]
    return ContestTable(frames[0], frames[1], image_base(workspace, contest.spec, manifest.facts.get("root_in_workspace")))


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as problem:
        fix = "delete the contest and register it again"
        raise CheckpointError("{file} cannot be read", where=str(path), why=reason(problem), fix=fix, file=path.name) from None


def load_labels(workspace: Workspace, contest: Contest) -> NDArray[np.integer]:
    """`labels_of` every training row."""
    return labels_of(load_table(workspace, contest).train, len(contest.spec.classes))


def labels_of(train: pd.DataFrame, n_classes: int) -> NDArray[np.integer]:
    """The truth of training rows: the class index (n,) int64, or where a row has several, 0 or 1 for each class (n, n_classes) int8."""
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


def first_labels(train: pd.DataFrame) -> pd.Series:
    """The class index of every training row, the lowest where it has several, -1 where it has none."""
    if "label" in train:
        return cast(pd.Series, train["label"])
    return cast(pd.Series, train["labels"].map(lambda labels: labels[0] if len(labels) else -1))


def rows_by_size(train: pd.DataFrame) -> NDArray[np.int64]:
    """How many training rows have 0, 1, 2 … classes, where a row has several: shape (most + 1,)."""
    return np.bincount(train["labels"].map(len).to_numpy(dtype=np.int64))


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
