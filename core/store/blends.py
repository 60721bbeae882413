"""Blends: saved combinations of runs. The members are rows too, so that a run in use cannot be deleted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, or_, select
from sqlalchemy.exc import IntegrityError

from core.base.errors import InputError, NotFoundError, StateError
from core.base.messages import msg
from core.specs.blend import BlendSpec
from core.specs.kept import BlendScores
from core.store import tables
from core.store.database import Store
from core.store.digests import insert_row, read_row
from core.store.tables import raw_columns


@dataclass(frozen=True)
class Blend:
    """A saved blend, scored on the truth `truth_id`; `path` is its artefact."""

    id: int
    contest_id: int
    folds_id: int
    name: str
    spec: BlendSpec
    run_ids: tuple[int, ...]
    scores: BlendScores
    fingerprint: str
    path: str
    created_at: float
    truth_id: int

    @property
    def ref(self) -> str:
        """The short name that is unique in the workspace."""
        return f"b{self.id}"


def free_blend_name(store: Store, contest_id: int, name: str) -> str:
    """`name`, or name-2, name-3 and so on when the contest has that blend already."""
    taken = {blend.name for blend in list_blends(store, contest_id)}
    return next(candidate for candidate in (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))) if candidate not in taken)


def add_blend(
    store: Store,
    *,
    contest_id: int,
    folds_id: int,
    truth_id: int,
    name: str,
    spec: BlendSpec,
    scores: BlendScores,
    fingerprint: str,
    path: str,
    now: float | None = None,
) -> Blend:
    """Add a blend. Raises StateError when the contest has a blend of that name, or a member is gone."""
    values: dict[str, Any] = {
        "contest_id": contest_id,
        "folds_id": folds_id,
        "truth_id": truth_id,
        "name": name,
        "spec": spec.to_dict(),
        "scores": scores.to_dict(),
        "fingerprint": fingerprint,
        "path": path,
        "created_at": time.time() if now is None else now,
    }
    named = tables.blends.c.name == name
    try:
        with store.transaction() as connection:
            if _read_blends(connection, named, contest_id):
                raise StateError(
                    "there is already a blend named '{name}'",
                    where="name",
                    why="a blend's name is unique in its contest",
                    fix="choose another name",
                    name=name,
                )
            blend_id = insert_row(connection, tables.blends, values).id
            for run_id in spec.members:
                insert_row(connection, tables.blend_members, {"blend_id": blend_id, "run_id": run_id})
            return _read_blends(connection, tables.blends.c.id == blend_id)[0]
    except IntegrityError:
        raise StateError("a run of the blend is gone", where=name, why="it was deleted meanwhile", fix="choose the runs again") from None


def get_blend(store: Store, ref: str | int, contest_id: int | None = None) -> Blend:
    """The blend of that id (int), reference ("b3") or name. Raises NotFoundError, or InputError for a name in several contests."""
    with store.read() as connection:
        found = _read_blends(connection, _matches(ref), contest_id)
        if len(found) > 1:
            by_ref = tuple(blend for blend in found if blend.ref == ref)
            if not by_ref:
                raise InputError(
                    "several blends are named '{name}'",
                    where="blend",
                    why="they are {names}",
                    fix="use the reference instead of the name",
                    name=ref,
                    names=", ".join(blend.ref for blend in found),
                )
            found = by_ref
        if not found:
            known = _read_blends(connection, None, contest_id)
            raise NotFoundError.among("blend", str(ref), (msg("{place} ({where})", place=blend.ref, where=blend.name) for blend in known))
    return found[0]


def list_blends(store: Store, contest_id: int | None = None) -> tuple[Blend, ...]:
    """All blends, or those of one contest, newest first."""
    with store.read() as connection:
        return _read_blends(connection, None, contest_id)


def delete_blend(store: Store, blend_id: int) -> None:
    """Delete a blend's row; its folder is the caller's. Raises NotFoundError, and StateError when a submission was written from it."""
    ref, submissions = f"b{blend_id}", tables.submissions.c
    with store.transaction() as connection:
        written = select(submissions.id).where(submissions.source == ref).order_by(submissions.id)
        files = [f"s{number}" for number in connection.execute(written).scalars()]
        if files:
            raise StateError(
                "a submission was written from this blend",
                where=ref,
                why="the lineage of {names} leads to its weights and predictions",
                fix="keep it: what was submitted must stay explainable",
                names=", ".join(files),
            )
        if not connection.execute(delete(tables.blends).where(tables.blends.c.id == blend_id)).rowcount:
            known = _read_blends(connection, None, None)
            raise NotFoundError.among("blend", ref, (blend.ref for blend in known))


def _matches(ref: str | int) -> ColumnElement[bool]:
    if isinstance(ref, int):
        return tables.blends.c.id == ref
    named = tables.blends.c.name == ref
    number = tables.number_of(ref, "b")
    return named if number is None else or_(named, tables.blends.c.id == number)


def _read_blends(connection: Connection, where: ColumnElement[bool] | None, contest_id: int | None = None) -> tuple[Blend, ...]:
    query = select(*raw_columns(tables.blends)).order_by(tables.blends.c.id.desc())
    if where is not None:
        query = query.where(where)
    if contest_id is not None:
        query = query.where(tables.blends.c.contest_id == contest_id)
    return tuple(_blend(row) for row in connection.execute(query))


def _blend(row: Row[Any]) -> Blend:
    values = read_row(tables.blends, row)
    spec, scores = BlendSpec.model_validate(values.pop("spec")), BlendScores.model_validate(values.pop("scores"))
    return Blend(spec=spec, run_ids=spec.members, scores=scores, **values)
