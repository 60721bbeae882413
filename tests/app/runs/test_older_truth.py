"""Runs that were trained on an older version of the labels say so, in the list and on their page."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.contest.table import add_truth
from core.store.contests import Contest, get_contest
from core.store.folds import Folds
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe

OpenPage = Callable[..., AppTest]


def test_a_run_on_older_labels_is_marked_and_one_on_the_current_ones_is_not(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds
) -> None:
    old = finish_run(opened, folded, folds, make_recipe(folded, "old"))
    assert "truth" not in open_page("runs").dataframe[0].value
    add_truth(opened, folded, drop=[3], reason="row 3 is a duplicate")
    new = finish_run(opened, get_contest(opened.store, folded.id), folds, make_recipe(folded, "new"))
    table = open_page("runs").dataframe[0].value
    assert dict(zip(table["run"], map(list, table["truth"]), strict=True)) == {"new": [], "old": ["older labels"]}

    def said(ref: str) -> str:
        at = open_page("runs", run=ref)
        assert not at.exception
        return "\n".join(str(each.value) for each in at.markdown)

    assert "on version 1 of the labels; the contest's is version 2 now. (row 3 is a duplicate)" in said(old.ref)
    assert "older labels" not in said(new.ref)
