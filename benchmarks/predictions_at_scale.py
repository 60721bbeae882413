"""Predictions of a used-car contest's size without a used-car contest: softmax of a shared latent plus noise per model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARED, OWN, TRUE_CLASS, SHARPNESS = 1.0, 0.7, 8.5, 1.5


def make_predictions(
    n_runs: int, n_rows: int, n_classes: int, *, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Predictions (n_runs, n_rows, n_classes), true classes and folds (n_rows,); run i is a little noisier than run i - 1.

    Rows are hard for every run alike, as images are; among few classes the true one stands out less, so that scores stay below one.
    """
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, n_classes, n_rows)
    latent = SHARED * rng.standard_normal((n_rows, n_classes), dtype=np.float32)
    clarity = (TRUE_CLASS * min(1.0, np.log(n_classes) / 4.5) * rng.uniform(0.3, 1.5, n_rows)).astype(np.float32)
    latent[np.arange(n_rows), y_true] += clarity
    prob = np.empty((n_runs, n_rows, n_classes), dtype=np.float32)
    for run in range(n_runs):
        logits = latent + np.float32(OWN + 0.05 * run) * rng.standard_normal((n_rows, n_classes), dtype=np.float32)
        logits *= np.float32(SHARPNESS)
        np.exp(logits - logits.max(axis=1, keepdims=True), out=prob[run])
        prob[run] /= prob[run].sum(axis=1, keepdims=True)
    return prob, y_true, (np.arange(n_rows) % 5).astype(np.int64)
