"""Probability bars and tiles: text of a person is text, and pictures have an address with or without the route."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import doorway
from app.gallery import picture, probability_bars
from core.contest.samples import open_sample
from core.workspace import Workspace


def test_bars_escape_names_and_mark_true_and_predicted() -> None:
    html = probability_bars(
        ["<i>개</i>", "b"], [0.9, 0.1], true="b", predicted="<i>개</i>", marks={"true": "true", "predicted": "predicted"}
    )
    assert "<i>" not in html
    assert "&lt;i&gt;개" in html
    assert html.index("predicted") < html.index("true")
    assert "90.00 %" in html


@pytest.mark.slow
def test_a_picture_travels_in_the_page_where_there_is_no_route(house: Workspace, tmp_path: Path) -> None:
    contest = open_sample(house, "digits")
    assert picture(contest, "train", 0).startswith("data:image/webp;base64,")
    doorway.serve_thumbnails(True)
    try:
        assert picture(contest, "train", 0).startswith("/thumb/digits/train/0")
    finally:
        doorway.serve_thumbnails(False)
