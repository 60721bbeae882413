"""Contests: what a person registered, and where its verified tables are stored."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, delete, func, select
from sqlalchemy.exc import IntegrityError

from core.base.errors import NotFoundError, StateError
from core.base.messages import msg
from core.specs.contest import ContestSpec
from core.store import tables
from core.store.database import Store
from core.store.digests import insert_row, read_row


@dataclass(frozen=True)
class Contest:
    """A registered contest. `path` is its data artefact, relative to the workspace; `sample` the built-in sample it is, or ""."""

    id: int
    name: str
    spec: ContestSpec
    fingerprint: str
    path: str
    n_train: int
    n_test: int
    sample: str
    created_at: float


@lru_cache(maxsize=64)
def _spec(text: str) -> ContestSpec:
    return ContestSpec.model_validate(json.loads(text))


def _contest(row: Row[Any]) -> Contest:
    values = read_row(tables.contests, row)
    values["spec"] = _spec(values["spec"])
    return Contest(**values)


def add_contest(
    store: Store, *, spec: ContestSpec, fingerprint: str, path: str, n_train: int, n_test: int, sample: str = "", now: float | None = None
) -> Contest:
    """Add a contest under its spec's name. Raises StateError when the name is taken."""
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
            return _contest(connection.execute(select(tables.contests).where(tables.contests.c.id == added)).one())
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
        return _contest(row)


def list_contests(store: Store) -> tuple[Contest, ...]:
    """All contests, in the order they were added."""
    with store.read() as connection:
        return tuple(_contest(row) for row in connection.execute(select(tables.contests).order_by(tables.contests.c.id)))


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
