"""Thumbnails are asked for by row, never by path; what cannot be drawn is said with a status, never with a traceback."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request

from app.shell.tables import SIDE_PX, draw_file, thumbnail
from core.base.errors import InputError
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.store.contests import Contest
from core.workspace import Workspace


def ask(contest: int, part: str, row: int | str) -> tuple[int, bytes]:
    place = {"contest": str(contest), "part": part, "row": str(row)}
    scope = {"type": "http", "scheme": "http", "path": "/", "query_string": b"", "headers": [], "path_params": place}
    response = thumbnail(Request(scope))
    return response.status_code, bytes(response.body)


@pytest.fixture
def pictures(opened: Workspace, tmp_path: Path) -> Contest:
    """Two classes of four pictures of 300 x 200 pixels, in Hangul folders."""
    rng = np.random.default_rng(0)
    for name in ("사과", "배"):
        folder = tmp_path / "과일" / "train" / name
        folder.mkdir(parents=True)
        for number in range(4):
            Image.fromarray(rng.integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(folder / f"{name}{number}.png")
    return add_contest(opened, inspect_path(tmp_path / "과일").draft)


def test_a_row_is_drawn_small(pictures: Contest) -> None:
    status, body = ask(pictures.id, "train", 5)
    assert status == 200
    with Image.open(io.BytesIO(body)) as image:
        assert image.size == (SIDE_PX, 128)


@pytest.mark.parametrize(
    ("part", "row"), [("train", 8), ("train", -1), ("test", 0), ("../train", 0), ("train", "x"), ("train", "9" * 5000)]
)
def test_a_row_that_is_not_there_is_not_found(pictures: Contest, part: str, row: int | str) -> None:
    assert ask(pictures.id, part, row)[0] == 404


def test_an_unknown_contest_is_not_found(opened: Workspace) -> None:
    assert ask(99, "train", 0)[0] == 404 and ask(2**70, "train", 0)[0] == 415


def test_a_text_has_no_picture(headlines: Contest) -> None:
    assert ask(headlines.id, "train", 0)[0] == 404


@pytest.mark.parametrize("by", ["nothing", "text", "another picture"])
def test_a_picture_that_is_not_the_registered_one_is_said_and_not_shown(pictures: Contest, by: str) -> None:
    for path in Path(pictures.spec.root).rglob("*.png"):
        path.unlink()
        if by == "text":
            path.write_text("no picture")
        elif by == "another picture":
            Image.new("RGB", (30, 20)).save(path)
    status, body = ask(pictures.id, "train", 0)
    assert status == 415
    assert {"nothing": "missing", "text": "not the one", "another picture": "not the one"}[by] in body.decode()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_every_kind_of_picture_is_drawn(tmp_path: Path, mode: str) -> None:
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64)
    base = Image.fromarray(ramp.astype(np.uint8))
    image = Image.fromarray((ramp * 257).astype(np.uint16)) if mode == "I;16" else base.convert(mode)
    path = tmp_path / ("picture.tiff" if mode in ("F", "CMYK", "I;16") else "picture.png")
    image.save(path)
    with Image.open(io.BytesIO(draw_file(path))) as drawn:
        gray = np.asarray(drawn.convert("L")).astype(int)
    assert gray.max() - gray.min() > 150, "light and dark are kept"


def test_what_is_no_picture_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_text("no picture")
    with pytest.raises(InputError):
        draw_file(path)
