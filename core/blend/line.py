"""Sums of true-class probabilities while a slider is dragged, from two sums that are there instead of all runs.

Whatever slider is dragged, one weight or the shrinkage, and whatever is locked: its steps lie on a line in the space of weights, and
so do their sums. What a sum costs is reading memory, and two rows are a tenth of twenty runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAME = 4 * float(np.finfo(np.float64).eps)
"""How far a weight may be from the line, for each point of it: a browser multiplies and divides weights on the way."""
LEAST_VALUES = 1_000_000
"""Fewer are summed in full: that is quick, and in few rows the rounding of one could be seen in the ninth digit of a score."""
FURTHEST = 16.0
"""Further away, in distances between the two points, too few right digits would be left."""


@dataclass(frozen=True)
class Point:
    """Weights (n_runs,) and the sums (n_rows,) under them, made from all runs."""

    share: NDArray[np.float64]
    sums: NDArray[np.float64]


class Line:
    """One person's drag. It is for what follows a pointer: the last digit of a sum depends on where the drag began."""

    def __init__(self) -> None:
        self._rows: NDArray[np.float64] | None = None
        self._points: tuple[Point, ...] = ()

    def sums(self, share: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """`share @ rows`, (n_runs,) times (n_runs, n_rows), both float64. Not to be written to."""
        if rows.size < LEAST_VALUES:
            return np.einsum("m,mn->n", share, rows)
        if rows is not self._rows:
            self._rows, self._points = rows, ()
        if len(self._points) == 2:
            one, other = self._points
            place = place_on(one.share, other.share, share)
            if place is not None:
                return (1 - place) * one.sums + place * other.sums
        point = Point(share.copy(), np.einsum("m,mn->n", share, rows))
        self._points = (*self._points[-1:], point)
        return point.sums


def place_on(one: NDArray[np.float64], other: NDArray[np.float64], share: NDArray[np.float64]) -> float | None:
    """Where `share` is on the line from `one` (0) to `other` (1), each (n_runs,); None when it is beside it or too far away."""
    way = other - one
    length = float(way @ way)
    if length == 0:
        return None
    place = float((share - one) @ way) / length
    beside = np.abs(share - (1 - place) * one - place * other).max()
    return place if abs(place) <= FURTHEST and beside <= SAME * (1 + 2 * abs(place)) else None
