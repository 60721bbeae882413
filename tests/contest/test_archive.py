"""An archive is checked before a byte is written; Korean names come out right whoever packed them."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.base.errors import InputError
from core.contest import archive as archive_module
from core.contest.archive import extract_archive, open_source
from core.contest.inspect.draft import inspect_path
from core.workspace import Workspace
from tests.contest.contest_folders import CARS, folder_contest, registered, snapshot
from tests.inputs.hostile_archives import HOSTILE, Fill, encrypted, hostile, overlapping, packed, with_raw_names


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
    monkeypatch.setattr(archive_module, "MAX_FILES", 3)
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
