"""How rows are dealt into folds: pairs of rows to train on and rows to validate, by scikit-learn's splitters; a group never stands on both sides."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.base.errors import InputError
from core.base.messages import msg
from core.contest.table import count_classes
from core.specs.folds import MAX_FOLDS, FoldsSpec

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


OTHER_COLUMN = "choose a column that says where a row comes from, such as a person or a source, or kind=stratified without one"
TRAINED_ON = ("", "nan", "-1", "train", "training")
"""What a fold column says of rows that every fold trains on and none validates, in any case."""


def make_folds(
    spec: FoldsSpec, labels: Rows, groups: Sequence[str] | None = None, *, parts: Sequence[str] | None = None, multilabel: bool = False
) -> FoldPairs:
    """The folds of all rows, by scikit-learn's splitters with shuffle and seed.

    `labels` are class indices (n,), or where rows may have several (`multilabel`) 0 and 1 for each class (n, n_classes): those are
    stratified iteratively (Sechidis et al. 2011), whole groups by the classes that occur in them. `groups` names (n,), needed by the
    group kinds; `parts` (n,) names the fold of each row, needed by kind=column. A class with fewer rows than folds is dealt as far as it
    goes; with `keep_rare` every fold trains on its rows, and on their groups. Raises InputError: fewer rows or groups than folds, groups
    or parts missing, each class inside one group or part.
    """
    if spec.kind == "column":
        fold_of, names = read_parts(parts or ())
        _check_spread(labels, fold_of, multilabel=multilabel)
        pairs = FoldPairs.of_parts(fold_of, len(names))
        return FoldPairs(pairs.roles[:1]) if spec.holdout else pairs
    if spec.needs_groups and groups is None:
        raise InputError(
            "kind={kind} needs groups",
            where="group_column",
            why="no group column was given",
            fix="name a group column, or use kind=stratified",
            kind=spec.kind,
        )
    codes = pd.factorize(np.asarray(groups, dtype=object))[0] if spec.needs_groups else np.arange(len(labels))
    kept = _rare_rows(labels, codes, spec.n_folds, multilabel=multilabel) if spec.keep_rare else np.zeros(len(labels), dtype=np.bool_)
    labels, codes = labels[~kept], pd.factorize(codes[~kept])[0]
    if spec.needs_groups and len(labels):
        _check_spread(labels, codes, multilabel=multilabel)
    _check_counts(spec, len(np.unique(codes)))
    repeats: list[NDArray[np.int8]] = []
    for repeat in range(spec.repeats):
        fold_of = np.full(len(kept), -1, dtype=np.int8)
        fold_of[~kept] = _deal(spec, (spec.seed + repeat) % 2**31, labels, codes, multilabel=multilabel)
        repeats.append(FoldPairs.of_parts(fold_of, spec.n_folds).roles)
    roles = np.concatenate(repeats)
    return FoldPairs(roles[:1] if spec.holdout else roles)


def read_parts(values: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Which fold validates each row (n,), -1 for none, by a column that says so; and its name in the column for each fold.

    The names are numbers in their order, or words in theirs; 1 and 1.0 are one name. Raises InputError for no fold or too many of them, and
    where the only fold would have nothing to train on.
    """
    name_of = {value: _name_of_part(value) for value in set(values)}
    names = sorted(set(name_of.values()) - {""})
    if all(_number(name) is not None for name in names):
        names.sort(key=float)
    if not 1 <= len(names) <= MAX_FOLDS or (len(names) == 1 and "" not in name_of.values()):
        raise InputError(
            "the column does not name folds",
            where="fold_column",
            why="it holds {n:,} different values beside those that mean training",
            fix="name a column of 2 to {most} values, or of val beside train; to keep rows of equal values together, use kind=group",
            n=len(names),
            most=MAX_FOLDS,
        )
    place = {value: names.index(name) if name else -1 for value, name in name_of.items()}
    return np.array([place[value] for value in values], dtype=np.int64), tuple(names)


def _name_of_part(value: str) -> str:
    """How a value of a fold column is written as a name; empty for one that means training."""
    number = _number(value)
    name = value.strip() if number is None else f"{number:.15g}"
    return "" if name.casefold() in TRAINED_ON else name


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _deal(spec: FoldsSpec, seed: int, labels: Rows, codes: Rows, *, multilabel: bool) -> NDArray[np.int8]:
    """The fold (n,) that validates each row; rows of equal `codes` (n,), from 0, stay together."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold

    n, n_folds = len(labels), spec.n_folds
    fold_of = np.full(n, -1, dtype=np.int8)
    if multilabel and spec.is_stratified:
        fold_of = deal_evenly(_classes_of_units(labels, codes), n_folds, seed)[codes]
    elif spec.kind == "stratified":
        fold_of = deal_classes(labels, n_folds, seed)
    else:
        splitter = {"kfold": KFold, "group": GroupKFold, "stratified_group": StratifiedGroupKFold}[spec.kind]
        if spec.is_stratified:  # scikit-learn refuses or warns of a class with fewer rows than folds: rows that are none fill it up
            counts = np.bincount(labels)
            extra = np.repeat(np.arange(len(counts)), np.where(counts, np.maximum(0, n_folds - counts), 0))
            labels, codes = np.concatenate([labels, extra]), np.concatenate([codes, codes.max() + 1 + np.arange(len(extra))])
        split = splitter(n_folds, shuffle=True, random_state=seed).split(
            codes, None if multilabel else labels, codes if spec.needs_groups else None
        )
        for fold, (_, valid_idx) in enumerate(split):
            rows = np.asarray(valid_idx)
            fold_of[rows[rows < n]] = fold
    empty = sorted(set(range(n_folds)) - set(fold_of.tolist()))
    if empty:
        raise InputError(
            "some folds would hold no rows",
            where="folds {numbers}",
            why="the groups are too few or too uneven to be spread over all folds",
            fix="use fewer folds, or kind=group",
            numbers=", ".join(map(str, empty)),
        )
    return fold_of


def deal_classes(labels: Rows, n_folds: int, seed: int) -> NDArray[np.int8]:
    """The fold (n,) of each row, the rows of each class over as many folds as it has rows: the deal of scikit-learn's StratifiedKFold, which
    refuses where every class has fewer rows than folds."""
    rng = np.random.RandomState(seed)
    code = pd.factorize(labels)[0]
    order = np.sort(code)
    share = np.stack([np.bincount(order[fold::n_folds], minlength=code.max() + 1) for fold in range(n_folds)])
    fold_of = np.empty(len(labels), dtype=np.int8)
    for number in range(share.shape[1]):
        dealt = np.arange(n_folds).repeat(share[:, number])
        rng.shuffle(dealt)
        fold_of[code == number] = dealt
    return fold_of


def class_balance(pairs: FoldPairs, labels: Rows, n_classes: int, *, multilabel: bool = False) -> NDArray[np.int64]:
    """Rows of each class that each fold validates, shape (n_folds, n_classes); `labels` as in `make_folds`."""
    validated = [labels[pairs.valid_idx(fold)] for fold in range(pairs.n_folds)]
    return np.stack([count_classes(rows, n_classes, multilabel=multilabel) for rows in validated])


def split_groups(pairs: FoldPairs, codes: Rows) -> NDArray[np.int64]:
    """The groups that stand on both sides of a fold; `codes` (n,) are the group of each row, from 0."""
    both = np.zeros(int(codes.max()) + 1, dtype=np.bool_)
    for role in pairs.roles:
        both |= (np.bincount(codes, role == TRAIN, len(both)) > 0) & (np.bincount(codes, role == VALID, len(both)) > 0)
    return np.flatnonzero(both)


def rare_classes(labels: Rows, n_classes: int, n_folds: int, *, multilabel: bool = False) -> NDArray[np.int64]:
    """The classes with rows, but fewer than folds."""
    counts = count_classes(labels, n_classes, multilabel=multilabel)
    return np.flatnonzero((counts > 0) & (counts < n_folds))


def say_rare(labels: Rows, classes: Sequence[str], n_folds: int, *, keep_rare: bool, multilabel: bool = False) -> str:
    """Which classes have fewer rows than folds, and what that means; empty where none has."""
    rare = rare_classes(labels, len(classes), n_folds, multilabel=multilabel)
    if not len(rare):
        return ""
    counts = count_classes(labels, len(classes), multilabel=multilabel)
    if keep_rare:
        said = "fewer rows than folds: {names}; every fold trains on them, none validates them"
    else:
        said = "fewer rows than folds: {names}; some folds validate none of them, and a class of one row is scored by a network that never saw it"
    return msg(said, names=_listed([f"{classes[number]} ({counts[number]:,})" for number in rare]))


def remarks(
    pairs: FoldPairs, spec: FoldsSpec, labels: Rows, classes: Sequence[str], groups: Rows | None, *, multilabel: bool
) -> tuple[str, ...]:
    """What must be known to trust these folds: rare classes, classes that are validated without having been trained on, groups on both sides.

    `groups` (n,) are the codes of the contest's own groups, None where it has none.
    """
    said = [] if spec.kind == "column" else [say_rare(labels, classes, spec.n_folds, keep_rare=spec.keep_rare, multilabel=multilabel)]
    rare = set() if spec.kind == "column" else set(rare_classes(labels, len(classes), spec.n_folds, multilabel=multilabel).tolist())
    unseen: dict[int, None] = {}
    for fold in range(pairs.n_folds):
        trained, valid = (
            count_classes(labels[rows], len(classes), multilabel=multilabel) for rows in (pairs.train_idx(fold), pairs.valid_idx(fold))
        )
        unseen |= dict.fromkeys(number for number in np.flatnonzero((valid > 0) & (trained == 0)).tolist() if number not in rare)
    if unseen:
        names = _listed([classes[number] for number in unseen])
        said.append(msg("validated by a fold that trains on no row of the class: {names}", names=names))
    both = [] if groups is None else split_groups(pairs, groups)
    if len(both):
        said.append(msg("groups on both sides of a fold: {n:,}, so the scores on these folds are too good", n=len(both)))
    return tuple(filter(None, said))


def _listed(names: Sequence[str]) -> str:
    return msg("{names} and {more} more", names=", ".join(names[:20]), more=len(names) - 20) if len(names) > 20 else ", ".join(names)


def _classes_of_units(labels: Rows, codes: Rows) -> NDArray[np.integer]:
    """Which classes occur in each group (n_groups, n_classes), of rows with several (n, n_classes)."""
    units = np.zeros((int(codes.max()) + 1, labels.shape[1]), dtype=labels.dtype)
    np.maximum.at(units, codes, labels)
    return units


def _rare_rows(labels: Rows, codes: Rows, n_folds: int, *, multilabel: bool) -> NDArray[np.bool_]:
    """Rows (n,) of a class that has fewer rows than there are folds, with their whole groups, so that none is on both sides of a fold."""
    if multilabel:
        counts = labels.sum(axis=0)
        rare = labels[:, (counts > 0) & (counts < n_folds)].any(axis=1)
    else:
        rare = (np.bincount(labels) < n_folds)[labels]
    return np.isin(codes, codes[rare])


def _check_counts(spec: FoldsSpec, n_units: int) -> None:
    """Refuse fewer rows or groups than folds."""
    if n_units >= spec.n_folds:
        return
    groups_fix = "use at most {n} folds, or another group column"
    raise InputError(
        "{n} groups cannot fill {folds} folds" if spec.needs_groups else "too few rows for {folds} folds: {n}",
        where="n_folds",
        why="a group is never split" if spec.needs_groups else "each fold validates one row at least",
        fix=groups_fix if spec.needs_groups else "use fewer folds, or leave keep_rare off" if spec.keep_rare else "use at most {n} folds",
        n=n_units,
        folds=spec.n_folds,
    )


def _check_spread(labels: Rows, codes: Rows, *, multilabel: bool) -> None:
    """Refuse groups, or parts, each of which holds all rows of its classes: no class would be both trained on and validated."""
    if multilabel:
        units = _classes_of_units(labels, pd.factorize(codes)[0])
        n_rows, n_units = labels.sum(axis=0), units.sum(axis=0, dtype=np.int64)
    else:
        span = int(codes.max()) + 2  # a code may be -1
        pairs = np.unique(labels * span + codes + 1)
        n_rows, n_units = np.bincount(labels), np.bincount(pairs // span, minlength=int(labels.max()) + 1)
    if (n_rows > 1).any() and (n_units[n_rows > 1] == 1).all():
        raise InputError(
            "each class would be in one fold",
            where="group_column, fold_column",
            why="the column says what the label says: no class has rows of two values, so no network would have seen the class it is scored on",
            fix=OTHER_COLUMN,
        )
