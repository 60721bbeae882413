"""Connections to the database: short transactions, the schema brought to its newest revision, and what differs between databases.

Any thread may use one `Store`. Readers get a snapshot and never write. SQLite is the default; `Dialect` is what any other database
does that SQLAlchemy knows: nothing special.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError

from core.base.errors import CheckpointError, DiskFull, InputError, PitwallError, StateError
from core.base.messages import joined, msg, reason
from core.store import tables
from core.store.digests import ChangedRow, check_rows

HEAD = "0014"
"""The newest revision in `migrations/versions`; held equal to Alembic's own answer by a test."""
OLDEST = "0005"
"""The revision of a workspace of version 0.1, the oldest that is opened."""

BUSY_TIMEOUT_S = 5.0
MIGRATION_TIMEOUT_S = 60.0
MIGRATIONS = Path(__file__).parent / "migrations"

MADE_AGAIN = {
    "contests": "put a copy of pitwall.db back, or add the contest again in a new workspace: its files are what they were",
    "folds": "put a copy of pitwall.db back, or make the folds again in a new workspace: the same settings give the same folds",
    "submissions": "put a copy of pitwall.db back; the file that was submitted is whole, in the contest's folder submissions",
}
"""By table, what to do about a row that is not what was written, where more is to be said than of the rest."""

NOT_WRITTEN = ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_IOERR_TRUNCATE")
"""What SQLite calls a write that failed for another reason than a full disk: no quota, a file over the allowed size, a failing disk."""


class DatabaseBusy(StateError):
    """Another process held the write lock for longer than the busy timeout; nothing was written."""


class Store:
    """A database. Connections are pooled; open a second Store on the same one to wait less for its lock."""

    def __init__(self, url: URL, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.url = url
        self.dialect = Sqlite(url) if url.get_backend_name() == "sqlite" else Dialect(url)
        self.where = self.dialect.where
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
            typed = self.dialect.error_of(problem)
            if typed is None:
                raise
            raise typed from problem
        except OverflowError as problem:
            raise InputError(
                "a number is too large", where="number", why=reason(problem), fix="give the number of something that is there"
            ) from problem
        except UnicodeEncodeError as problem:
            raise InputError(
                "a text has signs that are no characters",
                where=repr(problem.object[:100]),
                why=reason(problem),
                fix="type it again, in a terminal that is set to UTF-8",
            ) from problem
        except (JSONDecodeError, UnicodeDecodeError, ValidationError) as problem:
            raise _damaged(self.where, msg("a row cannot be read: {problem}", problem=" ".join(str(problem).split())[:300])) from problem

    def check(self) -> None:
        """Look through the whole database; CheckpointError when its pages, indexes or constraints are not whole, or a row that is
        written once is not what was written."""
        with self.read() as connection:
            if faults := self.dialect.faults(connection):
                raise _damaged(self.where, faults)
            check_rows(connection)

    def revision(self) -> str | None:
        """The revision of the schema; None for a database that is missing or empty."""
        if not self.dialect.is_there():
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
        store.dialect.refuse_lost()
    if revision != HEAD:
        patient = Store(url, busy_timeout_s=MIGRATION_TIMEOUT_S)
        try:
            with patient.transaction() as connection:
                _make_or_migrate(connection, store.where)
        finally:
            patient.close()
    return store


def _revision(connection: Connection) -> str | None:
    version = tables.alembic_version
    return connection.execute(select(version.c.version_num)).scalar() if inspect(connection).has_table(version.name) else None


def _make_or_migrate(connection: Connection, where: str) -> None:
    """Make the tables, or run the missing revisions, in the caller's transaction; of two processes at once, the second finds the work done."""
    revision = _revision(connection)
    if revision is None:
        tables.metadata.create_all(connection, checkfirst=False)
        connection.execute(insert(tables.alembic_version).values(version_num=HEAD))
    elif not OLDEST <= revision <= HEAD:
        is_older = revision < OLDEST
        raise StateError(
            "this workspace was made by an older version of Pitwall"
            if is_older
            else "this workspace was made by a newer version of Pitwall",
            where=where,
            why="its database is at revision {found}, this version knows {oldest} to {newest}",
            fix="open it once with version 0.1, which brings it to {oldest}, then with this one"
            if is_older
            else "update Pitwall, or choose another workspace with --workspace DIR",
            found=revision,
            oldest=OLDEST,
            newest=HEAD,
        )
    elif revision != HEAD:
        # Imported here because an up-to-date database must open without Alembic (a fifth of a second for each command and worker).
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


class Dialect:
    """A database server: it has its own locks, checks its own pages, and makes nothing by being asked."""

    def __init__(self, url: URL) -> None:
        self.where = url.render_as_string(hide_password=True)

    def options(self, busy_timeout_s: float) -> dict[str, Any]:
        """What `create_engine` is given; `busy_timeout_s` is how long a writer waits for another one, where that is settable."""
        del busy_timeout_s
        return {}

    def set_up(self, engine: Engine) -> None:
        """Prepare the connections of an engine."""

    def is_there(self) -> bool:
        """Whether there is a database to look into."""
        return True

    def refuse_lost(self) -> None:
        """Raise CheckpointError where a database is empty that must have been full."""

    def faults(self, connection: Connection) -> str:
        """What is wrong with the pages, indexes or constraints; "" when nothing is."""
        del connection
        return ""

    def error_of(self, problem: Exception) -> PitwallError | None:
        """The typed error for what the database says, or None for a bug in a statement."""
        del problem
        return None


class Sqlite(Dialect):
    """One file. A writer takes the write lock at its first statement (BEGIN IMMEDIATE), so that it never fails half way for want of it."""

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self.path = Path(url.database or "")
        self.where = str(self.path)

    def options(self, busy_timeout_s: float) -> dict[str, Any]:
        return {"pool_size": 5, "max_overflow": 40, "connect_args": {"timeout": busy_timeout_s}}

    def set_up(self, engine: Engine) -> None:
        mode = journal_mode(sqlite3.sqlite_version_info)

        @event.listens_for(engine, "connect")
        def _configure(connection: DBAPIConnection, _record: Any) -> None:
            # The driver's own implicit BEGIN is switched off: `_begin` below says which kind of transaction starts, and when.
            connection.isolation_level = None
            cursor = connection.cursor()
            for pragma in (f"journal_mode={mode}", f"synchronous={'FULL' if mode == 'WAL' else 'EXTRA'}", "foreign_keys=ON"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")

    def is_there(self) -> bool:
        return self.path.exists()

    def refuse_lost(self) -> None:
        """A workspace that has artefacts but an empty database, or none, has lost it: a new one would look like a workspace without contests."""
        contests = self.path.parent / "contests"
        there = sorted(folder.name for folder in contests.iterdir() if any(folder.glob("data-*"))) if contests.is_dir() else []
        if there:
            is_empty = self.path.exists() and not self.path.stat().st_size
            raise CheckpointError(
                "the database is empty" if is_empty else "the database is damaged" if self.path.exists() else "the database is gone",
                where=self.where,
                why="there are artefacts of {n} contests: {names}",
                fix="put a copy of pitwall.db back, or move the folder contests away to begin anew",
                n=len(there),
                names=", ".join(there[:5]),
            )

    def faults(self, connection: Connection) -> str:
        found = connection.exec_driver_sql("PRAGMA integrity_check(3)").scalars().all()
        return "" if found == ["ok"] else joined("; ", map(str, found))

    def error_of(self, problem: Exception) -> PitwallError | None:
        original = getattr(problem, "orig", problem)
        text, where = str(original), self.where
        if "locked" in text or "busy" in text:
            return DatabaseBusy(
                "the database is busy",
                where=where,
                why="another process has been writing for too long",
                fix="try again; if it lasts, look for a stopped process",
            )
        if "disk is full" in text or getattr(original, "sqlite_errorname", "") in NOT_WRITTEN:
            why = "the disk is full" if "disk is full" in text else msg("{problem}: a quota is used up, or the disk fails", problem=text)
            return DiskFull("the database could not be written", where=where, why=why, fix="make space and try again")
        if any(sign in text for sign in ("not a database", "malformed", "Could not decode to UTF-8")):
            return _damaged(where, text)
        if any(sign in text for sign in ("no such column", "no such table", "duplicate column name", "already exists")):
            return CheckpointError(
                "the database does not fit this version of Pitwall",
                where=where,
                why="it says it is at this version's revision, but there is {problem}",
                fix="put a copy of pitwall.db back, or start a new workspace",
                problem=text,
            )
        if "disk I/O error" in text:
            return StateError(
                "the database could not be read or written", where=where, why=text, fix="check the disk and its free space, then try again"
            )
        if "unable to open" in text or "readonly" in text:
            return StateError(
                "the database cannot be opened for writing",
                where=where,
                why=text,
                fix="check the owner and the permissions of the workspace",
            )
        return None


def sqlite_url(path: Path) -> URL:
    """The URL of a database file, whatever characters its path has."""
    return URL.create("sqlite+pysqlite", database=str(path))


def journal_mode(version: tuple[int, ...]) -> str:
    """WAL where the SQLite library has the fix for a WAL reset that loses writes (3.51.3, also in 3.50.7 and 3.44.6), else DELETE."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "WAL" if fixed else "DELETE"


def _damaged(where: str, why: str) -> CheckpointError:
    """The error of a database whose content is not what was written."""
    return CheckpointError(
        "the database file is damaged", where=where, why=why, fix="put a copy of pitwall.db back, or start a new workspace"
    )
