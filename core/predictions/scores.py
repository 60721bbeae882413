"""Every metric of a run's folds: those that were stored when a fold ended, and newer ones from its stored predictions."""

from __future__ import annotations

import numpy as np

from core.contest.table import load_truth
from core.metrics.scores import metrics_for
from core.predictions.oof import load_oof
from core.store.contests import Contest, TruthVersion, get_truth
from core.store.runs import Run
from core.workspace import Workspace


def scores_by_fold(workspace: Workspace, contest: Contest, run: Run, truth: TruthVersion | None = None) -> dict[int, dict[str, float]]:
    """Every metric that is defined for the contest's labels, by finished fold and name. What is stored stays as it is.

    Scores are of the truth that the run was trained on, which are stored; of another `truth` where one is given, which are not. Only a
    fold that lacks a metric, because that is newer than the fold, has its predictions read and verified: raises as `load_oof`.
    """
    known = truth or get_truth(workspace.store, run.truth_id)
    multilabel = contest.spec.is_multilabel
    metrics, found = metrics_for(multilabel=multilabel), {result.fold: dict[str, float]() for result in run.results}
    if known.id == run.truth_id:
        found = {result.fold: dict(result.scores) for result in run.results}
    for fold, scores in found.items():
        lacking = [metric for name, metric in metrics.items() if name not in scores]
        if lacking:
            oof = load_oof(workspace, run, contest, [fold])
            labelled = load_truth(workspace, contest, known)
            rows = np.flatnonzero(~np.isnan(oof[:, 0]) & labelled.kept)
            y_true = labelled.labels[rows]
            scores |= {metric.name: metric.score(y_true, oof[rows], multilabel=multilabel) for metric in lacking}
    return found
