"""Strengths of classes over a column: means of the first rows of each group, small groups left out, one class kept apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.analysis.strengths import group_values, mean_strengths
from core.base.errors import InputError

CLASSES = ("joy", "none", "sadness")


def test_means_are_of_the_first_rows_of_each_group() -> None:
    films = ["b", "a", "b", "b", "", "c", "a", "b"]
    prob = np.random.default_rng(0).random((8, 3)).astype(np.float32)
    prob[3] = np.nan  # a row that no fold validates
    found = mean_strengths(prob, films, CLASSES, at_least=2, at_most=2)
    assert (found.groups, found.n_small, found.n_rows.tolist(), found.n_taken.tolist()) == (("b", "a"), 1, [3, 2], [2, 2])
    np.testing.assert_allclose(found.means, [prob[[0, 2]].mean(axis=0), prob[[1, 6]].mean(axis=0)], rtol=1e-6)
    whole = mean_strengths(prob, films, CLASSES)
    np.testing.assert_allclose(whole.means[0], prob[[0, 2, 7]].mean(axis=0), rtol=1e-6)


def test_a_class_apart_is_never_the_strongest_and_stands_last() -> None:
    prob = np.array([[0.2, 0.9, 0.3], [0.6, 0.9, 0.1]])
    table = mean_strengths(prob, ["x", "y"], CLASSES).to_table(apart="none")
    assert table["strongest"].tolist() == ["sadness", "joy"] and table.columns[-1] == "none"
    assert mean_strengths(prob, ["x", "y"], CLASSES).to_table()["strongest"].tolist() == ["none", "none"]


def test_a_column_that_is_not_there_and_groups_that_are_too_small_are_refused() -> None:
    rows = pd.DataFrame({"id": ["1"], "input": ["text"], "col.film": ["x"]})
    assert group_values(rows, "film") == ["x"]
    with pytest.raises(InputError, match="no column 'movie'") as caught:
        group_values(rows, "movie")
    assert "film" in caught.value.why
    with pytest.raises(InputError, match="no group has enough rows"):
        mean_strengths(np.ones((2, 3)), ["x", "y"], CLASSES, at_least=2)
