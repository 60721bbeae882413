"""The one door to the SQLite file: pragmas, short transactions, and the schema brought to its newest revision.

Any thread may use one `Store`. Readers get a snapshot and never write; a writer takes the write lock at its first
statement (BEGIN IMMEDIATE), so that it never fails half way for a lock it could not get.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError

from core.base.errors import CheckpointError, DiskFull, InputError, PitwallError, StateError
from core.store import seals

HEAD = "0005"
"""The newest revision in `migrations/versions`; held equal to Alembic's own answer by a test."""

BUSY_TIMEOUT_S = 5.0
MIGRATION_TIMEOUT_S = 60.0
MIGRATIONS = Path(__file__).parent / "migrations"
NOT_WRITTEN = ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_IOERR_TRUNCATE")
"""What SQLite calls a write that failed for another reason than a full disk: no quota, a file over the allowed size, a failing disk."""

MADE_AGAIN = {
    "contests": "put a copy of pitwall.db back, or add the contest again in a new workspace: its files are what they were",
    "folds": "put a copy of pitwall.db back, or make the folds again in a new workspace: the same settings give the same folds",
    "submissions": "put a copy of pitwall.db back; the file that was submitted is whole, in the contest's folder submissions",
    "holds": "put a copy of pitwall.db back, or lift every hold: python -m core queue resume",
}
"""By table, what to do about a row that is not what was written, where more is to be said than of the rest."""


class DatabaseBusy(StateError):
    """Another process held the write lock for longer than the busy timeout; nothing was written."""


class Store:
    """A database file. Connections are pooled; open a second Store on the same file to wait less for its lock."""

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._engine = create_engine(f"sqlite+pysqlite:///{path}", pool_size=5, max_overflow=40, connect_args={"timeout": busy_timeout_s})
        mode = journal_mode(sqlite3.sqlite_version_info)

        @event.listens_for(self._engine, "connect")
        def _configure(connection: DBAPIConnection, _record: Any) -> None:
            # The driver's own implicit BEGIN is switched off: `_begin` below says which kind of transaction starts, and when.
            connection.isolation_level = None
            cursor = connection.cursor()
            for pragma in (f"journal_mode={mode}", f"synchronous={'FULL' if mode == 'WAL' else 'EXTRA'}", "foreign_keys=ON"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
            connection.create_function(seals.FUNCTION, -1, seals.seal_of, deterministic=True)

        @event.listens_for(self._engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")

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
        except seals.ChangedRow as problem:
            raise _changed(self.path, problem) from problem
        except DatabaseError as problem:
            if seals.CHANGED in str(problem.orig):
                self.check()  # which says what row that was
            typed = _typed(problem, self.path)
            if typed is None:
                raise
            raise typed from problem
        except OverflowError as problem:
            raise InputError(
                "a number is too large", where="number", why=str(problem), fix="give the number of something that is there"
            ) from problem
        except (JSONDecodeError, UnicodeDecodeError, ValidationError) as problem:
            raise _damaged(self.path, f"a row cannot be read: {' '.join(str(problem).split())[:300]}") from problem

    def check(self) -> None:
        """Look through the whole file; CheckpointError when its pages, indexes or constraints are not whole, or a row is not what was written."""
        with self.read() as connection:
            seals.check_schema(connection)
            found = connection.exec_driver_sql("PRAGMA integrity_check(3)").scalars().all()
            if found != ["ok"]:
                raise _damaged(self.path, "; ".join(map(str, found)))
            seals.check_rows(connection)

    def close(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()


def open_store(path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Store:
    """Open the database at `path`, made or migrated where needed; an up-to-date one costs a single small query."""
    revision = stored_revision(path)
    if revision is None:
        _refuse_lost(path)
    if revision != HEAD:
        _migrate(path)
    return Store(path, busy_timeout_s=busy_timeout_s)


def stored_revision(path: Path) -> str | None:
    """The revision of the schema in a file; None for a file that is missing or empty."""
    if not path.exists():
        return None
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError as problem:
        if "no such table" in str(problem):
            return None
        raise _typed(problem, path) or problem from None
    except sqlite3.DatabaseError as problem:
        raise _typed(problem, path) or problem from None
    except UnicodeDecodeError as problem:  # the driver's own message about a damaged schema
        raise _damaged(path, str(problem)) from None
    return str(row[0]) if row else None


def journal_mode(version: tuple[int, ...]) -> str:
    """WAL where the SQLite library has the fix for a WAL reset that loses writes (3.51.3, also in 3.50.7 and 3.44.6), else DELETE."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "WAL" if fixed else "DELETE"


def _migrate(path: Path) -> None:
    """Run all missing revisions in one transaction; of two processes at once, the second finds the work done."""
    # Imported here because an up-to-date database must open without Alembic (a fifth of a second for each command and worker).
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    store = Store(path, busy_timeout_s=MIGRATION_TIMEOUT_S)
    try:
        with store.transaction() as connection:
            found = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").first()
            revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() if found else None
            if revision == HEAD:
                return
            try:
                if revision is not None:
                    ScriptDirectory.from_config(config).get_revision(revision)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                seals.seal_schema(connection)
            except CommandError as problem:
                raise StateError(
                    "this workspace was made by another version of Pitwall",
                    where=str(path),
                    why=f"its database is at revision {revision}, this version knows up to {HEAD} ({problem})",
                    fix="update Pitwall, or choose another workspace with --workspace DIR",
                ) from None
    finally:
        store.close()


def _refuse_lost(path: Path) -> None:
    """A workspace that has artefacts but an empty database, or none, has lost it: a new one would look like a workspace without contests."""
    contests = path.parent / "contests"
    there = sorted(folder.name for folder in contests.iterdir() if any(folder.glob("data-*"))) if contests.is_dir() else []
    if there:
        is_empty = path.exists() and not path.stat().st_size
        raise CheckpointError(
            f"the database is {'empty' if is_empty else 'damaged' if path.exists() else 'gone'}",
            where=str(path),
            why=f"there are artefacts of {len(there)} contests: {', '.join(there[:5])}",
            fix="put a copy of pitwall.db back, or move the folder contests away to begin anew",
        )


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        "the database file is damaged", where=str(path), why=why, fix="put a copy of pitwall.db back, or start a new workspace"
    )


def _changed(path: Path, problem: seals.ChangedRow) -> CheckpointError:
    return CheckpointError(
        "the database file is damaged",
        where=str(path),
        why=f"this row is not what was written: {problem.row}",
        fix=MADE_AGAIN.get(problem.table, "put a copy of pitwall.db back, or start a new workspace"),
    )


def _typed(problem: Exception, path: Path) -> PitwallError | None:
    """The typed error for what SQLite says about its file, or None for a bug in a statement."""
    original = getattr(problem, "orig", problem)
    text = str(original)
    if "locked" in text or "busy" in text:
        return DatabaseBusy(
            "the database is busy",
            where=str(path),
            why="another process has been writing for too long",
            fix="try again; if it lasts, look for a stopped process",
        )
    if "disk is full" in text or getattr(original, "sqlite_errorname", "") in NOT_WRITTEN:
        why = "the disk is full" if "disk is full" in text else f"{text}: a quota is used up, or the disk fails"
        return DiskFull("the database could not be written", where=str(path), why=why, fix="make space and try again")
    if any(sign in text for sign in ("not a database", "malformed", "Could not decode to UTF-8", seals.UNREADABLE, seals.CHANGED)):
        return _damaged(path, text)
    if any(sign in text for sign in ("no such column", "no such table", "duplicate column name", "already exists")):
        return CheckpointError(
            "the database does not fit this version of Pitwall",
            where=str(path),
            why=f"it says it is at revision {HEAD}, but there is {text}",
            fix="put a copy of pitwall.db back, or start a new workspace",
        )
    if "disk I/O error" in text:
        return StateError(
            "the database could not be read or written", where=str(path), why=text, fix="check the disk and its free space, then try again"
        )
    if "unable to open" in text or "readonly" in text:
        return StateError(
            "the database cannot be opened for writing",
            where=str(path),
            why=text,
            fix="check the owner and the permissions of the workspace",
        )
    return None
