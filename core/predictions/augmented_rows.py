"""Augmented rows whose predicted class is another than their source's, by networks that never saw the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.base.errors import InputError, StateError
from core.contest.extra_rows import ExtraRows, load_rows
from core.contest.table import load_table, load_truth
from core.folds import load_folds
from core.predictions.again import Rows
from core.predictions.oof import finished_folds, mean_of
from core.store.contests import Contest
from core.store.folds import get_folds
from core.store.runs import FoldResult, Run
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.training.predictor import Predictor


@dataclass(frozen=True)
class Mismatch:
    """A row of a set: its place there, the id and the text of its source, its own text, the class that it is trained with, the one that is predicted
    of it, and the probability of that."""

    place: int
    source: str
    source_text: str
    text: str
    label: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class CheckedRows:
    """The rows that are predicted as another class, the surest first. Of `n_unknown` rows the source is validated by no finished fold of the run."""

    mismatches: tuple[Mismatch, ...]
    n_rows: int
    n_unknown: int


def check_rows(
    workspace: Workspace, contest: Contest, run: Run, rows: ExtraRows, load: Callable[[FoldResult], Sequence[Predictor]]
) -> CheckedRows:
    """Predict augmented rows, each by the networks (`load`) of the folds that validate its source; the mean where these are several.

    Raises InputError for rows from elsewhere, StateError for a run of another contest or without a finished fold, and as `load` does.
    """
    if rows.kind != "augmented":
        raise InputError(
            "{name} are rows from elsewhere",
            where=contest.name,
            why="they have no source whose class they could leave",
            fix="choose augmented rows",
            name=rows.name,
        )
    if run.contest_id != contest.id:
        raise StateError(
            "{run} is a run of another contest",
            where=run.ref,
            why="its classes are others",
            fix="choose a run of {contest}",
            run=run.name,
            contest=contest.name,
        )
    train, truth = load_table(workspace, contest).train, load_truth(workspace, contest)
    extra = load_rows(rows, train["id"].tolist(), truth.labels)
    pairs = load_folds(workspace, get_folds(workspace.store, run.folds_id))
    total = np.zeros((len(extra.labels), len(contest.spec.classes)))
    times = np.zeros(len(extra.labels), dtype=np.int64)
    for result in finished_folds(run):
        places = np.flatnonzero(np.isin(extra.source, pairs.valid_idx(result.fold)))
        if len(places):
            frame = extra.frame.iloc[places].reset_index(drop=True)
            given = Rows(frame["id"].tolist(), frame["input"].tolist(), table=frame)
            total[places] += mean_of(network.predict(given.inputs_of(network.spec)) for network in load(result))
            times[places] += 1
    prob: NDArray[np.float64] = total / np.maximum(times, 1)[:, None]
    predicted = prob.argmax(axis=1)
    left = np.flatnonzero((times > 0) & (predicted != extra.labels))
    mismatches = tuple(
        Mismatch(
            place,
            str(train["id"].iat[extra.source[place]]),
            str(train["input"].iat[extra.source[place]]),
            str(extra.frame["input"].iat[place]),
            int(extra.labels[place]),
            int(predicted[place]),
            float(prob[place, predicted[place]]),
        )
        for place in sorted(left.tolist(), key=lambda place: -prob[place].max())
    )
    return CheckedRows(mismatches, len(times), int((times == 0).sum()))
