"""Images that a table names otherwise than their files: found where exactly one file fits, and said; else the message names the near miss."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from shutil import make_archive, rmtree
from urllib.parse import quote

import pytest

from core.base.errors import InputError
from core.contest.inspect.draft import inspect_path
from core.contest.table import load_table
from core.workspace import Workspace
from tests.contest.contest_folders import registered, write_csv, write_image

N = 12


def named_otherwise(
    root: Path,
    file_of: Callable[[int], str],
    cell_of: Callable[[int], str],
    *,
    sample_of: Callable[[int], str] | None = None,
    n_train: int = 9,
) -> Path:
    """A contest of N images whose files are called `file_of`, their rows `cell_of`, and those of the sample submission `sample_of`."""
    for number in range(N):
        path = root / file_of(number)
        write_image(path.with_suffix(".png"), number)
        path.with_suffix(".png").rename(path)
    write_csv(root / "train.csv", ("image", "label"), [(cell_of(number), ("red", "blue")[number % 2]) for number in range(n_train)])
    write_csv(root / "test.csv", ("image",), [(cell_of(number),) for number in range(n_train, N)])
    sample = sample_of or cell_of
    write_csv(root / "sample_submission.csv", ("image", "label"), [(sample(number), "red") for number in range(n_train, N)])
    return root


@pytest.mark.parametrize(
    ("file_of", "cell_of", "said"),
    [
        (lambda n: f"images/im{n}", lambda n: f"im{n}", ""),
        (lambda n: f"images/IM{n}.JPG", lambda n: f"IM{n}.jpg", "case and suffix aside, IM0.jpg is images/IM0.JPG"),
        (lambda n: f"images/im{n}.png", lambda n: f"im{n}.jpg", "case and suffix aside, im0.jpg is images/im0.png"),
        (lambda n: f"images/{n}.png", lambda n: f"{n}.0", "as a number, 0.0 is images/0.png"),
        (lambda n: f"images/{n:05d}.png", str, "as a number, 0 is images/00000.png"),
        (lambda n: f"images/car_{n:03d}.png", lambda n: f"car_{n}", "as a number, car_0 is images/car_000.png"),
        (lambda n: f"images/빨간 차 {n}.png", lambda n: f"images/{quote(f'빨간 차 {n}')}.png", "as an address"),
        (lambda n: f"images/im{n}.png", lambda n: f"../input/cars/images/im{n}.png", "by the end of its path"),
        (lambda n: f"images/im{n}.png", lambda n: f"C:\\data\\images\\im{n}.PNG", "by the end of its path"),
        (lambda n: f"part{n % 3}/im{n}.png", lambda n: f"im{n}.png", "by the end of its path"),
    ],
    ids=["no suffix", "case", "suffix", "decimal", "padded", "padded in a word", "address", "dots", "Windows", "in parts"],
)
def test_found_where_exactly_one_file_fits(
    workspace: Workspace, tmp_path: Path, file_of: Callable[[int], str], cell_of: Callable[[int], str], said: str
) -> None:
    contest, inspection = registered(workspace, named_otherwise(tmp_path / "c", file_of, cell_of))
    table = load_table(workspace, contest)
    assert [*table.train["input"], *table.test["input"]] == [file_of(number) for number in range(N)]
    assert table.test["id"].tolist() == [cell_of(number) for number in range(9, N)]
    assert said in " ".join(check.detail for check in inspection.checks if check.level != "ok")


@pytest.mark.parametrize(
    ("cell_of", "sample_of"),
    [
        (lambda n: f"im{n}.png", lambda n: f"im{n}"),
        (lambda n: f"im{n}", lambda n: f"im{n}.png"),
        (lambda n: f"im{n}.png", lambda n: f"IM{n}.PNG"),
        (lambda n: f"images/im{n}.png", lambda n: f"im{n}"),
    ],
)
def test_ids_are_those_of_the_sample_submission(
    workspace: Workspace, tmp_path: Path, cell_of: Callable[[int], str], sample_of: Callable[[int], str]
) -> None:
    root = named_otherwise(tmp_path / "c", lambda number: f"images/im{number}.png", cell_of, sample_of=sample_of)
    contest, inspection = registered(workspace, root)
    assert load_table(workspace, contest).test["id"].tolist() == [sample_of(number) for number in range(9, N)]
    assert "3 ids of test.csv" in " ".join(check.value for check in inspection.checks)


def test_leading_zeros_of_a_test_folder_are_as_the_sample_has_them(workspace: Workspace, tmp_path: Path) -> None:
    root = named_otherwise(tmp_path / "c", lambda n: f"{'train' if n < 9 else 'test'}/{n:05d}.png", lambda n: f"{n:05d}.png", sample_of=str)
    (root / "test.csv").unlink()
    contest, _ = registered(workspace, root)
    assert load_table(workspace, contest).test["id"].tolist() == ["9", "10", "11"]


def cell(root: Path, row: int, value: str) -> None:
    """Write another image into a row of the training table."""
    lines = (root / "train.csv").read_text().splitlines()
    lines[row + 1] = f"{value},{lines[row + 1].rpartition(',')[2]}"
    (root / "train.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: cell(root, 1, "imm1.png"), "the folder has images/im1.png"),
        (lambda root: cell(root, 1, "im001.png"), ""),
        (lambda root: cell(root, 1, "IM2.png"), "one file would be the image of several: IM2.png, im2.png"),
        (lambda root: cell(root, 1, "else/im10.png"), "images/im10.png is an image of test.csv"),
        (lambda root: (os.remove(root / "images/im1.png"), write_image(root / "a/im1.png"), write_image(root / "b/im1.png")), "could be"),
        (lambda root: (os.remove(root / "images/im1.png"), (root / "images/im1.png").symlink_to("/etc/hosts")), "symbolic link"),
        (
            lambda root: (os.remove(root / "images/im1.png"), (root / "images/im1.jpg").symlink_to("gone.jpg"), cell(root, 1, "im1")),
            "symbolic link",
        ),
        (
            lambda root: (make_archive(str(root / "images"), "zip", root / "images"), rmtree(root / "images")),
            "extract images.zip first: unzip",
        ),
    ],
    ids=["one letter", "a number", "two of one", "of the test", "several", "a link out", "a broken link", "packed"],
)
def test_what_fits_no_file_or_several_is_named(workspace: Workspace, tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    root = named_otherwise(tmp_path / "c", lambda number: f"images/im{number}.png", lambda number: f"im{number}.png")
    spoil(root)
    if not said:
        contest, _ = registered(workspace, root)
        assert load_table(workspace, contest).train["input"].tolist()[1] == "images/im1.png"
        return
    with pytest.raises(InputError) as caught:
        registered(workspace, root)
    assert said in str(caught.value) and "train.csv line 3" in str(caught.value)


@pytest.mark.parametrize("suffix", ["", ".png"])
def test_links_are_said_where_all_images_are_links(tmp_path: Path, suffix: str) -> None:
    away = named_otherwise(tmp_path / "away", lambda number: f"images/im{number}.png", lambda number: f"im{number}{suffix}")
    root = tmp_path / "c"
    (root / "images").mkdir(parents=True)
    for path in (away / "images").iterdir():
        (root / "images" / path.name).symlink_to(path)
    for table in away.glob("*.csv"):
        (root / table.name).write_bytes(table.read_bytes())
    inspection = inspect_path(root)
    assert "12 symbolic links are not followed" in " ".join(check.value for check in inspection.checks)
    assert "symbolic link" in inspection.problems[0]
