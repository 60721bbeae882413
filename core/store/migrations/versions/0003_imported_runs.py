"""A run may come from elsewhere: it has a note of where from, and no recipe."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every run that is there was trained here."""
    op.add_column("runs", sa.Column("imported", sa.Text(), nullable=True))


def downgrade() -> None:
    """Imported runs have no recipe, which the schema before cannot hold; their files stay where they are."""
    op.execute("DELETE FROM runs WHERE imported IS NOT NULL")
    op.drop_column("runs", "imported")
