"""What is told of rows with several classes agrees with scikit-learn and with the rows behind each number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn import metrics as reference

from core.analysis.misses import OUTCOMES, classes_of, given_in_place, outcome_rows, outcomes, set_report
from core.metrics.decide import decide

CLASSES = tuple("abcdef")


@dataclass(frozen=True)
class Case:
    """Truth, probabilities, and the labels decided with a threshold of its own for each class."""

    y_true: np.ndarray
    y_prob: np.ndarray
    thresholds: tuple[float, ...]

    @property
    def y_pred(self) -> np.ndarray:
        return decide(self.y_prob, multilabel=True, thresholds=self.thresholds)


@pytest.fixture
def case() -> Case:
    rng = np.random.default_rng(0)
    y_true = (rng.random((300, 6)) < (0.5, 0.3, 0.2, 0.1, 0.05, 0.4)).astype(np.int8)
    y_prob = np.clip(0.25 + 0.4 * y_true + rng.normal(0, 0.2, (300, 6)), 0, 1).astype(np.float32)
    return Case(y_true, y_prob, (0.5, 0.4, 0.45, 0.6, 0.3, 0.5))


def test_the_report_equals_scikit_learn(case: Case) -> None:
    precision, recall, f1, support = reference.precision_recall_fscore_support(case.y_true, case.y_pred)
    report = set_report(case.y_true, case.y_pred, CLASSES, case.thresholds)
    np.testing.assert_allclose(report[["precision", "recall", "f1", "support"]].to_numpy(float), np.c_[precision, recall, f1, support])
    assert report["support"].tolist() == (report["found"] + report["missed"]).tolist()
    assert report["predicted"].tolist() == (report["found"] + report["false_alarm"]).tolist()
    assert tuple(report["threshold"]) == case.thresholds
    assert set_report(case.y_true, case.y_pred, CLASSES)["threshold"].tolist() == [0.5] * 6


def test_a_rate_without_a_denominator_is_not_a_number() -> None:
    report = set_report(np.array([[1, 0], [1, 0]]), np.array([[0, 0], [1, 0]]), ("a", "b"))
    assert report["precision"].isna().tolist() == [False, True]
    assert report["f1"].isna().tolist() == [False, True]


def test_the_rows_of_an_outcome_are_those_that_are_counted_the_most_confident_first(case: Case) -> None:
    report = set_report(case.y_true, case.y_pred, CLASSES)
    for label in range(6):
        seen = []
        for outcome in OUTCOMES:
            rows = outcome_rows(case.y_true, case.y_pred, case.y_prob, label, outcome)
            assert len(rows) == report[outcome][label]
            steps = np.diff(case.y_prob[rows, label])
            assert ((steps >= 0) if outcome == "missed" else (steps <= 0)).all()
            seen += rows.tolist()
        assert sorted(seen) == np.flatnonzero(case.y_true[:, label] | case.y_pred[:, label]).tolist()


def test_pairs_count_the_rows_where_one_class_stands_in_place_of_another(case: Case) -> None:
    where = outcomes(case.y_true, case.y_pred)
    pairs = given_in_place(case.y_true, case.y_pred, most=1000)
    assert len(pairs) > 5
    assert [pair.count for pair in pairs] == sorted((pair.count for pair in pairs), reverse=True)
    for pair in pairs:
        alarms, missed = where["false_alarm"][:, pair.given], where["missed"][:, pair.missed]
        assert pair.given != pair.missed
        assert pair.count == (alarms & missed).sum()
        assert pair.share == pair.count / alarms.sum()
    assert given_in_place(case.y_true, case.y_true) == []
    assert given_in_place(case.y_true, case.y_pred, most=2) == pairs[:2]


def test_the_classes_of_rows_come_by_their_number() -> None:
    sets = np.array([[1, 0, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0]])
    assert classes_of(sets) == [(2, 3), (0, 1), (1, 1)]
    assert classes_of(sets, most=1) == [(2, 3)]
    assert classes_of(sets[:0]) == []
