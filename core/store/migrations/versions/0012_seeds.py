"""A run of several seeds is the mean of runs of one seed each. Every run that is there has one."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "seed_runs",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("seed_run_id", sa.Integer(), nullable=False),
        sa.Column("is_own", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_seed_runs_run_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["seed_run_id"], ["runs.id"], name=op.f("fk_seed_runs_seed_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "seed_run_id", name=op.f("pk_seed_runs")),
    )
    op.create_index(op.f("ix_seed_runs_seed_run_id"), "seed_runs", ["seed_run_id"], unique=False)
