"""The arithmetic of the weights that a session works on."""

from __future__ import annotations

import math

import pytest

from app.desk import Desk, adapt
from app.weight_bank import BankState, equal_state, read_state


def sent(weights: list[float], *, gesture: int = 1, revision: int = 0, locked: tuple[bool, ...] = (False, False)) -> dict[str, object]:
    return {"ids": [1, 2], "weights": weights, "locked": list(locked), "gesture": gesture, "revision": revision}


def test_a_drag_is_undone_at_once_however_many_words_it_had() -> None:
    desk = Desk(equal_state([1, 2]))
    for weight in (0.6, 0.7, 0.8):
        desk.follow(BankState({1: weight, 2: 1 - weight}, frozenset(), gesture=1))
    assert len(desk.history) == 1
    desk.undo()
    assert desk.state.weights == {1: 0.5, 2: 0.5}
    assert desk.revision == 1
    desk.undo()
    assert desk.revision == 1, "nothing is left to undo"


def test_what_a_button_puts_can_be_undone_and_bumps_the_revision() -> None:
    desk = Desk(BankState({1: 0.9, 2: 0.1}, frozenset(), gesture=4))
    desk.put(equal_state([1, 2]))
    assert desk.state.gesture == 4, "the next gesture of the browser is a new one"
    assert desk.revision == 1
    desk.undo()
    assert desk.state.weights == {1: 0.9, 2: 0.1}


def test_a_new_run_gets_its_equal_share_and_the_others_keep_their_proportions() -> None:
    desk = adapt(Desk(BankState({1: 0.75, 2: 0.25}, frozenset({1}), 3)), [1, 2, 9])
    assert desk.state.weights == pytest.approx({1: 0.5, 2: 1 / 6, 9: 1 / 3})
    assert desk.state.locked == {1}
    assert desk.revision == 1


def test_taking_a_run_away_leaves_weights_that_sum_to_one() -> None:
    desk = adapt(Desk(BankState({1: 0.0, 2: 0.0, 3: 1.0}, frozenset({3}), 0)), [1, 2])
    assert desk.state.weights == {1: 0.5, 2: 0.5}
    assert desk.state.locked == frozenset()


def test_the_same_runs_keep_the_same_desk() -> None:
    desk = Desk(equal_state([1, 2]))
    assert adapt(desk, [1, 2]) is desk


def test_the_browser_is_believed_only_about_these_runs_and_this_revision() -> None:
    state = read_state(sent([3.0, 1.0], locked=(True, False)), [1, 2], 0)
    assert state == BankState({1: 0.75, 2: 0.25}, frozenset({1}), 1)
    assert read_state(sent([0.5, 0.5], revision=1), [1, 2], 0) is None
    assert read_state(sent([0.5, 0.5]), [1, 3], 0) is None
    assert read_state(None, [1, 2], 0) is None


@pytest.mark.parametrize("weights", [[math.nan, 1], [-0.1, 1.1], [0, 0], [1], ["1", 0], "ab", [math.inf, 0]])
def test_weights_that_are_none_are_not_taken(weights: list[float]) -> None:
    assert read_state(sent(weights), [1, 2], 0) is None
