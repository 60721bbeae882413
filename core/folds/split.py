"""Who validates whom, by scikit-learn's splitters: a group never stands on both sides of a fold.

Folds are published once and never change; runs on different folds are never compared or blended.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.base.errors import InputError
from core.base.messages import msg
from core.contest.table import count_classes
from core.folds.pairs import FoldPairs
from core.folds.stratify import deal_evenly
from core.specs.folds import FoldsSpec

Rows = NDArray[np.integer]


def make_folds(spec: FoldsSpec, labels: Rows, groups: Sequence[str] | None = None, *, classes: Sequence[str] | None = None) -> FoldPairs:
    """The folds of all rows, by scikit-learn's splitters with shuffle and seed.

    `labels` are class indices (n,), or 0 and 1 for each class (n, n_classes): those are stratified iteratively (Sechidis et al.
    2011), whole groups by the classes that occur in them. `groups` names (n,), needed by the group kinds; `classes` names the
    classes in errors. Raises InputError: a class with fewer rows than folds (stratified kinds), fewer groups than folds, groups missing.
    """
    _check_groups(spec, groups)
    kept = _rare_rows(spec, labels) if spec.keep_rare else np.zeros(len(labels), dtype=np.bool_)
    if spec.is_stratified:
        _check_classes(spec, labels[~kept], classes)
    codes = pd.factorize(np.asarray(groups, dtype=object))[0] if spec.needs_groups else None
    repeats: list[NDArray[np.int8]] = []
    for repeat in range(spec.repeats):
        fold_of = np.full(len(labels), -1, dtype=np.int8)
        fold_of[~kept] = _deal(spec.model_copy(update={"seed": (spec.seed + repeat) % 2**31}), labels[~kept], codes)
        repeats.append(FoldPairs.of_parts(fold_of, spec.n_folds).roles)
    roles = np.concatenate(repeats)
    return FoldPairs(roles[:1] if spec.holdout else roles)


def _deal(spec: FoldsSpec, labels: Rows, codes: Rows | None) -> NDArray[np.int8]:
    """The fold (n,) that validates each row; rows of equal `codes` (n,) stay together."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    if labels.ndim == 2 and spec.is_stratified:
        fold_of = _deal_several(spec, labels, codes)
    else:
        splitters = {"kfold": KFold, "stratified": StratifiedKFold, "group": GroupKFold, "stratified_group": StratifiedGroupKFold}
        splitter = splitters[spec.kind](spec.n_folds, shuffle=True, random_state=spec.seed)
        fold_of = np.full(len(labels), -1, dtype=np.int8)
        for fold, (_, valid_idx) in enumerate(splitter.split(np.zeros(len(labels)), None if labels.ndim == 2 else labels, codes)):
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


def _deal_several(spec: FoldsSpec, labels: Rows, codes: Rows | None) -> NDArray[np.int8]:
    """The fold of each row (n,) that has several classes, `labels` (n, n_classes); rows of equal `codes` (n,) stay together."""
    if codes is None:
        return deal_evenly(labels, spec.n_folds, spec.seed)
    groups = np.zeros((int(codes.max()) + 1, labels.shape[1]), dtype=labels.dtype)
    np.maximum.at(groups, codes, labels)
    return deal_evenly(groups, spec.n_folds, spec.seed)[codes]


def class_balance(pairs: FoldPairs, labels: Rows, n_classes: int) -> NDArray[np.int64]:
    """Rows of each class that each fold validates, shape (n_folds, n_classes); `labels` as in `make_folds`."""
    return np.stack([count_classes(labels[pairs.valid_idx(fold)], n_classes) for fold in range(pairs.n_folds)])


def _rare_rows(spec: FoldsSpec, labels: Rows) -> NDArray[np.bool_]:
    """Rows (n,) of a class that has fewer rows than there are folds. Raises InputError where keeping them in training would not be honest."""
    if spec.kind != "stratified" or labels.ndim == 2:
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


def _check_classes(spec: FoldsSpec, labels: NDArray[np.integer], classes: Sequence[str] | None) -> None:
    counts = count_classes(labels, len(classes or ()))
    rare = [number for number, count in enumerate(counts.tolist()) if 0 < count < spec.n_folds]
    if rare:
        named = [
            msg("{place} ({where})", place=classes[number] if classes is not None else number, where=counts[number]) for number in rare
        ]
        least = int(min(counts[number] for number in rare))
        raise InputError(
            "{n} classes have fewer rows than the {folds} folds" if len(rare) > 1 else "{n} class has fewer rows than the {folds} folds",
            where="n_folds",
            why="rows per class: {names} and {more} more" if len(rare) > 20 else "rows per class: {names}",
            fix="use at most {least} folds, add rows, merge classes, or group by a column with kind=group"
            if least >= 2
            else "add rows to the class, merge classes, or group by a column with kind=group",
            n=len(rare),
            folds=spec.n_folds,
            least=least,
            names=", ".join(named[:20]),
            more=len(rare) - 20,
        )
