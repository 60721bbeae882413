"""Cross-fitted epochs: the best epoch of each fold is chosen on the very rows that score it, so its score is optimistic. Here the other folds
choose it. Where the last epoch or a mean of several is kept there is no such figure: no epoch was chosen, or its weights were never scored."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.metrics.scores import Metric, get_metric
from core.store.contests import Contest
from core.store.database import Store
from core.store.folds import Folds
from core.store.runs import EpochRow, Run, list_epochs


@dataclass(frozen=True)
class EpochChoice:
    """The CV score of a run as it is, and with every fold at the epoch that was best on the mean of the other folds: `fold_scores` and
    `epochs` by fold, these empty for several seeds, which differ in them."""

    cv_score: float
    fold_scores: dict[int, float]
    epochs: dict[int, int]

    @property
    def cross_fitted(self) -> float:
        """The mean of the folds' scores at the epochs that the others chose."""
        return statistics.fmean(self.fold_scores.values())

    @property
    def cross_fitted_sd(self) -> float:
        return statistics.stdev(self.fold_scores.values())


def cross_fit_epochs(
    rows: Iterable[EpochRow], metric: Metric, n_parts: int, finished: Iterable[int], chosen_by: Metric | None = None
) -> tuple[dict[int, float], dict[int, int]]:
    """For each of the `finished` folds its score at the epoch that was best on the mean of the others, and that epoch. `chosen_by` is what
    epochs are best by, where that is another metric.

    A fold that stopped before counts with its last epoch, as one that is scored and as one of the others. Where folds are repeated, the
    others are those of the same deal of the rows into `n_parts`: the next deal validates the same rows again. Both are empty where a fold
    is alone in its deal, or its epochs were not recorded.
    """
    by = chosen_by or metric
    curves: dict[int, list[tuple[float, float]]] = {fold: [] for fold in finished}
    for row in sorted(rows, key=lambda row: (row.fold, row.epoch)):
        if row.fold in curves and {metric.name, by.name} <= row.scores.keys():
            curves[row.fold].append((row.scores[metric.name], row.scores[by.name]))
    scores: dict[int, float] = {}
    epochs: dict[int, int] = {}
    for fold, own in curves.items():
        others = [curve for other, curve in curves.items() if other != fold and other // n_parts == fold // n_parts]
        if not own or not others or not all(others):
            return {}, {}
        last = max(map(len, others))
        mean = np.mean([[curve[min(epoch, len(curve)) - 1][1] for epoch in range(1, last + 1)] for curve in others], axis=0)
        best = mean.argmax() if by.greater_is_better else mean.argmin()
        epochs[fold] = min(int(best) + 1, len(own))
        scores[fold] = own[epochs[fold] - 1][0]
    return scores, epochs


def epoch_choice(store: Store, contest: Contest, folds: Folds, run: Run) -> EpochChoice | None:
    """What the choice of epochs is worth in a run's finished folds; None where nobody can say, as of an imported run or a single fold, and where
    no fold keeps its best epoch or, of TF-IDF, has any.

    Of several seeds it is the mean over single seeds: of other epochs no predictions are kept that could be averaged.
    """
    if run.seeds:
        return _of_seeds([epoch_choice(store, contest, folds, seed) for seed in run.seeds])
    metric = get_metric(contest.spec.metric)
    cv_score = run.cv_score(metric.name)
    if cv_score is None or run.is_imported or run.recipe.average.keep != "best" or run.recipe.model.is_tfidf:
        return None
    finished = [result.fold for result in run.results]
    chosen_by = get_metric("log_loss" if run.recipe.average.monitor == "loss" else run.chosen_by or metric.name)
    scores, epochs = cross_fit_epochs(list_epochs(store, run.id), metric, folds.spec.n_folds, finished, chosen_by)
    return EpochChoice(cv_score, scores, epochs) if scores else None


def _of_seeds(choices: Sequence[EpochChoice | None]) -> EpochChoice | None:
    """The mean over seeds; None until all of them have finished the same folds."""
    known = [choice for choice in choices if choice]
    if len(known) < len(choices) or len({tuple(choice.fold_scores) for choice in known}) > 1:
        return None
    scores = {fold: statistics.fmean(choice.fold_scores[fold] for choice in known) for fold in known[0].fold_scores}
    return EpochChoice(statistics.fmean(choice.cv_score for choice in known), scores, {})


def optimism(choices: Sequence[EpochChoice | None], metric: Metric) -> tuple[float, float] | None:
    """By how much, at the least and at the most, CV scores are better than with cross-fitted epochs, in the contest's metric; None of none."""
    sign = 1 if metric.greater_is_better else -1
    gains = [sign * (choice.cv_score - choice.cross_fitted) for choice in choices if choice]
    return (min(gains), max(gains)) if gains else None
