"""A digest in rows that are written once takes the place of seals and triggers; a job has a kind, a contest and a payload."""

import json
from hashlib import blake2b

import sqlalchemy as sa
from alembic import op

from core.store.digests import ChangedRow, write_digests

revision = "0006"
down_revision = "0005"

SEALED = ("contests", "folds", "runs", "jobs", "blends", "submissions", "holds", "fold_results", "epochs", "blend_members")
COUNTED = ("contests", "folds", "runs", "jobs", "blends", "submissions")
WRITTEN_ONCE = ("contests", "folds", "runs", "fold_results", "blends", "blend_members", "submissions")
KEPT = (
    "id, run_id, fold, state, priority, position, token, device, owner, lease_until, cancel_requested, progress, error, log_path, "
    "created_at, started_at, finished_at, halvings, interruptions"
)


def upgrade() -> None:
    """Rows that are sealed are compared with their seal first: damage must not get a digest of its own."""
    connection = op.get_bind()
    for table in WRITTEN_ONCE:
        _compare(connection, table)
    for table in SEALED:
        op.execute(f"DROP TRIGGER IF EXISTS seal_{table}_insert")
        op.execute(f"DROP TRIGGER IF EXISTS seal_{table}_update")
        op.drop_column(table, "seal")
    for table in COUNTED:
        op.execute(f"DELETE FROM sqlite_sequence WHERE name = '{table} again'")
    op.execute("PRAGMA user_version = 0")
    _make_jobs_anew(connection)
    for table in WRITTEN_ONCE:
        op.add_column(table, sa.Column("digest", sa.Text(), nullable=False, server_default=""))
        write_digests(connection, table, but=("is_paused",))


def _make_jobs_anew(connection: sa.Connection) -> None:
    """SQLite cannot let a column be NULL that could not be. Numbers of jobs go on where they were: logs are named by them."""
    last = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").scalar()
    op.drop_index("ix_jobs_state_priority_position", "jobs")
    op.execute("ALTER TABLE jobs RENAME TO older_jobs")
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("contest_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("fold", sa.Integer(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("log_path", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=True),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("halvings", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("interruptions", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("digest", sa.Text(), nullable=False, server_default=""),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'canceled')", name=op.f("ck_jobs_state")),
        sa.ForeignKeyConstraint(["contest_id"], ["contests.id"], name=op.f("fk_jobs_contest_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_jobs_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("run_id", "fold", name=op.f("uq_jobs_run_id_fold")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_jobs_state_priority_position"), "jobs", ["state", "priority", "position"], unique=False)
    kept = ", ".join(f"older_jobs.{name}" for name in KEPT.split(", "))
    op.execute(
        f"INSERT INTO jobs (kind, contest_id, payload, {KEPT}) SELECT 'fold', runs.contest_id, '{{}}', {kept} "
        "FROM older_jobs JOIN runs ON runs.id = older_jobs.run_id"
    )
    op.drop_table("older_jobs")
    if last is not None:
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
        connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (last,))
    changing = [name for name in KEPT.split(", ") if name not in ("id", "run_id", "fold")]
    write_digests(connection, "jobs", but=changing)


def _compare(connection: sa.Connection, table: str) -> None:
    """Compare a table's rows with the seals that the version before gave them; a workspace from before seals has none."""
    for row in connection.exec_driver_sql(f"SELECT * FROM {table}").mappings():
        values = [value for name, value in row.items() if name != "seal"]
        if (
            row["seal"] is not None
            and row["seal"] != blake2b(json.dumps((table, values), default=repr).encode(), digest_size=8).hexdigest()
        ):
            raise ChangedRow(table, f"{table}, {next(iter(row))} {next(iter(row.values()))}")
