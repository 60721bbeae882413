"""The arrays of the chosen runs, aligned once, with a scorer for each mean that is asked for.

All scores here are on out-of-fold predictions; weights that were tuned by looking at them are scored optimistically.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from core.base.errors import InputError
from core.blend.honest import HonestScore, honest_score
from core.blend.mean import Members
from core.blend.procedure import BlendProcedure, fit_of, fit_procedure
from core.blend.questions import answers
from core.blend.scorer import BlendScore, Scorer, Weighing, make_scorer, under_mean
from core.blend.truth import Outcome
from core.contest.table import labels_of, load_table
from core.folds.save import load_folds
from core.metrics.scores import Metric, get_metric
from core.predictions.oof import check_alignment, load_oof
from core.specs.blend import BlendSteps, MeanName
from core.store.contests import Contest
from core.store.folds import Folds, get_folds
from core.store.runs import Run
from core.workspace import Workspace


class Bank:
    """Aligned out-of-fold predictions, one (n_rows, n_classes) per run; read only, so that sessions may share it.

    `y_true` holds class indices (n_rows,), or 0 and 1 for each class (n_rows, n_classes) where a row may have several.

    `groups` (n_rows,) numbers rows that belong together (a person, a source), where the contest or the folds know any.
    `rows` (n_rows,) are their places in the training table of `n_train` rows: those that are validated by the folds, or only by those
    that the bank is `restricted_to`. `fold_of` (n_rows,) cuts the rows into parts, each validated by one fold.
    Weights given without steps are weights by hand under the arithmetic mean.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        oof: Members,
        y_true: NDArray[np.integer],
        fold_of: NDArray[np.integer],
        metric: Metric,
        groups: NDArray[np.int64] | None = None,
        *,
        rows: NDArray[np.int64] | None = None,
        n_train: int | None = None,
        restricted_to: Sequence[int] = (),
    ) -> None:
        self.runs = tuple(runs)
        self.rows = np.arange(len(y_true)) if rows is None else rows
        self.n_train = len(y_true) if n_train is None else n_train
        self.oof = tuple(oof)
        self.y_true = y_true
        self.fold_of = fold_of
        self.metric = metric
        self.restricted_to = tuple(restricted_to)
        self.groups = groups
        self._scorers: dict[MeanName, Scorer] = {}
        self._lock = Lock()
        self.scorer("arithmetic")

    def scorer(self, mean: MeanName) -> Scorer:
        """The scorer of all runs under a mean: made when first asked for, then kept."""
        with self._lock:
            if mean not in self._scorers:
                flat = self._scorers.get("arithmetic")
                made = make_scorer(self.oof, self.y_true, self.fold_of, self.metric) if flat is None else under_mean(flat, mean)
                self._scorers[mean] = made
            return self._scorers[mean]

    @property
    def is_multilabel(self) -> bool:
        """A row may have several classes."""
        return self.y_true.ndim == 2

    @property
    def folds(self) -> tuple[int, ...]:
        """The parts that rows are scored in, in order: also that of `BlendScore.fold_scores`. Each is named by a fold that validates it."""
        return tuple(int(fold) for fold in np.unique(self.fold_of))

    @property
    def is_restricted(self) -> bool:
        """Some folds are left out, because not every run has finished them."""
        return bool(self.restricted_to)

    @property
    def equal_weights(self) -> tuple[float, ...]:
        return (1 / len(self.runs),) * len(self.runs)

    def prob(self, weighing: Weighing) -> NDArray[np.float32]:
        """The blend's out-of-fold predictions (n_rows, n_classes)."""
        prob = self._of(weighing).prob(weighing)
        return answers(prob, self.oof[0].shape[1]) if self.is_multilabel else prob

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
        return honest_score(self.scorer, fit_of(procedure), groups=self.groups)

    def _of(self, weighing: Weighing) -> Scorer:
        return self.scorer(weighing.mean if isinstance(weighing, BlendSteps) else "arithmetic")


def open_bank(workspace: Workspace, contest: Contest, runs: Sequence[Run], fold_numbers: Sequence[int] | None = None) -> Bank:
    """Load and align the runs' out-of-fold predictions; AlignmentError says which run does not fit and why.

    `fold_numbers` restricts the bank to the rows of these folds, which every run must have finished; all folds when left out.
    """
    if not runs:
        raise InputError(
            "no run was chosen", where="blend", why="a blend needs at least one run", fix="choose finished runs with equal folds"
        )
    folds = get_folds(workspace.store, runs[0].folds_id)
    check_alignment(runs, folds, fold_numbers)
    fold_of = load_folds(workspace, folds).first_fold(fold_numbers)
    rows = np.flatnonzero(fold_of >= 0)
    y_true, groups = load_truth(workspace, contest, folds)
    return Bank(
        runs,
        [load_oof(workspace, run, contest, fold_numbers)[rows] for run in runs],
        y_true[rows],
        fold_of[rows],
        get_metric(contest.spec.metric),
        None if groups is None else groups[rows],
        rows=rows,
        n_train=contest.n_train,
        restricted_to=() if fold_numbers is None or set(fold_numbers) >= set(range(folds.n_folds)) else sorted(set(fold_numbers)),
    )


def load_truth(workspace: Workspace, contest: Contest, folds: Folds) -> tuple[NDArray[np.integer], NDArray[np.int64] | None]:
    """The truth of every training row (see `labels_of`), and the number of its group where the folds or the contest have groups."""
    train = load_table(workspace, contest).train
    column = f"col.{folds.group_column}" if folds.group_column and folds.group_column != contest.spec.group_column else "group"
    groups = np.unique(train[column].to_numpy(dtype=str), return_inverse=True)[1] if column in train else None
    return labels_of(train, len(contest.spec.classes)), groups
