"""A job may belong to no contest: the one that registers it."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

COLUMNS = (
    "id, kind, contest_id, run_id, fold, payload, state, priority, position, token, device, owner, lease_until, cancel_requested, progress, "
    "error, log_path, created_at, started_at, finished_at, halvings, interruptions, digest"
)


def upgrade() -> None:
    """SQLite cannot let a column be NULL that could not be. Numbers of jobs go on where they were: logs are named by them."""
    connection = op.get_bind()
    last = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").scalar()
    op.drop_index("ix_jobs_state_priority_position", "jobs")
    op.execute("ALTER TABLE jobs RENAME TO older_jobs")
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("contest_id", sa.Integer(), nullable=True),
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
    op.execute(f"INSERT INTO jobs ({COLUMNS}) SELECT {COLUMNS} FROM older_jobs")
    op.drop_table("older_jobs")
    if last is not None:
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
        connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (last,))
