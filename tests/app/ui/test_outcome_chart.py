"""The bars of classes with several in a row: shares of found, missed and false alarms, which say what was clicked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.errors.view import clicked_cell
from app.ui.class_bars import figure_px, legend, outcome_figure
from core.analysis.errors import OUTCOMES, set_report

TRUE = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]])
GIVEN = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 0]])
CLASSES = ("기쁨", "<b>굵게</b>", "이름이 아주 긴 클래스입니다 정말로")


@pytest.fixture
def report() -> pd.DataFrame:
    return set_report(TRUE, GIVEN, CLASSES)


def traces_of(report: pd.DataFrame, shown: list[int]) -> list[dict[str, Any]]:
    """The traces of a figure: one per outcome, then the F1."""
    return list(map(dict, outcome_figure(report, shown).to_dict()["data"]))


def test_a_bar_is_all_rows_that_have_the_class_or_were_given_it(report: pd.DataFrame) -> None:
    *bars, scores = traces_of(report, [1, 0, 2])
    shares = np.array([trace["x"] for trace in bars])
    np.testing.assert_allclose(shares[:, 1], [50, 25, 25])
    np.testing.assert_allclose(shares[:, 0], [100 / 3] * 3)
    assert shares[:, 2].tolist() == [0, 0, 0]
    assert [trace["text"][1] for trace in bars] == ["2", "1", "1"]
    assert list(scores["text"]) == ["0.500", "0.667", "–"]


def test_a_segment_says_which_class_and_which_outcome_it_is(report: pd.DataFrame) -> None:
    *bars, _ = traces_of(report, [1, 0, 2])
    said = [tuple(map(int, data)) for trace in bars for data in trace["customdata"]]
    assert said == [(label, place) for place in range(len(OUTCOMES)) for label in (1, 0, 2)]
    assert clicked_cell({"selection": {"points": [{"customdata": {"0": 2, "1": 1}}]}}) == (2, 1)


def test_class_names_are_text_and_hangul_stays(report: pd.DataFrame) -> None:
    figure = outcome_figure(report, [0, 1, 2])
    assert figure.layout.yaxis.ticktext[:2] == ("기쁨", "&lt;b&gt;굵게&lt;/b&gt;")
    assert figure.layout.yaxis.ticktext[2].endswith("…")
    assert not any("<b>굵게" in text for trace in traces_of(report, [0, 1, 2])[:3] for text in trace["hovertext"])


def test_the_chosen_segment_is_framed(report: pd.DataFrame) -> None:
    figure = outcome_figure(report, [1, 0], selected=(0, "missed"))
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.x1) == (50, 75)
    assert frame.y0 < 1 < frame.y1
    assert not outcome_figure(report, [1], selected=(0, "missed")).layout.shapes


def test_many_classes_take_less_height_each_and_the_legend_names_all_outcomes() -> None:
    assert figure_px(44) / 44 < figure_px(6) / 6
    assert [legend().count(word) for word in ("Found", "Missed", "False alarms")] == [1, 1, 1]
