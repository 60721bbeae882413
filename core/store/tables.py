"""The schema as SQLAlchemy Core tables. Ids are never used twice, because folders, references such as `r12` and colours are made of them.

A new workspace is made from these tables, an older one by `migrations/versions`: a change here needs a new revision there, and a test
compares the two. A revision that changes what rows with a digest say ends with `digests.write_digests`.
"""

import json
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

DIGEST = "digest"
CHANGES = "changes"
"""What the `info` of a column has when its value may change after the row was written."""
TRASH = "trash_id"
"""The entry of the trash that a row is in; NULL for a row that is not. `digests.read_rows` leaves the others out."""


class JsonText(TypeDecorator[Any]):
    """A JSON value in a text column; None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


def _digest() -> Column[str]:
    """The last column of a table whose rows are written once; `digests.py` sets and compares it."""
    return Column(DIGEST, Text, nullable=False, server_default="")


def _changing(name: str, type_: Any, **options: Any) -> Column[Any]:
    """A column that the row's digest does not cover, because its value changes."""
    return Column(name, type_, info={CHANGES: True}, **options)


def _trash() -> Column[int]:
    return _changing(TRASH, Integer)


def _parent(name: str, target: str, *, ondelete: str | None = None, **options: Any) -> Column[int]:
    return Column(name, Integer, ForeignKey(target, ondelete=ondelete), nullable=False, **options)


contests = Table(
    "contests",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("spec", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("n_train", Integer, nullable=False),
    Column("n_test", Integer, nullable=False),
    Column("sample", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    _changing("archived_at", Float),
    _changing("class_names", JsonText),
    _trash(),
    _digest(),
    sqlite_autoincrement=True,
)


def _versions(name: str, *columns: Column[Any]) -> Table:
    """What is said about a contest's rows, in versions that never change and go only with their contest.

    So no foreign key is needed where they are named, and SQLite could add none to a table without making it anew.
    """
    return Table(
        name,
        metadata,
        _id(),
        _parent("contest_id", "contests.id", ondelete="CASCADE"),
        Column("version", Integer, nullable=False),
        *columns,
        Column("fingerprint", Text, nullable=False),
        Column("path", Text, nullable=False),
        Column("created_at", Float, nullable=False),
        _digest(),
        UniqueConstraint("contest_id", "version"),
        sqlite_autoincrement=True,
    )


truths = _versions("truths", Column("n_dropped", Integer, nullable=False), Column("reason", Text, nullable=False))
row_groups = _versions("row_groups", Column("column_name", Text, nullable=False))

folds = Table(
    "folds",
    metadata,
    _id(),
    _parent("contest_id", "contests.id", ondelete="CASCADE"),
    Column("kind", Text, nullable=False),
    Column("n_folds", Integer, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("group_column", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("spec", JsonText),
    Column("truth_id", Integer),
    Column("groups_id", Integer),
    _trash(),
    _digest(),
    UniqueConstraint("contest_id", "fingerprint"),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    _id(),
    _parent("contest_id", "contests.id"),
    _parent("folds_id", "folds.id"),
    Column("name", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("fold_numbers", JsonText, nullable=False),
    Column("created_at", Float, nullable=False),
    _changing("is_paused", Boolean, nullable=False, server_default=text("0")),
    Column("imported", JsonText),
    Column("truth_id", Integer),
    _changing("note", Text),
    _changing("chosen_by", Text),
    _trash(),
    _digest(),
    UniqueConstraint("contest_id", "name"),
    sqlite_autoincrement=True,
)

seed_runs = Table(
    "seed_runs",
    metadata,
    _parent("run_id", "runs.id", ondelete="CASCADE", primary_key=True),
    _parent("seed_run_id", "runs.id", ondelete="CASCADE", primary_key=True, index=True),
    Column("is_own", Boolean, nullable=False),
    _digest(),
)
"""The runs of one seed each that a run of several seeds is the mean of; `is_own`: made for that run, and not one that was there before."""

jobs = Table(
    "jobs",
    metadata,
    _id(),
    Column("kind", Text, nullable=False),
    Column("contest_id", Integer, ForeignKey("contests.id", ondelete="CASCADE")),
    Column("run_id", Integer, ForeignKey("runs.id", ondelete="CASCADE")),
    Column("fold", Integer),
    Column("payload", JsonText, nullable=False),
    _changing("state", Text, nullable=False),
    _changing("priority", Integer, nullable=False),
    _changing("position", Integer, nullable=False),
    _changing("token", Integer, nullable=False),
    _changing("device", Text, nullable=False),
    _changing("owner", JsonText),
    _changing("lease_until", Float),
    _changing("cancel_requested", Boolean, nullable=False),
    _changing("progress", JsonText),
    _changing("error", JsonText),
    _changing("log_path", Text, nullable=False),
    _changing("created_at", Float, nullable=False),
    _changing("started_at", Float),
    _changing("finished_at", Float),
    _changing("halvings", Integer, nullable=False, server_default=text("0")),
    _changing("interruptions", Integer, nullable=False, server_default=text("0")),
    _digest(),
    UniqueConstraint("run_id", "fold"),
    CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'canceled')", name="state"),
    Index(None, "state", "priority", "position"),
    sqlite_autoincrement=True,
)

holds = Table(
    "holds",
    metadata,
    Column("device", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("error", JsonText),
    Column("needed_bytes", Integer, nullable=False),
    Column("since", Float, nullable=False),
    CheckConstraint("kind IN ('person', 'disk')", name="kind"),
)

fold_results = Table(
    "fold_results",
    metadata,
    _parent("run_id", "runs.id", ondelete="CASCADE", primary_key=True),
    Column("fold", Integer, primary_key=True),
    Column("token", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("scores", JsonText, nullable=False),
    Column("best_epoch", Integer, nullable=False),
    Column("n_epochs", Integer, nullable=False),
    Column("elapsed_s", Float, nullable=False),
    Column("facts", JsonText, nullable=False),
    Column("created_at", Float, nullable=False),
    _digest(),
)

epochs = Table(
    "epochs",
    metadata,
    _parent("run_id", "runs.id", ondelete="CASCADE", primary_key=True),
    Column("fold", Integer, primary_key=True),
    Column("token", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("train_loss", Float),
    Column("valid_loss", Float),
    Column("scores", JsonText, nullable=False),
    Column("lr", Float, nullable=False),
    Column("elapsed_s", Float, nullable=False),
    Column("train_log_loss", Float),
    Column("train_accuracy", Float),
)

pretrainings = Table(
    "pretrainings",
    metadata,
    _id(),
    _parent("contest_id", "contests.id", ondelete="CASCADE"),
    Column("name", Text, nullable=False),
    Column("recipe", JsonText, nullable=False),
    Column("path", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("facts", JsonText, nullable=False),
    Column("created_at", Float, nullable=False),
    _trash(),
    _digest(),
    UniqueConstraint("contest_id", "name"),
)
"""Each has the number of the job that made it, which is never used twice."""

blends = Table(
    "blends",
    metadata,
    _id(),
    _parent("contest_id", "contests.id"),
    _parent("folds_id", "folds.id"),
    Column("name", Text, nullable=False),
    Column("spec", JsonText, nullable=False),
    Column("scores", JsonText, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("truth_id", Integer),
    _trash(),
    _digest(),
    UniqueConstraint("contest_id", "name"),
    sqlite_autoincrement=True,
)

blend_members = Table(
    "blend_members",
    metadata,
    _parent("blend_id", "blends.id", ondelete="CASCADE", primary_key=True),
    _parent("run_id", "runs.id", primary_key=True, index=True),
    _digest(),
)

submissions = Table(
    "submissions",
    metadata,
    _id(),
    _parent("contest_id", "contests.id", ondelete="CASCADE"),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("n_rows", Integer, nullable=False),
    Column("lineage", JsonText, nullable=False),
    Column("hidden_scores", JsonText),
    Column("created_at", Float, nullable=False),
    _trash(),
    _digest(),
    sqlite_autoincrement=True,
)

trash = Table(
    "trash",
    metadata,
    _id(),
    Column("holds", JsonText, nullable=False),
    Column("trashed_at", Float, nullable=False),
    Column("emptied_at", Float),
    Column("emptied_for", Text),
    Column("is_gone", Boolean, nullable=False, server_default=text("0")),
    sqlite_autoincrement=True,
)
"""What was deleted together. An entry that was emptied stays for as long as one that was not, to say so; `is_gone`: its files are removed."""

alembic_version = Table(
    "alembic_version", metadata, Column("version_num", String(32)), PrimaryKeyConstraint("version_num", name="alembic_version_pkc")
)
"""Alembic's own table, with the revision that the schema is at."""
