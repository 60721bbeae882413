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

from core.blend.steps import Members, add_up, normalise

MARGIN = np.float32(1 + 2**-19)
"""`mix` ends in float32: a class must be beaten by more than its rounding to be out of the race against a higher class."""

CHUNK_VALUES = 150_000
"""Values of one member that are read at once: few enough to stay in the processor's cache."""

FLUSH_VALUES = 2_000_000
N_RIVALS = 6
"""How many of a row's strongest classes the others are held against. More would drop a few candidates more, and cost more."""

NEAR_TIE = 1e-5
TINY = np.float32(1e-30)

Exact = Callable[[NDArray[np.int64]], NDArray[np.integer]]
Summed = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Group:
    """Rows with equally many candidates: `rows` (n,), `classes` (c, n) ascending by row, `values` (n_members, c, n)."""

    rows: NDArray[np.int64]
    classes: NDArray[np.int32]
    values: NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """The candidates of every row. `only` (n_rows,) is the label of rows with a single candidate, the others are in `groups`."""

    n_members: int
    only: NDArray[np.int32]
    groups: tuple[Group, ...]
    slack: float = 0.0

    @property
    def n_bytes(self) -> int:
        """Memory that the packed form takes."""
        return self.only.nbytes + sum(group.rows.nbytes + group.classes.nbytes + group.values.nbytes for group in self.groups)

    def take(self, rows: NDArray[np.bool_]) -> Candidates:
        """The same for some rows only (a mask (n_rows,)), numbered anew in their order."""
        number = np.cumsum(rows) - 1
        groups: list[Group] = []
        for group in self.groups:
            kept = rows[group.rows]
            if kept.any():
                groups.append(Group(number[group.rows[kept]], group.classes[:, kept], np.ascontiguousarray(group.values[:, :, kept])))
        return Candidates(self.n_members, self.only[rows], tuple(groups), self.slack)

    def of_members(self, members: Sequence[int]) -> Candidates:
        """The same for some members only, by their places: who can win with fewer could win with all."""
        groups = tuple(Group(group.rows, group.classes, group.values[list(members)]) for group in self.groups)
        return Candidates(len(members), self.only, groups, self.slack)

    def labels(self, weights: Sequence[float], exact: Exact | None = None) -> NDArray[np.int32]:
        """The label of every row (n_rows,) of the blend under non-negative weights, ties to the lowest class.

        A float32 sum decides, and where the two best are nearly equal, `exact`: it gets row numbers and returns their labels as
        the full blend has them. Without it the mean is one whose weighted sum is the blend itself.
        """
        share = normalise(weights, self.n_members)
        labels = self.only.copy()
        for group in self.groups:
            n_rows = len(group.rows)
            # Not by BLAS: its threads would wait for cores that are training, and a step is over before they are awake.
            quick = np.einsum("m,mcn->cn", share.astype(np.float32), group.values)
            place, near = _first_best(quick, self.slack)
            found = group.classes[place, np.arange(n_rows)]
            if near.any() and exact is None:
                place = add_up(group.values[:, :, near], share).astype(np.float32).argmax(axis=0)
                found[near] = group.classes[:, near][place, np.arange(len(place))]
            elif near.any() and exact is not None:
                found[near] = exact(group.rows[near])
            labels[group.rows] = found
        return labels


def find_candidates(members: Members, *, slack: float = 0.0, summed: Summed = np.asarray) -> Candidates:
    """Pack the classes that can win, from non-negative values (n_rows, n_classes) per member, read in chunks.

    `slack` is how near two weighted sums may be for a finish to round them to one value, beyond the rounding of the sums.
    `summed` gives what is summed of some rows of a member.
    """
    n_rows, n_classes = members[0].shape
    only = np.zeros(n_rows, dtype=np.int32)
    parts: dict[int, list[Group]] = {}
    waiting: list[Pairs] = []
    chunk = max(1, CHUNK_VALUES // n_classes)
    for start in range(0, n_rows, chunk):
        waiting.append(_within_bounds([summed(member[start : start + chunk]) for member in members], start, slack))
        if start + chunk >= n_rows or sum(values.size for _, _, values in waiting) > FLUSH_VALUES:
            for group in _undominated(waiting, slack):
                if len(group.classes) == 1:
                    only[group.rows] = group.classes[0]
                else:
                    parts.setdefault(len(group.classes), []).append(group)
            waiting.clear()
    # One count after the other, so that never more than one of them is there twice.
    groups = [_joined(parts.pop(count)) for count in sorted(parts)]
    return Candidates(len(members), only, tuple(groups), slack)


def find_voted(votes: NDArray[np.int32]) -> Candidates:
    """The same where each member's value is one for the class that it votes for (n_members, n_rows), and zero for all others.

    Some member has a weight, so only a class with a vote can win.
    """
    ordered = np.sort(votes, axis=0)
    is_first = np.ones(ordered.shape, dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    counts = is_first.sum(axis=0)
    groups: list[Group] = []
    for count in np.unique(counts[counts > 1]).tolist():
        rows = np.flatnonzero(counts == count)
        classes = np.ascontiguousarray(ordered[:, rows].T[is_first[:, rows].T].reshape(-1, count).T)
        groups.append(Group(rows, classes, (votes[:, None, rows] == classes).astype(np.float32)))
    return Candidates(len(votes), ordered[0].copy(), tuple(groups))


def _joined(same: Sequence[Group]) -> Group:
    return Group(
        np.concatenate([part.rows for part in same]),
        np.concatenate([part.classes for part in same], axis=1),
        np.concatenate([part.values for part in same], axis=2),
    )


Pairs = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
"""Rows (n,), ascending, with one class each (n,), ascending within a row, and the members' values there (n_members, n)."""


def _within_bounds(block: Sequence[NDArray[np.float32]], start: int, slack: float) -> Pairs:
    """The classes whose greatest value over members reaches the greatest of the classes' least values."""
    least, most = np.array(block[0]), np.array(block[0])
    for member in block[1:]:
        np.minimum(least, member, out=least)
        np.maximum(most, member, out=most)
    most *= MARGIN
    most += np.float32(slack)
    rows, classes = np.nonzero(most >= least.max(axis=1, keepdims=True))
    return start + rows, classes.astype(np.int32), np.stack([member[rows, classes] for member in block])


def _undominated(waiting: Sequence[Pairs], slack: float) -> list[Group]:
    """Drop candidates that a strong one beats in every member: by more than rounding, or at all when it is the lower class."""
    rows, classes = np.concatenate([pairs[0] for pairs in waiting]), np.concatenate([pairs[1] for pairs in waiting])
    values = np.concatenate([pairs[2] for pairs in waiting], axis=1)
    alive = np.ones(len(rows), dtype=bool)
    for count, at in _by_count(rows):
        alive[at] = _alive(classes[at], values[:, at], slack) if count > 1 else True
    return [
        Group(rows[at[:, 0]], np.ascontiguousarray(classes[at].T), np.ascontiguousarray(values[:, at].transpose(0, 2, 1)))
        for _, at in _by_count(rows, np.flatnonzero(alive))
    ]


def _by_count(rows: NDArray[np.int64], among: NDArray[np.int64] | None = None) -> list[tuple[int, NDArray[np.int64]]]:
    """Places of pairs (n, count) of rows with equally many pairs, `among` some of them or all; `rows` ascends."""
    places = np.arange(len(rows)) if among is None else among
    starts = np.flatnonzero(np.diff(rows[places], prepend=-1))
    counts = np.diff(starts, append=len(places))
    return [(int(count), places[starts[counts == count][:, None] + np.arange(count)]) for count in np.unique(counts)]


def _alive(classes: NDArray[np.int32], values: NDArray[np.float32], slack: float) -> NDArray[np.bool_]:
    """Which of the candidates (n, c) none of the row's strongest beats; `values` (n_members, n, c)."""
    strength = values.sum(axis=0)
    alive = np.ones(classes.shape, dtype=bool)
    n = np.arange(len(classes))
    bar = values * MARGIN + np.float32(slack)
    for _ in range(min(N_RIVALS, classes.shape[1] - 1)):
        rival = strength.argmax(axis=1)
        strength[n, rival] = -1
        rivals = values[:, n, rival][:, :, None]
        name = classes[n, rival][:, None]
        alive &= ~np.where(name < classes, (rivals >= values).all(axis=0), (rivals > bar).all(axis=0))
    return alive


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
