"""Folds of rows that have several classes each: every class is spread as evenly as can be, the rarest first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
