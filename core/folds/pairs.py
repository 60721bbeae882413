"""Folds as pairs of rows to train on and rows to validate, whatever settings made them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

UNUSED, TRAIN, VALID = 0, 1, 2


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
