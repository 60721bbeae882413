"""Backbones that went on learning from the texts of a contest. No workspace has one yet."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "pretrainings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("contest_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("trash_id", sa.Integer(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(["contest_id"], ["contests.id"], name=op.f("fk_pretrainings_contest_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pretrainings")),
        sa.UniqueConstraint("contest_id", "name", name=op.f("uq_pretrainings_contest_id_name")),
    )
