"""What thresholds do class by class: F1 at one half, at the threshold, and honestly, as thresholds on rare classes fit to chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.analysis.misses import set_report
from core.blend.ensemble import Ensemble
from core.blend.honest import parts_of
from core.blend.thresholds import fit_thresholds
from core.metrics.decide import decide
from core.specs.blend import BlendSteps


@dataclass(frozen=True)
class ThresholdGain:
    """One row per class in `table`: class, threshold, f1_before (at one half), f1, f1_honest, support, predicted.

    `before`, `after` and `honest` are the contest's metric (macro F1 or accuracy) at one half, at the thresholds, and at thresholds
    found without the part of each row (see `parts_of`), the weights as they are. `honest` is None, and f1_honest NaN, where the rows are of one part.
    """

    table: pd.DataFrame
    before: float
    after: float
    honest: float | None

    @property
    def n_worse(self) -> int:
        """Classes whose threshold is honestly worse than one half."""
        before, honest = (np.nan_to_num(self.table[name].to_numpy(dtype=np.float64)) for name in ("f1_before", "f1_honest"))
        return int((honest < before - 1e-9).sum())


def threshold_gain(ensemble: Ensemble, steps: BlendSteps, classes: Sequence[str]) -> ThresholdGain:
    """What the thresholds of a blend do on the rows of a ensemble whose rows may have several classes."""
    prob, y_true = ensemble.prob(steps), ensemble.oof.y_true
    after = decide(prob, multilabel=True, thresholds=steps.thresholds)
    before = decide(prob, multilabel=True)
    honest = labels_across_folds(prob, y_true, parts_of(ensemble.oof.fold_of, ensemble.oof.groups), ensemble.metric.name)
    report = set_report(y_true, after, classes, steps.thresholds)
    table = pd.DataFrame(
        {
            "class": report["class"],
            "threshold": report["threshold"],
            "f1_before": set_report(y_true, before, classes)["f1"],
            "f1": report["f1"],
            "f1_honest": np.nan if honest is None else set_report(y_true, honest, classes)["f1"],
            "support": report["support"],
            "predicted": report["predicted"],
        }
    )

    def score(labels: NDArray[np.integer]) -> float:
        return ensemble.metric.of_labels(y_true, labels, len(classes), multilabel=True)

    return ThresholdGain(table, score(before), score(after), None if honest is None else score(honest))


def labels_across_folds(
    prob: NDArray[np.float32], y_true: NDArray[np.integer], fold_of: NDArray[np.integer], metric: str
) -> NDArray[np.integer] | None:
    """0 and 1 (n_rows, n_classes) by thresholds that were found without the fold of each row; None for a single fold."""
    folds = np.unique(fold_of)
    if len(folds) < 2:
        return None
    labels = np.empty(y_true.shape, dtype=np.int8)
    for fold in folds:
        inside = fold_of == fold
        thresholds = fit_thresholds(prob[~inside], y_true[~inside], metric)
        labels[inside] = decide(prob[inside], multilabel=True, thresholds=thresholds.tolist())
    return labels
