"""Every row got a column for a seal. Revision 0006 drops it again, so a workspace that comes from before has it for a moment only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("contests", "folds", "runs", "jobs", "blends", "submissions", "holds", "fold_results", "epochs", "blend_members")


def upgrade() -> None:
    """A row without a seal was never sealed."""
    for table in TABLES:
        op.add_column(table, sa.Column("seal", sa.Text(), nullable=True))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "seal")
