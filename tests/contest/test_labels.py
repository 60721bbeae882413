"""Classes have one order wherever they are found."""

from __future__ import annotations

import pandas as pd
import pytest

from core.contest.labels import class_warnings, count_labels, find_classes, order_classes


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "9", "0", "9"], ("0", "9", "10")),
        (["-1", "1", "0"], ("-1", "0", "1")),
        (["01", "1"], ("01", "1")),
        (["b", "a", "B"], ("B", "a", "b")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["1.5", "1"], ("1", "1.5")),
        (["나", "가"], ("가", "나")),
        (["²", "1"], ("1", "²")),
    ],
)
def test_whole_numbers_are_ordered_as_numbers_all_else_by_code_point(labels: list[str], classes: tuple[str, ...]) -> None:
    assert order_classes(labels) == classes


def test_both_unicode_forms_are_one_class_and_empty_cells_are_none() -> None:
    labels = pd.Series(["\u1100\u1161", "가", "", "nan", "none"], dtype="str")
    assert find_classes(labels) == ("none", "가")
    assert count_labels(labels, ("none", "가", "x")) == {"none": 1, "가": 2, "x": 0}


def test_decimal_labels_are_questioned() -> None:
    assert any("decimal numbers" in said for said in class_warnings({f"{number}.5": 2 for number in range(30)}, 60))
    assert class_warnings({"a": 5, "b": 6}, 11) == []
