"""The blend that a session works on: drags, ways and settings come and go whole, and every step can be undone and redone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from app.ensemble.draft import BlendEditor, Draft, adapt, draft_of, equal_draft, make_editor
from app.ui.components.weight_sliders.component import SliderState, check_sent
from core.blend.procedure import BlendProcedure
from core.specs.blend import BlendSpec, BlendSteps, Stack

BY_CLASS = ((0.9, 0.5), (0.1, 0.5))
STACK = Stack(coefficients=((1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0)), intercepts=(0.1, 0.2))


def said(
    first: float, *, gesture: int = 1, shrinkage: float = 0.0, is_held: bool = False, locked: frozenset[int] = frozenset()
) -> SliderState:
    return SliderState({1: first, 2: 1 - first}, locked, gesture, shrinkage, is_held)


def sent(weights: Any, **changes: Any) -> dict[str, Any]:
    word = {"ids": [1, 2], "weights": weights, "locked": [False, False], "gesture": 1, "revision": 0, "shrinkage": 0, "held": False}
    return {**word, **changes}


def draft(*weights: float, way: str = "optimal", **steps: Any) -> Draft:
    """Steps as a way may have found them."""
    settings = {
        name: steps.pop(name) for name in ("temperature_on", "thresholds_on", "chooses_members", "auto", "proc_shrinkage") if name in steps
    }
    procedure = BlendProcedure.model_validate(
        {
            "way": way,
            "weights": weights if way == "hand" else (),
            "temperature": settings.get("temperature_on", False),
            "thresholds": settings.get("thresholds_on", False),
            "chooses_members": settings.get("chooses_members", False),
            "mean": "auto" if settings.get("auto") else "arithmetic",
            "shrinkage": settings.get("proc_shrinkage", steps.get("shrinkage", 0.0)),
        }
    )
    return Draft(BlendSteps(weights=weights, **steps), procedure)


def editor_with(start: Draft) -> BlendEditor:
    return BlendEditor((1, 2), start)


def test_a_drag_is_undone_at_once_however_many_words_it_had() -> None:
    editor = make_editor([1, 2])
    for weight in (0.6, 0.7, 0.8):
        editor.follow(said(weight, is_held=True))
    assert len(editor.history) == 1 and editor.is_held
    editor.undo()
    assert editor.state.weights == {1: 0.5, 2: 0.5}
    assert editor.revision == 1 and not editor.is_held
    editor.undo()
    assert editor.revision == 1, "nothing is left to undo"
    editor.redo()
    assert editor.state.weights == pytest.approx({1: 0.8, 2: 0.2})
    editor.redo()
    assert editor.revision == 2, "nothing is left to redo"


@pytest.mark.parametrize(
    "start",
    [
        draft(0.5, 0.5, way="by_class", class_weights=BY_CLASS),
        draft(0.3, 0.7, way="stacking", stack=STACK),
        draft(0.3, 0.7, temperature_on=True, temperature=1.3),
        draft(0.3, 0.7, thresholds_on=True, thresholds=(0.3, 0.7)),
        draft(0.3, 0.7, way="greedy", chooses_members=True, proc_shrinkage=0.4),
    ],
    ids=["by class", "stacking", "temperature", "thresholds", "chosen"],
)
def test_undo_and_redo_bring_steps_and_procedure_back_whole(start: Draft) -> None:
    editor = editor_with(start)
    editor.follow(said(0.9))
    by_hand = editor.draft
    assert by_hand.is_by_hand and not by_hand.steps.class_weights and by_hand.steps.stack is None
    editor.undo()
    assert editor.draft == start
    editor.redo()
    assert editor.draft == by_hand
    editor.put(equal_draft(2))
    assert not editor.future, "a new step forgets what was undone"
    editor.undo()
    editor.undo()
    assert editor.draft == start


@given(st.lists(st.tuples(st.sampled_from(["drag", "shrink", "put", "undo", "redo"]), st.floats(0.01, 0.99)), max_size=25))
def test_any_walk_can_be_undone_to_its_start_and_redone_to_its_end(walk: list[tuple[str, float]]) -> None:
    editor = editor_with(draft(0.5, 0.5, way="by_class", class_weights=BY_CLASS))
    start = editor.draft
    for number, (act, value) in enumerate(walk, start=1):
        if act == "drag":
            editor.follow(said(value, gesture=number, shrinkage=editor.state.shrinkage))
        elif act == "shrink":
            editor.follow(replace(editor.state, gesture=number, shrinkage=value))
        elif act == "put":
            editor.put(draft(value, 1 - value))
        else:
            getattr(editor, act)()
        assert sum(editor.state.weights.values()) == pytest.approx(1)
    end, n_ahead = editor.draft, len(editor.future)
    n_steps = len(editor.history)
    for _ in range(n_steps):
        editor.undo()
    assert editor.draft == start
    for _ in range(n_steps):
        editor.redo()
    assert editor.draft == end and len(editor.future) == n_ahead


def test_what_a_button_puts_can_be_undone_and_bumps_the_revision() -> None:
    editor = make_editor([1, 2])
    editor.follow(said(0.9, gesture=4))
    editor.put(equal_draft(2))
    assert editor.state.gesture == 4, "the next gesture of the browser is a new one"
    assert editor.revision == 1
    editor.undo()
    assert editor.state.weights == pytest.approx({1: 0.9, 2: 0.1})


def test_a_lock_alone_is_no_step() -> None:
    editor = make_editor([1, 2])
    editor.follow(said(0.5, locked=frozenset({2})))
    assert editor.locked == {2} and not editor.history


def test_weights_that_went_through_the_browser_are_those_of_the_way() -> None:
    editor = editor_with(draft(0.75, 0.25))
    editor.follow(said(0.75 + 1e-12))
    assert editor.draft.procedure.way == "optimal" and not editor.history
    editor.follow(said(0.76, gesture=2))
    assert editor.draft.is_by_hand
    editor.undo()
    assert editor.draft.procedure.way == "optimal"


def test_weights_by_class_are_shown_as_their_mean_and_left_by_a_drag() -> None:
    editor = editor_with(draft(0.5, 0.5, way="by_class", class_weights=BY_CLASS, shrinkage=0.5))
    assert editor.state.weights == pytest.approx({1: 0.7, 2: 0.3})
    assert editor.draft.kind == "by_class"
    editor.follow(said(0.7, shrinkage=0.2))
    assert editor.draft.steps.class_weights == BY_CLASS and editor.draft.steps.shrinkage == 0.2, "shrinkage is a part of the way"
    editor.follow(said(0.4, gesture=2, shrinkage=0.2))
    assert editor.draft.kind == "plain"
    assert editor.draft.steps == BlendSteps(weights=(0.4, 0.6), shrinkage=0.2)


def test_shrinkage_stays_with_its_way_and_is_in_the_steps() -> None:
    editor = editor_with(draft(0.8, 0.2))
    for value in (0.1, 0.3):
        editor.follow(said(0.8, shrinkage=value, is_held=True))
    assert editor.draft.procedure.way == "optimal" and editor.draft.procedure.shrinkage == 0.3
    assert editor.draft.steps.normalised() == pytest.approx((0.71, 0.29))
    assert editor.is_settled and len(editor.history) == 1


def test_chosen_runs_are_shrunk_by_their_fit_and_a_hand_takes_over_what_is_shown() -> None:
    editor = editor_with(draft(0.9, 0.1, way="greedy", chooses_members=True, proc_shrinkage=0.4))
    assert (editor.draft.kind, editor.state.shrinkage) == ("chosen", 0.4)
    editor.follow(said(0.9, shrinkage=0.6))
    assert editor.draft.procedure.shrinkage == 0.6 and editor.draft.steps.shrinkage == 0 and not editor.is_settled
    editor.follow(said(0.7, gesture=2, shrinkage=0.0))
    assert editor.draft.steps == BlendSteps(weights=(0.7, 1 - 0.7))


def test_what_comes_after_the_mean_stays_while_held_and_is_fitted_again_after() -> None:
    editor = editor_with(draft(0.8, 0.2, temperature_on=True, temperature=1.4))
    editor.follow(said(0.6, is_held=True))
    assert editor.draft.steps.temperature == 1.4 and not editor.is_settled and editor.is_held
    editor.follow(said(0.6, is_held=False))
    assert not editor.is_settled and not editor.is_held
    revision = editor.revision
    editor.settle(editor.draft.steps.model_copy(update={"temperature": 1.1}))
    assert editor.is_settled and editor.revision == revision, "the browser holds these weights already"
    assert len(editor.history) == 1, "a drag and its fit are one step"


def test_thresholds_stay_while_held_are_fitted_again_and_go_with_equal_weights() -> None:
    editor = editor_with(draft(0.8, 0.2, thresholds_on=True, thresholds=(0.3, 0.6)))
    editor.follow(said(0.6, is_held=True))
    assert editor.draft.steps.thresholds == (0.3, 0.6) and editor.draft.procedure.thresholds and not editor.is_settled
    other = adapt(editor, [1, 2, 3])
    assert other.draft.procedure.thresholds and not other.is_settled, "they are found for the new runs"
    assert not equal_draft(2, editor.draft.procedure).procedure.thresholds
    back = draft_of(BlendSpec(members=(1, 2), weights=(1, 1), thresholds=(0.3, 0.6)), None)
    assert back.is_by_hand and back.procedure.thresholds and back.steps.thresholds == (0.3, 0.6) and not back.is_untuned


def test_a_fit_that_moves_weights_tells_the_browser() -> None:
    editor = editor_with(draft(0.8, 0.2, auto=True))
    editor.follow(said(0.8, shrinkage=0.5))
    assert not editor.is_settled, "another mean may be better now"
    editor.settle(BlendSteps(weights=(0.6, 0.4), mean="logit", shrinkage=0.5))
    assert editor.revision == 1


@pytest.mark.parametrize(
    ("start", "settings", "expected"),
    [
        (draft(0.8, 0.2), {"mean": "power"}, {"way": "hand", "mean": "power", "weights": (0.8, 0.2)}),
        (draft(0.8, 0.2), {"mean": "logit"}, {"way": "optimal", "mean": "logit", "weights": ()}),
        (draft(0.8, 0.2, auto=True), {"way": "stacking"}, {"way": "stacking", "mean": "arithmetic"}),
        (draft(0.8, 0.2, way="hand"), {"temperature": True}, {"way": "hand", "weights": (0.8, 0.2), "temperature": True}),
        (draft(0.8, 0.2, way="greedy", chooses_members=True), {"way": "stacking"}, {"chooses_members": False}),
        (draft(0.8, 0.2, shrinkage=0.3), {"way": "greedy"}, {"way": "greedy", "shrinkage": 0.3}),
    ],
)
def test_a_setting_changes_along_what_it_does_not_allow(start: Draft, settings: dict[str, Any], expected: dict[str, Any]) -> None:
    found = start.asked(settings)
    assert {name: getattr(found, name) for name in expected} == expected


def test_untuned_is_only_what_nobody_tuned() -> None:
    assert equal_draft(3).is_untuned
    assert draft(0.5, 0.5, way="hand").is_untuned
    assert draft(0.9, 0.1, shrinkage=1.0).is_untuned, "all of it is shrunk away"
    assert not draft(0.5, 0.5).is_untuned
    assert not draft(0.5, 0.5, way="hand", mean="rank").is_untuned
    assert not draft(0.5, 0.5, way="equal", temperature_on=True, temperature=1.2).is_untuned
    assert not draft(0.5, 0.5, way="equal", chooses_members=True).is_untuned


def test_a_new_run_gets_its_equal_share_and_the_others_keep_their_proportions() -> None:
    editor = make_editor([1, 2])
    editor.follow(said(0.75, gesture=3, locked=frozenset({1})))
    editor = adapt(editor, [1, 2, 9])
    assert editor.state.weights == pytest.approx({1: 0.5, 2: 1 / 6, 9: 1 / 3})
    assert editor.locked == {1} and editor.draft.is_by_hand
    assert editor.revision == 1 and not editor.history


def test_taking_a_run_away_leaves_weights_that_sum_to_one() -> None:
    editor = adapt(BlendEditor((1, 2, 3), draft(0.0, 0.0, 1.0), frozenset({3})), [1, 2])
    assert editor.state.weights == {1: 0.5, 2: 0.5}
    assert editor.locked == frozenset()


def test_other_runs_leave_the_way_but_keep_the_switches() -> None:
    editor = adapt(editor_with(draft(0.3, 0.7, way="stacking", stack=STACK, temperature_on=True, temperature=1.2)), [1, 2, 3])
    assert editor.draft.is_by_hand and editor.draft.steps.stack is None
    assert editor.draft.procedure.temperature and not editor.is_settled
    equal = adapt(make_editor([1, 2]), [1, 2, 3])
    assert equal.draft.is_untuned and equal.draft.procedure.way == "equal"


def test_the_same_runs_keep_the_same_editor() -> None:
    editor = make_editor([1, 2])
    assert adapt(editor, [1, 2]) is editor


def test_another_order_of_the_runs_is_the_same_blend() -> None:
    editor = editor_with(draft(0.3, 0.7, way="stacking", stack=STACK))
    editor.follow(said(0.9))
    editor.undo()
    turned = adapt(editor, [2, 1])
    assert turned.draft.steps.stack is not None
    assert turned.draft.steps.stack.coefficients[0] == (3.0, 4.0, 1.0, 2.0)
    turned.redo()
    assert turned.state.weights == pytest.approx({1: 0.9, 2: 0.1})
    assert turned.draft.procedure.weights == pytest.approx((0.1, 0.9))
    assert adapt(turned, [1, 2]).state.weights == pytest.approx({1: 0.9, 2: 0.1})


def test_a_saved_blend_comes_back_by_its_procedure_or_as_weights_by_hand() -> None:
    spec = BlendSpec(members=(1, 2), weights=(3, 1), temperature=1.2, class_weights=BY_CLASS)
    procedure = BlendProcedure(way="by_class", temperature=True)
    assert draft_of(spec, procedure.to_dict()) == Draft(spec.steps, procedure)
    alone = draft_of(spec, None)
    assert alone.is_by_hand and alone.steps == spec.steps and alone.procedure.temperature
    assert alone.procedure.weights == pytest.approx((0.7, 0.3))


def test_the_browser_is_believed_only_about_these_runs_and_this_revision() -> None:
    state = check_sent(sent([3.0, 1.0], locked=[True, False], shrinkage=0.25, held=True), [1, 2], 0)
    assert state == SliderState({1: 3.0, 2: 1.0}, frozenset({1}), 1, 0.25, is_held=True)
    assert check_sent(sent([0.5, 0.5], revision=1), [1, 2], 0) is None
    assert check_sent(sent([0.5, 0.5]), [1, 3], 0) is None
    assert check_sent(None, [1, 2], 0) is None


@pytest.mark.parametrize("weights", [[math.nan, 1], [-0.1, 1.1], [0, 0], [1], ["1", 0], "ab", [math.inf, 0]])
def test_weights_that_are_none_are_not_taken(weights: Any) -> None:
    assert check_sent(sent(weights), [1, 2], 0) is None


@pytest.mark.parametrize("changes", [{"shrinkage": 1.1}, {"shrinkage": math.nan}, {"shrinkage": "0"}, {"held": 1}, {"held": None}])
def test_a_shrinkage_or_a_hold_that_is_none_is_not_taken(changes: dict[str, Any]) -> None:
    assert check_sent(sent([0.5, 0.5], **changes), [1, 2], 0) is None
