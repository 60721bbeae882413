"""Predictions of a run or a blend made again from stored weights, for the test set or any rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.blend.steps import apply_steps
from core.predictions.again import Rows, predict_run
from core.predictions.source import Source


def predict_source(
    source: Source, rows: Rows, *, device: str = "", after_batch: Callable[[int], None] | None = None
) -> NDArray[np.float32]:
    """Probabilities (n, n_classes) of any rows, by the networks of a run, or of a blend's runs through the blend's steps.

    Raises as `predict_run` does.
    """
    probs = [
        predict_run(
            source.workspace, source.contest, member.run, rows, fold_numbers=member.networks, device=device, after_batch=after_batch
        )
        for member in source.members()
    ]
    if source.saved is None:
        return probs[0]
    return apply_steps(source.saved.spec, probs, multilabel=source.contest.spec.is_multilabel)


def n_networks(source: Source) -> int:
    """How many folds' networks predict each row."""
    return sum(len(member.fold_fingerprints) for member in source.members())
