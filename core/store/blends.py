"""Blends, saved combinations of runs, and submissions: every file that was written for a contest, and from what.

The members of a blend are rows too, so that a run is not deleted without the blends that are made of it.
"""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection

from core.base.errors import NotFoundError, StateError
from core.specs.blend import BlendSpec
from core.specs.kept import BlendScores, HiddenScores, Lineage
from core.store import tables
from core.store.database import Store
from core.store.digests import check_live, insert_row, read_rows
from core.store.runs import free_name, named, only, rename


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
    with store.read() as connection:
        return free_name(connection, tables.blends, contest_id, name)


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
    with store.transaction() as connection:
        if _read_blends(connection, contest_id, tables.blends.c.name == name):
            raise StateError(
                "there is already a blend named '{name}'",
                where="name",
                why="a blend's name is unique in its contest",
                fix="choose another name",
                name=name,
            )
        check_live(connection, tables.runs, spec.members)
        blend_id = insert_row(connection, tables.blends, values).id
        for run_id in spec.members:
            insert_row(connection, tables.blend_members, {"blend_id": blend_id, "run_id": run_id})
        return _read_blends(connection, contest_id, tables.blends.c.id == blend_id)[0]


def get_blend(store: Store, ref: str | int, contest_id: int | None = None) -> Blend:
    """The blend of that id (int), reference ("b3") or name. Raises NotFoundError, or InputError for a name in several contests."""
    with store.read() as connection:
        return only(connection, tables.blends, _read_blends(connection, contest_id, named(tables.blends, ref)), ref, contest_id)


def list_blends(store: Store, contest_id: int | None = None) -> tuple[Blend, ...]:
    """All blends, or those of one contest, newest first."""
    with store.read() as connection:
        return _read_blends(connection, contest_id)


def rename_blend(store: Store, blend_id: int, name: str) -> Blend:
    """Give a blend another name. Raises InputError for what cannot be a name, StateError when another blend of the contest has it."""
    with store.transaction() as connection:
        rename(connection, tables.blends, blend_id, name)
    return get_blend(store, blend_id)


def _read_blends(connection: Connection, contest_id: int | None, *where: ColumnElement[bool]) -> tuple[Blend, ...]:
    blends = tables.blends.c
    of_contest = () if contest_id is None else (blends.contest_id == contest_id,)
    return tuple(map(_blend, read_rows(connection, tables.blends, *where, *of_contest, order=[blends.id.desc()])))


def _blend(values: dict[str, Any]) -> Blend:
    spec, scores = BlendSpec.model_validate(values.pop("spec")), BlendScores.model_validate(values.pop("scores"))
    return Blend(spec=spec, run_ids=spec.members, scores=scores, **values)


@dataclass(frozen=True)
class Submission:
    """A written submission. `source` is the run or blend it came from ("r1", "b2"); `hidden_scores` only a sample contest has."""

    id: int
    contest_id: int
    source: str
    name: str
    filename: str
    sha256: str
    path: str
    n_rows: int
    lineage: Lineage
    hidden_scores: HiddenScores | None
    created_at: float

    @property
    def ref(self) -> str:
        """The short name that is unique in the workspace."""
        return f"s{self.id}"


def _submission(values: dict[str, Any]) -> Submission:
    lineage, hidden = Lineage.model_validate(values.pop("lineage")), values.pop("hidden_scores")
    return Submission(lineage=lineage, hidden_scores=hidden and HiddenScores.model_validate(hidden), **values)


def add_submission(
    store: Store,
    *,
    contest_id: int,
    source: str,
    name: str,
    filename: str,
    sha256: str,
    path: str,
    n_rows: int,
    lineage: Lineage,
    hidden_scores: HiddenScores | None = None,
    now: float | None = None,
) -> Submission:
    """Add a submission."""
    values = {
        "contest_id": contest_id,
        "source": source,
        "name": name,
        "filename": filename,
        "sha256": sha256,
        "path": path,
        "n_rows": n_rows,
        "lineage": lineage.to_dict(),
        "hidden_scores": hidden_scores and hidden_scores.to_dict(),
        "created_at": time.time() if now is None else now,
    }
    with store.transaction() as connection:
        check_live(connection, tables.contests, [contest_id])
        added = insert_row(connection, tables.submissions, values).id
        return _submission(read_rows(connection, tables.submissions, tables.submissions.c.id == added)[0])


def get_submission(store: Store, ref: str) -> Submission:
    """The submission of that reference ("s4"). Raises NotFoundError."""
    known = list_submissions(store)
    found = next((submission for submission in known if submission.ref == ref), None)
    if found is None:
        raise NotFoundError.among("submission", ref, (submission.ref for submission in known))
    return found


def list_submissions(store: Store, contest_id: int | None = None) -> tuple[Submission, ...]:
    """All submissions, or those of one contest, newest first."""
    columns = tables.submissions.c
    where = () if contest_id is None else (columns.contest_id == contest_id,)
    with store.read() as connection:
        return tuple(map(_submission, read_rows(connection, tables.submissions, *where, order=[columns.id.desc()])))
