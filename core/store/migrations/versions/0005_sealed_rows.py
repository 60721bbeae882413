"""Every row carries a seal, the hash of all it says, so that a value that was changed on the disk is found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.store.seals import seal_table

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COUNTED = {
    "contests": "id name spec fingerprint path n_train n_test sample created_at",
    "folds": "id contest_id kind n_folds seed group_column fingerprint path created_at",
    "runs": "id contest_id folds_id name recipe fold_numbers created_at is_paused imported",
    "jobs": "id run_id fold state priority position token device owner lease_until cancel_requested progress error log_path"
    " created_at started_at finished_at halvings interruptions",
    "blends": "id contest_id folds_id name spec scores fingerprint path created_at",
    "submissions": "id contest_id source name filename sha256 path n_rows lineage hidden_scores created_at",
}
OTHERS = {
    "holds": "device kind error needed_bytes since",
    "fold_results": "run_id fold token path fingerprint scores best_epoch n_epochs elapsed_s facts created_at",
    "epochs": "run_id fold token epoch train_loss valid_loss scores lr elapsed_s",
    "blend_members": "blend_id run_id",
}


def upgrade() -> None:
    """What is there is taken for what was written."""
    for table, columns in (COUNTED | OTHERS).items():
        op.add_column(table, sa.Column("seal", sa.Text(), nullable=True))
        seal_table(op.get_bind(), table, columns.split(), has_ids=table in COUNTED)


def downgrade() -> None:
    for table in COUNTED | OTHERS:
        op.execute(f"DROP TRIGGER seal_{table}_insert")
        op.execute(f"DROP TRIGGER seal_{table}_update")
        op.drop_column(table, "seal")
    op.execute("DELETE FROM sqlite_sequence WHERE name LIKE '% again'")
