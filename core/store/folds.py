"""Folds: who validates whom. Equal folds are one row, so that what was trained on them can be compared."""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from core.base.errors import NotFoundError
from core.specs.folds import FoldsSpec
from core.store import tables
from core.store.database import Store
from core.store.digests import check_live, insert_row, is_live, read_rows, update_row


@dataclass(frozen=True)
class Folds:
    """Pairs of training and validation rows of a contest. `path` is the artefact that holds them, relative to the workspace.

    `n_folds` counts the pairs. `spec`, `truth_id` and `groups_id` say what they were made from, not what they are: the labels they were
    stratified by and the groups that were kept together, None where the kind looks at neither.
    """

    id: int
    contest_id: int
    kind: str
    n_folds: int
    seed: int
    group_column: str
    fingerprint: str
    path: str
    created_at: float
    spec: FoldsSpec
    truth_id: int | None
    groups_id: int | None


def _folds(values: dict[str, Any]) -> Folds:
    settings = values.pop("spec") or {name: values[name] for name in ("kind", "n_folds", "seed", "group_column")}
    return Folds(spec=FoldsSpec.model_validate(settings), **values)


def add_folds(
    store: Store,
    *,
    contest_id: int,
    spec: FoldsSpec,
    n_folds: int,
    fingerprint: str,
    path: str,
    truth_id: int | None = None,
    groups_id: int | None = None,
    now: float | None = None,
) -> Folds:
    """Add folds, or return the row that is there when the contest has folds with this fingerprint already, out of the trash where they are."""
    values = {
        "contest_id": contest_id,
        "kind": spec.kind,
        "n_folds": n_folds,
        "seed": spec.seed,
        "group_column": spec.group_column,
        "spec": spec.to_dict(),
        "truth_id": truth_id,
        "groups_id": groups_id,
        "fingerprint": fingerprint,
        "path": path,
        "created_at": time.time() if now is None else now,
    }
    same = (tables.folds.c.contest_id == contest_id, tables.folds.c.fingerprint == fingerprint)
    with store.transaction() as connection:
        check_live(connection, tables.contests, [contest_id])
        there = read_rows(connection, tables.folds, *same, with_trash=True)
        if there:
            update_row(connection, tables.folds, there[0]["id"], {tables.TRASH: None})
        else:
            insert_row(connection, tables.folds, values)
        return _folds(read_rows(connection, tables.folds, *same)[0])


def get_folds(store: Store, folds_id: int) -> Folds:
    """The folds of that id. Raises NotFoundError listing the ids there are."""
    with store.read() as connection:
        rows = read_rows(connection, tables.folds, tables.folds.c.id == folds_id)
        if not rows:
            known = connection.execute(select(tables.folds.c.id).where(*is_live(tables.folds))).scalars()
            raise NotFoundError.among("folds", str(folds_id), map(str, known))
        return _folds(rows[0])


def list_folds(store: Store, contest_id: int) -> tuple[Folds, ...]:
    """A contest's folds, newest first."""
    with store.read() as connection:
        rows = read_rows(connection, tables.folds, tables.folds.c.contest_id == contest_id, order=[tables.folds.c.id.desc()])
    return tuple(map(_folds, rows))
