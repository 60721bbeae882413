"""The means of predictions under weights: the one definition of a blend, for out-of-fold rows and test rows alike.

Every mean is a transform of each member, a weighted sum, and a finish that keeps the order of the classes in a row; so what
holds for the sum (which class can win) holds for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from core.errors import InputError

MeanName = Literal["arithmetic", "logit", "power", "rank", "hard"]
FLOOR = np.float32(1e-7)
"""Probabilities below this count as this in the logit mean, so that one member's zero is no veto."""

POWER = 2.0


def mix(members: NDArray[np.float32], weights: Sequence[float], mean: MeanName = "arithmetic") -> NDArray[np.float32]:
    """The blend (n_rows, n_classes) of predictions (n_runs, n_rows, n_classes) under non-negative weights.

    arithmetic: the mean (soft vote). logit: the normalised geometric mean. power: the root of the mean of squares, normalised.
    rank: the mean of each class's ranks over the rows, normalised. hard: the share of votes.
    Weights are divided by their sum; members are added in order, in float64, so equal inputs give equal bytes.
    """
    share = normalise(weights, len(members))
    return finish(add_up([transform(prob, mean) if weight else prob for weight, prob in zip(share, members, strict=True)], share), mean)


def transform(prob: NDArray[np.float32], mean: MeanName) -> NDArray[np.float32]:
    """What is summed of one member (n_rows, n_classes); never negative."""
    if mean == "logit":
        return np.log(np.maximum(prob, FLOOR)) - np.log(FLOOR)
    if mean == "power":
        return prob**POWER
    if mean == "rank":
        return (rankdata(prob, axis=0) / len(prob)).astype(np.float32)
    if mean == "hard":
        return np.eye(prob.shape[1], dtype=np.float32)[prob.argmax(axis=1)]
    return prob


def add_up(values: Sequence[NDArray[np.float32]] | NDArray[np.float32], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted sum, member by member in float64; a member without weight is not touched."""
    total = np.zeros(values[0].shape, dtype=np.float64)
    for weight, value in zip(share, values, strict=True):
        if weight:
            total += weight * value
    return total


def finish(total: NDArray[np.float64], mean: MeanName) -> NDArray[np.float32]:
    """Probabilities (n_rows, n_classes) from the weighted sum of transformed members."""
    if mean == "logit":
        total = np.exp(total - total.max(axis=1, keepdims=True))
    elif mean == "power":
        total = total ** (1 / POWER)
    if mean in ("logit", "power", "rank"):
        total = total / total.sum(axis=1, keepdims=True)
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
