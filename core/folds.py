"""Folds as pairs of rows to train on and rows to validate, dealt by scikit-learn's splitters: a group never stands on both sides.

Folds are published once and never change; runs on different folds are never compared or blended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.artefacts import publishing, read_array, verify
from core.base.errors import CheckpointError, InputError
from core.base.files import fingerprint
from core.base.messages import msg
from core.contest.table import add_groups, contest_groups, count_classes, load_groups, load_table, load_truth
from core.specs.folds import FoldsSpec
from core.store.contests import Contest, GroupsVersion, get_groups
from core.store.folds import Folds, add_folds, list_folds
from core.workspace import Workspace

UNUSED, TRAIN, VALID = 0, 1, 2
Rows = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class FoldPairs:
    """A list of (train, valid) pairs of row numbers.

    `roles` (n_folds, n_rows) int8 holds for each fold what it does with each row: UNUSED, TRAIN or VALID. A row may be validated by
    no fold (hold-out, a rare class that is only trained on), by one, or by several (repeated folds).
    """

    roles: NDArray[np.int8]

    @classmethod
    def of_parts(cls, fold_of: NDArray[np.integer], n_folds: int) -> FoldPairs:
        """Cross-validation: a row is validated by the fold in `fold_of` (n_rows,) and trained on by all others; -1: by no fold."""
        return cls(np.where(np.arange(n_folds)[:, None] == fold_of, VALID, TRAIN).astype(np.int8))

    def keeping(self, kept: NDArray[np.bool_]) -> FoldPairs:
        """The same folds without the rows (n_rows,) that a truth drops: they are neither trained on nor validated."""
        return self if kept.all() else FoldPairs(np.where(kept, self.roles, UNUSED).astype(np.int8))

    @property
    def n_folds(self) -> int:
        return len(self.roles)

    @property
    def n_rows(self) -> int:
        """Rows of the contest, used or not."""
        return self.roles.shape[1]

    def train_idx(self, fold: int) -> NDArray[np.int64]:
        """The rows that a fold trains on, ascending."""
        return np.flatnonzero(self.roles[fold] == TRAIN)

    def valid_idx(self, fold: int) -> NDArray[np.int64]:
        """The rows that a fold validates, ascending."""
        return np.flatnonzero(self.roles[fold] == VALID)

    @cached_property
    def times_validated(self) -> NDArray[np.int64]:
        """How many folds validate each row (n_rows,)."""
        return np.count_nonzero(self.roles == VALID, axis=0)

    @property
    def validated(self) -> NDArray[np.bool_]:
        """The rows (n_rows,) that at least one fold validates; all others have no out-of-fold prediction."""
        return self.times_validated > 0

    def folds_of(self, row: int) -> tuple[int, ...]:
        """The folds that validate a row."""
        return tuple(np.flatnonzero(self.roles[:, row] == VALID).tolist())

    def first_fold(self, folds: Collection[int] | None = None) -> NDArray[np.int64]:
        """The first of some folds (default all) that validates each row (n_rows,), -1 where none does.

        Where every row is validated once this is its fold. Else it still cuts the validated rows into parts, each inside one fold.
        """
        chosen = np.arange(self.n_folds) if folds is None else np.array(sorted(folds), dtype=np.int64)
        valid = self.roles[chosen] == VALID
        return np.where(valid.any(axis=0), chosen[valid.argmax(axis=0)], -1)


def deal_evenly(truth: NDArray[np.integer], n_folds: int, seed: int) -> NDArray[np.int8]:
    """The fold (n,) of each row, from 0 and 1 for each class (n, n_classes): iterative stratification (Sechidis et al. 2011).

    The class with the fewest rows left is dealt next, each row to the fold that lacks most of it, among those to the one that lacks
    most of all the row's classes, then most rows; rows without a class fill up what is left. A full fold takes no more, so sizes
    differ by one at most. The seed shuffles rows and folds, which decides ties.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(truth))
    has = truth[order].astype(bool)
    rows_wanted = np.full(n_folds, len(truth) // n_folds)
    rows_wanted[: len(truth) % n_folds] += 1
    class_wanted = np.tile(has.sum(axis=0) / n_folds, (n_folds, 1))
    dealt = np.full(len(truth), -1, dtype=np.int8)
    left = has.sum(axis=0)
    while (waiting := dealt < 0).any():
        rarest = int(np.where(left > 0, left, np.inf).argmin()) if left.any() else None
        rows = np.flatnonzero(waiting if rarest is None else waiting & has[:, rarest])
        for row in rows:
            of_rarest = rows_wanted if rarest is None else class_wanted[:, rarest]
            of_all = class_wanted[:, has[row]].sum(axis=1)
            fold = int(np.lexsort((rows_wanted, of_all, of_rarest, rows_wanted > 0))[-1])
            dealt[row] = fold
            rows_wanted[fold] -= 1
            class_wanted[fold, has[row]] -= 1
        left -= has[rows].sum(axis=0)
    fold_of = np.empty_like(dealt)
    fold_of[order] = rng.permutation(n_folds)[dealt]
    return fold_of


def make_folds(
    spec: FoldsSpec,
    labels: Rows,
    groups: Sequence[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
    multilabel: bool = False,
) -> FoldPairs:
    """The folds of all rows, by scikit-learn's splitters with shuffle and seed.

    `labels` are class indices (n,), or where rows may have several (`multilabel`) 0 and 1 for each class (n, n_classes): those are
    stratified iteratively (Sechidis et al. 2011), whole groups by the classes that occur in them. `groups` names (n,), needed by the
    group kinds; `classes` names the classes in errors. Raises InputError: a class with fewer rows than folds (stratified kinds), fewer
    groups than folds, groups missing.
    """
    _check_groups(spec, groups)
    kept = _rare_rows(spec, labels, multilabel=multilabel) if spec.keep_rare else np.zeros(len(labels), dtype=np.bool_)
    if spec.is_stratified:
        _check_classes(spec, count_classes(labels[~kept], len(classes or ()), multilabel=multilabel), classes)
    codes = pd.factorize(np.asarray(groups, dtype=object))[0] if spec.needs_groups else None
    repeats: list[NDArray[np.int8]] = []
    for repeat in range(spec.repeats):
        fold_of = np.full(len(labels), -1, dtype=np.int8)
        seed = (spec.seed + repeat) % 2**31
        fold_of[~kept] = _deal(spec.model_copy(update={"seed": seed}), labels[~kept], codes, multilabel=multilabel)
        repeats.append(FoldPairs.of_parts(fold_of, spec.n_folds).roles)
    roles = np.concatenate(repeats)
    return FoldPairs(roles[:1] if spec.holdout else roles)


def _deal(spec: FoldsSpec, labels: Rows, codes: Rows | None, *, multilabel: bool) -> NDArray[np.int8]:
    """The fold (n,) that validates each row; rows of equal `codes` (n,) stay together."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    if multilabel and spec.is_stratified:
        codes = np.arange(len(labels)) if codes is None else codes
        units = np.zeros((int(codes.max()) + 1, labels.shape[1]), dtype=labels.dtype)
        np.maximum.at(units, codes, labels)
        fold_of = deal_evenly(units, spec.n_folds, spec.seed)[codes]
    else:
        splitters = {"kfold": KFold, "stratified": StratifiedKFold, "group": GroupKFold, "stratified_group": StratifiedGroupKFold}
        splitter = splitters[spec.kind](spec.n_folds, shuffle=True, random_state=spec.seed)
        fold_of = np.full(len(labels), -1, dtype=np.int8)
        for fold, (_, valid_idx) in enumerate(splitter.split(np.zeros(len(labels)), None if multilabel else labels, codes)):
            fold_of[valid_idx] = fold
    empty = sorted(set(range(spec.n_folds)) - set(fold_of.tolist()))
    if empty:
        raise InputError(
            "some folds would hold no rows",
            where="folds {numbers}",
            why="the groups are too few or too uneven to be spread over all folds",
            fix="use fewer folds, or kind=group",
            numbers=", ".join(map(str, empty)),
        )
    return fold_of


def class_balance(pairs: FoldPairs, labels: Rows, n_classes: int, *, multilabel: bool = False) -> NDArray[np.int64]:
    """Rows of each class that each fold validates, shape (n_folds, n_classes); `labels` as in `make_folds`."""
    validated = [labels[pairs.valid_idx(fold)] for fold in range(pairs.n_folds)]
    return np.stack([count_classes(rows, n_classes, multilabel=multilabel) for rows in validated])


def _rare_rows(spec: FoldsSpec, labels: Rows, *, multilabel: bool) -> NDArray[np.bool_]:
    """Rows (n,) of a class that has fewer rows than there are folds. Raises InputError where keeping them in training would not be honest."""
    if spec.kind != "stratified" or multilabel:
        raise InputError(
            "rare classes cannot be kept in training here",
            where="keep_rare",
            why="other rows of its group, or its other classes, would be validated by networks that were trained on it",
            fix="use kind=stratified where each row has one class, or leave keep_rare off",
        )
    return (np.bincount(labels) < spec.n_folds)[labels]


def _check_groups(spec: FoldsSpec, groups: Sequence[str] | None) -> None:
    if not spec.needs_groups:
        return
    if groups is None:
        raise InputError(
            "kind={kind} needs groups",
            where="group_column",
            why="no group column was given",
            fix="name a group column, or use kind=stratified",
            kind=spec.kind,
        )
    n_groups = len(set(groups))
    if n_groups < spec.n_folds:
        raise InputError(
            "{n} groups cannot fill {folds} folds",
            where="n_folds",
            why="a group is never split",
            fix="use at most {n} folds, or another group column",
            n=n_groups,
            folds=spec.n_folds,
        )


def _check_classes(spec: FoldsSpec, counts: NDArray[np.int64], classes: Sequence[str] | None) -> None:
    rare = np.flatnonzero((counts > 0) & (counts < spec.n_folds))
    if not len(rare):
        return
    least = int(counts[rare].min())
    named = [msg("{place} ({where})", place=classes[number] if classes else number, where=counts[number]) for number in rare[:20]]
    fix = "use at most {least} folds, add rows, merge classes, or group by a column with kind=group"
    raise InputError(
        "{n} classes have fewer rows than the {folds} folds" if len(rare) > 1 else "{n} class has fewer rows than the {folds} folds",
        where="n_folds",
        why="rows per class: {names} and {more} more" if len(rare) > 20 else "rows per class: {names}",
        fix=fix if least >= 2 else "add rows to the class, merge classes, or group by a column with kind=group",
        n=len(rare),
        folds=spec.n_folds,
        least=least,
        names=", ".join(named),
        more=len(rare) - 20,
    )


ROLES = "roles.npy"
"""What each fold does with each row, as `FoldPairs.roles`. One byte holds any list of pairs, and a fold's rows are read in one sweep."""
FOLD_OF = "folds.npy"
"""Artefacts made before November 2026 hold the validation fold of each row instead (n_rows,)."""


def save_folds(workspace: Workspace, contest: Contest, spec: FoldsSpec) -> Folds:
    """Make and publish the folds of a contest; equal pairs of equal rows are the folds that are there already.

    Raises InputError as `make_folds` does, and for a group column that the contest does not have (listing those it has).
    """
    truth = load_truth(workspace, contest)
    groups, names = _groups(workspace, contest, spec)
    spec = spec.model_copy(update={"group_column": "" if groups is None else groups.column_name})
    pairs = make_folds(spec, truth.labels, names, classes=contest.spec.classes, multilabel=contest.spec.is_multilabel)
    roles = hashlib.sha256(pairs.roles.tobytes()).hexdigest()
    identity = fingerprint({"kind": "folds", "rows": contest.fingerprint, "n_folds": pairs.n_folds, "roles": roles})
    for known in list_folds(workspace.store, contest.id):
        if known.fingerprint == identity or (known.spec == spec and np.array_equal(load_folds(workspace, known).roles, pairs.roles)):
            return known
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


def group_columns(train: pd.DataFrame) -> list[str]:
    """Original columns of a contest's training rows that may serve as a group."""
    return [name.removeprefix("col.") for name in train.columns if name.startswith("col.")]


def folds_groups(workspace: Workspace, contest: Contest, folds: Folds) -> NDArray[np.int64] | None:
    """The number of each training row's group (n,): of those that the folds keep together, else of the contest's own; None for none."""
    groups = contest_groups(workspace, contest) if folds.groups_id is None else get_groups(workspace.store, folds.groups_id)
    if groups is None:
        return None
    return np.unique(np.array(load_groups(workspace, contest, groups), dtype=str), return_inverse=True)[1]


def _groups(workspace: Workspace, contest: Contest, spec: FoldsSpec) -> tuple[GroupsVersion | None, list[str] | None]:
    """The groups that are kept together, and their name for each row; None for none."""
    if not spec.needs_groups:
        return None, None
    column = spec.group_column or contest.spec.group_column
    if column and column == contest.spec.group_column:
        groups = contest_groups(workspace, contest)
        assert groups is not None  # it raises where they are gone
        return groups, load_groups(workspace, contest, groups)
    train = load_table(workspace, contest).train
    known = group_columns(train)
    has = msg("columns of {file}: {names}", file=contest.spec.train, names=", ".join(known)) if known else "class folders have no columns"
    if column not in known:
        raise InputError(
            "there is no column '{name}' to group by" if column else "kind={kind} needs a group column",
            where="group_column",
            why=has,
            fix="name one of the columns, or use kind=stratified",
            name=column,
            kind=spec.kind,
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
    return add_groups(workspace, contest, column, values), values
