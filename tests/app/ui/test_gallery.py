"""Probability bars and tiles: text of a person is text, and pictures have an address with or without the route."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.shell import runtime
from app.shell.tables import picture
from app.ui.class_bars import probability_bars
from app.ui.colors import ACCENT, BAD
from core.contest.samples import open_sample
from core.workspace import Workspace


def test_bars_escape_names_and_mark_true_and_predicted() -> None:
    html = probability_bars(
        ["<i>개</i>", "b"], [0.9, 0.1], true=("b",), predicted=("<i>개</i>",), marks={"true": "true", "predicted": "predicted"}
    )
    assert "<i>" not in html
    assert "&lt;i&gt;개" in html
    assert html.index("predicted") < html.index("true")
    assert "90.00 %" in html
    assert BAD not in html


def test_bars_of_classes_that_stand_alone_show_their_thresholds_and_false_alarms() -> None:
    marks = {"true": "true", "predicted": "predicted"}
    html = probability_bars(
        ["a", "b", "c"], [0.9, 0.6, 0.2], true=("a", "c"), predicted=("a", "b"), marks=marks, thresholds=(0.5, 0.4, 0.3)
    )
    assert [html.count(f"left:{place}%") for place in ("50.00", "40.00", "30.00")] == [1, 1, 1]
    assert (html.count(f"background:{ACCENT}"), html.count(f"background:{BAD}")) == (2, 1)
    assert html.count("true · predicted") == 1


@pytest.mark.slow
def test_a_picture_travels_in_the_page_where_there_is_no_route(opened: Workspace, tmp_path: Path) -> None:
    contest = open_sample(opened, "digits")
    assert picture(contest, "train", 0).startswith("data:image/webp;base64,")
    runtime.serve_thumbnails(True)
    try:
        assert picture(contest, "train", 0).startswith(f"/thumb/{contest.id}/train/0")
    finally:
        runtime.serve_thumbnails(False)
