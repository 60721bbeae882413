"""The candidates of a row never lack the class that wins: its labels are those of the full blend, ties and zero weights included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from core.blend.candidates import find_candidates, find_voted
from core.blend.steps import mix


@st.composite
def members_and_weights(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n_members, n_rows, n_classes = draw(st.integers(1, 6)), draw(st.integers(1, 40)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    members = rng.dirichlet(np.full(n_classes, draw(st.sampled_from([0.05, 0.5, 5.0]))), size=(n_members, n_rows)).astype(np.float32)
    if draw(st.booleans()):
        members = np.round(members * 4) / 4  # many exact ties, and rows that do not sum to one
    if draw(st.booleans()):
        members[-1] = members[0]
    if draw(st.booleans()):
        members = np.eye(n_classes, dtype=np.float32)[members.argmax(axis=2)]
    weights = rng.dirichlet(np.ones(n_members))
    weights *= rng.random(n_members) > draw(st.sampled_from([0.0, 0.4]))
    if draw(st.booleans()):
        weights = np.round(weights * 4)
    if weights.sum() == 0:
        weights[rng.integers(n_members)] = draw(st.sampled_from([1.0, 1e-12, 1e6]))
    return members, weights


@given(members_and_weights())
@settings(max_examples=400, deadline=None)
def test_labels_equal_those_of_the_full_blend(case: tuple[np.ndarray, np.ndarray]) -> None:
    members, weights = case
    np.testing.assert_array_equal(find_candidates(members).labels(weights.tolist()), mix(members, weights.tolist()).argmax(axis=1))


def test_no_winner_is_missed_over_ten_thousand_random_weights() -> None:
    rng = np.random.default_rng(1)
    latent = rng.normal(size=(1, 60, 30))
    logits = 2 * latent + rng.normal(size=(5, 60, 30))
    prob = np.exp(logits)
    members = (prob / prob.sum(axis=2, keepdims=True)).astype(np.float32)
    candidates = find_candidates(members)
    for weights in rng.dirichlet(np.full(5, 0.5), size=10_000):
        np.testing.assert_array_equal(candidates.labels(weights.tolist()), mix(members, weights.tolist()).argmax(axis=1))


def test_a_class_beaten_everywhere_is_not_kept() -> None:
    members = np.array([[[0.7, 0.2, 0.1]], [[0.6, 0.3, 0.1]]], dtype=np.float32)
    candidates = find_candidates(members)
    assert candidates.groups == () and candidates.only.tolist() == [0]


def test_a_higher_class_within_rounding_stays_in_the_race() -> None:
    almost = np.nextafter(np.float32(0.4), np.float32(1))
    members = np.array([[[0.4, almost]], [[0.4, almost]]], dtype=np.float32)
    for weights in ([1, 1], [1, 3], [0.1, 0.7], [1, 0]):
        assert find_candidates(members).labels(weights)[0] == mix(members, weights).argmax(axis=1)[0]


@pytest.mark.parametrize("n_classes", [3, 200])
def test_members_that_know_nothing_are_still_exact(n_classes: int) -> None:
    members = np.full((3, 4, n_classes), 1 / n_classes, dtype=np.float32)
    assert find_candidates(members).labels([0.2, 0.3, 0.5]).tolist() == [0, 0, 0, 0]


@given(members_and_weights())
@settings(max_examples=200, deadline=None)
def test_labels_of_votes_equal_those_of_the_full_blend(case: tuple[np.ndarray, np.ndarray]) -> None:
    members, weights = case
    candidates = find_voted(members.argmax(axis=2).astype(np.int32))
    labels = mix(members, weights.tolist(), "hard").argmax(axis=1)
    np.testing.assert_array_equal(candidates.labels(weights.tolist()), labels)
    rows = np.arange(len(labels)) % 2 == 0
    np.testing.assert_array_equal(candidates.take(rows).labels(weights.tolist()), labels[rows])
    chosen = np.flatnonzero(weights)[::-1]
    some = mix(members[chosen], weights[chosen].tolist(), "hard").argmax(axis=1)
    np.testing.assert_array_equal(candidates.of_members(chosen.tolist()).labels(weights[chosen].tolist()), some)


@pytest.mark.parametrize("weights", [[1.0] * 12, [0.1] * 12, [0.1, 0.2, 0.3] * 4, [1e-12] + [0.0] * 10 + [1.0]])
def test_ties_of_votes_go_where_the_full_blend_sends_them(weights: list[float]) -> None:
    rng = np.random.default_rng(12)
    members = rng.random((12, 500, 4), dtype=np.float32)
    candidates = find_voted(members.argmax(axis=2).astype(np.int32))
    np.testing.assert_array_equal(candidates.labels(weights), mix(members, weights, "hard").argmax(axis=1))


def test_only_classes_with_a_vote_are_candidates() -> None:
    votes = np.array([[3, 7, 0, 5], [3, 2, 1, 5], [3, 7, 2, 6]], dtype=np.int32)
    candidates = find_voted(votes)
    assert candidates.only[0] == 3
    two, three = candidates.groups
    assert two.rows.tolist() == [1, 3] and two.classes.tolist() == [[2, 5], [7, 6]]
    assert two.values.tolist() == [[[0, 1], [1, 0]], [[1, 1], [0, 0]], [[0, 0], [1, 1]]]
    assert three.rows.tolist() == [2] and three.classes.tolist() == [[0], [1], [2]]
