"""Who validates whom: every training row is validated exactly once, and a group never stands on both sides.

Folds are published once and never change; runs on different folds are never compared or blended.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from core.base.arrays import read_array
from core.base.errors import InputError
from core.base.settings import Settings
from core.contest.table import count_classes, labels_of, load_table
from core.folds.stratify import deal_evenly
from core.store.folds import Folds, add_folds
from core.workspace import Workspace, fingerprint, publishing, verify

if TYPE_CHECKING:
    from core.store.contests import Contest

BASIC: dict[str, Any] = {"basic": True}
ARRAY = "folds.npy"


class FoldsSpec(Settings):
    """How to cut the training rows."""

    kind: Literal["stratified", "group", "stratified_group"] = Field(
        default="stratified",
        description="Stratified keeps the share of each class; group keeps rows of one group together; stratified_group does both as well as it can.",
        json_schema_extra=BASIC,
    )
    n_folds: int = Field(default=5, ge=2, le=20, description="Number of folds.", json_schema_extra=BASIC)
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="Shuffles the rows (or groups) before they are dealt out.", json_schema_extra=BASIC
    )
    group_column: str = Field(
        default="", description="Column that names the group; empty is the contest's own group column.", json_schema_extra=BASIC
    )

    @property
    def needs_groups(self) -> bool:
        """True for the kinds that keep groups together."""
        return self.kind != "stratified"


def make_folds(
    spec: FoldsSpec, labels: NDArray[np.integer], groups: Sequence[str] | None = None, *, classes: Sequence[str] | None = None
) -> NDArray[np.int8]:
    """The validation fold (0 .. n_folds - 1) of each row, shape (n,), by scikit-learn's splitters with shuffle and seed.

    `labels` are class indices (n,), or 0 and 1 for each class (n, n_classes): those are stratified iteratively (Sechidis et al.
    2011), whole groups by the classes that occur in them. `groups` names (n,), needed by the group kinds; `classes` names the
    classes in errors. Raises InputError: a class with fewer rows than folds (stratified kinds), fewer groups than folds, groups missing.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

    _check_groups(spec, groups)
    if spec.kind != "group":
        _check_classes(spec, labels, classes)
    codes = pd.factorize(np.asarray(groups, dtype=object))[0] if spec.needs_groups else None
    splitter: StratifiedKFold | GroupKFold | StratifiedGroupKFold
    if labels.ndim == 2 and spec.kind != "group":
        fold_of = _deal_several(spec, labels, codes)
    else:
        if spec.kind == "stratified":
            splitter = StratifiedKFold(spec.n_folds, shuffle=True, random_state=spec.seed)
        elif spec.kind == "group":
            splitter = GroupKFold(spec.n_folds, shuffle=True, random_state=spec.seed)
        else:
            splitter = StratifiedGroupKFold(spec.n_folds, shuffle=True, random_state=spec.seed)
        fold_of = np.full(len(labels), -1, dtype=np.int8)
        for fold, (_, valid_idx) in enumerate(splitter.split(np.zeros(len(labels)), None if labels.ndim == 2 else labels, codes)):
            fold_of[valid_idx] = fold
    empty = sorted(set(range(spec.n_folds)) - set(fold_of.tolist()))
    if empty:
        raise InputError(
            "some folds would hold no rows",
            where=f"folds {', '.join(map(str, empty))}",
            why="the groups are too few or too uneven to be spread over all folds",
            fix="use fewer folds, or kind=group",
        )
    return fold_of


def _deal_several(spec: FoldsSpec, labels: NDArray[np.integer], codes: NDArray[np.integer] | None) -> NDArray[np.int8]:
    """The fold of each row (n,) that has several classes, `labels` (n, n_classes); rows of equal `codes` (n,) stay together."""
    if codes is None:
        return deal_evenly(labels, spec.n_folds, spec.seed)
    groups = np.zeros((int(codes.max()) + 1, labels.shape[1]), dtype=labels.dtype)
    np.maximum.at(groups, codes, labels)
    return deal_evenly(groups, spec.n_folds, spec.seed)[codes]


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


def class_balance(fold_of: NDArray[np.integer], labels: NDArray[np.integer], n_classes: int) -> NDArray[np.int64]:
    """Rows of each class in each fold, shape (n_folds, n_classes); `labels` as in `make_folds`."""
    n_folds = int(fold_of.max()) + 1
    return np.stack([count_classes(labels[fold_of == fold], n_classes) for fold in range(n_folds)])


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


def _check_groups(spec: FoldsSpec, groups: Sequence[str] | None) -> None:
    if not spec.needs_groups:
        return
    if groups is None:
        raise InputError(
            f"kind={spec.kind} needs groups",
            where="group_column",
            why="no group column was given",
            fix="name a group column, or use kind=stratified",
        )
    n_groups = len(set(groups))
    if n_groups < spec.n_folds:
        raise InputError(
            f"{n_groups} groups cannot fill {spec.n_folds} folds",
            where="n_folds",
            why="a group is never split",
            fix=f"use at most {n_groups} folds, or another group column",
        )


def _check_classes(spec: FoldsSpec, labels: NDArray[np.integer], classes: Sequence[str] | None) -> None:
    counts = count_classes(labels, len(classes or ()))
    rare = [number for number, count in enumerate(counts.tolist()) if 0 < count < spec.n_folds]
    if rare:
        named = [f"{classes[number] if classes is not None else number} ({counts[number]})" for number in rare]
        least = int(min(counts[number] for number in rare))
        advice = f"use at most {least} folds, " if least >= 2 else ""
        raise InputError(
            f"{len(rare)} class{'es have' if len(rare) > 1 else ' has'} fewer rows than the {spec.n_folds} folds",
            where="n_folds",
            why=f"rows per class: {', '.join(named[:20])}" + (f" and {len(rare) - 20} more" if len(rare) > 20 else ""),
            fix=f"{advice}add rows to {'these classes' if len(rare) > 1 else 'this class'}, merge classes, or group by a column with kind=group",
        )


def _npy(array: NDArray[np.int8]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
