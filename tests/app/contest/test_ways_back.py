"""The ways back on the pages: a contest is renamed, archived, corrected and deleted, and comes back out of the trash."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from core.store.contests import Contest, archive_contest, get_contest, list_contests
from core.store.folds import Folds
from core.workspace import Workspace
from tests.app.conftest import OpenPage
from tests.app.hands import press
from tests.finished_workspace import finish_run, make_recipe, put_away


def said(at: AppTest) -> str:
    return "\n".join(part.value for part in (*at.markdown, *at.caption))


def test_a_correction_says_what_depends_on_it_and_is_made(open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds) -> None:
    finish_run(opened, folded, folds, make_recipe(folded, "only"))
    at = open_page("data", contest=folded.name)
    at = at.toggle(key=f"correcting-{folded.id}").set_value(True).run()
    (metric,) = [box for box in at.selectbox if box.key and box.key.endswith(".metric")]
    other = "accuracy" if folded.spec.metric != "accuracy" else "macro_f1"
    at = press(metric.set_value(other).run(), "See what it changes")
    assert not at.exception and "1 run has the new score" in said(at)
    assert get_contest(opened.store, folded.id) == folded
    at = press(at, "Correct it")
    assert not at.exception and get_contest(opened.store, folded.id).spec.metric == other


def test_the_foot_of_home_holds_the_archive_and_the_trash(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    archive_contest(opened.store, folded.id, now=1.0)
    at = open_page("home")
    assert not at.exception and [each.label for each in at.expander] == ["Archive (1)"]
    put_away(opened.store, "contest", folded.id)
    at = open_page("home")
    assert not at.exception and "kept until" in said(at) and list_contests(opened.store) == ()
    at = press(at, "Restore")
    assert not at.exception and [each.name for each in list_contests(opened.store)] == [folded.name]
