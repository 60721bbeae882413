"""The index of a folder: one name in both Unicode forms, no junk, no way out."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from core.base.errors import InputError
from core.contest.files import ContestFiles
from core.contest.inspect.draft import inspect_path
from core.contest.inspect.sources import role_of
from tests.contest.contest_folders import image_contest, write_image
from tests.inputs.hostile_archives import packed


def test_junk_is_not_seen(tmp_path: Path) -> None:
    for name in (".hidden", "__MACOSX/._a.png", "Thumbs.db", "a/desktop.ini", ".git/config", "a/kept.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    files = ContestFiles(tmp_path)
    assert files.files == {"a/kept.png": "a/kept.png"}
    assert files.folders == {"a"}


def test_images_are_found_however_a_table_writes_them(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "사진/가.png")
    write_image(tmp_path / decomposed)
    write_image(tmp_path / "사진" / "both.png")
    write_image(tmp_path / "사진" / "both.jpg")
    files = ContestFiles(tmp_path)
    for value in ("사진/가.png", decomposed, "./사진/가.png", "사진\\가.png", " 사진/가 ", "사진/가"):
        assert files.find_image(value, "") == "사진/가.png"
    assert files.find_image("가", "사진") == "사진/가.png"
    assert files.find_image("사진/both", "") == ["사진/both.jpg", "사진/both.png"]
    assert files.find_image("사진/없다.png", "") == []
    assert (tmp_path / files.files["사진/가.png"]).exists()


def test_two_files_of_one_name_collide(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        (tmp_path / unicodedata.normalize(form, "가.png")).write_bytes(b"x")
    files = ContestFiles(tmp_path)
    assert files.collisions == ["가.png"]


def test_links_out_are_not_followed_and_links_inside_are(tmp_path: Path) -> None:
    root = image_contest(tmp_path / "c")
    (tmp_path / "secret.png").write_bytes(b"x")
    (root / "out.png").symlink_to(tmp_path / "secret.png")
    (root / "away").symlink_to(tmp_path)
    (root / "alias.png").symlink_to(root / "images/000.png")
    (root / "broken.png").symlink_to(root / "nothing.png")
    os.mkfifo(root / "pipe.png")
    files = ContestFiles(root)
    assert files.links == {"out.png", "away", "broken.png"}
    assert files.is_behind_link("away/secret.png")
    assert "alias.png" in files.files
    assert not {"out.png", "broken.png", "pipe.png"} & files.files.keys()


def test_folders_and_their_images(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/b/2.png", "a0/3.png", "a-/4.png", "5.png"):
        write_image(tmp_path / name)
    files = ContestFiles(tmp_path)
    assert files.images_under("a") == ["a/1.png", "a/b/2.png"]
    assert files.images_under("") == sorted(["a/1.png", "a/b/2.png", "a0/3.png", "a-/4.png", "5.png"])
    assert files.children("") == ["a", "a-", "a0"]
    assert files.children("a") == ["a/b"]
    assert files.children("a/b") == []


def test_a_table_is_read_once_and_an_unknown_one_lists_what_is_there(tmp_path: Path) -> None:
    files = ContestFiles(image_contest(tmp_path / "c"))
    assert files.table("./train.csv") is files.table("train.csv")
    with pytest.raises(InputError) as caught:
        files.table("../secret.csv")
    assert "sample_submission.csv, test.csv, train.csv" in caught.value.why


@settings(max_examples=200, deadline=None)
@given(value=st.text(max_size=30), base=st.sampled_from(["", "images", "..", "/"]))
def test_no_cell_leads_outside(tmp_path_factory: pytest.TempPathFactory, value: str, base: str) -> None:
    root = tmp_path_factory.getbasetemp() / "inside"
    if not root.exists():
        image_contest(root, n_train=1, n_test=1)
    files = ContestFiles(root)
    for cell in (value, f"../{value}", f"/etc/{value}", f"images/../../{value}"):
        match = files.find_image(cell, base)
        assert match == [] or set([match] if isinstance(match, str) else match) <= files.files.keys()


@pytest.mark.parametrize(
    ("key", "role"),
    [
        ("train.csv", "train"),
        ("ratings_train.txt", "train"),
        ("open/Train.csv", "train"),
        ("train/info.csv", "train"),
        ("eval/info.csv", "test"),
        ("test.csv", "test"),
        ("sample_submission.csv", "sample"),
        ("test_sample_submission.csv", "sample"),
        ("submission.csv", "sample"),
        ("valid.csv", "valid"),
        ("학습_데이터.csv", "train"),
        ("제출.csv", "sample"),
        ("labels.csv", ""),
        ("animals.csv", ""),
        ("testudo/1.csv", ""),
        ("attestation.csv", ""),
        ("trainer.csv", ""),
        ("평가데이터.csv", "test"),
        ("제출양식.csv", "sample"),
        ("testset1.csv", "test"),
        ("trainImages.csv", "train"),
        ("example.csv", "sample"),
        ("train_sample.csv", "train"),
    ],
)
def test_names_say_roles(key: str, role: str) -> None:
    assert role_of(key) == role


def test_an_archive_given_to_inspection_says_what_to_do(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", lambda archive: archive.writestr("a.txt", b"x"))
    with pytest.raises(InputError, match="a contest is a folder"):
        inspect_path(path)


def test_a_folder_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "/".join("d" * 110)).mkdir(parents=True)
    with pytest.raises(InputError, match="nested too deep") as caught:
        ContestFiles(tmp_path)
    assert str(tmp_path) in caught.value.where
