"""Versions of what is said about a contest's rows: the truth (labels and dropped rows), and groups of rows that belong together.

A version never changes. The newest truth is the contest's current one; a run and a blend name the one they were made with.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from core.base.errors import NotFoundError
from core.store import tables
from core.store.database import Store
from core.store.digests import insert_row, read_row


@dataclass(frozen=True)
class TruthVersion:
    """Labels of all training rows and which rows are dropped: `path` is the artefact. Version 1 is what was registered."""

    id: int
    contest_id: int
    version: int
    fingerprint: str
    path: str
    n_dropped: int
    reason: str
    created_at: float


@dataclass(frozen=True)
class GroupsVersion:
    """Which training rows belong together, by the values of `column_name`: `path` is the artefact."""

    id: int
    contest_id: int
    version: int
    column_name: str
    fingerprint: str
    path: str
    created_at: float


def insert_truth(
    connection: Connection, *, contest_id: int, fingerprint: str, path: str, n_dropped: int = 0, reason: str = "", now: float | None = None
) -> TruthVersion:
    """Add the next version of a contest's truth inside the caller's transaction."""
    values = {"fingerprint": fingerprint, "path": path, "n_dropped": n_dropped, "reason": reason}
    return _truth(_insert_next(connection, tables.truths, contest_id, values, now))


def insert_groups(
    connection: Connection, *, contest_id: int, column_name: str, fingerprint: str, path: str, now: float | None = None
) -> GroupsVersion:
    """Add groups inside the caller's transaction."""
    values = {"column_name": column_name, "fingerprint": fingerprint, "path": path}
    return _groups(_insert_next(connection, tables.row_groups, contest_id, values, now))


def get_truth(store: Store, truth_id: int) -> TruthVersion:
    """The truth of that id. Raises NotFoundError."""
    with store.read() as connection:
        return _truth(_one(connection, tables.truths, truth_id))


def list_truths(store: Store, contest_id: int) -> tuple[TruthVersion, ...]:
    """Every version of a contest's truth, the first first."""
    with store.read() as connection:
        return tuple(_truth(row) for row in _of_contest(connection, tables.truths, contest_id))


def current_truths(connection: Connection, contest_ids: Sequence[int]) -> dict[int, TruthVersion]:
    """The newest truth of each contest, by the contest's id."""
    table = tables.truths
    query = select(table).where(table.c.contest_id.in_(contest_ids)).order_by(table.c.version)
    return {row.contest_id: _truth(row) for row in connection.execute(query)}


def get_groups(store: Store, groups_id: int) -> GroupsVersion:
    """The groups of that id. Raises NotFoundError."""
    with store.read() as connection:
        return _groups(_one(connection, tables.row_groups, groups_id))


def list_groups(store: Store, contest_id: int) -> tuple[GroupsVersion, ...]:
    """All groups of a contest's rows, the first first."""
    with store.read() as connection:
        return tuple(_groups(row) for row in _of_contest(connection, tables.row_groups, contest_id))


def _truth(row: Row[Any]) -> TruthVersion:
    return TruthVersion(**read_row(tables.truths, row))


def _groups(row: Row[Any]) -> GroupsVersion:
    return GroupsVersion(**read_row(tables.row_groups, row))


def _insert_next(connection: Connection, table: Table, contest_id: int, values: dict[str, Any], now: float | None) -> Row[Any]:
    last = connection.execute(select(func.max(table.c.version)).where(table.c.contest_id == contest_id)).scalar() or 0
    named = {"contest_id": contest_id, "version": last + 1, "created_at": time.time() if now is None else now}
    return _one(connection, table, insert_row(connection, table, named | values).id)


def _one(connection: Connection, table: Table, number: int) -> Row[Any]:
    row = connection.execute(select(table).where(table.c.id == number)).first()
    if row is None:
        known = connection.execute(select(table.c.id)).scalars().all()
        raise NotFoundError.among(table.name.removesuffix("s"), str(number), map(str, known))
    return row


def _of_contest(connection: Connection, table: Table, contest_id: int) -> Sequence[Row[Any]]:
    return connection.execute(select(table).where(table.c.contest_id == contest_id).order_by(table.c.version)).all()
