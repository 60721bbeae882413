"""Confusion, outcomes of classes and their tables, against counting by hand and scikit-learn."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from core.analysis.errors import (
    OUTCOMES,
    cell_rows,
    class_report,
    classes_of,
    confused_pairs,
    confusion_matrix,
    given_in_place,
    most_confused_classes,
    outcome_rows,
    outcomes,
    report_csv,
    set_report,
)
from core.metrics.scores import decide


@pytest.fixture
def single() -> tuple[np.ndarray, np.ndarray, int]:
    rng = np.random.default_rng(0)
    prob = rng.dirichlet(np.ones(6), size=300).astype(np.float32)
    return rng.integers(0, 6, 300), prob, 6


def test_matrix_and_report_equal_scikit_learn(single: tuple[np.ndarray, np.ndarray, int]) -> None:
    y_true, prob, n = single
    y_pred = prob.argmax(axis=1)
    matrix = confusion_matrix(y_true, y_pred, n)
    assert (matrix == reference.confusion_matrix(y_true, y_pred, labels=range(n))).all()
    precision, recall, f1, support = reference.precision_recall_fscore_support(y_true, y_pred, labels=range(n))
    report = class_report(matrix, tuple("abcdef"))
    np.testing.assert_allclose(report[["precision", "recall", "f1", "support"]].to_numpy(float), np.c_[precision, recall, f1, support])


def test_a_rate_of_a_class_without_a_denominator_is_not_a_number() -> None:
    report = class_report(confusion_matrix(np.array([0, 0]), np.array([0, 0]), 2), ("a", "b"))
    assert report["recall"].isna().tolist() == [False, True]


def test_the_rows_of_all_cells_are_all_rows_once(single: tuple[np.ndarray, np.ndarray, int]) -> None:
    y_true, prob, n = single
    matrix = confusion_matrix(y_true, prob.argmax(axis=1), n)
    seen = []
    for true in range(n):
        for pred in range(n):
            rows = cell_rows(y_true, prob, true, pred)
            assert len(rows) == matrix[true, pred]
            assert (np.diff(prob[rows, pred]) <= 0).all()
            seen += rows.tolist()
    assert sorted(seen) == list(range(len(y_true)))


def test_pairs_are_the_largest_wrong_cells(single: tuple[np.ndarray, np.ndarray, int]) -> None:
    y_true, prob, n = single
    matrix = confusion_matrix(y_true, prob.argmax(axis=1), n)
    pairs = confused_pairs(matrix, most=5)
    wrong = matrix - np.diag(np.diag(matrix))
    assert [pair.count for pair in pairs] == sorted(wrong.ravel().tolist(), reverse=True)[:5]
    assert all(pair.first != pair.second and pair.share == pair.count / matrix[pair.first].sum() for pair in pairs)
    assert confused_pairs(np.diag([3, 4])) == []


def test_the_most_confused_classes_hold_the_worst_pair() -> None:
    matrix = np.diag(np.full(100, 10))
    matrix[70, 7] = 9
    assert {7, 70} <= set(most_confused_classes(matrix, most=40).tolist())
    assert len(most_confused_classes(matrix, most=40)) == 40
    assert most_confused_classes(matrix[:5, :5]).tolist() == [0, 1, 2, 3, 4]


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
        alarms, missed = where["false_alarm"][:, pair.first], where["missed"][:, pair.second]
        assert pair.first != pair.second
        assert pair.count == (alarms & missed).sum()
        assert pair.share == pair.count / alarms.sum()
    assert given_in_place(case.y_true, case.y_true) == []
    assert given_in_place(case.y_true, case.y_pred, most=2) == pairs[:2]


def test_the_classes_of_rows_come_by_their_number() -> None:
    sets = np.array([[1, 0, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0]])
    assert classes_of(sets) == [(2, 3), (0, 1), (1, 1)]
    assert classes_of(sets, most=1) == [(2, 3)]
    assert classes_of(sets[:0]) == []


def test_cells_that_look_like_formulas_are_made_harmless_and_numbers_stay() -> None:
    frame = pd.DataFrame({"=class": ["=1+1", "@cmd", "-a", "개", None], "recall": [-0.5, 0.25, 1, 0, 0]})
    data = report_csv(frame)
    assert data.startswith(b"\xef\xbb\xbf")
    back = pd.read_csv(io.BytesIO(data), encoding="utf-8-sig", keep_default_na=False, dtype=str)
    assert list(back.columns) == ["'=class", "recall"]
    assert back.iloc[:, 0].tolist() == ["'=1+1", "'@cmd", "'-a", "개", ""]
    assert back["recall"].tolist() == ["-0.5", "0.25", "1.0", "0.0", "0.0"]
