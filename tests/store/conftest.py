"""A contest and its folds as rows, without files: enough for everything the store does."""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.contests import Contest, add_contest
from core.store.database import Store
from core.store.folds import Folds, add_folds
from core.store.jobs import add_jobs
from core.store.runs import Run, add_run, get_run
from core.workspace import Workspace

SPEC = ContestSpec(
    name="tiny", root="/tiny", modality="text", layout="csv", train="train.csv", classes=("고양이", "dog", "bird"), metric="accuracy"
)


@pytest.fixture
def store(workspace: Workspace) -> Store:
    return workspace.store


@pytest.fixture
def contest(store: Store) -> Contest:
    return add_contest(store, spec=SPEC, fingerprint="c" * 64, path="contests/tiny/data", n_train=9, n_test=3, now=1.0)


@pytest.fixture
def folds(store: Store, contest: Contest) -> Folds:
    return add_folds(
        store,
        contest_id=contest.id,
        spec=FoldsSpec(kind="stratified", n_folds=3, seed=0, group_column=""),
        n_folds=3,
        fingerprint="f" * 64,
        path="contests/tiny/folds",
        now=2.0,
    )


@pytest.fixture
def run(store: Store, contest: Contest, folds: Folds) -> Run:
    with store.transaction() as connection:
        run_id = add_run(
            connection, contest_id=contest.id, folds_id=folds.id, name="first", recipe=Recipe(), fold_numbers=(0, 1, 2), now=3.0
        )
        add_jobs(connection, run_id, (0, 1, 2), now=3.0)
    return get_run(store, run_id)


def database_of_version_0_1(path: Path, *statements: str) -> Path:
    """The database that version 0.1 made, without its rows and its triggers, which call a function of that version; `statements` fill it."""
    with tarfile.open(Path(__file__).parents[1] / "inputs" / "workspace-0.1.tar.xz") as archive:
        member = next(member for member in archive if Path(member.name).name == "pitwall.db")
        archive.extract(member.replace(name=path.name), path.parent, filter="data")
    with closing(sqlite3.connect(path)) as connection, connection:
        found = connection.execute("SELECT type, name FROM sqlite_master WHERE type IN ('table', 'trigger') ORDER BY type DESC").fetchall()
        for kind, name in found:
            if name != "alembic_version":
                connection.execute(f"DROP TRIGGER {name}" if kind == "trigger" else f"DELETE FROM {name}")
        for statement in statements:
            connection.execute(statement)
    return path
