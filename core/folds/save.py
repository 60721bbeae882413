"""The folds of a contest: published once, and never changed, so that runs on them can be compared."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.artefacts import publishing, read_array, verify
from core.base.errors import InputError
from core.base.files import fingerprint
from core.contest.table import labels_of, load_table
from core.folds.split import make_folds
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.folds import Folds, add_folds
from core.workspace import Workspace

ARRAY = "folds.npy"


def save_folds(workspace: Workspace, contest: Contest, spec: FoldsSpec) -> Folds:
    """Make and publish the folds of a contest; equal settings on equal data give the row that is there already.

    Raises InputError as `make_folds` does, and for a group column that the contest does not have (listing those it has).
    """
    train = load_table(workspace, contest).train
    column, groups = _groups(contest, spec, train)
    spec = spec.model_copy(update={"group_column": column})
    fold_of = make_folds(spec, labels_of(train, len(contest.spec.classes)), groups, classes=contest.spec.classes)
    parents = {"contest": contest.fingerprint}
    facts = {**spec.to_dict(), "n_rows": len(fold_of)}
    content = _npy(fold_of)
    identity = fingerprint({"kind": "folds", "parents": parents, "spec": spec.to_dict(), "fold_of": fold_of.tolist()})
    destination = workspace.folds_dir(contest.name, identity)
    with publishing(destination, kind="folds", parents=parents, facts=facts) as folder:
        (folder / ARRAY).write_bytes(content)
    return add_folds(
        workspace.store,
        contest_id=contest.id,
        kind=spec.kind,
        n_folds=spec.n_folds,
        seed=spec.seed,
        group_column=column,
        fingerprint=identity,
        path=workspace.relative(destination),
    )


def load_folds(workspace: Workspace, folds: Folds) -> NDArray[np.int8]:
    """The validation fold of each training row, shape (n,); raises CheckpointError when the artefact is damaged."""
    path = workspace.absolute(folds.path)
    verify(path)
    return read_array(path / ARRAY, fix="make the folds again")


def group_columns(train: pd.DataFrame) -> list[str]:
    """Original columns of a contest's training rows that may serve as a group."""
    return [name.removeprefix("col.") for name in train.columns if name.startswith("col.")]


def _groups(contest: Contest, spec: FoldsSpec, train: pd.DataFrame) -> tuple[str, list[str] | None]:
    """The group column that is used ("" for none) and its values."""
    if not spec.needs_groups:
        return "", None
    column = spec.group_column or contest.spec.group_column
    known = group_columns(train)
    has = f"columns of {contest.spec.train}: {', '.join(known)}" if known else "class folders have no columns"
    if not column:
        raise InputError(
            f"kind={spec.kind} needs a group column", where="group_column", why=has, fix="name the column, or use kind=stratified"
        )
    if column == contest.spec.group_column:
        return column, train["group"].tolist()
    if column not in known:
        raise InputError(
            f"there is no column '{column}' to group by",
            where="group_column",
            why=has,
            fix="name one of the columns, or use kind=stratified",
        )
    values: list[str] = train[f"col.{column}"].tolist()
    empty = [row_id for row_id, value in zip(train["id"], values, strict=True) if not value.strip()]
    if len(empty):
        raise InputError(
            f"{len(empty):,} rows have no group",
            where=f"{contest.spec.train}, column '{column}'",
            why=f"ids: {', '.join(empty[:20])}",
            fix="fill the column in, or use another one",
        )
    return column, values


def _npy(array: NDArray[np.int8]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
