"""The mean of predictions under weights: the one definition of a blend, for out-of-fold rows and test rows alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError


def mix(members: NDArray[np.float32], weights: Sequence[float]) -> NDArray[np.float32]:
    """Weighted arithmetic mean (soft vote) of predictions (n_runs, n_rows, n_classes) -> (n_rows, n_classes).

    Weights are divided by their sum; members are added in order, in float64, so equal inputs give equal bytes.
    """
    share = normalise(weights, len(members))
    total = np.zeros(members.shape[1:], dtype=np.float64)
    for weight, prob in zip(share, members, strict=True):
        if weight:
            total += weight * prob
    return total.astype(np.float32)


def normalise(weights: Sequence[float], n_runs: int) -> NDArray[np.float64]:
    """Weights (n_runs,) divided by their sum; InputError when one is negative or none is positive."""
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (n_runs,) or not np.isfinite(array).all() or (array < 0).any() or array.sum() <= 0:
        raise InputError(
            "the weights cannot be used",
            where=f"weights {list(map(float, array))}",
            why=f"expected {n_runs} finite numbers, none negative, not all zero",
            fix="give one weight per run, for example 0.6,0.4",
        )
    return array / array.sum()
