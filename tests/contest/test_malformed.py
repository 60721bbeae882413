"""Every wrong file gives one typed error with file, line, column and fix; the workspace stays as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from core.base.errors import InputError
from core.contest.inspect.draft import inspect_path
from core.workspace import Workspace, open_workspace
from tests.contest.contest_folders import CARS, folder_contest, image_contest, registered, snapshot, text_contest, write_csv, write_image
from tests.emotions import Layout
from tests.inputs.spoiled_contests import FAULTS, FOLDER_FAULTS, SEVERAL_FAULTS, Fault, Lines, edit, spoil_several

Spoil = Callable[[Path], object]


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault.kind}-{fault.name}" for fault in FAULTS])
def test_a_wrong_contest_is_refused(workspace: Workspace, tmp_path: Path, fault: Fault) -> None:
    root, row = image_contest(tmp_path / "c"), fault.rows()[2]
    fault.spoil(root, row)
    assert workspace.store
    before = snapshot(workspace.root)
    with pytest.raises(InputError) as caught:
        registered(workspace, root)
    for words in fault.words(row):
        assert words in str(caught.value)
    assert caught.value.fix
    assert snapshot(workspace.root) == before


@pytest.mark.parametrize(("fault", "spoil", "said"), FOLDER_FAULTS, ids=[fault for fault, _, _ in FOLDER_FAULTS])
def test_a_wrong_folder_contest_is_refused(workspace: Workspace, tmp_path: Path, fault: str, spoil: Spoil, said: tuple[str, ...]) -> None:
    root = folder_contest(tmp_path / "c")
    spoil(root)
    assert workspace.store
    before = snapshot(workspace.root)
    with pytest.raises(InputError) as caught:
        registered(workspace, root)
    for part in said:
        assert part in str(caught.value)
    assert snapshot(workspace.root) == before


@pytest.mark.parametrize(("fault", "layout", "spoil", "said"), SEVERAL_FAULTS, ids=[fault for fault, *_ in SEVERAL_FAULTS])
def test_a_wrong_contest_of_rows_with_several_classes_is_refused(
    workspace: Workspace, tmp_path: Path, fault: str, layout: Layout, spoil: Callable[[Lines, int], object], said: tuple[str, ...]
) -> None:
    spoil_several(tmp_path / "c", 5, layout, spoil)
    assert workspace.store
    before = snapshot(workspace.root)
    with pytest.raises(InputError) as caught:
        registered(workspace, tmp_path / "c", *(["classes=['0', '1', '2', '3', '4', '5']"] if fault == "no class" else []))
    for words in said:
        assert words.format(line=7) in str(caught.value)
    assert snapshot(workspace.root) == before


def test_several_problems_are_told_together(workspace: Workspace, tmp_path: Path) -> None:
    root = image_contest(tmp_path / "c", n_train=60)
    for number in range(40):
        (root / f"images/{number:03d}.png").unlink()
    edit(root, "train.csv", "050.png,owl", "050.png,")
    with pytest.raises(InputError) as caught:
        registered(workspace, root)
    assert "41 problems" in caught.value.what
    assert "train.csv line 52, column 'label': the label is empty" in caught.value.why
    assert "and 21 more" in caught.value.why
    assert len(caught.value.why.splitlines()) == 21


def test_inspection_shows_what_registration_would_refuse(tmp_path: Path) -> None:
    root = image_contest(tmp_path / "c")
    (root / "images/002.png").unlink()
    found = inspect_path(root)
    assert "train.csv line 4" in found.problems[0]
    assert any(check.key == "problems" and check.level == "warning" for check in found.checks)


def test_links_out_of_the_folder_are_not_followed(workspace: Workspace, tmp_path: Path) -> None:
    root = image_contest(tmp_path / "c")
    write_image(tmp_path / "outside" / "secret.png", 1)
    (root / "images/003.png").unlink()
    (root / "images/003.png").symlink_to(tmp_path / "outside" / "secret.png")
    with pytest.raises(InputError, match="symbolic link"):
        registered(workspace, root)


def test_a_linked_class_folder_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    root = folder_contest(tmp_path / "c")
    write_image(tmp_path / "outside" / "secret.png", 1)
    (root / "train" / "more").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="symbolic link"):
        registered(workspace, root)


def test_a_file_name_in_cp949_is_named(workspace: Workspace, tmp_path: Path) -> None:
    root = folder_contest(tmp_path / "c")
    folder = os.fsencode(root / "train" / CARS[0])
    with open(os.path.join(folder, "자동차.jpg".encode("cp949")), "wb") as stream:
        stream.write((root / "test/TEST_00000.jpg").read_bytes())
    with pytest.raises(InputError) as caught:
        registered(workspace, root)
    assert "자동차.jpg" in caught.value.where


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (lambda root: None, "found 0 files"),
        (lambda root: (root / "notes.md").write_text("x"), "found 1 file, 0 tables"),
        (lambda root: (root / "data.zip").write_bytes(b"PK"), "data.zip is packed"),
        (lambda root: [write_image(root / "only" / f"{n}.png", n) for n in range(3)] and (root / "b.md").write_text(""), "3 images"),
    ],
)
def test_a_folder_that_is_no_contest_says_what_was_looked_for(tmp_path: Path, fill: Spoil, said: str) -> None:
    root = tmp_path / "c"
    root.mkdir()
    fill(root)
    with pytest.raises(InputError) as caught:
        inspect_path(root)
    assert "looked for" in caught.value.why
    assert said in caught.value.why


@pytest.mark.parametrize("name", ["nothing", "a.md", "a.zip", "x\0y"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    for file in ("a.md", "a.zip"):
        (tmp_path / file).write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        inspect_path(tmp_path / name)
    assert caught.value.what in {"no folder at this path", "a contest is a folder", "this path cannot be used"}


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["label_column=lable"], "there is no column 'lable'"),
        (["id_column=ids"], "there is no column 'ids'"),
        (["group_column=person"], "there is no column 'person'"),
        (["input_columns=[path, foo]"], "there is no column 'foo'"),
        (["train=nothing.csv"], "there is no file nothing.csv"),
        (["test=../other.csv"], "there is no file ../other.csv"),
        (["image_root=nowhere"], "there is no such folder"),
        (["metric=rmse"], "metric = 'rmse'"),
        (["modality=audio"], "modality = 'audio'"),
        (["layout=folders"], "at least two folders of images"),
        (["classes=[a, a]"], "classes must be distinct"),
        (["classes=[cat, dog]"], "'owl' is not one of the 2 classes"),
        (["classes={"], "classes"),
        (["colour=red"], "'colour' is not a setting"),
        (["nonsense"], "'nonsense' is not an assignment"),
    ],
)
def test_a_wrong_correction_is_refused(workspace: Workspace, tmp_path: Path, sets: list[str], said: str) -> None:
    root = image_contest(tmp_path / "c")
    with pytest.raises(InputError) as caught:
        registered(workspace, root, *sets)
    assert said in str(caught.value)


FILES = st.sampled_from(["train.csv", "test.csv", "sample_submission.csv", "images/001.png", "images/011.png"])
PIECES = st.sampled_from(
    [b"", b",", b'"', b"\n", b"\t", b"\xff", b"\xb0\xa1", b"NaN", b"..", b"/", b"\0", b"0", b"\xef\xbb\xbf", b"cat", b"path"]
)
EDITS = st.lists(st.tuples(FILES, st.floats(0, 1), st.integers(0, 20), PIECES), min_size=1, max_size=5)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=EDITS,
    sets=st.lists(
        st.sampled_from(["label_column=path", "id_column=", "modality=text", "test=", "submission=label", "metric=accuracy"]), max_size=2
    ),
)
def test_nothing_but_an_input_error_escapes(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, float, int, bytes]], sets: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("spoiled")
    root = image_contest(folder / "c")
    for name, share, n_cut, piece in edits:
        raw = (root / name).read_bytes()
        place = int(share * len(raw))
        (root / name).write_bytes(raw[:place] + piece + raw[place + n_cut :])
    try:
        inspection = inspect_path(root, name="c", sets=sets)
    except InputError as problem:
        assert problem.what and problem.where and problem.fix
        return
    workspace = open_workspace(folder / "w")
    try:
        contest, _ = registered(workspace, root, *sets)
    except InputError as problem:
        assert problem.what and problem.where and problem.fix
        assert not list((workspace.root / "contests").iterdir())
    else:
        assert inspection.problems == ()
        assert contest.n_train == inspection.n_train


def test_a_text_table_with_any_cells_is_accepted(workspace: Workspace, tmp_path: Path) -> None:
    odd = ["nan", "NULL", "'; drop table", "=1+1", "a\tb", "두 줄\n입니다", " ", "\u200b", "😀", "\u1100\u1161", '"quoted"', "x" * 200_000]
    write_csv(tmp_path / "c/train.csv", ("id", "text", "label"), [(f"{n:03d}", text, "yn"[n % 2]) for n, text in enumerate(odd)])
    contest, inspection = registered(workspace, tmp_path / "c", "test=")
    assert contest.n_train == len(odd)
    assert inspection.problems == ()


def test_reviews_pass(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, text_contest(tmp_path / "reviews"))
    assert (contest.n_train, contest.n_test) == (12, 4)
