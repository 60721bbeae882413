"""The folds of a contest: published once, and never changed, so that runs on them can be compared."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.artefacts import publishing, read_array, verify
from core.base.errors import CheckpointError, InputError
from core.base.files import fingerprint
from core.base.messages import msg
from core.contest.table import labels_of, load_table
from core.folds.pairs import TRAIN, UNUSED, VALID, FoldPairs
from core.folds.split import make_folds
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.folds import Folds, add_folds, list_folds
from core.workspace import Workspace

ROLES = "roles.npy"
"""What each fold does with each row, as `FoldPairs.roles`. One byte holds any list of pairs, and a fold's rows are read in one sweep."""
FOLD_OF = "folds.npy"
"""Artefacts made before November 2026 hold the validation fold of each row instead (n_rows,)."""


def save_folds(workspace: Workspace, contest: Contest, spec: FoldsSpec) -> Folds:
    """Make and publish the folds of a contest; equal pairs of equal rows are the folds that are there already.

    Raises InputError as `make_folds` does, and for a group column that the contest does not have (listing those it has).
    """
    train = load_table(workspace, contest).train
    column, groups = _groups(contest, spec, train)
    spec = spec.model_copy(update={"group_column": column})
    pairs = make_folds(spec, labels_of(train, len(contest.spec.classes)), groups, classes=contest.spec.classes)
    settings = (spec.kind, pairs.n_folds, spec.seed, column)
    for known in list_folds(workspace.store, contest.id):
        is_like = (known.kind, known.n_folds, known.seed, known.group_column) == settings
        if is_like and np.array_equal(load_folds(workspace, known).roles, pairs.roles):
            return known
    parents = {"contest": contest.fingerprint}
    identity = fingerprint({"kind": "folds", "parents": parents, "roles": hashlib.sha256(pairs.roles.tobytes()).hexdigest()})
    destination = workspace.folds_dir(contest.name, identity)
    with publishing(destination, kind="folds", parents=parents, facts={**spec.to_dict(), "n_rows": pairs.n_rows}) as folder:
        np.save(folder / ROLES, pairs.roles, allow_pickle=False)
    return add_folds(
        workspace.store,
        contest_id=contest.id,
        kind=spec.kind,
        n_folds=pairs.n_folds,
        seed=spec.seed,
        group_column=column,
        fingerprint=identity,
        path=workspace.relative(destination),
    )


def load_folds(workspace: Workspace, folds: Folds) -> FoldPairs:
    """The (train, valid) pairs of row numbers; raises CheckpointError when the artefact is damaged."""
    path = workspace.absolute(folds.path)
    if FOLD_OF in verify(path).files:
        fold_of = read_array(path / FOLD_OF, fix="make the folds again")
        return FoldPairs.of_parts(fold_of, int(fold_of.max()) + 1)
    return FoldPairs(_checked(read_array(path / ROLES, fix="make the folds again"), path / ROLES))


def group_columns(train: pd.DataFrame) -> list[str]:
    """Original columns of a contest's training rows that may serve as a group."""
    return [name.removeprefix("col.") for name in train.columns if name.startswith("col.")]


def _groups(contest: Contest, spec: FoldsSpec, train: pd.DataFrame) -> tuple[str, list[str] | None]:
    """The group column that is used ("" for none) and its values."""
    if not spec.needs_groups:
        return "", None
    column = spec.group_column or contest.spec.group_column
    known = group_columns(train)
    has = msg("columns of {file}: {names}", file=contest.spec.train, names=", ".join(known)) if known else "class folders have no columns"
    if not column:
        raise InputError(
            "kind={kind} needs a group column", where="group_column", why=has, fix="name the column, or use kind=stratified", kind=spec.kind
        )
    if column == contest.spec.group_column:
        return column, train["group"].tolist()
    if column not in known:
        raise InputError(
            "there is no column '{name}' to group by",
            where="group_column",
            why=has,
            fix="name one of the columns, or use kind=stratified",
            name=column,
        )
    values: list[str] = train[f"col.{column}"].tolist()
    empty = [row_id for row_id, value in zip(train["id"], values, strict=True) if not value.strip()]
    if len(empty):
        raise InputError(
            "{n:,} rows have no group",
            where="{file}, column '{column}'",
            why="ids: {names}",
            fix="fill the column in, or use another one",
            n=len(empty),
            file=contest.spec.train,
            column=column,
            names=", ".join(empty[:20]),
        )
    return column, values


def _checked(roles: NDArray[np.int8], path: Path) -> NDArray[np.int8]:
    is_whole = roles.ndim == 2 and roles.size and all(((roles == role).any(axis=1)).all() for role in (TRAIN, VALID))
    if not is_whole or not np.isin(roles, (UNUSED, TRAIN, VALID)).all():
        raise CheckpointError(
            "{file} does not hold folds",
            where=str(path),
            why="its shape is {shape}; each fold must train on some rows and validate others",
            fix="make the folds again",
            file=path.name,
            shape=roles.shape,
        )
    return roles
