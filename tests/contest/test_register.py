"""Registration is all or nothing, and its fingerprint covers what changes predictions, nothing else."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from core.artefacts import verify
from core.base.errors import CheckpointError, InputError, StateError
from core.contest.image_pass import check_image, check_images
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import SAMPLE_SUBMISSION, contest_groups, load_groups, load_table, load_truth
from core.store.contests import list_contests
from core.trash import empty_trash
from core.workspace import Workspace, open_workspace
from tests.contest.contest_folders import CARS, folder_contest, image_contest, registered, snapshot, text_contest, write_csv, write_image
from tests.finished_workspace import put_away
from tests.inputs.hard_images import PIXELS, encoded, hard_images, huge_png


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
    put_away(workspace.store, "contest", contest.id)
    assert registered(workspace, root, name="c")[0].folder == "c-2", "while the trash holds the first, its files stay"
    put_away(workspace.store, "contest", 2)
    empty_trash(workspace)
    assert list((workspace.root / "contests").iterdir()) == []
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
    moved = open_workspace(tmp_path / "old")
    contest, _ = registered(moved, image_contest(moved.uploads_dir / "c"))
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


@pytest.mark.parametrize("name", hard_images())
def test_hard_but_valid_images_are_accepted(tmp_path: Path, name: str) -> None:
    raw = hard_images()[name]
    (tmp_path / name).write_bytes(raw)
    checked = check_image(tmp_path / name)
    assert checked.what == ""
    assert checked.sha256 == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_image_is_refused(tmp_path: Path, format_: str, share: float) -> None:
    raw = encoded(PIXELS, format_)
    path = tmp_path / "cut"
    path.write_bytes(raw[: int(len(raw) * share)])
    assert check_image(path).what


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "empty"),
        (b"not an image at all", "accepted format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "accepted format"),
        (encoded(PIXELS, "PPM"), "accepted format"),
        (encoded(PIXELS, "ICO"), "accepted format"),
        (encoded(PIXELS, "PDF"), "accepted format"),
        (huge_png(), "pixels"),
    ],
)
def test_what_is_no_image_of_ours_is_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "x.png").write_bytes(raw)
    checked = check_image(tmp_path / "x.png")
    assert said in checked.what
    assert checked.fix


def test_a_folder_or_nothing_is_unreadable(tmp_path: Path) -> None:
    assert "unreadable" in check_image(tmp_path).what
    assert "unreadable" in check_image(tmp_path / "nothing.png").what


def test_results_keep_their_order_and_progress_ends_at_the_total(tmp_path: Path) -> None:
    paths = []
    for number in range(150):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(encoded(PIXELS.crop((0, 0, 1 + number % 40, 3)), "PNG"))
    seen: list[tuple[int, int]] = []
    checked = check_images(paths, lambda done, total: seen.append((done, total)))
    assert [item.sha256 for item in checked] == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert seen == sorted(seen)
    assert seen[-1] == (150, 150)


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(sorted(hard_images())),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_flipped_bytes_never_raise(tmp_path_factory: pytest.TempPathFactory, name: str, flips: list[tuple[int, int]]) -> None:
    raw = bytearray(hard_images()[name])
    for place, mask in flips:
        raw[place % len(raw)] ^= mask
    path = tmp_path_factory.mktemp("flip") / name
    path.write_bytes(bytes(raw))
    checked = check_image(path)
    assert checked.sha256 == hashlib.sha256(raw).hexdigest()
