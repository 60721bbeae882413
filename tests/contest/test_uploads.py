"""An archive is extracted whole or refused whole, kept while a contest stands on it, and no longer."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from core.base.errors import InputError
from core.contest import uploads as module
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.uploads import ABANDONED_S, TEMPORARY, extract_archive, open_source, release_source, remove_abandoned
from core.jobs.launch import launch_registration
from core.jobs.queue import cancel_job
from core.workspace import Workspace
from tests.contest.contest_folders import CARS, folder_contest, registered, snapshot, text_contest
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


def left(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in workspace.uploads_dir.iterdir()) if workspace.uploads_dir.exists() else []


def test_what_became_no_contest_is_released_and_what_did_stays(workspace: Workspace, tmp_path: Path) -> None:
    path = pack_folder(text_contest(tmp_path / "c"), tmp_path / "reviews.zip")
    release_source(workspace, open_source(workspace, path))
    assert left(workspace) == []
    source = open_source(workspace, path)
    add_contest(workspace, inspect_path(source).draft)
    release_source(workspace, source)
    release_source(workspace, tmp_path / "c")
    assert source.is_dir() and (tmp_path / "c").is_dir()
    with pytest.raises(InputError):
        open_source(workspace, encrypted(tmp_path / "locked.zip"))
    assert len(left(workspace)) == 1


def test_what_somebody_else_has_opened_or_registers_stays(workspace: Workspace, tmp_path: Path) -> None:
    path = pack_folder(text_contest(tmp_path / "c"), tmp_path / "reviews.zip")
    source, same = open_source(workspace, path), open_source(workspace, path)
    release_source(workspace, same)
    job = launch_registration(workspace, inspect_path(source).draft)
    release_source(workspace, source)
    assert source.is_dir()
    cancel_job(workspace.store, job.id)
    release_source(workspace, source)
    assert left(workspace) == []


def test_an_archive_whose_folder_has_changed_is_extracted_anew(workspace: Workspace, tmp_path: Path) -> None:
    path = pack_folder(text_contest(tmp_path / "c"), tmp_path / "reviews.zip")
    first = open_source(workspace, path)
    assert open_source(workspace, path) == first
    for change in (
        lambda folder: (folder / "train.csv").write_text("id,text\n"),
        lambda folder: (folder / "more.csv").write_text("id\n1\n"),
    ):
        before = open_source(workspace, path)
        change(before)
        after = open_source(workspace, path)
        assert after != before and snapshot(after) == snapshot(tmp_path / "c")


def test_what_killed_processes_left_is_removed_a_day_later(workspace: Workspace, tmp_path: Path) -> None:
    path = pack_folder(text_contest(tmp_path / "c"), tmp_path / "reviews.zip")
    source = open_source(workspace, path)
    (workspace.uploads_dir / f"{TEMPORARY[0]}x").mkdir()
    kept = open_source(workspace, pack_folder(text_contest(tmp_path / "d", n_train=20), tmp_path / "kept.zip"))
    add_contest(workspace, inspect_path(kept).draft)
    now = max(path.stat().st_mtime for path in workspace.uploads_dir.rglob("*"))
    assert remove_abandoned(workspace, now) == 0 and source.is_dir()
    assert remove_abandoned(workspace, now + ABANDONED_S + 1) == 2
    assert left(workspace) == [kept.parent.name]
