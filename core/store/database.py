"""The one door to the database: short transactions, and the schema brought to its newest revision.

Any thread may use one `Store`. Readers get a snapshot and never write. What differs between databases is in `dialects.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import URL, Connection, create_engine, inspect
from sqlalchemy.exc import DatabaseError

from core.base.errors import CheckpointError, InputError, StateError
from core.base.messages import msg, reason
from core.store.dialects import DatabaseBusy as DatabaseBusy
from core.store.dialects import damaged, dialect_of
from core.store.dialects import sqlite_url as sqlite_url
from core.store.digests import ChangedRow, check_rows

HEAD = "0008"
"""The newest revision in `migrations/versions`; held equal to Alembic's own answer by a test."""

BUSY_TIMEOUT_S = 5.0
MIGRATION_TIMEOUT_S = 60.0
MIGRATIONS = Path(__file__).parent / "migrations"

MADE_AGAIN = {
    "contests": "put a copy of pitwall.db back, or add the contest again in a new workspace: its files are what they were",
    "folds": "put a copy of pitwall.db back, or make the folds again in a new workspace: the same settings give the same folds",
    "submissions": "put a copy of pitwall.db back; the file that was submitted is whole, in the contest's folder submissions",
}
"""By table, what to do about a row that is not what was written, where more is to be said than of the rest."""


class Store:
    """A database. Connections are pooled; open a second Store on the same one to wait less for its lock."""

    def __init__(self, url: URL, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.url = url
        self.dialect = dialect_of(url)
        self.where = self.dialect.where(url)
        self._engine = create_engine(url, **self.dialect.options(busy_timeout_s))
        self.dialect.set_up(self._engine)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one consistent snapshot. Keep the block short: it holds back writers."""
        with self._connection(writes=False) as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection that may write: committed when the block ends, rolled back when it raises.

        Raises DatabaseBusy when another process holds the write lock for longer than the busy timeout, DiskFull when there
        is no space; in both cases nothing was written.
        """
        with self._connection(writes=True) as connection:
            yield connection

    @contextmanager
    def _connection(self, *, writes: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(writes=writes) as connection, connection.begin():
                yield connection
        except ChangedRow as problem:
            raise CheckpointError(
                "the database file is damaged",
                where=self.where,
                why="this row is not what was written: {row}",
                fix=MADE_AGAIN.get(problem.table, "put a copy of pitwall.db back, or start a new workspace"),
                row=problem.row,
            ) from problem
        except DatabaseError as problem:
            typed = self.dialect.error_of(problem, self.where)
            if typed is None:
                raise
            raise typed from problem
        except OverflowError as problem:
            raise InputError(
                "a number is too large", where="number", why=reason(problem), fix="give the number of something that is there"
            ) from problem
        except (JSONDecodeError, UnicodeDecodeError, ValidationError) as problem:
            raise damaged(self.where, msg("a row cannot be read: {problem}", problem=" ".join(str(problem).split())[:300])) from problem

    def check(self) -> None:
        """Look through the whole database; CheckpointError when its pages, indexes or constraints are not whole, or a row that is
        written once is not what was written."""
        with self.read() as connection:
            if faults := self.dialect.faults(connection):
                raise damaged(self.where, faults)
            check_rows(connection)

    def revision(self) -> str | None:
        """The revision of the schema; None for a database that is missing or empty."""
        if not self.dialect.is_there(self.url):
            return None
        with self.read() as connection:
            return _revision(connection)

    def close(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()


def open_store(url: URL, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Store:
    """Open a database, made or migrated where needed; an up-to-date one costs two small queries."""
    store = Store(url, busy_timeout_s=busy_timeout_s)
    revision = store.revision()
    if revision is None:
        store.dialect.refuse_lost(url)
    if revision != HEAD:
        _migrate(url)
    return store


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _migrate(url: URL) -> None:
    """Run all missing revisions in one transaction; of two processes at once, the second finds the work done."""
    # Imported here because an up-to-date database must open without Alembic (a fifth of a second for each command and worker).
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    store = Store(url, busy_timeout_s=MIGRATION_TIMEOUT_S)
    try:
        with store.transaction() as connection:
            revision = _revision(connection)
            if revision == HEAD:
                return
            try:
                if revision is not None:
                    ScriptDirectory.from_config(config).get_revision(revision)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            except CommandError as problem:
                raise StateError(
                    "this workspace was made by another version of Pitwall",
                    where=store.where,
                    why="its database is at revision {found}, this version knows up to {known} ({problem})",
                    fix="update Pitwall, or choose another workspace with --workspace DIR",
                    found=revision,
                    known=HEAD,
                    problem=problem,
                ) from None
    finally:
        store.close()
