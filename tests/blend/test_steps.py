"""The means of predictions, against NumPy, SciPy and scikit-learn on the same numbers."""

from __future__ import annotations

import tracemalloc
import typing

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn import metrics as reference

from core.base.errors import StateError
from core.blend.optimum import optimal_log_loss
from core.blend.scorer import make_scorer
from core.blend.steps import BLOCK_COLUMNS, FLOOR, mix, rank_shares
from core.metrics.scores import get_metric
from core.specs.blend import MeanName
from tests.blend.blend_data import matrix_of

MEANS: tuple[MeanName, ...] = typing.get_args(MeanName)


def predictions(seed: int, *, n_runs: int = 3, n_rows: int = 50, n_classes: int = 5, sharp: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    oof = rng.dirichlet(np.full(n_classes, sharp), size=(n_runs, n_rows)).astype(np.float32)
    return oof, rng.integers(0, n_classes, n_rows)


def test_the_logit_mean_is_the_normalised_geometric_mean() -> None:
    oof, _ = predictions(0)
    expected = np.exp((np.array([0.5, 0.3, 0.2])[:, None, None] * np.log(np.maximum(oof, FLOOR).astype(float))).sum(axis=0))
    np.testing.assert_allclose(mix(oof, [5, 3, 2], "logit"), expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


def test_the_power_mean_is_the_root_of_the_mean_of_squares() -> None:
    oof, _ = predictions(1)
    expected = np.sqrt((oof.astype(float) ** 2).mean(axis=0))
    np.testing.assert_allclose(mix(oof, [1, 1, 1], "power"), expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


def test_the_rank_mean_sees_only_the_order_within_a_class() -> None:
    oof, _ = predictions(2)
    stretched = oof.copy()
    stretched[0] = oof[0] ** 3
    np.testing.assert_array_equal(mix(oof, [1, 2, 1], "rank"), mix(stretched, [1, 2, 1], "rank"))


def test_hard_votes_are_counted() -> None:
    oof = np.array([[[0.6, 0.4]], [[0.1, 0.9]], [[0.2, 0.8]]], dtype=np.float32)
    np.testing.assert_allclose(mix(oof, [1, 1, 2], "hard"), [[0.25, 0.75]])


@pytest.mark.parametrize("mean", MEANS)
@given(
    seed=st.integers(0, 2**31),
    sharp=st.sampled_from([0.02, 0.5, 10.0]),
    weights=st.lists(st.sampled_from([0.0, 0.2, 1.0, 3.7]), min_size=3, max_size=3).filter(any),
    is_twin=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_fast_scorer_equals_the_full_blend(mean: MeanName, seed: int, sharp: float, weights: list[float], is_twin: bool) -> None:
    oof, y_true = predictions(seed, sharp=sharp)
    if is_twin:
        oof[2] = oof[0]
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(50) % 5, get_metric("log_loss")), mean)
    prob = mix(oof, weights, mean)
    np.testing.assert_allclose(prob.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(scorer.labels(weights), prob.argmax(axis=1))
    rows = np.arange(50) % 3 == 0
    np.testing.assert_array_equal(scorer.take(rows).labels(weights), prob[rows].argmax(axis=1))
    report = scorer.report(scorer.outcome(weights))
    assert report.scores["log_loss"] == pytest.approx(reference.log_loss(y_true, prob, labels=range(5)), rel=1e-6, abs=1e-6)
    assert report.scores["macro_f1"] == pytest.approx(reference.f1_score(y_true, prob.argmax(axis=1), average="macro"))


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("weights", [[1, 1, 1], [0.5, 0, 0.5], [0.1, 0.7, 0.2], [0, 0, 2]])
def test_a_scorer_has_the_bytes_of_the_full_blend(mean: MeanName, weights: list[float]) -> None:
    oof, y_true = predictions(9, n_rows=300)
    oof = np.round(oof, 1).astype(np.float32)  # many ties, in ranks and in votes
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(300) % 5, get_metric("log_loss")), mean)
    prob = mix(oof, weights, mean)
    np.testing.assert_array_equal(scorer.prob(weights), prob)
    np.testing.assert_allclose(scorer.p_true(weights), prob[np.arange(300), y_true], rtol=1e-6)
    np.testing.assert_array_equal(scorer.labels(weights), prob.argmax(axis=1))
    swapped = scorer.of_runs([2, 0])
    if weights[0] + weights[2]:
        some = mix(oof[[2, 0]], [weights[2], weights[0]], mean)
        np.testing.assert_array_equal(swapped.labels([weights[2], weights[0]]), some.argmax(axis=1))


@pytest.mark.parametrize("mean", MEANS)
def test_preparation_takes_little_more_memory_than_what_it_keeps(mean: MeanName) -> None:
    rng = np.random.default_rng(4)
    oof = np.exp(4 * rng.standard_normal((1, 6_000, 300), dtype=np.float32) + rng.standard_normal((6, 6_000, 300), dtype=np.float32))
    oof /= oof.sum(axis=2, keepdims=True)
    y_true = rng.integers(0, 300, 6_000)
    tracemalloc.start()
    try:
        make_scorer(matrix_of(oof, y_true, np.arange(6_000) % 5, get_metric("macro_f1")), mean)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    kept = oof.nbytes if mean in ("logit", "rank") else 0
    assert peak < kept + 0.3 * oof.nbytes


@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_of_the_logit_mean_is_global(seed: int) -> None:
    oof, y_true = predictions(seed, n_rows=300, sharp=1.0)
    oof[0, np.arange(300), y_true] += 1
    oof /= oof.sum(axis=2, keepdims=True)
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(300) % 5, get_metric("log_loss")), "logit")
    found = optimal_log_loss(scorer)
    assert found.gap < 1e-5
    assert found.log_loss == pytest.approx(scorer.score(found.weights), abs=1e-5)
    for rival in np.random.default_rng(seed).dirichlet(np.ones(3), size=100).tolist():
        assert scorer.score(rival) >= found.log_loss - 1e-5


def test_a_mean_without_a_proof_is_refused() -> None:
    oof, y_true = predictions(0)
    with pytest.raises(StateError, match="no optimum"):
        optimal_log_loss(make_scorer(matrix_of(oof, y_true, np.arange(50) % 5, get_metric("log_loss")), "rank"))


def plainly(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """SciPy's average ranks over the rows of each column, divided by the number of rows."""
    return (rankdata(values, method="average", axis=0) / len(values)).astype(np.float32)


@given(
    n_rows=st.integers(1, 200),
    n_columns=st.sampled_from([1, 2, BLOCK_COLUMNS - 1, BLOCK_COLUMNS, BLOCK_COLUMNS + 1, 2 * BLOCK_COLUMNS + 3]),
    levels=st.sampled_from([1, 2, 5, 100, None]),
    is_signed=st.booleans(),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=200, deadline=None)
def test_ranks_are_those_of_scipy(n_rows: int, n_columns: int, levels: int | None, is_signed: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = (10.0 ** rng.uniform(-44, 0, (n_rows, n_columns))).astype(np.float32)  # subnormal numbers and zeros among them
    if levels:
        values = (rng.integers(0, levels, values.shape) / levels).astype(np.float32)
    if is_signed:
        values *= rng.choice([-1, 1], values.shape).astype(np.float32)  # minus zero equals zero
    before = values.copy()
    shares = rank_shares(values)
    assert shares.dtype == np.float32
    np.testing.assert_array_equal(shares, plainly(values))
    np.testing.assert_array_equal(values, before)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_numbers_are_ranked_as_scipy_ranks_them(column: list[float]) -> None:
    values = np.array(column, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(rank_shares(values), plainly(values))


@pytest.mark.parametrize("n_rows", [1_000, 33_137])
def test_every_tie_of_many_rows_is_shared_exactly(n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    values = np.stack([np.round(rng.random(n_rows), digits) for digits in (1, 2, 4, 12)], axis=1).astype(np.float32)
    np.testing.assert_array_equal(rank_shares(values), plainly(values))
    np.testing.assert_array_equal(rank_shares(np.asfortranarray(values)[::2]), plainly(values[::2]))


def test_no_rows_have_no_ranks() -> None:
    assert rank_shares(np.empty((0, 3), dtype=np.float32)).shape == (0, 3)
