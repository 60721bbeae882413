"""Folders as contests hand them out, small: written here, read by the tests of this room."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from core.contest.inspect.draft import Inspection, inspect_path
from core.contest.register import add_contest
from core.store.contests import Contest
from core.workspace import Workspace

CARS = ("가솔린_아반떼", "기아_K5", "현대_쏘나타")


def write_csv(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[object]], *, encoding: str = "utf-8", delimiter: str = ","
) -> None:
    """A CSV as pandas writes it."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerows([header, *rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stream.getvalue().encode(encoding))


def write_image(path: Path, seed: int = 0, *, mode: str = "RGB", size: tuple[int, int] = (12, 10)) -> None:
    """A small picture whose pixels derive from a seed; the format follows the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def image_contest(root: Path, *, n_train: int = 9, n_test: int = 4, classes: Sequence[str] = ("cat", "dog", "owl")) -> Path:
    """train.csv, test.csv with image paths; a probability column per class, in another order than ours."""
    for number in range(n_train + n_test):
        write_image(root / "images" / f"{number:03d}.png", number)
    rows = [(f"{number:03d}", f"images/{number:03d}.png", classes[number % len(classes)]) for number in range(n_train)]
    write_csv(root / "train.csv", ("id", "path", "label"), rows)
    test = range(n_train, n_train + n_test)
    write_csv(root / "test.csv", ("id", "path"), [(f"{number:03d}", f"images/{number:03d}.png") for number in test])
    share = f"{1 / len(classes):.4f}"
    sample = [(f"{number:03d}", *[share] * len(classes)) for number in reversed(test)]
    write_csv(root / "sample_submission.csv", ("id", *reversed(classes)), sample)
    return root


def folder_contest(root: Path, *, per_class: int = 3, n_test: int = 3, classes: Sequence[str] = CARS) -> Path:
    """One folder of images per class with a Hangul name, a test folder, test.csv and a sample submission: the used-car shape."""
    for index, name in enumerate(classes):
        for number in range(per_class):
            write_image(root / "train" / name / f"{name}_{number:04d}.jpg", 100 * index + number)
    ids = [f"TEST_{number:05d}" for number in range(n_test)]
    for number, name in enumerate(ids):
        write_image(root / "test" / f"{name}.jpg", 9000 + number)
    write_csv(root / "test.csv", ("ID", "img_path"), [(name, f"./test/{name}.jpg") for name in ids])
    write_csv(root / "sample_submission.csv", ("ID", *classes), [(name, *["0"] * len(classes)) for name in ids], encoding="utf-8-sig")
    return root


def text_contest(root: Path, *, n_train: int = 12, n_test: int = 4, classes: Sequence[str] = ("0", "1", "2", "3")) -> Path:
    """id, review, label and a label submission: the review-sentiment shape."""
    rows = [(f"train_{number}", f'리뷰 {number}, 정말 "좋아요"\n다음 줄', classes[number % len(classes)]) for number in range(n_train)]
    write_csv(root / "train.csv", ("id", "review", "label"), rows)
    write_csv(root / "test.csv", ("id", "review"), [(f"test_{number}", f"시험 {number}") for number in range(n_test)])
    write_csv(root / "sample_submission.csv", ("id", "pred"), [(f"test_{number}", classes[0]) for number in range(n_test)])
    return root


def registered(workspace: Workspace, root: Path, *sets: str, name: str | None = None) -> tuple[Contest, Inspection]:
    """Inspect and register, as the command line and the page do."""
    inspection = inspect_path(root, name=name, sets=sets)
    return add_contest(workspace, inspection.draft), inspection


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its bytes, and every empty folder."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return found | {path.relative_to(folder).as_posix() + "/": b"" for path in folder.rglob("*") if path.is_dir()}
