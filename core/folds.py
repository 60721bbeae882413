"""Folds as artefacts: made once, published, never changed; runs on different folds are never compared or blended."""

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.artefacts import publishing, read_array, verify
from core.base.errors import CheckpointError, InputError
from core.base.files import fingerprint
from core.base.messages import msg
from core.contest.table import add_groups, contest_groups, load_groups, load_table, load_truth
from core.specs.folds import FoldsSpec
from core.splitting import OTHER_COLUMN, TRAIN, UNUSED, VALID, FoldPairs, make_folds, read_parts, split_groups
from core.store.contests import Contest, GroupsVersion, get_groups
from core.store.folds import Folds, add_folds, list_folds
from core.workspace import Workspace

ROLES = "roles.npy"
"""What each fold does with each row, as `FoldPairs.roles`. One byte holds any list of pairs, and a fold's rows are read in one sweep."""
FOLD_OF = "folds.npy"
"""Artefacts made before November 2026 hold the validation fold of each row instead (n_rows,)."""


def first_spec(contest: Contest) -> FoldsSpec:
    """The folds that fit a contest: split by its groups where it has some."""
    group = contest.spec.group_column
    return FoldsSpec(kind="stratified_group" if group else "stratified", group_column=group)


def save_folds(workspace: Workspace, contest: Contest, spec: FoldsSpec) -> Folds:
    """Make and publish the folds of a contest; equal pairs of equal rows are the folds that are there already.

    Raises InputError as `make_folds` does, for a column that the contest does not have (listing those it has) or that the kind ignores,
    and where new folds would put the contest's own groups on both sides; those of an earlier version stay.
    """
    truth = load_truth(workspace, contest)
    groups, names = _groups(workspace, contest, spec)
    parts = _column(workspace, contest, spec, "fold_column") if spec.kind == "column" else None
    pairs = make_folds(spec, truth.labels, names, parts=parts, multilabel=contest.spec.is_multilabel)
    known_parts = {} if parts is None else {"n_folds": max(2, len(read_parts(parts)[1]))}
    spec = spec.model_copy(update={"group_column": "" if groups is None else groups.column_name, **known_parts})
    roles = hashlib.sha256(pairs.roles.tobytes()).hexdigest()
    identity = fingerprint({"kind": "folds", "rows": contest.fingerprint, "n_folds": pairs.n_folds, "roles": roles})
    for known in list_folds(workspace.store, contest.id):
        if known.fingerprint == identity or (known.spec == spec and np.array_equal(load_folds(workspace, known).roles, pairs.roles)):
            return known
    own = own_groups(workspace, contest)
    if own is not None:
        _check_own_groups(contest, pairs, own)
    made_from = {"truth": contest.truth.fingerprint if spec.is_stratified else None, "groups": groups.fingerprint if groups else None}
    facts = {**spec.to_dict(), **made_from, "n_rows": pairs.n_rows}
    destination = workspace.part_dir(contest.folder, "folds", identity)
    with publishing(destination, kind="folds", parents={"rows": contest.fingerprint}, facts=facts) as folder:
        np.save(folder / ROLES, pairs.roles, allow_pickle=False)
    return add_folds(
        workspace.store,
        contest_id=contest.id,
        spec=spec,
        n_folds=pairs.n_folds,
        fingerprint=identity,
        path=workspace.relative(destination),
        truth_id=contest.truth.id if spec.is_stratified else None,
        groups_id=groups.id if groups else None,
    )


def load_folds(workspace: Workspace, folds: Folds) -> FoldPairs:
    """The (train, valid) pairs of row numbers; raises CheckpointError when the artefact is damaged."""
    path = workspace.absolute(folds.path)
    if FOLD_OF in verify(path).files:
        fold_of = read_array(path / FOLD_OF, fix="make the folds again")
        return FoldPairs.of_parts(fold_of, int(fold_of.max()) + 1)
    roles = read_array(path / ROLES, fix="make the folds again")
    is_whole = roles.ndim == 2 and roles.size and all(((roles == role).any(axis=1)).all() for role in (TRAIN, VALID))
    if not is_whole or not np.isin(roles, (UNUSED, TRAIN, VALID)).all():
        raise CheckpointError(
            "{file} does not hold folds",
            where=str(path / ROLES),
            why="its shape is {shape}; each fold must train on some rows and validate others",
            fix="make the folds again",
            file=ROLES,
            shape=roles.shape,
        )
    return FoldPairs(roles)


def fold_parts(workspace: Workspace, contest: Contest, folds: Folds) -> tuple[str, ...]:
    """What the column that folds were taken from says of the rows that each fold validates; none for folds of another kind."""
    return read_parts(_column(workspace, contest, folds.spec, "fold_column"))[1][: folds.n_folds] if folds.kind == "column" else ()


def group_columns(train: pd.DataFrame) -> list[str]:
    """Original columns of a contest's training rows that may serve as a group."""
    return [name.removeprefix("col.") for name in train.columns if name.startswith("col.")]


def own_groups(workspace: Workspace, contest: Contest) -> NDArray[np.int64] | None:
    """The number of each training row's group (n,) in the contest's group column; None where it has none."""
    groups = contest_groups(workspace, contest)
    return None if groups is None else _codes(workspace, contest, groups)


def folds_groups(workspace: Workspace, contest: Contest, folds: Folds) -> NDArray[np.int64] | None:
    """The number of each training row's group (n,): of those that the folds keep together, else of the contest's own; None for none."""
    if folds.groups_id is None:
        return own_groups(workspace, contest)
    return _codes(workspace, contest, get_groups(workspace.store, folds.groups_id))


def _codes(workspace: Workspace, contest: Contest, groups: GroupsVersion) -> NDArray[np.int64]:
    return np.unique(np.array(load_groups(workspace, contest, groups), dtype=str), return_inverse=True)[1]


def _check_own_groups(contest: Contest, pairs: FoldPairs, own: NDArray[np.int64]) -> None:
    """Refuse folds that split the contest's groups."""
    both = split_groups(pairs, own)
    if len(both):
        raise InputError(
            "the contest's groups would be split",
            where="column '{column}' of {contest}",
            why="{n:,} of {all:,} groups would stand on both sides of a fold, so that its scores would be too good",
            fix="use kind=stratified_group or kind=group, or correct the contest's group column",
            n=len(both),
            all=int(own.max()) + 1,
            column=contest.spec.group_column,
            contest=contest.name,
        )


def _groups(workspace: Workspace, contest: Contest, spec: FoldsSpec) -> tuple[GroupsVersion | None, list[str] | None]:
    """The groups that are kept together, and their name for each row; None for none."""
    if not spec.needs_groups:
        if spec.group_column and spec.group_column != contest.spec.group_column:
            raise InputError(
                "kind={kind} keeps no groups together",
                where="group_column",
                why="'{name}' would be ignored",
                fix="use kind=stratified_group or kind=group, or leave the column out",
                kind=spec.kind,
                name=spec.group_column,
            )
        return None, None
    column = spec.group_column or contest.spec.group_column
    if column and column == contest.spec.group_column:
        groups = contest_groups(workspace, contest)
        assert groups is not None  # it raises where they are gone
        return groups, load_groups(workspace, contest, groups)
    values = _column(workspace, contest, spec, "group_column")
    empty = [row_id for row_id, value in zip(load_table(workspace, contest).train["id"], values, strict=True) if not value.strip()]
    if len(empty):
        raise InputError(
            "{n:,} {n:row has|rows have} no group",
            where="{file}, column '{column}'",
            why="ids: {names}",
            fix="fill the column in, or use another one",
            n=len(empty),
            file=contest.spec.train,
            column=column,
            names=", ".join(empty[:20]),
        )
    return add_groups(workspace, contest, column, values), values


def _column(workspace: Workspace, contest: Contest, spec: FoldsSpec, setting: str) -> list[str]:
    """The values (n,) of the training column that a setting names. Raises InputError listing the columns there are."""
    train = load_table(workspace, contest).train
    known, column = group_columns(train), str(getattr(spec, setting))
    if column not in known:
        raise InputError(
            "there is no column '{name}'" if column else "kind={kind} needs a column",
            where=setting,
            why=msg("columns of {file}: {names}", file=contest.spec.train, names=", ".join(known))
            if known
            else "class folders have no columns",
            fix="name one of the columns, or use kind=stratified",
            name=column,
            kind=spec.kind,
        )
    if column == contest.spec.label_column:
        raise InputError(
            "each class would be in one fold",
            where=setting,
            why="'{name}' is the column of the label",
            fix=OTHER_COLUMN,
            name=column,
        )
    return train[f"col.{column}"].tolist()
