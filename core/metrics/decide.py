"""From probabilities to labels: the most probable class of each row, or where a row may have several, every class above its threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.5


def decide(prob: NDArray[np.floating], *, multilabel: bool = False, thresholds: Sequence[float] = ()) -> NDArray[np.integer]:
    """Labels of predictions (n, n_classes): class indices (n,), ties to the lowest; multi-label 0 or 1 for each class (n, n_classes).

    A class is given where its probability is greater than its threshold: `thresholds` (n_classes,), one half when left out.
    """
    if not multilabel:
        return prob.argmax(axis=1)
    return (prob > (np.asarray(thresholds, dtype=np.float64) if len(thresholds) else THRESHOLD)).astype(np.int8)
