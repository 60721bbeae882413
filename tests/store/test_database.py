from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, insert, select, text, update

from core.base.errors import CheckpointError, DiskFull, StateError
from core.store import tables
from core.store.contests import Contest, add_contest, list_contests
from core.store.database import HEAD, MIGRATIONS, OLDEST, DatabaseBusy, Store, journal_mode, open_store, sqlite_url
from core.store.digests import write_digests
from core.workspace import Workspace, open_workspace
from tests.store.conftest import SPEC, database_of_version_0_1

ROOT = Path(__file__).parents[2]
ROW = {
    "source": "r1",
    "name": "n",
    "filename": "f.csv",
    "sha256": "",
    "path": "",
    "n_rows": 1,
    "lineage": {},
    "created_at": 0.0,
}


def add_row(connection: Connection, contest_id: int) -> None:
    connection.execute(insert(tables.submissions).values(contest_id=contest_id, **ROW))


def count_rows(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(tables.submissions)).scalar_one()


def test_a_new_database_is_at_the_newest_revision_and_that_is_alembics(workspace: Workspace) -> None:
    url = sqlite_url(workspace.db_path)
    assert Store(url).revision() is None and not workspace.db_path.exists()
    assert open_store(url).revision() == HEAD
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    known = ScriptDirectory.from_config(config)
    assert (known.get_bases(), known.get_heads()) == ([OLDEST], [HEAD])


def test_a_migrated_workspace_of_version_0_1_has_the_schema_of_a_new_one(workspace: Workspace, tmp_path: Path) -> None:
    def schema(store: Store) -> dict[str, list[str]]:
        with store.read() as connection:
            assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), tables.metadata) == []
            made = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").all()
        # Constraints, cascades and AUTOINCREMENT too, which Alembic does not compare; columns that were added stand in another order.
        return {name: sorted(sql.replace(",", " ").split()) for name, sql in made}

    old = open_store(sqlite_url(database_of_version_0_1(tmp_path / "pitwall.db")))
    assert schema(old) == schema(workspace.store)
    assert old.revision() == workspace.store.revision() == HEAD


def test_an_up_to_date_database_opens_without_alembic(workspace: Workspace) -> None:
    assert workspace.store
    script = f"import sys; from core.workspace import open_workspace; open_workspace({str(workspace.root)!r}).store; print('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_processes_that_open_an_empty_workspace_at_once_do_not_collide(tmp_path: Path) -> None:
    script = (
        "import sys; from core.workspace import open_workspace; from core.store.contests import list_contests;"
        f"sys.stdin.read(); print(list_contests(open_workspace({str(tmp_path)!r}).store))"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for worker in workers:
        assert worker.stdin
        worker.stdin.close()  # all four start at this moment
    said = []
    for worker in workers:
        assert worker.stdout
        said.append(worker.stdout.read().strip())
        worker.stdout.close()
        assert worker.wait() == 0
    assert said == ["()"] * 4
    assert Store(sqlite_url(tmp_path / "pitwall.db")).revision() == HEAD


@pytest.mark.parametrize(
    ("revision", "said", "fix"), [("9999", "a newer version", "--workspace"), ("0004", "an older version", "version 0.1")]
)
def test_a_database_of_a_version_that_is_not_known_is_refused_and_left_as_it_is(
    workspace: Workspace, revision: str, said: str, fix: str
) -> None:
    workspace.store.close()
    with sqlite3.connect(workspace.db_path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
    with pytest.raises(StateError, match=said) as caught:
        open_store(sqlite_url(workspace.db_path))
    assert revision in caught.value.why and f"{OLDEST} to {HEAD}" in caught.value.why and fix in caught.value.fix
    assert Store(sqlite_url(workspace.db_path)).revision() == revision


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pitwall.db"
    path.write_bytes(b"this is not a database, and it is long enough to be read as one" * 20)
    with pytest.raises(CheckpointError, match="damaged") as caught:
        open_store(sqlite_url(path))
    assert str(path) in caught.value.where


def test_a_path_is_no_part_of_a_url(tmp_path: Path) -> None:
    """A path with a question mark or a percent sign names its own file, and two such workspaces are two."""
    roots = [tmp_path / name for name in ("what?mode=memory", "what", "50%20done", "50 done", "a#b")]
    for number, root in enumerate(roots):
        store = open_workspace(root).store
        assert list_contests(store) == ()
        add_contest(store, spec=SPEC.model_copy(update={"name": f"c{number}"}), fingerprint="", path="", n_train=1, n_test=1)
        store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(root.name for root in roots)
    assert [contest.name for root in roots for contest in list_contests(open_workspace(root).store)] == ["c0", "c1", "c2", "c3", "c4"]


def test_connections_are_durable_and_checked(workspace: Workspace) -> None:
    with workspace.store.read() as connection:
        asked = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    mode = journal_mode(sqlite3.sqlite_version_info)
    assert asked == {"journal_mode": mode.lower(), "synchronous": 3 if mode == "DELETE" else 2, "foreign_keys": 1, "busy_timeout": 5000}


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "DELETE"),
        ((3, 44, 5), "DELETE"),
        ((3, 44, 6), "WAL"),
        ((3, 45, 0), "DELETE"),
        ((3, 50, 6), "DELETE"),
        ((3, 50, 7), "WAL"),
        ((3, 51, 2), "DELETE"),
        ((3, 51, 3), "WAL"),
        ((4, 0, 0), "WAL"),
    ],
)
def test_wal_only_with_the_fix(version: tuple[int, ...], mode: str) -> None:
    assert journal_mode(version) == mode


def test_a_transaction_that_raises_leaves_nothing(store: Store, contest: Contest) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction() as connection:
        add_row(connection, contest.id)
        raise ZeroDivisionError
    assert count_rows(store) == 0


def test_a_reader_sees_one_snapshot(store: Store, contest: Contest) -> None:
    with store.transaction() as connection:
        add_row(connection, contest.id)
        assert count_rows(store) == 0
    assert count_rows(store) == 1


def test_a_held_write_lock_is_a_typed_error_and_passes(workspace: Workspace, store: Store, contest: Contest) -> None:
    impatient = Store(sqlite_url(workspace.db_path), busy_timeout_s=0.05)
    with store.transaction(), pytest.raises(DatabaseBusy, match="busy"), impatient.transaction():
        raise AssertionError("two writers at once")
    with impatient.transaction() as connection:
        add_row(connection, contest.id)
    assert count_rows(store) == 1


def test_many_threads_write_and_nothing_is_lost(store: Store, contest: Contest) -> None:
    def write() -> None:
        for _ in range(5):
            with store.transaction() as connection:
                add_row(connection, contest.id)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_rows(store) == 30


def test_an_empty_or_lost_database_beside_artefacts_is_no_new_workspace(workspace: Workspace) -> None:
    workspace.store.close()
    (workspace.contest_dir("cars") / "data-0123").mkdir(parents=True)
    for change, said in ((lambda: workspace.db_path.write_bytes(b""), "empty"), (workspace.db_path.unlink, "gone")):
        change()
        with pytest.raises(CheckpointError, match=said) as caught:
            open_store(sqlite_url(workspace.db_path))
        assert caught.value.where == str(workspace.db_path) and "cars" in caught.value.why and "move the folder" in caught.value.fix
    shutil.rmtree(workspace.contest_dir("cars"))
    open_store(sqlite_url(workspace.db_path)).close()


def test_a_row_that_cannot_be_read_is_a_damage_and_no_bug(store: Store, contest: Contest) -> None:
    for spec in ("{", '{"name": "x", "swbmission": 1}'):
        with store.transaction() as connection:
            connection.execute(update(tables.contests).values(spec=spec))
            write_digests(connection, "contests")
        with pytest.raises(CheckpointError, match="damaged") as caught:
            list_contests(store)
        assert store.where in caught.value.where and "a row cannot be read" in caught.value.why


def test_pages_that_reading_does_not_touch_are_looked_at_by_the_check(store: Store, contest: Contest) -> None:
    store.check()
    with store.read() as connection:
        page = connection.exec_driver_sql("SELECT rootpage FROM sqlite_master WHERE name LIKE 'ix_jobs%'").scalar_one()
        size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    store.close()
    with open(store.where, "r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))
    assert list_contests(store)
    with pytest.raises(CheckpointError, match="damaged"):
        store.check()


def test_a_schema_that_lacks_a_column_is_said(store: Store, contest: Contest) -> None:
    with store.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE contests RENAME COLUMN sample TO samp1e")
    with pytest.raises(CheckpointError, match="does not fit this version"):
        list_contests(store)


def test_a_write_for_which_there_is_no_room_is_a_full_disk_whatever_sqlite_calls_it(tmp_path: Path) -> None:
    store = open_store(sqlite_url(tmp_path / "pitwall.db"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the kernel answers as it does when a quota is used up: not "full"
    try:
        with pytest.raises(DiskFull) as caught, store.transaction() as connection:
            connection.execute(text("CREATE TABLE more (value)"))
            connection.execute(text("INSERT INTO more VALUES (zeroblob(100000))"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "I/O error" in caught.value.why and "quota" in caught.value.why
    with store.transaction() as connection:
        connection.execute(text("CREATE TABLE more (value)"))  # nothing of it was written, and the store goes on
    store.close()
