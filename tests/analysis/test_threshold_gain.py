"""What thresholds do by class: counted as scikit-learn counts, and honestly less where they fitted chance."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from core.analysis.threshold_gain import labels_across_folds, threshold_gain
from core.blend.ensemble import Ensemble
from core.blend.procedure import BlendProcedure
from core.blend.thresholds import fit_thresholds
from core.metrics.scores import get_metric
from core.predictions.matrix import matrix_of
from tests.blend.blend_data import several


def make_ensemble(metric: str, *, n_rows: int = 600, skill: float = 2.0, n_folds: int = 4) -> Ensemble:
    oof, y_true = several(3, n_rows, 5, 2, skill=skill)
    return Ensemble(matrix_of(oof, y_true, np.arange(n_rows) % n_folds, get_metric(metric)))


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
def test_every_class_stands_with_what_its_threshold_does(metric: str) -> None:
    ensemble = make_ensemble(metric)
    steps = ensemble.fit(BlendProcedure(way="optimal", thresholds=True))
    found = threshold_gain(ensemble, steps, list("abcde"))
    prob = ensemble.prob(steps)
    after = prob > np.asarray(steps.thresholds)
    assert found.table["class"].tolist() == list("abcde")
    assert found.table["threshold"].tolist() == list(steps.thresholds)
    for name, labels in (("f1_before", prob > 0.5), ("f1", after)):
        expected = reference.f1_score(ensemble.oof.y_true, labels, average=None, zero_division=0)  # pyright: ignore[reportArgumentType]
        np.testing.assert_allclose(found.table[name], expected)
    assert found.table["support"].tolist() == ensemble.oof.y_true.sum(axis=0).tolist()
    assert found.table["predicted"].tolist() == after.sum(axis=0).tolist()
    assert found.after == pytest.approx(ensemble.score(steps).oof_score)
    assert found.before == pytest.approx(get_metric(metric).score(ensemble.oof.y_true, prob, multilabel=True))


def test_no_row_is_judged_by_a_threshold_that_it_had_a_part_in() -> None:
    ensemble = make_ensemble("macro_f1")
    prob = ensemble.prob((1, 1, 1))
    labels = labels_across_folds(prob, ensemble.oof.y_true, ensemble.oof.fold_of, "macro_f1")
    assert labels is not None
    inside = ensemble.oof.fold_of == 2
    np.testing.assert_array_equal(labels[inside], prob[inside] > fit_thresholds(prob[~inside], ensemble.oof.y_true[~inside], "macro_f1"))


def test_thresholds_of_noise_gain_on_their_rows_and_lose_honestly() -> None:
    ensemble = make_ensemble("accuracy", n_rows=300, skill=0.0)
    found = threshold_gain(ensemble, ensemble.fit(BlendProcedure(thresholds=True)), list("abcde"))
    assert found.honest is not None
    assert found.after > found.before and found.honest < found.after
    assert found.n_worse == int((found.table["f1_honest"] < found.table["f1_before"]).sum())


def test_a_single_fold_has_no_honest_figure() -> None:
    ensemble = make_ensemble("macro_f1", n_folds=1)
    found = threshold_gain(ensemble, ensemble.fit(BlendProcedure(thresholds=True)), list("abcde"))
    assert found.honest is None and found.table["f1_honest"].isna().all()
