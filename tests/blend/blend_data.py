"""Made-up predictions for the tests of blending."""

from __future__ import annotations

import numpy as np

from core.blend.mean import MeanName
from core.blend.scorer import Scorer, ScorerOf, make_scorer
from core.metrics import get_metric


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
    return make_scorer(oof, y_true, np.arange(n_rows) % 5, get_metric(metric), mean)


def under_any_mean(scorer: Scorer) -> ScorerOf:
    """The same rows and runs under each mean that is asked for."""

    def get(mean: MeanName) -> Scorer:
        return scorer if mean == scorer.mean else make_scorer(scorer.oof, scorer.y_true, scorer.fold_of, scorer.metric, mean)

    return get
