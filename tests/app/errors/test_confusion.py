"""The confusion matrix that can be clicked: its cells speak in class indices, whatever part of it is shown."""

from __future__ import annotations

import numpy as np
import pytest

from app.errors.confusion import confusion_figure
from app.errors.view import clicked_cell

MATRIX = np.array([[8, 2, 0], [1, 9, 0], [0, 3, 7]])
CLASSES = ("현대 그랜저 IG", "<b>굵게</b>", "c")


def test_every_cell_that_is_not_empty_can_be_clicked() -> None:
    figure = confusion_figure(MATRIX, CLASSES, np.arange(3))
    markers = figure.data[2]
    assert markers.type == "scatter"
    assert markers.marker.opacity == 0
    assert {tuple(map(int, cell)) for cell in markers.customdata} == {(0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (2, 2)}


def test_a_part_of_the_matrix_keeps_class_indices_and_shares_of_the_whole_row() -> None:
    figure = confusion_figure(MATRIX, CLASSES, np.array([0, 1]))
    assert {tuple(map(int, cell)) for cell in figure.data[2].customdata} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert figure.data[1].z[0][1] == pytest.approx(20)
    assert "2" in figure.layout.title.text
    assert "3" in figure.layout.title.text


def test_class_names_are_text_and_hangul_stays() -> None:
    figure = confusion_figure(MATRIX, CLASSES, np.arange(3))
    assert figure.layout.xaxis.ticktext == ("현대 그랜저 IG", "&lt;b&gt;굵게&lt;/b&gt;", "c")
    assert not any("<b>굵게" in text for text in figure.data[2].text)


def test_the_chosen_cell_is_framed() -> None:
    figure = confusion_figure(MATRIX, CLASSES, np.arange(3), selected=(2, 1))
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.y0) == (0.5, 1.5)
    assert not confusion_figure(MATRIX, CLASSES, np.array([0, 1]), selected=(2, 1)).layout.shapes


def test_a_click_is_read_as_streamlit_hands_it_over() -> None:
    assert clicked_cell({"selection": {"points": [{"customdata": {"0": 2, "1": 1}}]}}) == (2, 1)
    assert clicked_cell({"selection": {"points": [{"customdata": [2, 1]}]}}) == (2, 1)
    assert clicked_cell({"selection": {"points": []}}) is None
    assert clicked_cell(None) is None


def test_a_matrix_of_hundreds_can_be_clicked_without_names_on_its_axes() -> None:
    matrix = np.eye(396, dtype=np.int64) * 80
    matrix[3, 200] = 5
    figure = confusion_figure(matrix, [f"차종 {label}" for label in range(396)], np.arange(396))
    assert [3, 200] in figure.data[2].customdata.tolist()
    assert not figure.layout.xaxis.showticklabels
