"""Rows in and out of the database, with a digest in every one that is written once: the hash of what it says, set when it is inserted
and compared whenever it is read.

Databases do not notice a value that was changed on the disk. Columns that change (`tables.changing`) and tables without a digest are
not compared; see docs/reliability.md.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Connection, MetaData, Row, Table, Text, func, insert, select, type_coerce, update

from core.base.errors import StateError
from core.store.tables import CHANGES, DIGEST, TRASH, JsonText, metadata


class ChangedRow(Exception):
    """A row is not what was written; `row` says which, such as "fold_results, run_id 3, fold 1"."""

    def __init__(self, table: str, row: str) -> None:
        super().__init__(row)
        self.table = table
        self.row = row


def digest_of(table: str, values: Mapping[str, Any]) -> str:
    """The digest of a row by its values as the database holds them (JSON as text); it must never change.

    Columns that are NULL count for nothing, so a revision that adds one leaves the digests as they are.
    """
    said = {name: value for name, value in values.items() if value is not None}
    return blake2b(json.dumps([table, said], sort_keys=True, default=repr).encode(), digest_size=16).hexdigest()


@cache
def raw_columns(table: Table) -> tuple[ColumnElement[Any], ...]:
    """A table's columns with JSON left as text: what `read_row` takes, and hashable, so that a mapper can remember what it has decoded."""
    return tuple(type_coerce(column, Text).label(column.name) if isinstance(column.type, JsonText) else column for column in table.columns)


def values_of(table: Table, thing: object) -> dict[str, Any]:
    """What to insert for a thing whose attributes are named as the table's columns."""
    return {column.name: getattr(thing, column.name) for column in table.columns if column.name not in (DIGEST, TRASH)}


def insert_row(connection: Connection, table: Table, values: Mapping[str, Any]) -> Row[Any]:
    """Insert a row with its digest, that of the values as they were stored, and return its primary key."""
    key = connection.execute(insert(table).values(values).returning(*table.primary_key)).one()
    this = [column == value for column, value in zip(table.primary_key, key, strict=True)]
    stored = connection.execute(select(*raw_columns(table)).where(*this)).one()
    connection.execute(update(table).where(*this).values({DIGEST: digest_of(table.name, _covered(table, stored))}))
    return key


def update_row(connection: Connection, table: Table, number: int, values: Mapping[str, Any]) -> None:
    """Change values of the row of that id, as a person may, and give it the digest of what it says then. What it says now is compared first."""
    this = table.c.id == number
    _compare(table, connection.execute(select(*raw_columns(table)).where(this)).one())
    connection.execute(update(table).where(this).values(dict(values)))
    stored = connection.execute(select(*raw_columns(table)).where(this)).one()
    connection.execute(update(table).where(this).values({DIGEST: digest_of(table.name, _covered(table, stored))}))


def read_rows(
    connection: Connection,
    table: Table,
    *where: ColumnElement[bool],
    order: Sequence[ColumnElement[Any]] = (),
    with_trash: bool = False,
) -> list[dict[str, Any]]:
    """The rows that fit as `read_row` reads them, none that is in the trash unless `with_trash`.

    The first inserted comes first unless `order` says otherwise.
    """
    live = () if with_trash else is_live(table)
    query = select(*raw_columns(table)).where(*where, *live).order_by(*(order or table.primary_key))
    return [read_row(table, row) for row in connection.execute(query)]


def is_live(table: Table) -> tuple[ColumnElement[bool], ...]:
    """The condition that a row is not in the trash; nothing for tables whose rows never are."""
    return (table.c[TRASH].is_(None),) if TRASH in table.c else ()


def check_live(connection: Connection, table: Table, ids: Iterable[int]) -> None:
    """Raise StateError when one of these rows is not there, or in the trash: it was deleted since somebody looked."""
    wanted = set(ids)
    there = connection.execute(select(func.count()).select_from(table).where(table.c.id.in_(wanted), *is_live(table))).scalar_one()
    if there < len(wanted):
        raise StateError(
            "what this is made of is gone",
            where=table.name,
            why="it was deleted meanwhile",
            fix="restore it from the trash (`python -m core trash list`), or choose another",
        )


def read_row(table: Table, row: Sequence[Any]) -> dict[str, Any]:
    """The values of a row of `raw_columns(table)` by column, JSON decoded, without digest and trash. Raises ChangedRow when that does not fit."""
    _compare(table, row)
    return {
        column.name: json.loads(value) if isinstance(column.type, JsonText) and value is not None else value
        for column, value in zip(table.columns, row, strict=True)
        if column.name not in (DIGEST, TRASH)
    }


def check_rows(connection: Connection) -> None:
    """Compare every row that has a digest. Raises ChangedRow for the first that differs."""
    for table in metadata.sorted_tables:
        if DIGEST in table.c:
            for row in connection.execute(select(*raw_columns(table))):
                _compare(table, row)


def write_digests(connection: Connection, name: str, *, but: Iterable[str] = ()) -> None:
    """For migrations: give every row of a table the digest of what it says now; the columns `but` change and are not covered."""
    table = Table(name, MetaData(), autoload_with=connection)
    left_out = {DIGEST, *but}
    for row in connection.execute(select(table)).mappings().all():
        digest = digest_of(name, {column: value for column, value in row.items() if column not in left_out})
        key = [column == row[column.name] for column in table.primary_key]
        connection.execute(update(table).where(*key).values({DIGEST: digest}))


@cache
def _places(table: Table) -> tuple[tuple[int, str], ...]:
    """Where in a row the values stand that its digest covers."""
    columns = enumerate(table.columns)
    return tuple((place, column.name) for place, column in columns if column.name != DIGEST and CHANGES not in column.info)


def _covered(table: Table, row: Sequence[Any]) -> dict[str, Any]:
    return {name: row[place] for place, name in _places(table)}


def _compare(table: Table, row: Sequence[Any]) -> None:
    if DIGEST not in table.c:
        return
    values = _covered(table, row)
    if row[-1] != digest_of(table.name, values):
        raise ChangedRow(table.name, ", ".join([table.name, *(f"{column.name} {values[column.name]}" for column in table.primary_key)]))
