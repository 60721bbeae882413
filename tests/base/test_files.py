"""What a person types or pastes as a path is one, or is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.base.errors import InputError
from core.base.files import typed_path
from core.contest.inspect.draft import inspect_path
from core.contest.uploads import open_source
from core.workspace import Workspace


@pytest.mark.parametrize(
    "typed",
    ["{path}", " {path} ", '"{path}"', "'{path}'", "“{path}”", "file://{path}", "file://localhost{path}", "FILE:{path}", '"file://{path}"'],
)
def test_a_pasted_path_is_the_path(tmp_path: Path, typed: str) -> None:
    path = tmp_path / "내 대회"
    path.mkdir()
    assert typed_path(typed.format(path=path)) == path
    assert typed_path(f"file://{tmp_path}/%EB%82%B4%20%EB%8C%80%ED%9A%8C") == path
    assert typed_path("~") == Path.home()


@pytest.mark.parametrize("typed", ["", " ", '""'])
def test_no_path_is_not_the_folder_one_stands_in(typed: str) -> None:
    with pytest.raises(InputError, match="no path is given"):
        typed_path(typed)


@pytest.mark.parametrize("typed", ["~nosuchuser/x", "a" * 5000, "x/" * 3000, "a\0b", "{tmp}/loop/x", "{tmp}/nothing", "{tmp}/file.csv/x"])
def test_a_path_that_leads_nowhere_is_refused_in_words(workspace: Workspace, tmp_path: Path, typed: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file.csv").write_text("id,text\n1,a\n")
    path = Path(typed.format(tmp=tmp_path))
    for act in (lambda: inspect_path(open_source(workspace, path)), lambda: inspect_path(path)):
        with pytest.raises(InputError) as caught:
            act()
        assert caught.value.fix and len(str(caught.value)) < 4000


@pytest.mark.parametrize("closed", ["exists", "is_dir"])
def test_a_path_behind_a_closed_door_is_refused_in_words(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, closed, refuse)
    with pytest.raises(InputError) as caught:
        inspect_path(tmp_path / "inside")
    assert "Permission denied" in caught.value.why


def test_a_folder_with_links_to_itself_and_nowhere_is_read(tmp_path: Path) -> None:
    from tests.contest.contest_folders import text_contest

    root = text_contest(tmp_path / "c")
    (root / "self").symlink_to(root, target_is_directory=True)
    (root / "loop.csv").symlink_to("loop.csv")
    (root / "gone.csv").symlink_to(tmp_path / "gone.csv")
    assert inspect_path(root).n_train == 12


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.contest import files

    monkeypatch.setattr(files, "MAX_FILES", 3)
    for number in range(4):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(InputError, match="too many files"):
        inspect_path(tmp_path)
