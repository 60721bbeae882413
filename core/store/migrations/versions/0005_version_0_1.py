"""Where a workspace of version 0.1 stands, the oldest that is opened. A new one is made from `tables.py`, by no revision."""

revision = "0005"
down_revision = None
