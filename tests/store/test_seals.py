"""A row that was changed on the disk is found: by the check, when it is read, and before it is written over."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Table, insert, select, update

from core.base.errors import CheckpointError
from core.specs.blend import BlendSpec
from core.store import seals, tables
from core.store.attempts import claim, commit, renew
from core.store.blends import add_blend, list_blends
from core.store.contests import Contest, get_contest, list_contests
from core.store.database import HEAD, MIGRATIONS, Store, open_store, stored_revision
from core.store.folds import Folds, get_folds, list_folds
from core.store.holds import hold_device_for_disk, list_holds, resume_devices
from core.store.jobs import list_jobs
from core.store.runs import EpochRow, FoldResult, Run, add_run, get_run, list_epochs, list_runs
from core.store.submissions import add_submission, list_submissions

ROOT = Path(__file__).parents[2]
ALLOWED = {("jobs", "state"): "canceled", ("holds", "kind"): "person"}
"""Other values that a constraint lets pass."""


@pytest.fixture
def full(store: Store, contest: Contest, folds: Folds, run: Run) -> Store:
    """A store with a row in every table."""
    job = claim(store, owner={"engine": None}, device="cpu", now=4.0)
    assert job is not None
    epoch = EpochRow(run.id, 0, 1, 1, 0.5, 0.6, {"accuracy": 0.5}, 1e-3, 2.0)
    renew(store, job.id, 1, now=5.0, epochs=[epoch])
    result = FoldResult(run.id, 0, 1, "contests/tiny/runs/1", "a" * 64, {"accuracy": 0.5}, 1, 1, 2.0, {"갑": 1}, 6.0)
    commit(store, job.id, result, now=6)
    hold_device_for_disk(store, "cuda:0", error={"type": "DiskFull"}, needed_bytes=2**40, now=7.0)
    spec = BlendSpec.model_validate({"members": [run.id], "weights": [1.0]})
    add_blend(store, contest_id=contest.id, folds_id=folds.id, name="b", spec=spec, scores={}, fingerprint="", path="", now=8.0)
    add_submission(
        store, contest_id=contest.id, source="b1", name="s", filename="s.csv", sha256="", path="", n_rows=3, lineage={"blend": 1}, now=9.0
    )
    return store


def damage(store: Store, table: Table, column: str, value: Any = "different") -> None:
    """Change a value in the first row and leave its seal, as a disk does."""
    store.close()
    connection = sqlite3.connect(store.path)
    rowid, seal = connection.execute(f"SELECT rowid, seal FROM {table.name}").fetchone()
    connection.create_function(seals.FUNCTION, -1, lambda *_: seal)  # so that the triggers put back the seal that is there
    connection.execute(f"UPDATE {table.name} SET {column} = ? WHERE rowid = ?", (ALLOWED.get((table.name, column), value), rowid))
    connection.commit()
    connection.close()


@pytest.mark.parametrize("table", tables.metadata.sorted_tables, ids=lambda table: table.name)
def test_the_check_finds_every_changed_value_and_names_its_row(full: Store, table: Table) -> None:
    full.check()
    written = full.path.read_bytes()
    for column in table.columns:
        damage(full, table, column.name, 77 if column.name == "id" or column.name.endswith("_id") else "different")
        with pytest.raises(CheckpointError, match="damaged") as caught:
            full.check()
        assert f"not what was written: {table.name}, {next(iter(table.primary_key)).name} " in caught.value.why
        assert str(full.path) in caught.value.where and "put a copy of pitwall.db back" in caught.value.fix
        full.close()
        full.path.write_bytes(written)


@pytest.mark.parametrize(
    ("table", "column", "read"),
    [
        (tables.contests, "n_train", list_contests),
        (tables.contests, "path", lambda store: get_contest(store, "tiny")),
        (tables.folds, "seed", lambda store: get_folds(store, 1)),
        (tables.folds, "path", lambda store: list_folds(store, 1)),
        (tables.runs, "recipe", list_runs),
        (tables.runs, "is_paused", lambda store: get_run(store, 1)),
        (tables.jobs, "halvings", list_jobs),
        (tables.jobs, "token", list_runs),
        (tables.fold_results, "scores", list_runs),
        (tables.fold_results, "elapsed_s", lambda store: get_run(store, 1)),
        (tables.epochs, "lr", lambda store: list_epochs(store, 1)),
        (tables.holds, "needed_bytes", list_holds),
        (tables.blends, "scores", list_blends),
        (tables.submissions, "n_rows", list_submissions),
        (tables.submissions, "sha256", list_submissions),
    ],
)
def test_facts_are_compared_whenever_they_are_read(full: Store, table: Table, column: str, read: Callable[[Store], object]) -> None:
    read(full)
    damage(full, table, column, 3 if column in ("n_train", "is_paused", "token", "halvings") else '{"accuracy":0.75}')
    with pytest.raises(CheckpointError, match="damaged") as caught:
        read(full)
    assert f"not what was written: {table.name}, " in caught.value.why


def test_a_changed_row_is_not_written_over(full: Store) -> None:
    damage(full, tables.jobs, "priority", 9)
    with pytest.raises(CheckpointError, match="damaged") as caught, full.transaction() as connection:
        connection.execute(update(tables.jobs).values(halvings=1))
    assert caught.value.why.endswith("not what was written: jobs, id 1")
    with full.read() as connection:
        assert connection.execute(select(tables.jobs.c.halvings)).scalars().all() == [0, 0, 0]  # nothing of it was written
    with pytest.raises(CheckpointError):
        full.check()


def test_a_changed_hold_is_lifted_as_the_error_says(full: Store) -> None:
    damage(full, tables.holds, "needed_bytes", 1)
    with pytest.raises(CheckpointError) as caught:
        full.check()
    assert caught.value.fix.endswith("lift every hold: python -m core queue resume")
    assert resume_devices(full)
    full.check()


def test_a_program_that_cannot_seal_cannot_write(full: Store) -> None:
    full.close()
    connection = sqlite3.connect(full.path)
    assert connection.execute("SELECT name FROM contests").fetchall() == [("tiny",)]
    for sql in ("UPDATE contests SET n_train = 1", "INSERT INTO blend_members (blend_id, run_id) VALUES (2, 2)"):
        with pytest.raises(sqlite3.OperationalError, match=seals.FUNCTION):
            connection.execute(sql)
    connection.close()


def test_a_text_that_is_none_is_found_and_its_row_named(full: Store) -> None:
    raw = full.path.read_bytes()
    full.close()
    full.path.write_bytes(raw.replace("갑".encode(), b"\xff\xff\xff"))
    with pytest.raises(CheckpointError, match="damaged") as caught:
        full.check()
    assert caught.value.why.endswith("not what was written: fold_results, run_id 1, fold 0")


def test_an_id_that_was_given_is_not_forgotten(full: Store) -> None:
    with full.transaction() as connection:
        connection.exec_driver_sql("UPDATE sqlite_sequence SET seq = 2 WHERE name = 'jobs'")
    with pytest.raises(CheckpointError, match="damaged") as caught:
        full.check()
    assert caught.value.why.endswith("sqlite_sequence, name jobs")


def test_a_changed_schema_is_found(full: Store) -> None:
    with full.transaction() as connection:
        connection.exec_driver_sql("DROP TRIGGER seal_jobs_update")
    with pytest.raises(CheckpointError, match="damaged") as caught:
        full.check()
    assert caught.value.why.endswith("sqlite_schema")


def test_a_seal_is_the_same_in_every_version() -> None:
    assert seals.seal_of("holds", "cpu", "person", None, 2**60, 1.5, "갑") == "833824a629f203f9"


def test_rows_of_an_older_version_are_sealed_when_it_is_opened(tmp_path: Path) -> None:
    path, config = tmp_path / "pitwall.db", Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    older = Store(path)
    with older.transaction() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        connection.exec_driver_sql("INSERT INTO contests VALUES (7, '뉴스', '{}', 'f', 'p', 3, 2, '', 1.0)")
        connection.exec_driver_sql("INSERT INTO contests VALUES (9, 'gone', '{}', 'f', 'p', 3, 2, '', 1.0)")
        connection.exec_driver_sql("DELETE FROM contests WHERE id = 9")
        connection.exec_driver_sql("INSERT INTO holds VALUES ('cpu', 'person', NULL, 0, 2)")
    older.close()
    store = open_store(path)
    assert stored_revision(path) == HEAD
    store.check()
    assert [hold.device for hold in list_holds(store)] == ["cpu"]
    with store.transaction() as connection:
        values = {"name": "next", "spec": "{}", "fingerprint": "", "path": "", "n_train": 1, "n_test": 0, "sample": "", "created_at": 1}
        assert connection.execute(insert(tables.contests).values(values).returning(tables.contests.c.id)).scalar_one() == 10
    store.check()
    with store.transaction() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
        assert connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all() == []
        assert connection.exec_driver_sql("SELECT * FROM sqlite_sequence").all() == [("contests", 10)]
    store.close()


def test_a_revision_that_is_misread_is_a_damage(full: Store) -> None:
    full.close()
    connection = sqlite3.connect(full.path)
    connection.execute("UPDATE alembic_version SET version_num = '0004'")
    connection.commit()
    connection.close()
    with pytest.raises(CheckpointError, match="does not fit"):
        open_store(full.path)


def test_a_writer_that_is_killed_leaves_sealed_rows(full: Store) -> None:
    with full.transaction() as connection:
        add_run(connection, contest_id=1, folds_id=1, name="n", recipe=list_runs(full)[0].recipe, fold_numbers=(0,), now=0.0)
    job = claim(full, owner={}, device="cpu", now=10.0)
    assert job is not None
    script = (
        "from pathlib import Path; from core.store.database import open_store; from core.store.attempts import renew\n"
        f"store = open_store(Path({str(full.path)!r}))\n"
        f"for now in range(10**9): renew(store, {job.id}, {job.token}, now=now); print(now, flush=True)"
    )
    for n_renewals in (1, 2, 5, 13, 40):
        with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            for _ in range(n_renewals):
                writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
        full.check()
        lease_until = list_jobs(full, states=["running"])[0].lease_until
        assert lease_until is not None and lease_until >= n_renewals - 1
