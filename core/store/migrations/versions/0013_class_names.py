"""What a contest's classes are called on the screen; NULL where they are called as in the table."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("contests", sa.Column("class_names", sa.Text(), nullable=True))
