"""The rows and the folds of a contest, read once per process: pages and thumbnails ask for them at every rerun."""

from __future__ import annotations

from functools import lru_cache

from app.shell import runtime
from core.contest.table import ContestTable, Truth, load_table, load_truth
from core.folds.save import load_folds
from core.folds.split import FoldPairs
from core.store.contests import Contest, get_contest
from core.store.folds import Folds


def table_of(contest: Contest) -> ContestTable:
    """The contest's rows, from memory after the first time. Shared by all sessions: never change them."""
    return _table(str(runtime.workspace().root), contest.id, contest.fingerprint)


def pairs_of(folds: Folds) -> FoldPairs:
    """The (train, valid) pairs of folds, from memory after the first time. Shared by all sessions: never change them."""
    return _pairs(str(runtime.workspace().root), folds)


@lru_cache(maxsize=4)
def _table(_root: str, contest_id: int, _fingerprint: str) -> ContestTable:
    workspace = runtime.workspace()
    return load_table(workspace, get_contest(workspace.store, contest_id))


@lru_cache(maxsize=16)
def _pairs(_root: str, folds: Folds) -> FoldPairs:
    return load_folds(runtime.workspace(), folds)


def truth_of(contest: Contest) -> Truth:
    """The contest's current truth, from memory after the first time. Shared by all sessions: never change it."""
    return _truth(str(runtime.workspace().root), contest.id, contest.truth.fingerprint)


@lru_cache(maxsize=4)
def _truth(_root: str, contest_id: int, _fingerprint: str) -> Truth:
    workspace = runtime.workspace()
    return load_truth(workspace, get_contest(workspace.store, contest_id))
