"""The blend editor goes back: undo, runs and saved blends that return, and no late message of the browser takes that away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app.ensemble.saved import load_blend
from app.ensemble.session import KEY
from core.blend.ensemble import blend_runs
from core.blend.procedure import BlendProcedure
from core.store.blends import get_blend
from core.store.contests import Contest
from core.store.runs import Run
from core.workspace import Workspace
from tests.app.eyes import cv_text, editor_of, steps_of
from tests.app.hands import flip, press

OpenPage = Callable[..., AppTest]


def test_an_undo_is_not_taken_back_by_what_the_browser_still_shows(open_page: OpenPage, done: tuple[Run, ...]) -> None:
    at = flip(press(open_page("ensemble"), "Optimal"), "Temperature")
    late = at._tree.get_widget_states()  # pyright: ignore[reportPrivateUsage]
    at = press(at, "Undo")
    at._run(late)  # pyright: ignore[reportPrivateUsage]
    editor = editor_of(at, done[0])
    assert not editor.draft.procedure.temperature and editor.future
    assert [toggle.value for toggle in at.toggle if toggle.label == "Temperature"] == [False]
    at = press(at, "Redo")
    assert editor_of(at, done[0]).draft.procedure.temperature


def test_a_run_that_comes_back_brings_the_blend_and_its_undo(open_page: OpenPage, done: tuple[Run, ...]) -> None:
    at = flip(press(open_page("ensemble"), "Optimal"), "Temperature")
    before = steps_of(at, done[0])
    for chosen in (done[:2], done):
        (members,) = [group for group in at.button_group if group.label == "Runs in the blend"]
        at = members.set_value([run.id for run in chosen]).run()
        assert not at.exception and editor_of(at, done[0]).ids == tuple(run.id for run in chosen)
    assert steps_of(at, done[0]) == before
    at = press(at, "Undo")
    assert steps_of(at, done[0]) == before.model_copy(update={"temperature": 1.0})


@pytest.mark.parametrize(
    "procedure",
    [
        BlendProcedure(way="greedy", shrinkage=0.2, temperature=True),
        BlendProcedure(way="by_class", offsets=True),
        BlendProcedure(way="stacking", temperature=True),
        BlendProcedure(way="hand", weights=(1, 2, 3), mean="logit", temperature=True),
    ],
    ids=lambda procedure: procedure.way,
)
def test_a_saved_blend_goes_back_into_the_editor_whole(
    open_page: OpenPage,
    opened: Workspace,
    folded: Contest,
    done: tuple[Run, ...],
    monkeypatch: pytest.MonkeyPatch,
    procedure: BlendProcedure,
) -> None:
    upside_down = [done[2], done[0], done[1]]
    blend = get_blend(opened.store, blend_runs(opened, folded, upside_down, procedure).id)
    at = open_page("ensemble")
    load_blend(at.session_state[KEY], blend)
    at = at.run()
    assert not at.exception
    assert editor_of(at, done[0]).ids == tuple(run.id for run in done)
    assert at.metric[0].value == cv_text(blend.scores)
    assert editor_of(at, done[0]).draft.procedure.trimmed.way == procedure.way
    if procedure.is_refitted:
        assert at.metric[1].value == cv_text(blend.scores.honest)
    else:
        at = flip(flip(at, "Temperature"), "Temperature")
        assert steps_of(at, done[0]).temperature == pytest.approx(blend.spec.temperature, rel=1e-4)


def test_a_blend_of_two_runs_in_the_editor_is_not_taken_back_by_what_the_browser_still_shows(
    open_page: OpenPage, opened: Workspace, folded: Contest, done: tuple[Run, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    blend = get_blend(opened.store, blend_runs(opened, folded, done[:2], BlendProcedure(way="optimal")).id)
    at = open_page("ensemble")
    late = at._tree.get_widget_states()  # pyright: ignore[reportPrivateUsage]
    load_blend(at.session_state[KEY], blend)
    at = at.run()
    at._run(late)  # pyright: ignore[reportPrivateUsage]
    assert editor_of(at, done[0]).ids == tuple(run.id for run in done[:2])
    assert at.metric[0].value == cv_text(blend.scores)
