"""A trash: what was deleted together is an entry, and each of its rows names it. Contests may be archived; a run has a note.

Every row that is there is in no entry. New columns are NULL, which digests leave out, so no digest changes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

ADDED = {
    "contests": (("archived_at", sa.Float()), ("trash_id", sa.Integer())),
    "folds": (("trash_id", sa.Integer()),),
    "runs": (("note", sa.Text()), ("chosen_by", sa.Text()), ("trash_id", sa.Integer())),
    "blends": (("trash_id", sa.Integer()),),
    "submissions": (("trash_id", sa.Integer()),),
}


def upgrade() -> None:
    for table, columns in ADDED.items():
        for name, type_ in columns:
            op.add_column(table, sa.Column(name, type_, nullable=True))
    op.create_table(
        "trash",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("holds", sa.Text(), nullable=False),
        sa.Column("trashed_at", sa.Float(), nullable=False),
        sa.Column("emptied_at", sa.Float(), nullable=True),
        sa.Column("emptied_for", sa.Text(), nullable=True),
        sa.Column("is_gone", sa.Boolean(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trash")),
        sqlite_autoincrement=True,
    )
