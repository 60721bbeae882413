"""Contests, what is known about their rows in versions, and where all of it is stored.

A contest has rows, which never change, and versions of two things: the truth (labels and dropped rows), of which the newest is the
current one, and groups of rows that belong together. A run and a blend name the truth they were made with.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, select, update
from sqlalchemy.exc import IntegrityError

from core.base.errors import NotFoundError, StateError
from core.base.files import shell_name
from core.base.names import NAME_LENGTH, check_name, unused_name
from core.specs.contest import ContestSpec
from core.specs.kept import BlendScores
from core.store import tables
from core.store.database import Store
from core.store.digests import insert_row, is_live, read_rows, update_row


@dataclass(frozen=True)
class Version:
    """What is said about a contest's rows, in a version that never changes: `path` is the artefact."""

    id: int
    contest_id: int
    version: int
    fingerprint: str
    path: str
    created_at: float


@dataclass(frozen=True)
class TruthVersion(Version):
    """Labels of all training rows and which rows are dropped. Version 1 is what was registered."""

    n_dropped: int
    reason: str


@dataclass(frozen=True)
class GroupsVersion(Version):
    """Which training rows belong together, by the values of `column_name`."""

    column_name: str


@dataclass(frozen=True)
class Contest:
    """A registered contest. `fingerprint` is that of its rows, `truth` the current version of what is known about them.

    `path` is the artefact with the rows, relative to the workspace; `sample` the built-in sample it is, or "". `archived_at` is None for
    a contest that is worked on. `class_names` are a name for each class, for the screen alone; empty where they have none.
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
    archived_at: float | None
    truth: TruthVersion
    class_names: tuple[str, ...] = ()

    @property
    def shown_classes(self) -> tuple[str, ...]:
        """What the classes are called on the screen, in their order: by their names where they have some."""
        return self.class_names or self.spec.classes

    @property
    def folder(self) -> str:
        """The name of its folder in the workspace: made of the name it was registered under, and kept when it is renamed."""
        return PurePosixPath(self.path).parts[1]

    @property
    def version(self) -> str:
        """Names rows, settings (the artefact's folder is named by both) and the current truth: a key for what is made of them."""
        return f"{self.path} {self.fingerprint} {self.truth.fingerprint}"


@dataclass(frozen=True)
class Published:
    """An artefact that was published for a contest that is to be added; `path` is relative to the workspace.

    `n_dropped` and `reason` are those of a truth.
    """

    fingerprint: str
    path: str
    n_dropped: int = 0
    reason: str = ""


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
    in_place_of: Contest | None = None,
    now: float | None = None,
) -> Contest:
    """Add a contest under its spec's name, with the first version of its truth and of the groups of its group column.

    `in_place_of`, a contest of that name, is archived under another name in the same transaction.

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
            if in_place_of is not None:
                before = _known(connection, in_place_of.id)
                taken = connection.execute(select(tables.contests.c.name)).scalars()
                spared = unused_name(f"{before.name[: NAME_LENGTH - 9]} (before)", taken)
                _change(connection, before, before.spec.model_copy(update={"name": spared}), archived_at=values["created_at"])
            added = insert_row(connection, tables.contests, values).id
            first = truth or Published(fingerprint, path)
            insert_truth(connection, contest_id=added, now=now, **vars(first))
            if groups is not None:
                column, group = spec.group_column, groups
                insert_groups(connection, contest_id=added, column_name=column, fingerprint=group.fingerprint, path=group.path, now=now)
            return _read_contests(connection, tables.contests.c.id == added)[0]
    except IntegrityError:
        raise name_taken(spec.name) from None


def get_contest(store: Store, name_or_id: str | int) -> Contest:
    """The contest of that name (str) or id (int). Raises NotFoundError naming the contests there are."""
    column = tables.contests.c.id if isinstance(name_or_id, int) else tables.contests.c.name
    with store.read() as connection:
        found = _read_contests(connection, column == name_or_id)
        if not found:
            raise _no_contest(connection, name_or_id)
        return found[0]


def list_contests(store: Store, *, with_trash: bool = False) -> tuple[Contest, ...]:
    """All contests, in the order they were added; those in the trash too where they are asked for."""
    with store.read() as connection:
        return _read_contests(connection, with_trash=with_trash)


def rename_contest(store: Store, contest_id: int, name: str) -> Contest:
    """Give a contest another name; its folder stays. Raises InputError for what cannot be a name, StateError when it is taken."""
    with store.transaction() as connection:
        before = _known(connection, contest_id)
        _change(connection, before, before.spec.model_copy(update={"name": check_name(name)}))
        return _known(connection, contest_id)


def correct_contest(
    store: Store,
    contest: Contest,
    *,
    spec: ContestSpec,
    path: str,
    truth: Published | None = None,
    groups: Published | None = None,
    rescored: Mapping[int, BlendScores] | None = None,
) -> Contest:
    """Give a contest other settings on the same rows and classes, all or nothing: `path` is the artefact that has them.

    `truth` is the next version of its truth, `groups` are those of a group column, where these change. Under another metric its blends have
    the scores in `rescored`, by id, of the current truth; its runs go on choosing their epochs by the metric they were begun with. Raises
    StateError when the contest was changed meanwhile.
    """
    runs, blends = tables.runs.c, tables.blends.c
    with store.transaction() as connection:
        before = _known(connection, contest.id)
        if before != contest:
            raise StateError(
                "something has changed since you looked",
                where=contest.name,
                why="the contest was corrected meanwhile",
                fix="look again at what the correction changes",
            )
        _change(connection, before, spec, path=path)
        if truth is not None:
            insert_truth(connection, contest_id=contest.id, **vars(truth))
        if groups is not None:
            column, group = spec.group_column, groups
            insert_groups(connection, contest_id=contest.id, column_name=column, fingerprint=group.fingerprint, path=group.path)
        if spec.metric != before.spec.metric:
            mine = update(tables.runs).where(runs.contest_id == contest.id)
            connection.execute(mine.where(runs.chosen_by.is_(None)).values(chosen_by=before.spec.metric))
            connection.execute(mine.where(runs.chosen_by == spec.metric).values(chosen_by=None))
        after = _known(connection, contest.id)
        for blend_id, scores in (rescored or {}).items():
            if connection.execute(select(blends.id).where(blends.id == blend_id)).first():
                update_row(connection, tables.blends, blend_id, {"scores": scores.to_dict(), "truth_id": after.truth.id})
        return after


def archive_contest(store: Store, contest_id: int, *, now: float | None) -> Contest:
    """Archive a contest, or (`now` None) bring it back. Everything of it stays as it is."""
    with store.transaction() as connection:
        connection.execute(update(tables.contests).where(tables.contests.c.id == contest_id).values(archived_at=now))
        return _known(connection, contest_id)


def name_classes(store: Store, contest_id: int, names: Sequence[str]) -> Contest:
    """Give a contest's classes other names on the screen, one for each, or none at all. Nothing that was made depends on them."""
    with store.transaction() as connection:
        spec = _known(connection, contest_id).spec
        assert len(names) in (0, len(spec.classes))
        kept = list(names) if tuple(names) != spec.classes else None
        connection.execute(update(tables.contests).where(tables.contests.c.id == contest_id).values(class_names=kept or None))
        return _known(connection, contest_id)


def _known(connection: Connection, contest_id: int) -> Contest:
    found = _read_contests(connection, tables.contests.c.id == contest_id)
    if not found:
        raise _no_contest(connection, contest_id)
    return found[0]


def renamed_spec(spec: str, name: str) -> str:
    """A stored spec under another name."""
    return _spec(spec).model_copy(update={"name": name}).model_dump_json()


def _change(connection: Connection, contest: Contest, spec: ContestSpec, **values: Any) -> None:
    taken = select(tables.contests.c.id).where(tables.contests.c.name == spec.name, tables.contests.c.id != contest.id)
    if connection.execute(taken).first():
        raise name_taken(spec.name)
    update_row(connection, tables.contests, contest.id, {"name": spec.name, "spec": spec.model_dump_json(), **values})


def name_taken(name: str) -> StateError:
    """The error of a name that another contest has."""
    return StateError(
        "there is already a contest named '{name}'",
        where="name",
        why="a contest's name is unique in a workspace",
        fix="choose another name; or rename or delete that contest, on the page Home or with `python -m core contest rename {quoted} NAME` or "
        "`python -m core contest delete {quoted}`",
        name=name,
        quoted=shell_name(name),
    )


@lru_cache(maxsize=64)
def _spec(text: str) -> ContestSpec:
    return ContestSpec.model_validate(json.loads(text))


def _read_contests(connection: Connection, *where: ColumnElement[bool], with_trash: bool = False) -> tuple[Contest, ...]:
    rows = read_rows(connection, tables.contests, *where, with_trash=with_trash)
    truths = current_truths(connection, [row["id"] for row in rows])
    return tuple(
        Contest(spec=_spec(row.pop("spec")), truth=truths[row["id"]], class_names=tuple(row.pop("class_names") or ()), **row)
        for row in rows
    )


def _no_contest(connection: Connection, name_or_id: str | int) -> NotFoundError:
    return NotFoundError.among(
        "contest", str(name_or_id), connection.execute(select(tables.contests.c.name).where(*is_live(tables.contests))).scalars().all()
    )


def insert_truth(
    connection: Connection, *, contest_id: int, fingerprint: str, path: str, n_dropped: int = 0, reason: str = "", now: float | None = None
) -> TruthVersion:
    """Add the next version of a contest's truth inside the caller's transaction."""
    values = {"fingerprint": fingerprint, "path": path, "n_dropped": n_dropped, "reason": reason}
    return TruthVersion(**_insert_next(connection, tables.truths, contest_id, values, now))


def insert_groups(
    connection: Connection, *, contest_id: int, column_name: str, fingerprint: str, path: str, now: float | None = None
) -> GroupsVersion:
    """Add groups inside the caller's transaction."""
    values = {"column_name": column_name, "fingerprint": fingerprint, "path": path}
    return GroupsVersion(**_insert_next(connection, tables.row_groups, contest_id, values, now))


def get_truth(store: Store, truth_id: int) -> TruthVersion:
    """The truth of that id. Raises NotFoundError."""
    with store.read() as connection:
        return TruthVersion(**_one(connection, tables.truths, truth_id))


def list_truths(store: Store, contest_id: int) -> tuple[TruthVersion, ...]:
    """Every version of a contest's truth, the first first."""
    with store.read() as connection:
        return tuple(TruthVersion(**row) for row in read_rows(connection, tables.truths, tables.truths.c.contest_id == contest_id))


def current_truths(connection: Connection, contest_ids: Sequence[int]) -> dict[int, TruthVersion]:
    """The newest truth of each contest, by the contest's id."""
    rows = read_rows(connection, tables.truths, tables.truths.c.contest_id.in_(contest_ids))
    return {row["contest_id"]: TruthVersion(**row) for row in rows}


def get_groups(store: Store, groups_id: int) -> GroupsVersion:
    """The groups of that id. Raises NotFoundError."""
    with store.read() as connection:
        return GroupsVersion(**_one(connection, tables.row_groups, groups_id))


def list_groups(store: Store, contest_id: int) -> tuple[GroupsVersion, ...]:
    """All groups of a contest's rows, the first first."""
    with store.read() as connection:
        return tuple(GroupsVersion(**row) for row in read_rows(connection, tables.row_groups, tables.row_groups.c.contest_id == contest_id))


def _insert_next(connection: Connection, table: Table, contest_id: int, values: dict[str, Any], now: float | None) -> dict[str, Any]:
    last = connection.execute(select(func.max(table.c.version)).where(table.c.contest_id == contest_id)).scalar() or 0
    named = {"contest_id": contest_id, "version": last + 1, "created_at": time.time() if now is None else now}
    return _one(connection, table, insert_row(connection, table, named | values).id)


def _one(connection: Connection, table: Table, number: int) -> dict[str, Any]:
    rows = read_rows(connection, table, table.c.id == number)
    if not rows:
        known = connection.execute(select(table.c.id)).scalars()
        raise NotFoundError.among(table.name.removesuffix("s"), str(number), map(str, known))
    return rows[0]
