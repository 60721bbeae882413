"""A job knows how often memory ran out under it, and how often its worker was killed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = ("halvings", "interruptions")


def upgrade() -> None:
    """Neither has happened to any job that is there, as far as is known."""
    for name in COLUMNS:
        op.add_column("jobs", sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("jobs", name)
