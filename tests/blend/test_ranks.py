"""Ranks by sorted whole numbers are those of SciPy, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import rankdata

from core.blend.ranks import BLOCK_COLUMNS, rank_shares


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
