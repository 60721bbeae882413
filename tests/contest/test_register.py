"""Registration is all or nothing, and its fingerprint covers what changes predictions, nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.artefacts import verify
from core.base.errors import CheckpointError, InputError, StateError
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest, delete_contest
from core.contest.table import SAMPLE_SUBMISSION, load_table
from core.contest.truth import contest_groups, load_groups, load_truth
from core.store.contests import list_contests
from core.workspace import Workspace, open_workspace
from tests.contest.contest_folders import CARS, folder_contest, image_contest, registered, snapshot, text_contest, write_csv, write_image


def test_an_image_contest_becomes_a_table(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, image_contest(tmp_path / "c"))
    table = load_table(workspace, contest)
    assert list(table.train.columns) == ["id", "input", "sha256", "col.id", "col.path", "col.label"]
    assert list(table.test.columns) == ["id", "input", "sha256", "col.id", "col.path"]
    assert table.train["id"].tolist() == [f"{number:03d}" for number in range(9)]
    assert load_truth(workspace, contest).labels.tolist() == [0, 1, 2] * 3
    assert load_truth(workspace, contest).labels.dtype == "int64"
    assert all(table.image_path(name).is_file() for name in [*table.train["input"], *table.test["input"]])
    assert len(set(table.train["sha256"])) == 9
    assert (contest.n_train, contest.n_test, contest.sample) == (9, 4, "")


def test_class_folders_become_a_table(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, folder_contest(tmp_path / "c"))
    table = load_table(workspace, contest)
    assert table.train["id"][0] == f"{CARS[0]}/{CARS[0]}_0000.jpg"
    assert load_truth(workspace, contest).labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert table.test["id"].tolist() == ["TEST_00000", "TEST_00001", "TEST_00002"]


def test_texts_become_a_table_with_groups(workspace: Workspace, tmp_path: Path) -> None:
    rows = [(number, f"words {number}", number % 2, f"author{number // 3}") for number in range(9)]
    write_csv(tmp_path / "c/train.csv", ("id", "text", "label", "author"), rows)
    contest, _ = registered(workspace, tmp_path / "c", "group_column=author")
    table = load_table(workspace, contest)
    assert list(table.train.columns)[:3] == ["id", "input", "sha256"]
    groups = contest_groups(workspace, contest)
    assert groups is not None and load_groups(workspace, contest, groups) == [f"author{number // 3}" for number in range(9)]
    assert table.image_base is None
    assert len(table.test) == 0
    with pytest.raises(InputError):
        table.image_path("x")


def test_the_artefact_holds_a_byte_copy_of_the_sample(workspace: Workspace, tmp_path: Path) -> None:
    root = folder_contest(tmp_path / "c")
    contest, _ = registered(workspace, root)
    folder = workspace.absolute(contest.path)
    assert sorted(verify(folder).files) == ["sample_submission.csv", "spec.json", "test.parquet", "train.parquet"]
    assert (folder / SAMPLE_SUBMISSION).read_bytes() == (root / "sample_submission.csv").read_bytes()


def test_progress_counts_every_image(workspace: Workspace, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    draft = inspect_path(image_contest(tmp_path / "c")).draft
    add_contest(workspace, draft, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (13, 13)


def identity_of(tmp_path: Path, number: int, root: Path, *sets: str, name: str | None = None) -> tuple[str, str]:
    """The fingerprints of the rows and of the truth."""
    contest = registered(open_workspace(tmp_path / f"w{number}"), root, *sets, name=name)[0]
    return contest.fingerprint, contest.truth.fingerprint


def test_rows_are_ids_and_contents_and_the_truth_labels_and_classes_wherever_they_lie(tmp_path: Path) -> None:
    root = image_contest(tmp_path / "c")
    rows, truth = identity_of(tmp_path, 0, root)
    shutil.copytree(root, tmp_path / "elsewhere")
    assert identity_of(tmp_path, 1, tmp_path / "elsewhere", "metric=accuracy", name="other") == (rows, truth)
    same, other = identity_of(tmp_path, 2, root, "classes=[owl, dog, cat]", "sample_submission=")
    assert same == rows and other != truth
    assert identity_of(tmp_path, 3, root, "id_column=path", "sample_submission=")[0] != rows
    text = (root / "train.csv").read_text()
    (root / "train.csv").write_text(text.replace("001.png,dog", "001.png,cat"))
    same, other = identity_of(tmp_path, 4, root)
    assert same == rows and other != truth
    (root / "train.csv").write_text(text)
    write_image(root / "images/000.png", 777)
    assert identity_of(tmp_path, 5, root)[0] != rows


def test_a_name_is_taken_once(workspace: Workspace, tmp_path: Path) -> None:
    root = text_contest(tmp_path / "c")
    registered(workspace, root)
    before = snapshot(workspace.root / "contests")
    with pytest.raises(StateError, match="already"):
        registered(workspace, root)
    assert snapshot(workspace.root / "contests") == before
    registered(workspace, root, name="again")
    assert [contest.name for contest in list_contests(workspace.store)] == ["c", "again"]


def test_a_deleted_contest_leaves_nothing_and_can_come_back(workspace: Workspace, tmp_path: Path) -> None:
    root = text_contest(tmp_path / "c")
    contest, _ = registered(workspace, root)
    delete_contest(workspace, contest)
    assert not (workspace.root / "contests" / "c").exists()
    again, _ = registered(workspace, root)
    assert again.fingerprint == contest.fingerprint
    assert (root / "train.csv").exists()


def test_damaged_tables_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, text_contest(tmp_path / "c"))
    path = workspace.absolute(contest.path) / "train.parquet"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(CheckpointError, match=r"train\.parquet is damaged"):
        load_table(workspace, contest)


def test_images_that_went_away_are_said(workspace: Workspace, tmp_path: Path) -> None:
    root = image_contest(tmp_path / "c")
    contest, _ = registered(workspace, root)
    shutil.rmtree(root)
    with pytest.raises(InputError, match="images are gone"):
        load_table(workspace, contest)


def test_a_contest_inside_a_workspace_moves_with_it(tmp_path: Path) -> None:
    house = open_workspace(tmp_path / "old")
    contest, _ = registered(house, image_contest(house.uploads_dir / "c"))
    (tmp_path / "old").rename(tmp_path / "new")
    table = load_table(open_workspace(tmp_path / "new"), contest)
    assert all(table.image_path(name).is_file() for name in table.train["input"])


def test_a_failure_of_the_store_takes_the_artefact_back(workspace: Workspace, tmp_path: Path) -> None:
    draft = inspect_path(text_contest(tmp_path / "c")).draft
    with workspace.store.transaction() as connection:
        connection.exec_driver_sql("CREATE TRIGGER refuse BEFORE INSERT ON contests BEGIN SELECT RAISE(ABORT, 'no room'); END")
    with pytest.raises(Exception, match=r"already|no room"):
        add_contest(workspace, draft)
    assert not list((workspace.root / "contests").iterdir())
