"""Contests: what a person registered, and where its verified tables are stored."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select
from sqlalchemy.exc import IntegrityError

from core.base.errors import NotFoundError, StateError
from core.base.messages import msg
from core.specs.contest import ContestSpec
from core.store import tables
from core.store.database import Store
from core.store.digests import insert_row, read_row
from core.store.truths import TruthVersion, current_truths, insert_groups, insert_truth


@dataclass(frozen=True)
class Contest:
    """A registered contest. `fingerprint` is that of its rows, `truth` the current version of what is known about them.

    `path` is the artefact with the rows, relative to the workspace; `sample` the built-in sample it is, or "".
    """

    id: int
    name: str
    spec: ContestSpec
    fingerprint: str
    path: str
    n_train: int
    n_test: int
    sample: str
    created_at: float
    truth: TruthVersion

    @property
    def version(self) -> str:
        """Names rows, settings (the artefact's folder is named by both) and the current truth: a key for what is made of them."""
        return f"{self.path} {self.fingerprint} {self.truth.fingerprint}"


@dataclass(frozen=True)
class Published:
    """An artefact that was published for a contest that is to be added; `path` is relative to the workspace."""

    fingerprint: str
    path: str


@lru_cache(maxsize=64)
def _spec(text: str) -> ContestSpec:
    return ContestSpec.model_validate(json.loads(text))


def _contests(connection: Connection, rows: Sequence[Row[Any]]) -> tuple[Contest, ...]:
    truths = current_truths(connection, [row.id for row in rows])
    found: list[Contest] = []
    for row in rows:
        values = read_row(tables.contests, row)
        values["spec"] = _spec(values["spec"])
        found.append(Contest(**values, truth=truths[row.id]))
    return tuple(found)


def add_contest(
    store: Store,
    *,
    spec: ContestSpec,
    fingerprint: str,
    path: str,
    n_train: int,
    n_test: int,
    truth: Published | None = None,
    groups: Published | None = None,
    sample: str = "",
    now: float | None = None,
) -> Contest:
    """Add a contest under its spec's name, with the first version of its truth and of the groups of its group column.

    A contest without a `truth` of its own has it in the artefact of its rows, as those of version 0.1 have. Raises StateError when the
    name is taken.
    """
    values = {
        "name": spec.name,
        "spec": spec.model_dump_json(),
        "fingerprint": fingerprint,
        "path": path,
        "n_train": n_train,
        "n_test": n_test,
        "sample": sample,
        "created_at": time.time() if now is None else now,
    }
    try:
        with store.transaction() as connection:
            added = insert_row(connection, tables.contests, values).id
            first = truth or Published(fingerprint, path)
            insert_truth(connection, contest_id=added, fingerprint=first.fingerprint, path=first.path, now=now)
            if groups is not None:
                column, group = spec.group_column, groups
                insert_groups(connection, contest_id=added, column_name=column, fingerprint=group.fingerprint, path=group.path, now=now)
            return _contests(connection, connection.execute(select(tables.contests).where(tables.contests.c.id == added)).all())[0]
    except IntegrityError:
        raise StateError(
            "there is already a contest named '{name}'",
            where="name",
            why="a contest's name is unique in a workspace",
            fix="choose another name",
            name=spec.name,
        ) from None


def get_contest(store: Store, name_or_id: str | int) -> Contest:
    """The contest of that name (str) or id (int). Raises NotFoundError naming the contests there are."""
    column = tables.contests.c.id if isinstance(name_or_id, int) else tables.contests.c.name
    with store.read() as connection:
        row = connection.execute(select(tables.contests).where(column == name_or_id)).first()
        if row is None:
            known = connection.execute(select(tables.contests.c.name)).scalars().all()
            raise NotFoundError.among("contest", str(name_or_id), known)
        return _contests(connection, [row])[0]


def list_contests(store: Store) -> tuple[Contest, ...]:
    """All contests, in the order they were added."""
    with store.read() as connection:
        return _contests(connection, connection.execute(select(tables.contests).order_by(tables.contests.c.id)).all())


def delete_contest(store: Store, contest_id: int) -> None:
    """Delete a contest's row, its folds and submissions. Raises StateError while it has runs; the files are the caller's."""
    with store.transaction() as connection:
        n_runs = connection.execute(
            select(func.count()).select_from(tables.runs).where(tables.runs.c.contest_id == contest_id)
        ).scalar_one()
        if n_runs:
            raise StateError(
                "the contest still has runs",
                where="contest {n}",
                why=msg(
                    "{n} runs would lose what they were trained on" if n_runs > 1 else "{n} run would lose what they were trained on",
                    n=n_runs,
                ),
                fix="delete its runs first",
                n=contest_id,
            )
        if not connection.execute(delete(tables.contests).where(tables.contests.c.id == contest_id)).rowcount:
            raise NotFoundError.among("contest", str(contest_id), connection.execute(select(tables.contests.c.name)).scalars().all())
