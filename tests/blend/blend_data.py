"""Made-up predictions for the tests of blending."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.analysis.compare import worth_of
from core.blend.honest import Comparison, refitted
from core.blend.procedure import BlendProcedure, fit_of
from core.blend.scorer import Scorer, ScorerOf, make_scorer, under_mean
from core.metrics.scores import Metric, get_metric
from core.predictions.source import OofMatrix
from core.specs.blend import MeanName


def matrix_of(
    prob: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    y_true: NDArray[np.integer],
    fold_of: NDArray[np.integer],
    metric: Metric,
    *,
    groups: NDArray[np.int64] | None = None,
    is_multilabel: bool = False,
) -> OofMatrix:
    """The matrix of arrays that cover all rows."""
    return OofMatrix(tuple(prob), y_true, fold_of, metric, np.arange(len(y_true)), len(y_true), groups, is_multilabel=is_multilabel)


def skilled(
    metric: str, skills: list[float], *, n_rows: int = 600, n_classes: int = 4, seed: int = 0, mean: MeanName = "arithmetic"
) -> Scorer:
    """Runs that know the truth to a degree; skill 0 is noise."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, n_classes, n_rows)
    logits = rng.normal(size=(len(skills), n_rows, n_classes))
    logits[:, np.arange(n_rows), y_true] += np.array(skills)[:, None]
    prob = np.exp(logits)
    oof = (prob / prob.sum(axis=2, keepdims=True)).astype(np.float32)
    return make_scorer(matrix_of(oof, y_true, np.arange(n_rows) % 5, get_metric(metric)), mean)


def under_any_mean(scorer: Scorer) -> ScorerOf:
    """The same rows and runs under each mean that is asked for."""

    def get(mean: MeanName) -> Scorer:
        return scorer if mean == scorer.mean else under_mean(scorer, mean)

    return get


def several(
    n_runs: int, n_rows: int, n_labels: int, seed: int, *, skill: float = 2.0
) -> tuple[list[NDArray[np.float32]], NDArray[np.int8]]:
    """Runs' probabilities of each class (n_rows, n_labels) and the truth, 0 and 1, of rows that may have several classes."""
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_rows, n_labels)) < rng.uniform(0.1, 0.5, n_labels)).astype(np.int8)
    shared = rng.normal(0, 1, y_true.shape)
    skills = skill * rng.uniform(0.5, 1.5, n_runs)
    logits = [know * (y_true - 0.7) + shared + rng.normal(0, 1, y_true.shape) for know in skills]
    return [(1 / (1 + np.exp(-logit))).astype(np.float32) for logit in logits], y_true


def leave_one_out(scorer_of: ScorerOf, procedure: BlendProcedure) -> tuple[Comparison, ...]:
    """The worth of each run, none of a single one: the page asks for them one after another."""
    flat = scorer_of("arithmetic")
    if flat.n_runs == 1:
        return ()
    everyone, _ = refitted(scorer_of, fit_of(procedure))
    return tuple(worth_of(scorer_of, procedure, run, everyone) for run in range(flat.n_runs))
