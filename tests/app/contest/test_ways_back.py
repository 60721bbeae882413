"""The ways back on the pages: a contest is renamed, archived, corrected and deleted, and comes back out of the trash."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.store.contests import Contest, archive_contest, get_contest, list_contests
from core.store.folds import Folds
from core.workspace import Workspace
from tests.app.conftest import OpenPage
from tests.app.hands import press
from tests.conftest import write_headlines_to
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


def test_several_contests_are_archived_and_deleted_at_once(open_page: OpenPage, opened: Workspace, folded: Contest, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    other = add_contest(opened, inspect_path(write_headlines_to(tmp_path / "second")).draft)
    at = open_page("home")
    assert not [button for button in at.button if "(" in button.label], "nothing is ticked"
    menus = [menu.proto.label for menu in at.get("menu_button")]
    assert len(menus) == len(set(menus)) == 2
    for contest in (folded, other):
        at = at.checkbox(key=f"tick-contest-{contest.id}").check().run()
    at = press(at, "Archive (2)")
    assert not at.exception and all(contest.archived_at for contest in list_contests(opened.store))
    at = press(at.checkbox(key=f"tick-contest-{other.id}").check().run(), "Unarchive (1)")
    assert not at.exception and [contest.name for contest in list_contests(opened.store) if not contest.archived_at] == [other.name]
    at = at.checkbox(key=f"tick-contest-{other.id}").check().run()
    assert not at.exception and "Delete (1)" in [button.label for button in at.button]
