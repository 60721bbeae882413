"""The trash: what a person deletes goes there with all that depends on it, as one entry, and is restored from there whole.

A row in the trash names its entry, and nothing else of it changes but its name, which the number of the entry makes free for others.
Files stay where they are until an entry is emptied (`core.trash`).
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, or_, select, update

from core.base.errors import NotFoundError, StateError
from core.base.names import unused_name
from core.store import tables
from core.store.contests import renamed_spec
from core.store.database import Store
from core.store.digests import is_live, read_rows, update_row
from core.store.jobs import cancel_jobs_where
from core.store.tables import TRASH

Kind = Literal["contest", "folds", "pretraining", "run", "blend", "submission"]
Reason = Literal["age", "space", "person"]

TABLES: dict[Kind, Table] = {
    "contest": tables.contests,
    "folds": tables.folds,
    "pretraining": tables.pretrainings,
    "run": tables.runs,
    "blend": tables.blends,
    "submission": tables.submissions,
}
"""Every kind of thing that can be deleted, each before what depends on it."""
KEPT_S = 30 * 86400.0
"""How long an entry is kept."""
MARK = "\n"
"""Stands between a name and the number of its entry while a row is in the trash. No name has a line break."""


@dataclass(frozen=True)
class Item:
    """One thing that is, or is to be, in the trash: by its name, or for folds by their hash."""

    kind: Kind
    id: int
    name: str

    @property
    def ref(self) -> str:
        """How the command line calls it; a contest goes by its name, folds by their number."""
        return {"contest": self.name, "folds": str(self.id)}.get(self.kind, f"{self.kind[0]}{self.id}")


@dataclass(frozen=True)
class Removal:
    """What is deleted together: what was `asked` for, and what `follows` because it is made of that. `running` are refs of runs, and of jobs of contests, that a worker is
    at; `n_waiting` jobs would be canceled."""

    asked: tuple[Item, ...]
    follows: tuple[Item, ...]
    running: tuple[str, ...]
    n_waiting: int

    @property
    def items(self) -> tuple[Item, ...]:
        return (*self.asked, *self.follows)


@dataclass(frozen=True)
class TrashEntry:
    """What was deleted together, what was `asked` for first. `emptied_at` is None while it can be restored."""

    id: int
    items: tuple[Item, ...]
    n_asked: int
    trashed_at: float
    emptied_at: float | None
    emptied_for: Reason | None
    is_gone: bool

    @property
    def ref(self) -> str:
        """The short name that is unique in the workspace."""
        return f"t{self.id}"

    @property
    def asked(self) -> tuple[Item, ...]:
        return self.items[: self.n_asked]

    @property
    def follows(self) -> tuple[Item, ...]:
        return self.items[self.n_asked :]

    @property
    def kept_until(self) -> float:
        """When it is emptied, where nothing happens before; epoch seconds."""
        return self.trashed_at + KEPT_S

    def ids(self, kind: Kind) -> set[int]:
        """The ids of its items of a kind."""
        return {item.id for item in self.items if item.kind == kind}


@dataclass(frozen=True)
class Restored:
    """What came back, and the new names of what could not have its own any more."""

    entry: TrashEntry
    renamed: Mapping[Item, str]


def plan_removal(store: Store, chosen: Mapping[Kind, Collection[int]]) -> Removal:
    """What deleting these ids would take along, and what keeps it from being deleted now."""
    with store.read() as connection:
        return _plan(connection, chosen)


def put_in_trash(store: Store, removal: Removal, *, now: float | None = None) -> TrashEntry:
    """Delete what a plan names: cancel its waiting jobs, and put its rows into the trash, all or nothing.

    Raises StateError while one of its runs trains, and when something has come to depend on it since the plan was made.
    """
    with store.transaction() as connection:
        chosen: dict[Kind, set[int]] = {kind: {item.id for item in removal.asked if item.kind == kind} for kind in TABLES}
        current = _plan(connection, chosen)
        if set(current.items) != set(removal.items) or not current.items:
            raise StateError(
                "something has changed since you looked",
                where=", ".join(item.ref for item in removal.asked),
                why="other things depend on it now, or it was deleted",
                fix="look again at what goes with it, then delete it",
            )
        if current.running:
            refs = ", ".join(current.running)
            raise StateError(
                "{refs} {n:is|are} running",
                where=refs,
                why="a worker writes into its files now",
                fix="cancel it first, on the page Runs or with `python -m core queue cancel {first}`",
                refs=refs,
                n=len(current.running),
                first=current.running[0],
            )
        moment = time.time() if now is None else now
        cancel_jobs_where(
            connection, _jobs_of({kind: {item.id for item in current.items if item.kind == kind} for kind in TABLES}), now=moment
        )
        holds = {"n_asked": len(current.asked), "items": [[item.kind, item.id, item.name] for item in current.items]}
        entry_id = connection.execute(insert(tables.trash).values(holds=holds, trashed_at=moment).returning(tables.trash.c.id)).scalar_one()
        for item in current.items:
            table = TABLES[item.kind]
            named = {"name": f"{item.name}{MARK}{entry_id}"} if _is_named(table) else {}
            update_row(connection, table, item.id, {TRASH: entry_id, **named})
        return _entries(connection, entry_id)[0]


def list_trash(store: Store) -> tuple[TrashEntry, ...]:
    """Every entry, the newest first, those too that were emptied in the last thirty days."""
    with store.read() as connection:
        return _entries(connection)


def get_trash(store: Store, ref: str) -> TrashEntry:
    """The entry of that reference ("t3"). Raises NotFoundError listing those that can be restored."""
    entries = list_trash(store)
    found = next((entry for entry in entries if entry.ref == ref), None)
    if found is None:
        raise NotFoundError.among("entry of the trash", ref, (entry.ref for entry in entries if entry.emptied_at is None))
    return found


def restore(store: Store, ref: str) -> Restored:
    """Restore an entry, whole. What has lost its name to another meanwhile gets a number.

    Raises NotFoundError, and StateError for an entry that was emptied, or that is made of what is in another entry.
    """
    entry = get_trash(store, ref)
    renamed: dict[Item, str] = {}
    with store.transaction() as connection:
        if not (current := _entries(connection, entry.id)) or current[0].emptied_at is not None:
            raise StateError("it cannot be restored", where=ref, why="the trash was emptied", fix="make it again")
        above = sorted({other for kind in TABLES for other in _above(connection, entry.id, kind)} - {entry.id})
        if above:
            raise StateError(
                "what it is made of is in the trash too",
                where=ref,
                why="{name} was deleted before, and is t{first}",
                fix="restore that first, on the page Home or with `python -m core trash restore t{first}`",
                name=", ".join(item.name for item in _entries(connection, above[0])[0].asked),
                first=above[0],
            )
        for kind, table in TABLES.items():
            for row in read_rows(connection, table, table.c[TRASH] == entry.id, with_trash=True):
                values: dict[str, Any] = {TRASH: None}
                if _is_named(table):
                    own = str(row["name"]).partition(MARK)[0]
                    name = own if kind == "submission" else unused_name(own, _names(connection, table, row))
                    values |= {"name": name}
                    if kind == "contest":
                        values |= {"spec": renamed_spec(row["spec"], name)}
                    if name != own:
                        renamed[Item(kind, row["id"], own)] = name
                update_row(connection, table, row["id"], values)
        connection.execute(delete(tables.trash).where(tables.trash.c.id == entry.id))
    return Restored(entry, renamed)


def begin_emptying(store: Store, entry: TrashEntry, why: Reason, *, now: float) -> None:
    """From here on an entry cannot be restored; its files may go. Raises StateError when it was restored already. Idempotent."""
    columns = tables.trash.c
    with store.transaction() as connection:
        if not _entries(connection, entry.id):
            raise StateError("it was restored", where=entry.ref, why="somebody did that meanwhile", fix="look at the trash again")
        unmarked = update(tables.trash).where(columns.id == entry.id, columns.emptied_at.is_(None))
        connection.execute(unmarked.values(emptied_at=now, emptied_for=why))


def end_emptying(store: Store, entry: TrashEntry) -> None:
    """Its files are gone: remove its rows. What the entry was stays known until `forget_emptied`."""
    with store.transaction() as connection:
        for table in reversed(TABLES.values()):
            connection.execute(delete(table).where(table.c[TRASH] == entry.id))
        connection.execute(update(tables.trash).where(tables.trash.c.id == entry.id).values(is_gone=True))


def forget_emptied(store: Store, *, before: float) -> None:
    """Forget what was emptied before a moment."""
    columns = tables.trash.c
    with store.transaction() as connection:
        connection.execute(delete(tables.trash).where(columns.is_gone.is_(True), columns.emptied_at < before))


def read_trashed(store: Store, entry: TrashEntry, kind: Kind) -> list[dict[str, Any]]:
    """The rows of a kind that are in an entry, by column."""
    table = TABLES[kind]
    with store.read() as connection:
        return read_rows(connection, table, table.c[TRASH] == entry.id, with_trash=True)


def paths_elsewhere(store: Store, entry: TrashEntry, kind: Kind) -> set[str]:
    """The artefacts of this kind that rows outside an entry have: equal blends and submissions share theirs."""
    table = TABLES[kind]
    with store.read() as connection:
        other = or_(table.c[TRASH].is_(None), table.c[TRASH] != entry.id)
        return set(connection.execute(select(table.c.path).where(other)).scalars())


def jobs_of(store: Store, entry: TrashEntry) -> tuple[int, ...]:
    """The ids of the jobs of an entry's runs, pretrainings and contests."""
    mine = _jobs_of({kind: entry.ids(kind) for kind in TABLES})
    with store.read() as connection:
        return tuple(connection.execute(select(tables.jobs.c.id).where(mine)).scalars())


def _jobs_of(ids: Mapping[Kind, Collection[int]]) -> ColumnElement[bool]:
    jobs = tables.jobs.c
    return or_(jobs.run_id.in_(ids["run"]), jobs.id.in_(ids["pretraining"]), jobs.contest_id.in_(ids["contest"]))


def _plan(connection: Connection, chosen: Mapping[Kind, Collection[int]]) -> Removal:
    """What depends on what: folds on their contest, runs on their folds, blends on their runs, submissions on either.

    A run of several seeds goes with any of them, and takes those along that were made as seeds, where no other run has them.
    """
    asked: dict[Kind, set[int]] = {kind: set(chosen.get(kind, ())) for kind in TABLES}
    found: dict[Kind, set[int]] = {kind: set(ids) for kind, ids in asked.items()}
    members, links, jobs = tables.blend_members.c, tables.seed_runs.c, tables.jobs.c

    def add(kind: Kind, *conditions: Any) -> None:
        table = TABLES[kind]
        found[kind] |= set(connection.execute(select(table.c.id).where(or_(*conditions), *is_live(table))).scalars())

    of_contest = {kind: table.c.contest_id.in_(found["contest"]) for kind, table in TABLES.items() if kind != "contest"}
    add("folds", of_contest["folds"])
    add("pretraining", of_contest["pretraining"])
    add("run", of_contest["run"], tables.runs.c.folds_id.in_(found["folds"]))
    add("run", tables.runs.c.id.in_(select(links.run_id).where(links.seed_run_id.in_(found["run"]))))
    seeds, others = select(links.seed_run_id), links.run_id.not_in(found["run"])
    made, mine, kept = (
        seeds.where(links.is_own.is_(True)),
        seeds.where(links.run_id.in_(found["run"])),
        seeds.join(tables.runs, tables.runs.c.id == links.run_id).where(others, *is_live(tables.runs)),
    )
    add("run", and_(tables.runs.c.id.in_(made), tables.runs.c.id.in_(mine), tables.runs.c.id.not_in(kept)))
    of_runs = select(members.blend_id).where(members.run_id.in_(found["run"]))
    add("blend", of_contest["blend"], tables.blends.c.folds_id.in_(found["folds"]), tables.blends.c.id.in_(of_runs))
    sources = [f"r{number}" for number in found["run"]] + [f"b{number}" for number in found["blend"]]
    add("submission", of_contest["submission"], tables.submissions.c.source.in_(sources))
    items = {kind: _items(connection, kind, ids) for kind, ids in found.items()}
    live = connection.execute(select(jobs.id, jobs.run_id, jobs.state).where(_jobs_of(found), jobs.state.in_(("queued", "running")))).all()
    return Removal(
        tuple(item for kind in TABLES for item in items[kind] if item.id in asked[kind]),
        tuple(item for kind in TABLES for item in items[kind] if item.id not in asked[kind]),
        tuple(dict.fromkeys(f"j{job_id}" if run_id is None else f"r{run_id}" for job_id, run_id, state in live if state == "running")),
        sum(state == "queued" for _, _, state in live),
    )


def _items(connection: Connection, kind: Kind, ids: Collection[int]) -> list[Item]:
    table = TABLES[kind]
    rows = connection.execute(select(table).where(table.c.id.in_(ids), *is_live(table)).order_by(table.c.id)).mappings()
    return [Item(kind, row["id"], row["name"] if _is_named(table) else f"#{row['fingerprint'][:4]}") for row in rows]


def _above(connection: Connection, entry_id: int, kind: Kind) -> set[int]:
    """The entries that hold what the rows of a kind in this entry are made of. A submission is a file, and stands without its source."""
    if kind == "contest":
        return set()
    table, members = TABLES[kind], tables.blend_members.c
    mine = select(table).where(table.c[TRASH] == entry_id).subquery()
    made_of = [(tables.contests, mine.c.contest_id)]
    if kind in ("run", "blend"):
        made_of.append((tables.folds, mine.c.folds_id))
    found: set[int] = set()
    for parent, key in made_of:
        found |= set(
            connection.execute(select(parent.c[TRASH]).join(mine, key == parent.c.id).where(parent.c[TRASH].is_not(None))).scalars()
        )
    links = tables.seed_runs.c
    for of, whole, part in (("blend", members.blend_id, members.run_id), ("run", links.run_id, links.seed_run_id)):
        if kind == of:
            runs = select(tables.runs.c[TRASH]).join(part.table, part == tables.runs.c.id).join(mine, mine.c.id == whole)
            found |= set(connection.execute(runs.where(tables.runs.c[TRASH].is_not(None))).scalars())
    return found


def _entries(connection: Connection, entry_id: int | None = None) -> tuple[TrashEntry, ...]:
    where = () if entry_id is None else (tables.trash.c.id == entry_id,)
    return tuple(_entry(row) for row in read_rows(connection, tables.trash, *where, order=[tables.trash.c.id.desc()]))


def _entry(row: dict[str, Any]) -> TrashEntry:
    holds = row.pop("holds")
    return TrashEntry(items=tuple(Item(*item) for item in holds["items"]), n_asked=holds["n_asked"], **row)


def _is_named(table: Table) -> bool:
    return "name" in table.c


def _names(connection: Connection, table: Table, row: Mapping[str, Any]) -> set[str]:
    """The names that are taken where a row comes back to."""
    within = () if table is tables.contests else (table.c.contest_id == row["contest_id"],)
    return set(connection.execute(select(table.c.name).where(*within)).scalars())
