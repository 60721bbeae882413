"""A row that may have several classes is one question for each, answered no or yes: then a blend of many labels is one of two classes.

So every mean, every way to weights and every exact shortcut serves both kinds of contest. Questions stand row by row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.metrics.decide import THRESHOLD


def ask(prob: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of no and yes (n_rows * n_labels, 2) from those of each class (n_rows, n_labels)."""
    yes = prob.reshape(-1)
    return np.stack([1 - yes, yes], axis=1)


def answers(pairs: NDArray[np.float32], n_labels: int) -> NDArray[np.float32]:
    """The probability of each class (n_rows, n_labels) from those of no and yes."""
    return np.ascontiguousarray(pairs[:, 1]).reshape(-1, n_labels)


def of_truth(yes: NDArray[np.floating], y_true: NDArray[np.integer]) -> NDArray[np.float32]:
    """The probability of the true answer (n,) from that of yes (n,), which a blend keeps as float32: no is what is left of it."""
    kept = yes.astype(np.float32)
    return np.where(y_true == 1, kept, 1 - kept)


def is_yes(pairs: NDArray[np.float32], labels: NDArray[np.integer], thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """The questions (n,) that are answered yes: above the threshold of their class `labels` (n,), or above one half."""
    return pairs[:, 1] > (np.asarray(thresholds, dtype=np.float64)[labels] if len(thresholds) else THRESHOLD)
