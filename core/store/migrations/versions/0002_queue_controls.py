"""A run can be paused, and a device, or all of them, can be held from taking jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("is_paused", sa.Boolean(), nullable=False, server_default=sa.text("0")))
    op.create_table(
        "holds",
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("needed_bytes", sa.Integer(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.CheckConstraint("kind IN ('person', 'disk')", name=op.f("ck_holds_kind")),
        sa.PrimaryKeyConstraint("device", "kind", name=op.f("pk_holds")),
    )


def downgrade() -> None:
    """Forget who was paused."""
    op.drop_table("holds")
    op.drop_column("runs", "is_paused")
