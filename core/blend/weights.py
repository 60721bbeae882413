"""Ways to one weight per run: equal, by score, by greedy selection, by climbing. What they tune, they tune on the rows that are scored;
`core.blend.honest` says what that is worth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from core.blend.scorer import Outcome, Scorer
from core.metrics.scores import LabelMetricName

Weights = tuple[float, ...]
STEPS = (0.2, 0.1, 0.05, 0.02, 0.01)
MOST_ROUNDS = 4
SIMPLEX_SIDE = 0.1
TRIES_PER_RUN = 25


def equal(scorer: Scorer) -> Weights:
    """The same weight for each run: nothing is tuned."""
    return (1 / scorer.n_runs,) * scorer.n_runs


def by_score(scorer: Scorer, name: LabelMetricName = "accuracy") -> Weights:
    """Weights in proportion to each run's own score by a metric of labels, divided by the sum of all of them."""
    scores = np.array([scorer.of(scorer.outcome(alone), name) for alone in scorer.alone()])
    return tuple((scores / scores.sum()).tolist()) if scores.sum() else equal(scorer)


def search(scorer: Scorer, starts: Sequence[Weights]) -> Weights:
    """Climb from the best of some weights, for any metric: one weight at a time in shrinking steps, then Nelder and Mead (1965).

    Never worse than the best start. Accuracy and macro F1 are flat between jumps, so no slope is used.
    """
    tries = _Tries(scorer)
    for start in starts:
        tries(np.asarray(start))
    for step in STEPS:
        for _ in range(MOST_ROUNDS):
            before = tries.best
            for run in range(scorer.n_runs):
                for delta in (step, -step):
                    moved = tries.weights.copy()
                    moved[run] = max(0.0, moved[run] + delta)
                    tries(moved)
            if tries.best <= before:
                break
    if scorer.n_runs > 1:
        simplex = np.vstack([tries.weights, tries.weights + SIMPLEX_SIDE * np.eye(scorer.n_runs)])
        options = {"initial_simplex": simplex, "maxfev": TRIES_PER_RUN * scorer.n_runs, "xatol": 1e-4, "fatol": 0.0}
        scipy.optimize.minimize(lambda x: -tries(np.abs(x)), tries.weights, method="Nelder-Mead", options=options)
    return tuple(tries.weights.tolist())


class _Tries:
    """Scores weights, and keeps the best with the first to reach it; greater is better whatever the metric."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.sign = 1.0 if scorer.metric.greater_is_better else -1.0
        self.best = -np.inf
        self.weights: NDArray[np.float64] = np.asarray(equal(scorer))

    def __call__(self, weights: NDArray[np.float64]) -> float:
        if weights.sum() <= 0:
            return -np.inf
        score = self.sign * self.scorer.score(weights.tolist())
        if score > self.best:
            self.best, self.weights = score, weights / weights.sum()
        return score


@dataclass(frozen=True)
class Path:
    """A greedy selection: the run taken in each round, the score after it, and the weights where the score was best."""

    members: tuple[int, ...]
    scores: tuple[float, ...]
    weights: tuple[float, ...]


def greedy(scorer: Scorer, *, n_rounds: int = 25) -> Path:
    """Ensemble selection with replacement (Caruana et al. 2004): in each round add the run that helps the metric most.

    Ties go to the run taken least so far, then to the first. Weights are the counts of the shortest prefix with the best score.
    """
    counts = np.zeros(scorer.n_runs)
    members: list[int] = []
    scores: list[float] = []
    sign = 1.0 if scorer.metric.greater_is_better else -1.0
    running = _RunningSum(scorer)
    for _ in range(n_rounds):
        tried = [sign * running.score_with(run) for run in range(scorer.n_runs)]
        best = min(range(scorer.n_runs), key=lambda run: (-tried[run], counts[run], run))
        running.add(best)
        counts[best] += 1
        members.append(best)
        scores.append(scorer.score(counts.tolist()))
    end = int(np.argmax(sign * np.array(scores))) + 1
    weights = np.bincount(members[:end], minlength=scorer.n_runs) / end
    return Path(tuple(members), tuple(scores), tuple(weights.tolist()))


def bagged_greedy(scorer: Scorer, *, n_rounds: int = 25, n_bags: int = 10, bag_share: float = 0.5, seed: int = 0) -> tuple[float, ...]:
    """The mean of the weights that greedy selection finds in random bags of runs, as Caruana et al. propose against overfitting."""
    rng = np.random.default_rng(seed)
    size = max(1, round(bag_share * scorer.n_runs))
    total = np.zeros(scorer.n_runs)
    for _ in range(n_bags):
        bag = np.sort(rng.choice(scorer.n_runs, size, replace=False))
        total[bag] += greedy(scorer.of_runs(bag.tolist()), n_rounds=n_rounds).weights
    return tuple((total / n_bags).tolist())


class _RunningSum:
    """The sum of the runs taken so far, so that a try costs one addition instead of a mean over all runs.

    Sums are float32, as a try only has to find the next run; what a path says of its scores is computed exactly.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.counts = np.zeros(scorer.n_runs)
        self.true = np.zeros(scorer.n_rows)
        self.sums = [np.zeros(group.values.shape[1:], dtype=np.float32) for group in scorer.candidates.groups]
        self.labels: NDArray[np.int32] = scorer.candidates.only.copy()

    def add(self, run: int) -> None:
        self.counts[run] += 1
        self.true += self.scorer.true[run]
        for total, group in zip(self.sums, self.scorer.candidates.groups, strict=True):
            total += group.values[run]

    def score_with(self, run: int) -> float:
        scorer = self.scorer
        if scorer.metric.reads == "p_true":
            if scorer.mean in ("arithmetic", "hard"):
                p_true = ((self.true + scorer.true[run]) / (self.counts.sum() + 1)).astype(np.float32)
                return scorer.metric.of_true(p_true, multilabel=bool(scorer.n_labels))
            return scorer.score((self.counts + np.eye(scorer.n_runs)[run]).tolist())
        for total, group in zip(self.sums, scorer.candidates.groups, strict=True):
            self.labels[group.rows] = _first_greatest(total, group.values[run], group.classes)
        return scorer.of(Outcome(self.labels, np.empty(0, dtype=np.float32)))


def _first_greatest(total: NDArray[np.float32], added: NDArray[np.float32], classes: NDArray[np.int32]) -> NDArray[np.int32]:
    """The class (n,) of the first greatest of `total + added` (c, n)."""
    best = total[0] + added[0]
    label = classes[0].copy()
    for number in range(1, len(total)):
        row = total[number] + added[number]
        better = row > best
        np.maximum(best, row, out=best)
        np.copyto(label, classes[number], where=better)
    return label
