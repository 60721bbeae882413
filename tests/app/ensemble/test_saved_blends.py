"""Deleting a kept blend is asked for first, goes with its folder, and is refused where a submission leads to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app.ensemble.session import KEY
from core.blend.ensemble import make_spec, save_blend
from core.predictions.source import source_of
from core.store.blends import Blend, list_blends
from core.store.contests import Contest
from core.store.folds import list_folds
from core.submission.write import write_submission
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe

OpenPage = Callable[..., AppTest]


@pytest.fixture
def blend(opened: Workspace, folded: Contest) -> Blend:
    run = finish_run(opened, folded, list_folds(opened.store, folded.id)[0], make_recipe(folded, "only"))
    return save_blend(opened, folded, make_spec([run.id]), name="kept")


def press(at: AppTest, label: str) -> AppTest:
    (button,) = [button for button in at.button if button.label == label]
    return button.click().run()


def ask(open_page: OpenPage, blend: Blend) -> AppTest:
    """The page with the question open, as the action in the table opens it (which cannot be clicked without a browser)."""
    at = open_page("ensemble")
    at.session_state[KEY].to_delete = blend.id
    return at.run()


def test_a_blend_is_deleted_after_the_question_with_what_was_written_from_it(
    open_page: OpenPage, opened: Workspace, folded: Contest, blend: Blend
) -> None:
    submission = write_submission(source_of(opened, blend))
    at = ask(open_page, blend)
    said = "\n".join(part.value for part in (*at.markdown, *at.caption))
    assert "To be moved to the trash: blend **kept** (b1)." in said and f"({submission.ref})" in said and "1 submission" in said
    assert list_blends(opened.store) == (blend,), "asking deletes nothing"
    at.session_state[KEY].to_delete = blend.id  # a dialog is redrawn with the page only when it is asked for
    at = press(at, "Delete")
    assert not at.exception
    assert list_blends(opened.store) == () and opened.absolute(blend.path).exists()
    at = press(open_page("home"), "Restore")
    assert not at.exception and list_blends(opened.store) == (blend,)
