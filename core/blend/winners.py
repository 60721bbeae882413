"""The label of every row under any weights, from the few classes that can win at all.

A class that another one beats in every member loses under every non-negative weighting, and under every mean, since a mean
keeps the order of its weighted sums. What remains, two to fourteen classes of hundreds, is packed once; a step then costs
the candidates, not the classes. The labels are exactly those of `mix`, ties included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.blend.mean import add_up, normalise

MARGIN = np.float32(1 + 2**-19)
"""`mix` ends in float32: a class must be beaten by more than its rounding to be out of the race against a higher class."""

CHUNK_VALUES = 8_000_000
MOST_PAIRED = 64
NEAR_TIE = 1e-5
TINY = np.float32(1e-30)

Exact = Callable[[NDArray[np.int64]], NDArray[np.integer]]


@dataclass(frozen=True)
class Group:
    """Rows with equally many candidates: `rows` (n,), `classes` (c, n) ascending by row, `values` (n_members, c, n)."""

    rows: NDArray[np.int64]
    classes: NDArray[np.int32]
    values: NDArray[np.float32]


@dataclass(frozen=True)
class Winners:
    """The candidates of every row. `only` (n_rows,) is the label of rows with a single candidate, the others are in `groups`."""

    n_members: int
    only: NDArray[np.int32]
    groups: tuple[Group, ...]
    slack: float = 0.0

    @property
    def n_bytes(self) -> int:
        """Memory that the packed form takes."""
        return self.only.nbytes + sum(group.rows.nbytes + group.classes.nbytes + group.values.nbytes for group in self.groups)

    def take(self, rows: NDArray[np.bool_]) -> Winners:
        """The same for some rows only (a mask (n_rows,)), numbered anew in their order."""
        number = np.cumsum(rows) - 1
        groups: list[Group] = []
        for group in self.groups:
            kept = rows[group.rows]
            if kept.any():
                groups.append(Group(number[group.rows[kept]], group.classes[:, kept], np.ascontiguousarray(group.values[:, :, kept])))
        return Winners(self.n_members, self.only[rows], tuple(groups), self.slack)

    def labels(self, weights: Sequence[float], exact: Exact | None = None) -> NDArray[np.int32]:
        """The label of every row (n_rows,) of the blend under non-negative weights, ties to the lowest class.

        A float32 sum decides, and where the two best are nearly equal, `exact`: it gets row numbers and returns their labels as
        the full blend has them. Without it the mean is one whose weighted sum is the blend itself.
        """
        share = normalise(weights, self.n_members)
        labels = self.only.copy()
        for group in self.groups:
            n_members, count, n_rows = group.values.shape
            quick = (share.astype(np.float32) @ group.values.reshape(n_members, -1)).reshape(count, n_rows)
            place, near = _first_best(quick, self.slack)
            found = group.classes[place, np.arange(n_rows)]
            if near.any() and exact is None:
                place = add_up(group.values[:, :, near], share).astype(np.float32).argmax(axis=0)
                found[near] = group.classes[:, near][place, np.arange(len(place))]
            elif near.any() and exact is not None:
                found[near] = exact(group.rows[near])
            labels[group.rows] = found
        return labels


def find_winners(members: NDArray[np.float32], *, slack: float = 0.0) -> Winners:
    """Pack the classes that can win, from non-negative values (n_members, n_rows, n_classes), read in chunks.

    `slack` is how near two weighted sums may be for a finish to round them to one value, beyond the rounding of the sums.
    """
    n_members, n_rows, n_classes = members.shape
    chunk = max(1, CHUNK_VALUES // (n_members * n_classes))
    only = np.zeros(n_rows, dtype=np.int32)
    parts: dict[int, list[Group]] = {}
    for start in range(0, n_rows, chunk):
        block = np.asarray(members[:, start : start + chunk])
        alive = _within_bounds(block, slack)
        for count, rows in _by_count(alive):
            classes = np.nonzero(alive[rows])[1].reshape(len(rows), count)
            values = np.take_along_axis(block[:, rows], classes[None], axis=2)
            for group in _undominated(rows, classes, values, slack):
                if len(group.classes) == 1:
                    only[start + group.rows] = group.classes[0]
                else:
                    parts.setdefault(len(group.classes), []).append(Group(start + group.rows, group.classes, group.values))
    groups = [
        Group(
            np.concatenate([part.rows for part in same]),
            np.concatenate([part.classes for part in same], axis=1),
            np.concatenate([part.values for part in same], axis=2),
        )
        for _, same in sorted(parts.items())
    ]
    return Winners(n_members, only, tuple(groups), slack)


def _within_bounds(block: NDArray[np.float32], slack: float) -> NDArray[np.bool_]:
    """Classes (n, K) whose greatest value over members reaches the greatest of the classes' least values."""
    floor = block.min(axis=0).max(axis=1, keepdims=True)
    return block.max(axis=0) * MARGIN + np.float32(slack) >= floor


def _by_count(alive: NDArray[np.bool_]) -> list[tuple[int, NDArray[np.int64]]]:
    counts = alive.sum(axis=1)
    return [(int(count), np.flatnonzero(counts == count)) for count in np.unique(counts)]


def _undominated(rows: NDArray[np.int64], classes: NDArray[np.int64], values: NDArray[np.float32], slack: float) -> list[Group]:
    """Drop candidates that another one beats in every member: by more than rounding, or at all when it is the lower class.

    `classes` (n, c), `values` (n_members, n, c).
    """
    count = classes.shape[1]
    if count > MOST_PAIRED:
        return [Group(rows, classes.T.astype(np.int32), np.ascontiguousarray(values.transpose(0, 2, 1)))]
    alive = np.ones(classes.shape, dtype=bool)
    for loser in range(count):
        for rival in range(count):
            if rival == loser:
                continue
            floor = values[:, :, loser]
            beaten = values[:, :, rival] >= floor if rival < loser else values[:, :, rival] > floor * MARGIN + np.float32(slack)
            alive[:, loser] &= ~beaten.all(axis=0)
    groups: list[Group] = []
    for kept, part in _by_count(alive):
        place = np.nonzero(alive[part])[1].reshape(len(part), kept)
        chosen = np.take_along_axis(values[:, part], place[None], axis=2)
        names = np.take_along_axis(classes[part], place, axis=1)
        groups.append(Group(rows[part], names.T.astype(np.int32), np.ascontiguousarray(chosen.transpose(0, 2, 1))))
    return groups


def _first_best(scores: NDArray[np.float32], slack: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Index of the first greatest of (c, n) along c, and where the second is within the error of a float32 sum."""
    best, second = scores[0].copy(), np.full(scores.shape[1], -np.inf, dtype=np.float32)
    place = np.zeros(scores.shape[1], dtype=np.int64)
    for number in range(1, len(scores)):
        row = scores[number]
        better = row > best
        np.maximum(second, np.minimum(row, best), out=second)
        np.maximum(best, row, out=best)
        place[better] = number
    return place, (second >= best * np.float32(1 - NEAR_TIE) - np.float32(slack)) | (best < TINY)
