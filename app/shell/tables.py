"""The rows of a contest, read once per process: pages and thumbnails ask for them at every rerun."""

from __future__ import annotations

from functools import lru_cache

from app.shell import runtime
from core.contest.table import ContestTable, load_table
from core.store.contests import Contest, get_contest


def table_of(contest: Contest) -> ContestTable:
    """The contest's rows, from memory after the first time. Shared by all sessions: never change them."""
    return _table(str(runtime.workspace().root), contest.id, contest.fingerprint)


@lru_cache(maxsize=4)
def _table(_root: str, contest_id: int, _fingerprint: str) -> ContestTable:
    workspace = runtime.workspace()
    return load_table(workspace, get_contest(workspace.store, contest_id))
