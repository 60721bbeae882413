"""The runs that are blended: their out-of-fold predictions, aligned once, with a scorer for each mean that is asked for.

All scores here are on out-of-fold predictions; weights that were tuned by looking at them are scored optimistically.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from core.base.errors import InputError
from core.blend.honest import HonestScore, honest_score
from core.blend.procedure import BlendProcedure, fit_of, fit_procedure
from core.blend.questions import answers
from core.blend.scorer import BlendScore, Scorer, Weighing, make_scorer, under_mean
from core.blend.truth import Outcome
from core.metrics.scores import Metric
from core.predictions.matrix import OofMatrix, Read, load_matrix
from core.predictions.oof import check_alignment
from core.predictions.source import source_of
from core.specs.blend import BlendSteps, MeanName
from core.store.contests import Contest
from core.store.folds import get_folds
from core.store.runs import Run
from core.workspace import Workspace


class Ensemble:
    """Runs to be blended: their out-of-fold predictions `oof`, and what any weights or steps make of them. Sessions share it.

    Weights given without steps are weights by hand under the arithmetic mean.
    """

    def __init__(self, oof: OofMatrix, runs: Sequence[Run] = ()) -> None:
        self.oof, self.runs = oof, tuple(runs)
        self._scorers: dict[MeanName, Scorer] = {}
        self._lock = Lock()
        self.scorer("arithmetic")

    def scorer(self, mean: MeanName) -> Scorer:
        """The scorer of all runs under a mean: made when first asked for, then kept."""
        with self._lock:
            if mean not in self._scorers:
                flat = self._scorers.get("arithmetic")
                made = (
                    make_scorer(self.oof.prob, self.oof.y_true, self.oof.fold_of, self.oof.metric)
                    if flat is None
                    else under_mean(flat, mean)
                )
                self._scorers[mean] = made
            return self._scorers[mean]

    @property
    def metric(self) -> Metric:
        return self.oof.metric

    @property
    def equal_weights(self) -> tuple[float, ...]:
        return (1 / len(self.oof.prob),) * len(self.oof.prob)

    def prob(self, weighing: Weighing) -> NDArray[np.float32]:
        """The blend's out-of-fold predictions (n_rows, n_classes)."""
        prob = self._of(weighing).prob(weighing)
        return answers(prob, self.oof.n_classes) if self.oof.is_multilabel else prob

    def outcome(self, weighing: Weighing, *, quick: bool = False) -> Outcome:
        """The blend's labels and its probability of the true class, one each for every row, or for every row and class.

        `quick` is for the steps of a drag: see `Scorer.p_true`.
        """
        return self._of(weighing).outcome(weighing, quick=quick)

    def labels(self, outcome: Outcome) -> NDArray[np.integer]:
        """The labels of an outcome in the form of `y_true`."""
        return self.scorer("arithmetic").truth.table(outcome.y_pred)

    def score(self, weighing: Weighing) -> BlendScore:
        """Every score of weights (one per run, in the order of `runs`) or of steps."""
        scorer = self._of(weighing)
        return scorer.report(scorer.outcome(weighing))

    def member_scores(self) -> tuple[BlendScore, ...]:
        """The score of each run alone."""
        return tuple(self.score(alone) for alone in self.scorer("arithmetic").alone())

    def fit(self, procedure: BlendProcedure) -> BlendSteps:
        """The steps that a procedure comes to on all rows."""
        return fit_procedure(procedure, self.scorer)

    def honest(self, procedure: BlendProcedure) -> HonestScore:
        """What a procedure is worth on rows that it has not seen; `steps` in it are those of `fit`."""
        return honest_score(self.scorer, fit_of(procedure), groups=self.oof.groups)

    def _of(self, weighing: Weighing) -> Scorer:
        return self.scorer(weighing.mean if isinstance(weighing, BlendSteps) else "arithmetic")


def open_ensemble(
    workspace: Workspace, contest: Contest, runs: Sequence[Run], fold_numbers: Sequence[int] | None = None, *, read: Read | None = None
) -> Ensemble:
    """Load and align the runs' out-of-fold predictions; AlignmentError says which run does not fit and why.

    `fold_numbers` restricts them to the rows of these folds, which every run must have finished; all folds when left out.
    """
    if not runs:
        raise InputError(
            "no run was chosen", where="blend", why="a blend needs at least one run", fix="choose finished runs with equal folds"
        )
    folds = get_folds(workspace.store, runs[0].folds_id)
    check_alignment(runs, folds, fold_numbers)
    return Ensemble(load_matrix([source_of(workspace, run, contest, folds) for run in runs], fold_numbers, read=read), runs)
