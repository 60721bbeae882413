"""Sums along a drag are those of all runs: of every slider, under locks and shrinkage, wherever the drag began."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.blend import line as line_module
from core.blend.line import LEAST_VALUES, Line
from core.metrics.scores import log_loss_of_true
from core.specs.blend import BlendSteps, MeanName
from tests.blend.blend_data import skilled


@pytest.fixture(autouse=True)
def _any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is taken at the size of a test too; a test of the real bound sets it back."""
    monkeypatch.setattr(line_module, "LEAST_VALUES", 0)


class Counted:
    """Counts the sums that were made from all runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n = 0
        real = np.einsum

        def einsum(*args: object, **kwargs: object) -> NDArray[np.float64]:
            self.n += 1
            return real(*args, **kwargs)  # pyright: ignore[reportCallIssue, reportArgumentType]

        monkeypatch.setattr(line_module.np, "einsum", einsum)


def drag(start: NDArray[np.float64], moved: int, values: NDArray[np.float64], locked: list[int]) -> list[NDArray[np.float64]]:
    """What the browser makes of a drag: locked weights stay, the others share what is left as they shared it at the start."""
    free = [run for run in range(len(start)) if run != moved and run not in locked]
    room = 1 - start[locked].sum()
    steps = []
    for value in np.minimum(values, room):
        weights = start.copy()
        weights[moved] = value
        weights[free] = (room - value) * start[free] / start[free].sum()
        steps.append(weights / weights.sum())
    return steps


@given(seed=st.integers(0, 2**32 - 1), n_runs=st.integers(2, 9), n_locked=st.integers(0, 3), shrinkage=st.sampled_from([0.0, 0.3]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_along_a_drag_are_the_sums_of_all_runs(seed: int, n_runs: int, n_locked: int, shrinkage: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.random((n_runs, 50)) ** 4
    line = Line()
    for _ in range(3):
        moved, *locked = rng.permutation(n_runs)[: 1 + min(n_locked, n_runs - 2)].tolist()
        values = np.sort(rng.random(12))[:: rng.choice([-1, 1])]
        for weights in drag(rng.dirichlet(np.ones(n_runs)), moved, values, locked):
            share = BlendSteps(weights=tuple(weights.tolist()), shrinkage=shrinkage).share
            np.testing.assert_allclose(line.sums(share, rows), share @ rows, rtol=1e-12, atol=1e-14)


def test_a_drag_sums_all_runs_only_at_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).random((20, 1000))
    counted, line = Counted(monkeypatch), Line()
    for weights in drag(np.random.default_rng(1).dirichlet(np.ones(20)), 3, np.linspace(0.2, 0.9, 36), [5, 8]):
        line.sums(weights, rows)
    assert 2 <= counted.n <= 4
    counted.n = 0
    for weights in np.random.default_rng(2).dirichlet(np.ones(20), 10):
        line.sums(weights, rows)
    assert counted.n == 10, "weights from anywhere are on no line"


def test_few_values_are_always_summed_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    rows = np.random.default_rng(0).random((7, 1000))
    counted, line = Counted(monkeypatch), Line()
    for weights in drag(np.full(7, 1 / 7), 3, np.linspace(0.2, 0.9, 20), []):
        line.sums(weights, rows)
    assert counted.n == 20


def test_the_slider_of_shrinkage_is_a_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).random((7, 1000))
    counted, line = Counted(monkeypatch), Line()
    weights = tuple(np.random.default_rng(1).dirichlet(np.ones(7)).tolist())
    for shrinkage in np.linspace(0, 1, 30).tolist():
        share = BlendSteps(weights=weights, shrinkage=shrinkage).share
        np.testing.assert_allclose(line.sums(share, rows), share @ rows, rtol=1e-12)
    assert counted.n <= 4


def test_other_rows_have_a_line_of_their_own() -> None:
    rng = np.random.default_rng(0)
    line, one, other = Line(), rng.random((3, 10)), rng.random((3, 10))
    for weights in drag(np.array([0.2, 0.3, 0.5]), 0, np.linspace(0.2, 0.8, 6), []):
        np.testing.assert_allclose(line.sums(weights, one), weights @ one, rtol=1e-12)
        np.testing.assert_allclose(line.sums(weights, other), weights @ other, rtol=1e-12)


def test_weights_that_stand_still_and_weights_beside_the_line_are_summed_in_full() -> None:
    rows, line = np.random.default_rng(0).random((3, 10)), Line()
    for weights in ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5], [0.4, 0.3, 0.3], [0.4, 0.3 + 1e-9, 0.3 - 1e-9], [0.0, 0.0, 1.0]):
        np.testing.assert_allclose(line.sums(np.array(weights), rows), np.array(weights) @ rows, rtol=1e-13)


@pytest.mark.parametrize("mean", ["arithmetic", "hard"])
def test_the_log_loss_along_a_drag_is_that_at_rest(monkeypatch: pytest.MonkeyPatch, mean: MeanName) -> None:
    monkeypatch.undo()
    scorer, line = skilled("log_loss", [2.0, 1.0, 0.3, 0.0] * 5, n_rows=LEAST_VALUES // 20, mean=mean), Line()
    steps = [w.tolist() for w in drag(np.random.default_rng(1).dirichlet(np.ones(20)), 1, np.linspace(0, 1, 21), [])]
    at_rest = [log_loss_of_true(scorer.p_true(weights)) for weights in steps]
    counted = Counted(monkeypatch)
    assert [log_loss_of_true(scorer.p_true(weights, line)) for weights in steps] == pytest.approx(at_rest, rel=1e-9)
    assert 2 <= counted.n <= 4
    np.testing.assert_array_equal(scorer.outcome(steps[7], line).y_pred, scorer.outcome(steps[7]).y_pred)


def test_the_log_loss_of_ranks_along_a_drag_is_that_at_rest() -> None:
    whole, line = skilled("log_loss", [2.0, 1.0, 0.3, 0.0], n_rows=3000, mean="rank"), Line()
    rows = np.random.default_rng(0).random(3000) < 0.5
    for scorer, start in ((whole, [0.4, 0.3, 0.2, 0.1]), (whole.take(rows), [0.4, 0.3, 0.2, 0.1]), (whole.of_runs([2, 0]), [0.5, 0.5])):
        for weights in drag(np.array(start), 1, np.linspace(0.3, 0.9, 5), []):
            at_rest = log_loss_of_true(scorer.p_true(weights.tolist()))
            assert log_loss_of_true(scorer.p_true(weights.tolist(), line)) == pytest.approx(at_rest, rel=1e-8)
