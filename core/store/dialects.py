"""What differs between databases: how a connection is set up, what says that the file is damaged, and what errors mean.

SQLite is the default. `Dialect` is what any other database does that SQLAlchemy knows: nothing special.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from core.base.errors import CheckpointError, DiskFull, PitwallError, StateError
from core.base.messages import joined, msg

NOT_WRITTEN = ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_IOERR_TRUNCATE")
"""What SQLite calls a write that failed for another reason than a full disk: no quota, a file over the allowed size, a failing disk."""


class DatabaseBusy(StateError):
    """Another process held the write lock for longer than the busy timeout; nothing was written."""


class Dialect:
    """A database server: it has its own locks, checks its own pages, and makes nothing by being asked."""

    def where(self, url: URL) -> str:
        """What errors call the database."""
        return url.render_as_string(hide_password=True)

    def options(self, busy_timeout_s: float) -> dict[str, Any]:
        """What `create_engine` is given; `busy_timeout_s` is how long a writer waits for another one, where that is settable."""
        del busy_timeout_s
        return {}

    def set_up(self, engine: Engine) -> None:
        """Prepare the connections of an engine."""

    def is_there(self, url: URL) -> bool:
        """Whether there is a database to look into."""
        del url
        return True

    def refuse_lost(self, url: URL) -> None:
        """Raise CheckpointError where a database is empty that must have been full."""

    def faults(self, connection: Connection) -> str:
        """What is wrong with the pages, indexes or constraints; "" when nothing is."""
        del connection
        return ""

    def error_of(self, problem: Exception, where: str) -> PitwallError | None:
        """The typed error for what the database says, or None for a bug in a statement."""
        del problem, where
        return None


class Sqlite(Dialect):
    """One file. A writer takes the write lock at its first statement (BEGIN IMMEDIATE), so that it never fails half way for want of it."""

    def where(self, url: URL) -> str:
        return str(_path(url))

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

    def is_there(self, url: URL) -> bool:
        return _path(url).exists()

    def refuse_lost(self, url: URL) -> None:
        """A workspace that has artefacts but an empty database, or none, has lost it: a new one would look like a workspace without contests."""
        path = _path(url)
        contests = path.parent / "contests"
        there = sorted(folder.name for folder in contests.iterdir() if any(folder.glob("data-*"))) if contests.is_dir() else []
        if there:
            is_empty = path.exists() and not path.stat().st_size
            raise CheckpointError(
                "the database is empty" if is_empty else "the database is damaged" if path.exists() else "the database is gone",
                where=str(path),
                why="there are artefacts of {n} contests: {names}",
                fix="put a copy of pitwall.db back, or move the folder contests away to begin anew",
                n=len(there),
                names=", ".join(there[:5]),
            )

    def faults(self, connection: Connection) -> str:
        found = connection.exec_driver_sql("PRAGMA integrity_check(3)").scalars().all()
        return "" if found == ["ok"] else joined("; ", map(str, found))

    def error_of(self, problem: Exception, where: str) -> PitwallError | None:
        original = getattr(problem, "orig", problem)
        text = str(original)
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
            return damaged(where, text)
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


def dialect_of(url: URL) -> Dialect:
    """What to know about the database of a URL."""
    return Sqlite() if url.get_backend_name() == "sqlite" else Dialect()


def journal_mode(version: tuple[int, ...]) -> str:
    """WAL where the SQLite library has the fix for a WAL reset that loses writes (3.51.3, also in 3.50.7 and 3.44.6), else DELETE."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "WAL" if fixed else "DELETE"


def damaged(where: str, why: str) -> CheckpointError:
    """The error of a database whose content is not what was written."""
    return CheckpointError(
        "the database file is damaged", where=where, why=why, fix="put a copy of pitwall.db back, or start a new workspace"
    )


def _path(url: URL) -> Path:
    if not url.database:
        raise ValueError(url)
    return Path(url.database)
