"""The index of a folder: one name in both Unicode forms, no junk, no way out."""

from __future__ import annotations

import io
import os
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from core.base.errors import InputError
from core.contest import files as module
from core.contest.files import ContestFiles, extract_archive, open_source
from core.contest.inspect.draft import inspect_path
from core.contest.inspect.sources import role_of
from core.workspace import Workspace
from tests.contest.contest_folders import CARS, folder_contest, image_contest, registered, snapshot, write_image
from tests.inputs.hostile_archives import HOSTILE, Fill, encrypted, hostile, overlapping, packed, with_raw_names


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


def pack_folder(root: Path, path: Path, prefix: str = "") -> Path:
    def fill(archive: zipfile.ZipFile) -> None:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(root).as_posix())
        archive.writestr("__MACOSX/._train.csv", b"junk")
        archive.writestr(f"{prefix}.DS_Store", b"junk")

    return packed(path, fill)


def test_an_archive_of_a_contest_is_registered(workspace: Workspace, tmp_path: Path) -> None:
    path = pack_folder(folder_contest(tmp_path / "c"), tmp_path / "used-cars.zip", "open/")
    seen: list[tuple[int, int]] = []
    source = open_source(workspace, path, progress=lambda done, total: seen.append((done, total)))
    contest, inspection = registered(workspace, source)
    assert (contest.name, contest.n_train) == ("used-cars", 9)
    assert inspection.draft.classes == CARS
    assert seen[-1] == (14, 14)
    assert open_source(workspace, path) == source
    assert open_source(workspace, tmp_path / "c") == tmp_path / "c"


@pytest.mark.parametrize("encoding", ["cp949", "utf-8"])
def test_names_without_the_unicode_flag_are_decoded(tmp_path: Path, encoding: str) -> None:
    name = "학습/고양이.txt".encode(encoding)
    placeholder = "p" * len(name)
    path = with_raw_names(packed(tmp_path / "a.zip", lambda archive: archive.writestr(placeholder, b"x")), {placeholder: name})
    extract_archive(path, tmp_path / "out")
    assert (tmp_path / "out" / "학습" / "고양이.txt").read_bytes() == b"x"


def test_names_of_macos_become_composed(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", lambda archive: archive.writestr(unicodedata.normalize("NFD", "가나.txt"), b"x"))
    extract_archive(path, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["가나.txt"]


def test_backslashes_of_windows_are_folders(tmp_path: Path) -> None:
    path = with_raw_names(
        packed(tmp_path / "a.zip", lambda archive: archive.writestr("train_a.txt", b"x")), {"train_a.txt": b"train\\a.txt"}
    )
    extract_archive(path, tmp_path / "out")
    assert (tmp_path / "out" / "train" / "a.txt").is_file()


@pytest.mark.parametrize(("fill", "said"), HOSTILE)
def test_a_hostile_archive_is_refused_whole(tmp_path: Path, fill: Fill, said: str) -> None:
    path = hostile(tmp_path / "a.zip", fill, said)
    before = snapshot(tmp_path)
    with pytest.raises(InputError) as caught:
        extract_archive(path, tmp_path / "uploads" / "out")
    assert said in caught.value.what
    assert snapshot(tmp_path) == before


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="encrypted"):
        extract_archive(encrypted(tmp_path / "a.zip"), tmp_path / "out")


def test_overlapping_files_are_a_bomb(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"zip bomb|cannot be extracted"):
        extract_archive(overlapping(tmp_path / "a.zip"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 3)
    path = packed(tmp_path / "a.zip", lambda archive: [archive.writestr(f"{number}", b"x") for number in range(4)])
    with pytest.raises(InputError, match="too many files"):
        extract_archive(path, tmp_path / "out")


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    path = packed(tmp_path / "a.zip", lambda archive: archive.writestr("a.txt", b"x"))
    with pytest.raises(InputError, match="there already"):
        extract_archive(path, tmp_path / "out")


@pytest.mark.parametrize("raw", [b"", b"PK", b"not a zip", b"PK\x05\x06" + b"\0" * 17])
def test_what_is_no_zip_is_refused(workspace: Workspace, tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(InputError):
        open_source(workspace, tmp_path / "a.zip")
    assert not list(workspace.root.glob("uploads/*"))


@settings(max_examples=150, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=6), cut=st.integers(0, 400))
def test_a_damaged_archive_never_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("zip")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/가.txt", b"hello " * 20)
        archive.writestr("train.csv", b"id,text,label\n1,a,b\n")
    raw = bytearray(stream.getvalue())
    for place, mask in flips:
        raw[place % len(raw)] ^= mask
    path = folder / "a.zip"
    path.write_bytes(bytes(raw[: max(1, len(raw) - cut % 50)]))
    try:
        extract_archive(path, folder / "out")
    except InputError as problem:
        assert problem.fix
        assert not (folder / "out").exists()
        assert [file.name for file in folder.iterdir()] == ["a.zip"]


def test_an_archive_given_to_inspection_says_what_to_do(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", lambda archive: archive.writestr("a.txt", b"x"))
    with pytest.raises(InputError, match="a contest is a folder"):
        inspect_path(path)
