"""Rows of probabilities: which are none, and the labels they come to: the most probable class, or where a row may have several, every class
above its threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.5
TOLERANCE = 1e-3


def decide(prob: NDArray[np.floating], *, multilabel: bool = False, thresholds: Sequence[float] = ()) -> NDArray[np.integer]:
    """Labels of predictions (n, n_classes): class indices (n,), ties to the lowest; multi-label 0 or 1 for each class (n, n_classes).

    A class is given where its probability is greater than its threshold: `thresholds` (n_classes,), one half when left out.
    """
    if not multilabel:
        return prob.argmax(axis=1)
    return (prob > (np.asarray(thresholds, dtype=np.float64) if len(thresholds) else THRESHOLD)).astype(np.int8)


def improbable_rows(prob: NDArray[np.floating], *, multilabel: bool = False) -> NDArray[np.bool_]:
    """Rows (n,) that hold something not finite or negative, or do not sum to one (within 1e-3); multi-label: or exceed one."""
    with np.errstate(invalid="ignore"):
        total = np.abs(prob.sum(axis=1, dtype=np.float64) - 1)
        fits = (prob <= 1).all(axis=1) if multilabel else total <= TOLERANCE
        return np.asarray(~(fits & np.isfinite(prob).all(axis=1) & (prob >= 0).all(axis=1)))
