"""What a run or a blend said about rows it never trained on, beside the truth: the ground of every page about errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.base.errors import StateError
from core.contest.table import load_labels
from core.metrics.decide import decide
from core.metrics.scores import all_scores
from core.predictions.source import Source


@dataclass(frozen=True)
class Evidence:
    """Out-of-fold predictions of the rows that were validated: `rows` are row numbers of the training table (n,).

    `y_true` is (n,), or where a row may have several classes (`is_multilabel`) 0 and 1 (n, n_classes), given above the source's `thresholds`
    (n_classes,), one half when there are none.
    """

    rows: NDArray[np.int64]
    y_true: NDArray[np.integer]
    y_prob: NDArray[np.float32]
    n_rows: int
    thresholds: tuple[float, ...]
    is_multilabel: bool

    @cached_property
    def y_pred(self) -> NDArray[np.integer]:
        """The most probable class of each row (n,), or where it may have several, 0 and 1 for each (n, n_classes)."""
        return decide(self.y_prob, multilabel=self.is_multilabel, thresholds=self.thresholds)

    @cached_property
    def scores(self) -> dict[str, float]:
        """Every metric by name, those of labels from `y_pred`."""
        return all_scores(self.y_true, self.y_prob, multilabel=self.is_multilabel, thresholds=self.thresholds)

    @property
    def is_whole(self) -> bool:
        """Every training row was validated."""
        return len(self.rows) == self.n_rows


def load_evidence(source: Source) -> Evidence:
    """Read and verify the out-of-fold predictions of a run or a blend; rows that no finished fold validated are left out.

    Raises StateError while no fold is done, CheckpointError when an artefact is damaged.
    """
    prob = source.oof()
    rows = np.flatnonzero(~np.isnan(prob[:, 0]))
    if not len(rows):
        raise StateError(
            "{name} has no finished fold",
            where=source.ref,
            why="no row was validated yet",
            fix="wait until a fold is done, or retry the run",
            name=source.name,
        )
    y_true = load_labels(source.workspace, source.contest)[rows]
    return Evidence(rows, y_true, prob[rows], len(prob), source.thresholds, source.contest.spec.is_multilabel)
