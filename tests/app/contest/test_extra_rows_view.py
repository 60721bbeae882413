"""Extra rows on the page Data: a file is added by its path, its classes are counted, and rows of another class are left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.contest import extra_rows_view
from core.contest.extra_rows import list_rows
from core.contest.table import load_table
from core.predictions.augmented_rows import CheckedRows, Mismatch
from core.store.contests import Contest
from core.store.runs import Run
from core.workspace import Workspace
from tests.app.hands import press, unfold, write
from tests.contest.contest_folders import write_csv

OpenPage = Callable[..., AppTest]


def test_a_file_is_added_and_what_left_its_class_is_left_out(
    open_page: OpenPage, opened: Workspace, folded: Contest, done: tuple[Run, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, column = load_table(opened, folded).train["id"].tolist(), folded.spec.input_columns[0]
    write_csv(tmp_path / "more.csv", ("source", column), [(ids[0], "other words"), (ids[1], "of another class"), (ids[2], "again")])
    at = open_page("data")
    at = write(at, "or its path on this machine", str(tmp_path / "nowhere.csv"))
    at = press(at, "Add")
    assert at.error and not list_rows(opened, folded), "a card says what is wrong"
    at = press(write(at, "or its path on this machine", str(tmp_path / "more.csv")), "Add")
    (added,) = list_rows(opened, folded)
    assert (added.name, added.kind, added.n_rows) == ("more", "augmented", 3) and not at.exception
    mismatches = (Mismatch(1, ids[1], "as it was", "of another class", 0, 1, 0.9),)
    monkeypatch.setattr(extra_rows_view, "load_text_predictors", lambda _workspace, _contest, run: [()] * len(run.results))
    monkeypatch.setattr(extra_rows_view, "check_rows", lambda *_: CheckedRows(mismatches, 3, 0))
    at = press(unfold(at, "rows-check-"), "Predict them")
    assert any("1 of 3 rows are predicted as another class" in str(part.value) for part in at.markdown)
    at = press(at, "Keep a set without 1 row")
    assert {rows.name: rows.n_rows for rows in list_rows(opened, folded)} == {"more": 3, "more-checked": 2} and not at.exception
