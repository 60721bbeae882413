"""The confusion matrix and what is read from it agree with scikit-learn and with the rows behind it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from core.analysis.confusion import cell_rows, class_report, confused_pairs, confusion_matrix, most_confused_classes


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray, int]:
    rng = np.random.default_rng(0)
    prob = rng.dirichlet(np.ones(6), size=300).astype(np.float32)
    return rng.integers(0, 6, 300), prob, 6


def test_matrix_and_report_equal_scikit_learn(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    y_true, prob, n = case
    y_pred = prob.argmax(axis=1)
    matrix = confusion_matrix(y_true, y_pred, n)
    assert (matrix == reference.confusion_matrix(y_true, y_pred, labels=range(n))).all()
    precision, recall, f1, support = reference.precision_recall_fscore_support(y_true, y_pred, labels=range(n))
    report = class_report(matrix, tuple("abcdef"))
    np.testing.assert_allclose(report[["precision", "recall", "f1", "support"]].to_numpy(float), np.c_[precision, recall, f1, support])


def test_a_rate_without_a_denominator_is_not_a_number() -> None:
    report = class_report(confusion_matrix(np.array([0, 0]), np.array([0, 0]), 2), ("a", "b"))
    assert report["recall"].isna().tolist() == [False, True]


def test_the_rows_of_all_cells_are_all_rows_once(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    y_true, prob, n = case
    matrix = confusion_matrix(y_true, prob.argmax(axis=1), n)
    seen = []
    for true in range(n):
        for pred in range(n):
            rows = cell_rows(y_true, prob, true, pred)
            assert len(rows) == matrix[true, pred]
            assert (np.diff(prob[rows, pred]) <= 0).all()
            seen += rows.tolist()
    assert sorted(seen) == list(range(len(y_true)))


def test_pairs_are_the_largest_wrong_cells(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    y_true, prob, n = case
    matrix = confusion_matrix(y_true, prob.argmax(axis=1), n)
    pairs = confused_pairs(matrix, most=5)
    wrong = matrix - np.diag(np.diag(matrix))
    assert [pair.count for pair in pairs] == sorted(wrong.ravel().tolist(), reverse=True)[:5]
    assert all(pair.true != pair.pred and pair.share == pair.count / matrix[pair.true].sum() for pair in pairs)
    assert confused_pairs(np.diag([3, 4])) == []


def test_the_most_confused_classes_hold_the_worst_pair() -> None:
    matrix = np.diag(np.full(100, 10))
    matrix[70, 7] = 9
    assert {7, 70} <= set(most_confused_classes(matrix, most=40).tolist())
    assert len(most_confused_classes(matrix, most=40)) == 40
    assert most_confused_classes(matrix[:5, :5]).tolist() == [0, 1, 2, 3, 4]
