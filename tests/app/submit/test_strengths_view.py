"""Strengths of classes by a column of the test rows, on the page Submit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.specs.folds import FoldsSpec
from core.store.contests import name_classes
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe
from tests.inputs.text_contests import write_sentiment

OpenPage = Callable[..., AppTest]


@pytest.mark.parametrize("has_films", [True, False])
def test_strengths_stand_where_a_column_groups_the_test_rows(
    open_page: OpenPage, opened: Workspace, tmp_path: Path, has_films: bool
) -> None:
    folder = write_sentiment(tmp_path / "sentiment")
    for name in ("train", "test") if has_films else ():
        path = folder / f"{name}.csv"
        frame = pd.read_csv(path, dtype=str)
        frame.assign(film=[f"film {row % 4}" for row in range(len(frame))]).to_csv(path, index=False)
    contest = add_contest(opened, inspect_path(folder, sets=["id_column=ID", 'input_columns=["review"]']).draft)
    name_classes(opened.store, contest.id, ["awful", "poor", "fair", "great"])
    finish_run(opened, contest, save_folds(opened, contest, FoldsSpec(n_folds=2)), make_recipe(contest, "run"), strength=3.0, seed=0)
    at = open_page("submit")
    assert not at.exception and [error.value for error in at.error] == []
    assert not [frame for frame in at.dataframe if "strongest" in frame.value]  # nothing is predicted until somebody looks
    at.session_state[f"strengths-{contest.id}"] = True
    at.run()
    tables = [frame.value for frame in at.dataframe if "strongest" in frame.value]
    assert len(tables) == has_films
    if has_films:
        (table,) = tables
        assert table["rows"].sum() == contest.n_test and table.columns[4:].tolist() == ["awful", "poor", "fair", "great"]
        at = next(field for field in at.number_input if field.label == "At most so many rows").set_value(2).run()
        assert not at.exception
        (table,) = [frame.value for frame in at.dataframe if "strongest" in frame.value]
        assert set(table["rows_taken"]) == {2}
