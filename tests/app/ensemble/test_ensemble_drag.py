"""The blend editor while a pointer holds a slider: what follows it exactly, what waits, and what is scored again when it is let go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from streamlit.testing.v1 import AppTest

from core.blend.ensemble import Ensemble
from core.blend.procedure import BlendProcedure
from core.blend.scorer import Scorer
from core.specs.blend import BlendSteps
from core.store.contests import Contest
from core.store.database import Store
from core.store.folds import get_folds
from core.store.runs import Run
from core.workspace import Workspace
from tests.app.eyes import NO_SCORE, cv_text, editor_of, steps_of, words
from tests.app.hands import choose, flip, press

OpenPage = Callable[..., AppTest]


def test_while_a_pointer_holds_nothing_is_fitted_and_after_it_everything_is(
    open_page: OpenPage, done: tuple[Run, ...], ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = flip(press(open_page("ensemble"), "Optimal"), "Temperature")
    before = steps_of(at, done[0]).temperature
    editor = editor_of(at, done[0])
    weights = dict(zip(editor.ids, (0.2, 0.3, 0.5), strict=True))
    editor.follow(replace(editor.state, weights=weights, gesture=7, is_held=True))
    at = at.run()
    assert steps_of(at, done[0]) == BlendSteps(weights=(0.2, 0.3, 0.5), temperature=before)
    assert at.metric[0].value == cv_text(ensemble.score(steps_of(at, done[0]))), "small data follow the drag exactly"
    assert at.metric[1].value == NO_SCORE
    monkeypatch.setattr("app.ensemble.score.MOST_LIVE_VALUES", 0)
    editor = editor_of(at, done[0])
    weights = dict(zip(editor.ids, (0.1, 0.3, 0.6), strict=True))
    editor.follow(replace(editor.state, weights=weights))
    at = at.run()
    assert at.metric[0].value == "…"
    assert "when you let go" in str(at.metric[0].delta)
    editor = editor_of(at, done[0])
    editor.follow(replace(editor.state, is_held=False))
    at = at.run()
    expected = ensemble.fit(BlendProcedure(way="hand", weights=(0.1, 0.3, 0.6), temperature=True))
    assert steps_of(at, done[0]) == expected
    assert at.metric[0].value == cv_text(ensemble.score(expected))


def draw_editor() -> None:
    import streamlit as st

    from app.ensemble.editor import blend_editor

    blend_editor(*st.session_state["given"])


def test_no_step_of_a_drag_touches_the_database(
    opened: Workspace, folded: Contest, done: tuple[Run, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = AppTest.from_function(draw_editor, default_timeout=60)
    at.session_state["given"] = (folded, get_folds(opened.store, done[0].folds_id), done, 0, "blend")
    at.run()
    assert not at.exception
    before = words(at)

    def refuse(self: Store) -> None:
        raise AssertionError("a step of a drag asked the database")

    monkeypatch.setattr(Store, "read", refuse)
    monkeypatch.setattr(Store, "transaction", refuse)
    for n_step, is_held in ((1, True), (2, True), (3, False)):
        weights = dict(zip(editor_of(at, done[0]).ids, (1 - n_step / 10, n_step / 20, n_step / 20), strict=True))
        editor_of(at, done[0]).follow(replace(editor_of(at, done[0]).state, weights=weights, gesture=7, is_held=is_held))
        at.run()
        assert not at.exception
        assert words(at) != before, "the scores follow"
        before = words(at)


def test_the_log_loss_of_ranks_is_made_again_in_full_when_the_slider_is_let_go(
    open_page: OpenPage, done: tuple[Run, ...], ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Scorer.p_true

    def quick_is_wrong(self: Scorer, weights: list[float], *, quick: bool = False) -> NDArray[np.float32]:
        return np.full(self.n_rows, 0.5, dtype=np.float32) if quick else full(self, weights)

    monkeypatch.setattr(Scorer, "p_true", quick_is_wrong)
    at = choose(open_page("ensemble"), "Mean", "rank")
    editor = editor_of(at, done[0])
    editor.follow(replace(editor.state, weights=dict(zip(editor.ids, (0.2, 0.3, 0.5), strict=True)), gesture=7, is_held=True))
    at = at.run()
    assert f"log loss ↓ {np.log(2):.4f}" in words(at)
    editor_of(at, done[0]).follow(replace(editor_of(at, done[0]).state, is_held=False))
    at = at.run()
    right = ensemble.score(BlendSteps(weights=(0.2, 0.3, 0.5), mean="rank"))
    assert f"log loss ↓ {right.scores['log_loss']:.4f}" in words(at)


def test_labels_follow_a_drag_under_every_mean_on_large_data(
    open_page: OpenPage, done: tuple[Run, ...], ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page("ensemble")
    monkeypatch.setattr("app.ensemble.score.MOST_LIVE_VALUES", 0)
    for gesture, (mean, waits) in enumerate((("logit", True), ("power", True), ("rank", False), ("hard", False)), start=7):
        at = choose(at, "Mean", mean)
        editor = editor_of(at, done[0])
        weights = dict(zip(editor.ids, (0.1, 0.2, 0.7 + gesture), strict=True))
        editor.follow(replace(editor.state, weights=weights, gesture=gesture, is_held=True))
        at = at.run()
        assert not at.exception
        now = ensemble.score(steps_of(at, done[0]))
        assert at.metric[0].value == cv_text(now), "the contest's metric is of labels"
        assert f"macro F1 ↑ {now.scores['macro_f1']:.4f}" in words(at)
        assert f"log loss ↓ {'…' if waits else format(now.scores['log_loss'], '.4f')}" in words(at)
        editor_of(at, done[0]).follow(replace(editor_of(at, done[0]).state, is_held=False))
        at = at.run()
