"""The accuracy of an epoch's training rows; NULL in epochs of before."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("epochs", sa.Column("train_accuracy", sa.Float(), nullable=True))
