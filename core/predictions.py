"""Out-of-fold and test predictions: written once per fold, verified when read, never filled where they are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import AlignmentError, CheckpointError, StateError
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run
from core.workspace import Workspace, verify

VALID_IDX = "valid_idx.npy"
VALID_PROB = "valid_prob.npy"
TEST_PROB = "test_prob.npy"
TOLERANCE = 1e-3

Array = NDArray[np.float32]


@dataclass(frozen=True)
class FoldPredictions:
    """What one fold's network said: of the rows it never trained on, and of the test rows."""

    valid_idx: NDArray[np.int64]
    valid_prob: Array
    test_prob: Array


def write_fold_predictions(folder: Path, predictions: FoldPredictions) -> None:
    """Write the three arrays of a fold into an artefact's folder; refuse what is not a probability.

    `valid_idx` (n_valid,) are rows of the training table, `valid_prob` (n_valid, n_classes), `test_prob` (n_test, n_classes).
    """
    check_probabilities(predictions.valid_prob, where="validation rows")
    check_probabilities(predictions.test_prob, where="test rows")
    np.save(folder / VALID_IDX, predictions.valid_idx.astype(np.int64), allow_pickle=False)
    np.save(folder / VALID_PROB, predictions.valid_prob.astype(np.float32), allow_pickle=False)
    np.save(folder / TEST_PROB, predictions.test_prob.astype(np.float32), allow_pickle=False)


def read_fold_predictions(folder: Path) -> FoldPredictions:
    """Read a fold's arrays after checking every byte against the manifest."""
    verify(folder)
    try:
        return FoldPredictions(
            valid_idx=np.load(folder / VALID_IDX, allow_pickle=False),
            valid_prob=np.load(folder / VALID_PROB, allow_pickle=False),
            test_prob=np.load(folder / TEST_PROB, allow_pickle=False),
        )
    except (OSError, ValueError) as problem:
        raise CheckpointError("predictions cannot be read", where=str(folder), why=str(problem), fix="retry the fold") from None


def load_oof(workspace: Workspace, run: Run, contest: Contest) -> Array:
    """The run's out-of-fold predictions (n_train, n_classes); NaN where no fold of the run has validated a row yet."""
    oof = np.full((contest.n_train, len(contest.spec.classes)), np.nan, dtype=np.float32)
    for result in run.results:
        fold = read_fold_predictions(workspace.absolute(result.path))
        if fold.valid_prob.shape != (len(fold.valid_idx), oof.shape[1]) or (len(fold.valid_idx) and fold.valid_idx.max() >= len(oof)):
            raise AlignmentError(
                f"fold {result.fold} of {run.name} does not fit the contest",
                where=result.path,
                why=f"its predictions are {fold.valid_prob.shape}, the contest has {len(oof)} rows and {oof.shape[1]} classes",
                fix="train the run again on this version of the contest",
            )
        if not np.isnan(oof[fold.valid_idx]).all():
            raise AlignmentError(
                f"fold {result.fold} of {run.name} validates rows that another fold has validated",
                where=result.path,
                why="every row must be validated exactly once",
                fix="train the run again",
            )
        oof[fold.valid_idx] = fold.valid_prob
    return oof


def load_test_prob(workspace: Workspace, run: Run) -> Array:
    """The run's test predictions (n_test, n_classes): the mean over its folds' networks, accumulated in float64."""
    if not run.results:
        raise StateError(
            f"{run.name} has no finished fold",
            where=run.ref,
            why="there are no test predictions yet",
            fix="wait until a fold is done, or retry the run",
        )
    total: NDArray[np.float64] | None = None
    for result in sorted(run.results, key=lambda item: item.fold):
        prob = read_fold_predictions(workspace.absolute(result.path)).test_prob.astype(np.float64)
        total = prob if total is None else total + prob
    assert total is not None
    return (total / len(run.results)).astype(np.float32)


def check_alignment(runs: Sequence[Run], folds: Folds) -> None:
    """Raise AlignmentError unless every run is of the folds' contest, was trained on these folds, and has finished all of them."""
    for run in runs:
        if run.contest_id != folds.contest_id:
            raise AlignmentError(
                f"{run.name} belongs to another contest", where=run.ref, why="its rows are other rows", fix="choose runs of one contest"
            )
        if run.folds_id != folds.id:
            raise AlignmentError(
                f"{run.name} was trained on other folds than {runs[0].name}",
                where=run.ref,
                why="a row that one validated, the other may have trained on; their scores cannot be compared",
                fix="choose runs with equal folds",
            )
        if len(run.results) != folds.n_folds:
            raise AlignmentError(
                f"{run.name} has not finished all its folds",
                where=run.ref,
                why=f"{len(run.results)} of {folds.n_folds} folds are done, and missing rows are never filled",
                fix="wait for it, retry its failed folds, or leave it out",
            )


def check_probabilities(prob: NDArray[np.floating], *, where: str) -> None:
    """Raise CheckpointError unless every row is finite, not negative and sums to one (within 1e-3)."""
    if prob.ndim != 2:
        raise CheckpointError(
            "predictions have the wrong shape", where=where, why=f"expected (rows, classes), got {prob.shape}", fix="train again"
        )
    bad = ~np.isfinite(prob).all(axis=1) | (prob < 0).any(axis=1) | (np.abs(prob.sum(axis=1, dtype=np.float64) - 1) > TOLERANCE)
    if bad.any():
        raise CheckpointError(
            f"{int(bad.sum())} of {len(prob)} predictions are not probabilities",
            where=f"{where}, first in row {int(bad.argmax())}",
            why="a row must be finite, not negative, and sum to one",
            fix="the network diverged: lower the learning rate and train again",
        )
