"""What a run or a blend said about rows it never trained on, beside the truth: the ground of every page about errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.blend.save import load_blend_oof
from core.contest.table import load_labels
from core.errors import StateError
from core.predictions import load_oof
from core.store.blends import Blend
from core.store.contests import Contest
from core.store.runs import Run
from core.workspace import Workspace


@dataclass(frozen=True)
class Evidence:
    """Out-of-fold predictions of the rows that were validated: `rows` are row numbers of the training table (n,)."""

    rows: NDArray[np.int64]
    y_true: NDArray[np.integer]
    y_prob: NDArray[np.float32]
    n_rows: int

    @property
    def y_pred(self) -> NDArray[np.int64]:
        """The most probable class of each row (n,)."""
        return self.y_prob.argmax(axis=1)

    @property
    def is_whole(self) -> bool:
        """Every training row was validated."""
        return len(self.rows) == self.n_rows


def load_evidence(workspace: Workspace, contest: Contest, source: Run | Blend) -> Evidence:
    """Read and verify the out-of-fold predictions of a run or a blend; rows that no finished fold validated are left out.

    Raises StateError while no fold is done, CheckpointError when an artefact is damaged.
    """
    prob = load_blend_oof(workspace, source) if isinstance(source, Blend) else load_oof(workspace, source, contest)
    rows = np.flatnonzero(~np.isnan(prob[:, 0]))
    if not len(rows):
        raise StateError(
            f"{source.name} has no finished fold",
            where=source.ref,
            why="no row was validated yet",
            fix="wait until a fold is done, or retry the run",
        )
    return Evidence(rows, load_labels(workspace, contest)[rows], prob[rows], len(prob))
