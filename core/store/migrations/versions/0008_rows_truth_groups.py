"""Rows, truth and groups of a contest are three things: what was registered becomes version 1 of its truth and of its groups.

No file is written. The first truth and the groups of a contest of version 0.1 stand in the artefact of its rows, and the contest's
fingerprint, which folds and predictions name, goes on naming its rows.
"""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

from core.store.digests import write_digests

revision = "0008"
down_revision = "0007"

VERSIONED = {
    "truths": (("n_dropped", sa.Integer()), ("reason", sa.Text())),
    "row_groups": (("column_name", sa.Text()),),
}


def upgrade() -> None:
    """Every run and blend that is there was made with the first truth, and so were stratified folds."""
    connection = op.get_bind()
    for name, columns in VERSIONED.items():
        op.create_table(
            name,
            sa.Column("id", sa.Integer(), nullable=False),
            sa.Column("contest_id", sa.Integer(), nullable=False),
            sa.Column("version", sa.Integer(), nullable=False),
            *(sa.Column(column, type_, nullable=False) for column, type_ in columns),
            sa.Column("fingerprint", sa.Text(), nullable=False),
            sa.Column("path", sa.Text(), nullable=False),
            sa.Column("created_at", sa.Float(), nullable=False),
            sa.Column("digest", sa.Text(), nullable=False, server_default=""),
            sa.ForeignKeyConstraint(["contest_id"], ["contests.id"], name=op.f(f"fk_{name}_contest_id"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
            sa.UniqueConstraint("contest_id", "version", name=op.f(f"uq_{name}_contest_id_version")),
            sqlite_autoincrement=True,
        )
    for table in ("folds", "runs", "blends"):
        op.add_column(table, sa.Column("truth_id", sa.Integer(), nullable=True))
    op.add_column("folds", sa.Column("groups_id", sa.Integer(), nullable=True))
    op.add_column("folds", sa.Column("spec", sa.Text(), nullable=True))
    op.execute(
        "INSERT INTO truths (contest_id, version, n_dropped, reason, fingerprint, path, created_at)"
        " SELECT id, 1, 0, '', fingerprint, path, created_at FROM contests"
    )
    for table, made_with_labels in (("runs", ""), ("blends", ""), ("folds", " WHERE kind != 'group'")):
        first = f"SELECT id FROM truths WHERE truths.contest_id = {table}.contest_id"
        op.execute(f"UPDATE {table} SET truth_id = ({first}){made_with_labels}")
    _add_groups(connection)
    for table in (*VERSIONED, "folds", "runs", "blends"):
        write_digests(connection, table, but=("is_paused",))


def _add_groups(connection: sa.Connection) -> None:
    """The groups of each contest's group column, and of every column that its folds kept together."""
    contests = connection.execute(sa.text("SELECT id, spec, fingerprint, path, created_at FROM contests ORDER BY id")).all()
    used = sa.text("SELECT DISTINCT group_column FROM folds WHERE contest_id = :id AND group_column != '' ORDER BY group_column")
    added = sa.text(
        "INSERT INTO row_groups (contest_id, version, column_name, fingerprint, path, created_at)"
        " VALUES (:id, :version, :name, :fingerprint, :path, :at)"
    )
    for contest_id, spec, fingerprint, path, created_at in contests:
        own = json.loads(spec).get("group_column") or ""
        columns = dict.fromkeys([*([own] if own else []), *connection.execute(used, {"id": contest_id}).scalars()])
        for version, column in enumerate(columns, start=1):
            values = {"id": contest_id, "version": version, "name": column, "path": path, "at": created_at}
            values["fingerprint"] = hashlib.sha256(json.dumps(["groups", fingerprint, column]).encode()).hexdigest()
            connection.execute(added, values)
    of_column = "row_groups.contest_id = folds.contest_id AND row_groups.column_name = folds.group_column"
    op.execute(f"UPDATE folds SET groups_id = (SELECT id FROM row_groups WHERE {of_column})")
