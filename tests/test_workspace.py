"""An artefact is there whole or not at all, and damage is seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.artefacts import load_manifest, publishing, verify, verify_file
from core.base.errors import CheckpointError, InputError
from core.base.files import fingerprint, nfc, resolve_inside, shell_path, shown_path
from core.commands.blends import write_file
from core.workspace import open_workspace


def publish(folder: Path, text: str = "one") -> Path:
    with publishing(folder, kind="thing", parents={"contest": "abc"}) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "file.txt").write_text(text, encoding="utf-8")
    return folder


def test_a_published_artefact_verifies_and_knows_its_parents(tmp_path: Path) -> None:
    manifest = verify(publish(tmp_path / "a"))
    assert manifest.kind == "thing" and manifest.parents == {"contest": "abc"} and set(manifest.files) == {"deep/file.txt"}


def test_equal_content_has_an_equal_fingerprint(tmp_path: Path) -> None:
    first, second, other = publish(tmp_path / "a"), publish(tmp_path / "b"), publish(tmp_path / "c", "two")
    assert load_manifest(first).fingerprint == load_manifest(second).fingerprint != load_manifest(other).fingerprint


def test_nothing_remains_of_a_write_that_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), publishing(tmp_path / "a", kind="thing", parents={}) as temporary:
        (temporary / "half").write_text("x", encoding="utf-8")
        raise RuntimeError("stopped")
    assert list(tmp_path.iterdir()) == []


def test_an_artefact_is_never_replaced_by_another(tmp_path: Path) -> None:
    publish(tmp_path / "a")
    publish(tmp_path / "a")
    with pytest.raises(CheckpointError, match="never change"):
        publish(tmp_path / "a", "two")
    assert (tmp_path / "a" / "deep" / "file.txt").read_text(encoding="utf-8") == "one"


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "manifest"])
def test_damage_is_named(tmp_path: Path, damage: str) -> None:
    folder = publish(tmp_path / "a")
    file = folder / "deep" / "file.txt"
    if damage == "flip":
        file.write_bytes(b"onf")
    elif damage == "truncate":
        file.write_bytes(b"")
    elif damage == "remove":
        file.unlink()
    else:
        (folder / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError) as caught:
        verify(folder)
    assert str(folder) in caught.value.where


def test_every_flipped_bit_of_a_manifest_is_seen_or_changes_nothing(tmp_path: Path) -> None:
    folder = publish(tmp_path / "a")
    path, whole = folder / "manifest.json", load_manifest(folder)
    written = path.read_bytes()
    n_harmless = 0
    for bit in range(8 * len(written)):
        damaged = bytearray(written)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert load_manifest(folder) == whole
            n_harmless += 1
        except CheckpointError as problem:
            assert problem.where == str(path)
    assert n_harmless < 8 * len(written) / 50, "white space only"


def test_a_manifest_of_the_first_version_has_no_hash_of_its_own(tmp_path: Path) -> None:
    folder = publish(tmp_path / "a")
    path, whole = folder / "manifest.json", load_manifest(folder)
    raw = json.loads(path.read_text(encoding="utf-8"))
    del raw["sha256"]
    path.write_text(json.dumps(raw), encoding="utf-8")
    assert verify(folder) == whole


def test_a_file_that_the_manifest_does_not_name_is_not_read(tmp_path: Path) -> None:
    folder = publish(tmp_path / "a")
    (folder / "stranger.txt").write_text("x", encoding="utf-8")
    with pytest.raises(CheckpointError, match="not part of the artefact"):
        verify_file(folder, load_manifest(folder), "stranger.txt")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "link/x", "a\x00b"])
def test_a_path_never_leads_outside(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(InputError):
        resolve_inside(root, name)


def test_a_path_inside_is_found_and_stored_relative(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path / "w")
    inside = workspace.contest_dir("차") / "x"
    assert workspace.absolute(workspace.relative(inside)) == inside


@pytest.mark.parametrize("name", ["file", "link", "a\0b", "~nosuchuser"])
def test_a_workspace_that_cannot_be_made_is_said(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "link")
    with pytest.raises(InputError, match="cannot be opened"):
        open_workspace(name if name.startswith("~") else tmp_path / name)


def test_unicode_forms_are_one_name() -> None:
    assert nfc("한") == "한" and fingerprint({"a": 1, "b": "한"}) == fingerprint({"b": "한", "a": 1})


def test_a_path_is_shown_as_one_would_type_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, here = tmp_path / "home", tmp_path / "home" / "project"
    here.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    assert shown_path(here / "demo-workspace") == "demo-workspace"
    assert shown_path(home / "contests") == "~/contests"
    assert shown_path(Path("/srv/data")) == "/srv/data"
    assert shown_path(here) == "~/project"
    assert shell_path(home / "my contests?") == "~/'my contests?'" and shell_path(here / "a") == "a", "a quoted ~ is a folder called ~"


@pytest.mark.parametrize("place", ["folder", "/dev/null"])
def test_a_persons_file_takes_the_place_of_no_folder_or_device(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_file(tmp_path / place, b"rows")
    assert not Path("/dev/null").is_file()
    write_file(tmp_path / "new.csv", b"rows")
    write_file(tmp_path / "new.csv", b"more")
    assert (tmp_path / "new.csv").read_bytes() == b"more"
