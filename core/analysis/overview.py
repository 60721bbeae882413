"""Where each contest stands, in one pass over the store: what the first page and `contest list` show."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from core.metrics.scores import Metric, get_metric
from core.specs.recipe import Recipe
from core.store.blends import list_blends, list_submissions
from core.store.contests import Contest, list_contests
from core.store.database import Store
from core.store.folds import Folds, list_folds
from core.store.runs import Run, list_runs


@dataclass(frozen=True)
class ContestOverview:
    """A contest with the number of its runs, of its running and waiting jobs, its blends and submissions, the best of the runs that have
    all folds, and when something was last made or finished (`active_at`, seconds since the epoch)."""

    contest: Contest
    n_runs: int
    n_running: int
    n_queued: int
    n_blends: int
    n_submissions: int
    active_at: float
    best: Run | None

    @property
    def best_score(self) -> float | None:
        """The best run's mean score over its folds."""
        return None if self.best is None else self.best.cv_score(self.contest.spec.metric)

    @property
    def best_sd(self) -> float | None:
        """The sample standard deviation of the best run's scores over its folds."""
        return None if self.best is None else self.best.cv_sd(self.contest.spec.metric)


def contest_overviews(store: Store) -> tuple[ContestOverview, ...]:
    """Every contest, newest first."""
    return tuple(overview_of(store, contest) for contest in reversed(list_contests(store)))


def overview_of(store: Store, contest: Contest) -> ContestOverview:
    """Where one contest stands."""
    runs = list_runs(store, contest.id)
    states = Counter(job.state for run in runs for job in run.jobs)
    best = best_run(runs, list_folds(store, contest.id), get_metric(contest.spec.metric))
    blends, submissions = list_blends(store, contest.id), list_submissions(store, contest.id)
    moments = [contest.created_at, *(made.created_at for made in (*runs, *blends, *submissions))]
    moments += [job.finished_at for each in runs for job in each.jobs if job.finished_at]
    return ContestOverview(contest, len(runs), states["running"], states["queued"], len(blends), len(submissions), max(moments), best)


def best_run(runs: Iterable[Run], folds: Iterable[Folds], metric: Metric) -> Run | None:
    """The best of the runs that have finished all folds of their split: a mean over some folds would not be comparable. None of none."""
    n_folds = {each.id: each.n_folds for each in folds}
    whole = [run for run in runs if len(run.results) == n_folds[run.folds_id]]
    known = [(score, run) for run in whole if (score := run.cv_score(metric.name)) is not None]
    best = metric.best([score for score, _ in known]) if known else None
    return next((run for score, run in known if score == best), None)


def furthest_from_even(balance: NDArray[np.integer]) -> tuple[int, int, float]:
    """The cell of a class balance (n_folds, n_classes) that is furthest from an even share: (fold, class, percent off)."""
    even = balance.sum(axis=0, keepdims=True) / balance.shape[0]
    off = 100 * (balance - even) / np.maximum(even, 1e-9)
    fold, label = np.unravel_index(np.abs(off).argmax(), off.shape)
    return int(fold), int(label), float(off[fold, label])


def expected_fold_s(runs: Iterable[Run], recipe: Recipe) -> tuple[float, Run] | None:
    """Seconds one fold of a recipe will take, after the newest run that trained the same network on inputs of the same size.

    Time is taken to grow with the epochs. Returns that run too; None when no run of the contest says anything.
    """
    for run in chain.from_iterable(run.parts for run in runs):
        if run.is_imported:
            continue
        alike = run.recipe.model.backbone == recipe.model.backbone and _input_size(run.recipe) == _input_size(recipe)
        if alike and run.results:
            per_epoch = fmean(result.elapsed_s / result.n_epochs for result in run.results)
            return per_epoch * recipe.train.epochs, run
    return None


def _input_size(recipe: Recipe) -> int:
    return recipe.input.size_px if recipe.modality == "image" else recipe.input.max_tokens
