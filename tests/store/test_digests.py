"""A row that is written once and was changed on the disk is found, by the check and when it is read; and an old workspace gets digests."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, insert, select

from core.base.errors import CheckpointError
from core.specs.blend import BlendSpec
from core.specs.recipe import Recipe
from core.store import tables
from core.store.attempts import claim, commit, renew
from core.store.blends import add_blend, add_submission, list_blends, list_submissions
from core.store.contests import Contest, get_contest, insert_groups, list_contests
from core.store.database import HEAD, Store, open_store, sqlite_url
from core.store.digests import digest_of
from core.store.folds import Folds, get_folds, list_folds
from core.store.jobs import add_job, get_job, list_jobs
from core.store.pretrainings import add_pretraining
from core.store.queue import hold_device_for_disk, list_holds, pause
from core.store.runs import EpochRow, FoldResult, Run, add_run, add_seeds, get_run, list_runs
from core.store.tables import CHANGES, DIGEST
from tests.store.conftest import database_of_version_0_1
from tests.store.test_blends import SCORES
from tests.store.test_submissions import LINEAGE

WRITTEN_ONCE = [table for table in tables.metadata.sorted_tables if DIGEST in table.c]


@pytest.fixture
def full(store: Store, contest: Contest, folds: Folds, run: Run) -> Store:
    """A store with a row in every table."""
    job = claim(store, owner={"engine": None}, device="cpu", now=4)  # a whole number, which the column stores as a fraction
    assert job is not None
    epoch = EpochRow(run.id, 0, 1, 1, 0.5, 0.6, {"accuracy": 0.5}, 1e-3, 2.0)
    renew(store, job.id, 1, now=5.0, epochs=[epoch])
    result = FoldResult(run.id, 0, 1, "contests/tiny/runs/1", "a" * 64, {"accuracy": 0.5}, 1, 1, 2, {"갑": 1}, 6)
    commit(store, job.id, result, now=6)
    hold_device_for_disk(store, "cuda:0", error={"type": "DiskFull"}, needed_bytes=2**40, now=7.0)
    spec = BlendSpec.model_validate({"members": [run.id], "weights": [1.0]})
    with store.transaction() as connection:
        insert_groups(connection, contest_id=contest.id, column_name="who", fingerprint="", path="", now=8.0)
        several = add_run(connection, contest_id=contest.id, folds_id=folds.id, name="several", recipe=Recipe(), fold_numbers=(0,), now=8.0)
        add_seeds(connection, several, {run.id: False})
        made = {"recipe": Recipe(), "path": "", "fingerprint": "", "facts": {}, "epochs": [], "now": 8.0}
        add_pretraining(connection, job_id=job.id, contest_id=contest.id, **made)
    add_blend(
        store,
        contest_id=contest.id,
        folds_id=folds.id,
        truth_id=contest.truth.id,
        name="b",
        spec=spec,
        scores=SCORES,
        fingerprint="",
        path="",
        now=8.0,
    )
    add_submission(
        store, contest_id=contest.id, source="b1", name="s", filename="s.csv", sha256="", path="", n_rows=3, lineage=LINEAGE, now=9.0
    )
    return store


def damage(store: Store, table: Table, column: str, value: Any = "different") -> None:
    """Change a value in the first row, as a disk does."""
    store.close()
    with sqlite3.connect(store.where) as connection:
        connection.execute(f"UPDATE {table.name} SET {column} = ? WHERE rowid = (SELECT min(rowid) FROM {table.name})", (value,))
    connection.close()


@pytest.mark.parametrize("table", WRITTEN_ONCE, ids=lambda table: table.name)
def test_the_check_finds_every_changed_value_and_names_its_row(full: Store, table: Table) -> None:
    full.check()
    written = Path(full.where).read_bytes()
    for column in table.columns:
        if CHANGES in column.info:
            continue
        damage(full, table, column.name, 77 if column.name == "id" or column.name.endswith("_id") else "different")
        with pytest.raises(CheckpointError, match="damaged") as caught:
            full.check()
        assert f"not what was written: {table.name}, {next(iter(table.primary_key)).name} " in caught.value.why
        assert full.where in caught.value.where and "put a copy of pitwall.db back" in caught.value.fix
        full.close()
        Path(full.where).write_bytes(written)


@pytest.mark.parametrize(
    ("table", "column", "read"),
    [
        (tables.contests, "n_train", list_contests),
        (tables.contests, "path", lambda store: get_contest(store, "tiny")),
        (tables.folds, "seed", lambda store: get_folds(store, 1)),
        (tables.folds, "path", lambda store: list_folds(store, 1)),
        (tables.runs, "recipe", list_runs),
        (tables.jobs, "fold", list_jobs),
        (tables.jobs, "payload", lambda store: get_job(store, 1)),
        (tables.fold_results, "scores", list_runs),
        (tables.fold_results, "elapsed_s", lambda store: get_run(store, 1)),
        (tables.blends, "scores", list_blends),
        (tables.submissions, "n_rows", list_submissions),
        (tables.submissions, "sha256", list_submissions),
    ],
)
def test_what_is_written_once_is_compared_whenever_it_is_read(
    full: Store, table: Table, column: str, read: Callable[[Store], object]
) -> None:
    read(full)
    damage(full, table, column, 3 if column in ("n_train", "fold") else '{"accuracy":0.75}')
    with pytest.raises(CheckpointError, match="damaged") as caught:
        read(full)
    assert f"not what was written: {table.name}, " in caught.value.why


def test_what_changes_by_itself_leaves_the_digests_as_they_are(full: Store, run: Run) -> None:
    with full.read() as connection:
        before = [connection.execute(select(table.c[DIGEST])).scalars().all() for table in WRITTEN_ONCE]
    with full.transaction() as connection:
        pause(connection, [run.id], True)
    claim(full, owner={}, device="cpu", now=10.0)
    with full.transaction() as connection:
        pause(connection, [run.id], False)
    assert claim(full, owner={}, device="cpu", now=10.0)
    full.check()
    with full.read() as connection:
        assert [connection.execute(select(table.c[DIGEST])).scalars().all() for table in WRITTEN_ONCE] == before


def test_a_text_that_is_none_is_found(full: Store) -> None:
    path = Path(full.where)
    full.close()
    path.write_bytes(path.read_bytes().replace("갑".encode(), b"\xff\xff\xff"))
    with pytest.raises(CheckpointError, match="damaged") as caught:
        full.check()
    assert "UTF-8" in caught.value.why and "facts" in caught.value.why


def test_a_digest_is_the_same_in_every_version_and_a_new_empty_column_changes_none() -> None:
    written = {"device": "cpu", "needed_bytes": 2**60, "since": 1.5, "name": "갑"}
    assert digest_of("holds", written) == "d7706bb31fc66c2a4607a1ab5ab19ef9"
    assert digest_of("holds", {"added_later": None, **dict(reversed(written.items()))}) == digest_of("holds", written)


CONTEST = "INSERT INTO contests (id, name, spec, fingerprint, path, n_train, n_test, sample, created_at) VALUES "


def test_rows_of_an_older_version_get_a_digest_and_ids_go_on(tmp_path: Path) -> None:
    path = tmp_path / "pitwall.db"
    recipe = Recipe().model_dump_json()
    database_of_version_0_1(
        path,
        CONTEST + "(7, '뉴스', '{}', 'f', 'p', 3, 2, '', 1.0), (9, 'gone', '{}', 'f', 'p', 3, 2, '', 1)",
        "DELETE FROM contests WHERE id = 9",
        "INSERT INTO folds VALUES (2, 7, 'stratified', 2, 0, '', 'f', 'p', 1, NULL)",
        f"INSERT INTO runs VALUES (3, 7, 2, 'r', '{recipe}', '[0,1]', 1, 1, NULL, NULL)",
        *(
            f"INSERT INTO jobs VALUES ({number}, 3, {number}, 'queued', 0, {number}, 0, '', NULL, NULL, 0, NULL, NULL, '', 1, NULL, NULL, 0, 0, NULL)"
            for number in (0, 1, 8)
        ),
        "DELETE FROM jobs WHERE id = 8",
        "INSERT INTO holds VALUES ('cpu', 'person', NULL, 0, 2, NULL)",
    )
    store = open_store(sqlite_url(path))
    assert store.revision() == HEAD
    store.check()
    assert [hold.device for hold in list_holds(store)] == ["cpu"]
    run = get_run(store, 3)
    assert run.is_paused and [(job.kind, job.fold, job.contest_id, job.payload) for job in run.jobs] == [
        ("fold", 0, 7, {}),
        ("fold", 1, 7, {}),
    ]
    with store.transaction() as connection:
        values = {"name": "next", "spec": "{}", "fingerprint": "", "path": "", "n_train": 1, "n_test": 0, "sample": "", "created_at": 1}
        assert connection.execute(insert(tables.contests).values(values).returning(tables.contests.c.id)).scalar_one() == 10
        assert add_job(connection, kind="fold", contest_id=7, run_id=3, fold=2, now=1.0) == 9
    store.close()


def seal_of(table: str, *values: Any) -> str:
    """What revision 0005 sealed a row with when it shipped."""
    return blake2b(json.dumps((table, values), default=repr).encode(), digest_size=8).hexdigest()


def test_a_row_that_had_broken_its_seal_gets_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "pitwall.db"
    values = (7, "뉴스", "{}", "f", "p", 3, 2, "", 1.0)
    database_of_version_0_1(
        path,
        CONTEST + "(7, '뉴스', '{}', 'f', 'p', 3, 2, '', 1)",
        f"UPDATE contests SET seal = '{seal_of('contests', *values)}'",
        "CREATE TRIGGER seal_contests_update AFTER UPDATE OF id ON contests BEGIN UPDATE contests SET seal = no_such_function(); END",
    )
    written = path.read_bytes()
    open_store(sqlite_url(path)).close()
    path.write_bytes(written)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE contests SET n_train = 4")
    connection.close()
    with pytest.raises(CheckpointError, match="damaged") as caught:
        open_store(sqlite_url(path))
    assert caught.value.why.endswith("not what was written: contests, id 7")


def test_a_revision_that_is_misread_is_a_damage(full: Store) -> None:
    full.close()
    with sqlite3.connect(full.where) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0006'")
    connection.close()
    with pytest.raises(CheckpointError, match="does not fit"):
        open_store(full.url)
