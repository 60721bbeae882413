"""The means of predictions under weights, each a transform of every member, a weighted sum, and a finish.

The finish keeps the order of the classes in a row; so what holds for the sum (which class can win) holds for every mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.base.errors import InputError
from core.blend.questions import answers, ask
from core.blend.ranks import rank_shares
from core.specs.blend import MeanName

FLOOR = np.float32(1e-7)
"""Probabilities below this count as this in the logit mean, so that one member's zero is no veto."""

POWER = 2.0

Members = Sequence[NDArray[np.float32]] | NDArray[np.float32]
"""Predictions of several runs, each (n_rows, n_classes): one array (n_runs, n_rows, n_classes), or one array per run."""


def mix(members: Members, weights: Sequence[float], mean: MeanName = "arithmetic") -> NDArray[np.float32]:
    """The blend (n_rows, n_classes) of the members under non-negative weights, one per run.

    arithmetic: the mean (soft vote). logit: the normalised geometric mean. power: the root of the mean of squares, normalised.
    rank: the mean of each class's ranks over the rows, normalised. hard: the share of votes.
    Weights are divided by their sum; members are added in order, in float64, so equal inputs give equal bytes.
    """
    return mix_shares(members, normalise(weights, len(members)), mean)


def mix_shares(members: Members, share: NDArray[np.float64], mean: MeanName, n_labels: int = 0) -> NDArray[np.float32]:
    """`mix` under shares that sum to one over the runs: (n_runs,), or one that `add_up` takes for a share of its own in each class.

    With `n_labels` the members are answers to questions (n_rows * n_labels, 2).
    """
    total = np.zeros(members[0].shape, dtype=np.float64)
    for weight, prob in zip(share, members, strict=True):
        if weight.any():
            total += weight * transform(prob, mean, n_labels)
    return finish(total, mean, by_class=share.ndim > 1)


def transform(prob: NDArray[np.float32], mean: MeanName, n_labels: int = 0) -> NDArray[np.float32]:
    """What is summed of one member (n_rows, n_classes); never negative. Ranks of questions are those within one class."""
    if mean == "logit":
        return np.log(np.maximum(prob, FLOOR)) - np.log(FLOOR)
    if mean == "power":
        return prob**POWER
    if mean == "rank" and n_labels:
        return ask(rank_shares(answers(prob, n_labels)))
    if mean == "rank":
        return rank_shares(prob)
    if mean == "hard":
        return np.eye(prob.shape[1], dtype=np.float32)[prob.argmax(axis=1)]
    return prob


def add_up(values: Members, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted sum, member by member in float64; a member without weight is not touched.

    A share is one number per member, one per member and class, or one per member and row (n_members, n_rows, 1).
    """
    total = np.zeros(values[0].shape, dtype=np.float64)
    for weight, value in zip(share, values, strict=True):
        if weight.any():
            total += weight * value
    return total


def finish(total: NDArray[np.float64], mean: MeanName, *, by_class: bool = False) -> NDArray[np.float32]:
    """Probabilities (n_rows, n_classes) from the weighted sum of transformed members; shares by class leave no sum at one."""
    if mean == "logit":
        total = np.exp(total - total.max(axis=1, keepdims=True))
    elif mean == "power":
        total = total ** (1 / POWER)
    if by_class or mean in ("logit", "power", "rank"):
        total = total / total.sum(axis=1, keepdims=True)
    return total.astype(np.float32)


def normalise(weights: Sequence[float], n_runs: int) -> NDArray[np.float64]:
    """Weights (n_runs,) divided by their sum; InputError when one is negative or none is positive."""
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (n_runs,) or not np.isfinite(array).all() or (array < 0).any() or array.sum() <= 0:
        raise InputError(
            "the weights cannot be used",
            where="weights {numbers}",
            why="expected {n} finite numbers, none negative, not all zero",
            fix="give one weight per run, for example 0.6,0.4",
            numbers=list(map(float, np.ravel(array))),
            n=n_runs,
        )
    return array / array.sum()
