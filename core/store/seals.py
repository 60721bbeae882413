"""A seal on every row: the hash of all it says, set by triggers in the transaction that writes it and compared when it is read.

SQLite keeps no hash of a row, and the extension that hashes its pages cannot be loaded into Python's. See docs/reliability.md.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, func, select
from sqlalchemy.exc import OperationalError

from core.store.tables import JsonText, metadata

FUNCTION = "pitwall_seal"
"""What SQLite calls `seal_of`, on connections of ours only: a program that would write without sealing is refused."""
UNREADABLE = "user-defined function raised exception"
"""What SQLite says when `seal_of` cannot even be called, because a text is not UTF-8 any more."""
CHANGED = "a changed row is not written over"
"""What the triggers say of a row that did not fit its seal before an update: a new seal would hide the damage."""


class ChangedRow(Exception):
    """A row is not what was written; `row` says which, such as "fold_results, run_id 3, fold 1"."""

    def __init__(self, table: str, row: str) -> None:
        super().__init__(row)
        self.table = table
        self.row = row


def seal_of(table: str, *values: Any) -> str:
    """The seal of a row by its values in the order of their columns, as SQLite holds them; it must never change."""
    return blake2b(json.dumps((table, values), default=repr).encode(), digest_size=8).hexdigest()


def opened(table: Table, row: Sequence[Any]) -> dict[str, Any]:
    """The values of a row of `raw_columns(table)` by column, JSON decoded, without the seal. Raises ChangedRow when it does not fit."""
    *values, seal = row
    names, is_json = _shape(table)
    if seal != seal_of(table.name, *(int(value) if isinstance(value, bool) else value for value in values)):
        found = dict(zip(names, values, strict=True))
        raise ChangedRow(table.name, _named(table, (found[column.name] for column in table.primary_key)))
    return {
        name: json.loads(value) if has_json and value is not None else value
        for name, value, has_json in zip(names, values, is_json, strict=True)
    }


def check_schema(connection: Connection) -> None:
    """Compare the schema with the sum of it. Raises ChangedRow; before that, no statement can be relied on."""
    if connection.exec_driver_sql("PRAGMA user_version").scalar_one() != _schema_sum(connection):
        raise ChangedRow("sqlite_schema", "sqlite_schema")


def check_rows(connection: Connection) -> None:
    """Compare every row of every table with its seal, and the ids given so far. Raises ChangedRow for the first that differs."""
    for table in metadata.sorted_tables:
        key = list(table.primary_key)
        *columns, seal = table.columns
        is_changed = seal.is_distinct_from(getattr(func, FUNCTION)(table.name, *columns))
        try:
            changed = connection.execute(select(*key).where(is_changed).limit(1)).first()
        except OperationalError as problem:
            if UNREADABLE not in str(problem):
                raise
            changed = next(
                (row for row in connection.execute(select(*key)).all() if not _is_readable(connection, is_changed, key, row)), None
            )
        if changed is not None:
            raise ChangedRow(table.name, _named(table, changed))
    last_ids: dict[str, int] = {row.name: row.seq for row in connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")}
    for table in filter(counts_ids, metadata.sorted_tables):
        if last_ids.get(table.name, 0) != last_ids.get(f"{table.name} again"):
            raise ChangedRow("sqlite_sequence", f"sqlite_sequence, name {table.name}")


def seal_table(connection: Connection, table: str, columns: Iterable[str], *, has_ids: bool) -> None:
    """For migrations: (re)make the triggers of a table that has a column `seal`, and seal the rows that are there.

    `columns` are all of the table but the seal, in their order; a revision that adds or drops one calls this again. `has_ids`
    for a table with AUTOINCREMENT: the last id it gave is then kept twice, because SQLite's own counter takes no trigger.
    """
    names = tuple(columns)
    for sql in triggers(table, names, has_ids=has_ids):
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {sql.split()[2]}")
    connection.exec_driver_sql(f"UPDATE {table} SET seal = {_expression(table, names)}")
    for sql in triggers(table, names, has_ids=has_ids):
        connection.exec_driver_sql(sql)
    if has_ids:
        connection.exec_driver_sql(f"DELETE FROM sqlite_sequence WHERE name = '{table} again'")
        last = f"(SELECT seq FROM sqlite_sequence WHERE name = '{table}')"
        connection.exec_driver_sql(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('{table} again', coalesce({last}, 0))")


def triggers(table: str, columns: Sequence[str], *, has_ids: bool) -> Iterator[str]:
    """The SQL that seals a row after it is inserted or updated. The column `seal` is not watched, so no trigger starts itself."""
    seal = f"UPDATE {table} SET seal = {_expression(table, columns)} WHERE rowid = NEW.rowid;"
    count = f" UPDATE sqlite_sequence SET seq = NEW.id WHERE name = '{table} again';" if has_ids else ""
    yield f"CREATE TRIGGER seal_{table}_insert AFTER INSERT ON {table} BEGIN {seal}{count} END"
    was = _expression(table, [f"OLD.{name}" for name in columns])
    refuse = f"SELECT RAISE(ABORT, '{CHANGED}') WHERE OLD.seal IS NOT {was};"
    yield f"CREATE TRIGGER seal_{table}_update AFTER UPDATE OF {', '.join(columns)} ON {table} BEGIN {refuse} {seal} END"


def counts_ids(table: Table) -> bool:
    """Whether a table never gives an id twice (AUTOINCREMENT)."""
    return bool(table.dialect_options["sqlite"]["autoincrement"])


def seal_schema(connection: Connection) -> None:
    """Write down the sum of the schema, in the one number of the file's header that SQLite leaves to its user."""
    connection.exec_driver_sql(f"PRAGMA user_version = {_schema_sum(connection)}")


def _schema_sum(connection: Connection) -> int:
    schema = connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").all()
    return zlib.crc32(json.dumps([tuple(row) for row in schema], default=repr).encode()) >> 1


def _expression(table: str, columns: Sequence[str]) -> str:
    return f"{FUNCTION}('{table}', {', '.join(columns)})"


@cache
def _shape(table: Table) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    columns = list(table.columns)[:-1]
    return tuple(column.name for column in columns), tuple(isinstance(column.type, JsonText) for column in columns)


def _named(table: Table, key: Iterable[Any]) -> str:
    return ", ".join([table.name, *(f"{column.name} {value}" for column, value in zip(table.primary_key, key, strict=True))])


def _is_readable(connection: Connection, is_changed: ColumnElement[bool], key: Sequence[Column[Any]], row: Sequence[Any]) -> bool:
    try:
        connection.execute(select(is_changed).where(*(column == value for column, value in zip(key, row, strict=True)))).scalar()
    except OperationalError:
        return False
    return True
