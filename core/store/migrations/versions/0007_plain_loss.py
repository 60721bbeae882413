"""The plain cross-entropy of an epoch's training rows beside the objective; NULL in epochs of before, when both were the same."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("epochs", sa.Column("train_log_loss", sa.Float(), nullable=True))
