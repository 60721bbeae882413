"""A run keeps one colour, and it can be seen on both themes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from app.ui.colors import ACCENT, BAD, QUIET, contrast, ink, run_color, translucent

CONFIG = Path(__file__).parents[3] / ".streamlit" / "config.toml"
THEMES = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["theme"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_stands_out_on_the_page(theme: str) -> None:
    page = THEMES[theme]["backgroundColor"]
    for color in [*map(run_color, range(1, 500)), ACCENT, BAD, QUIET]:
        assert contrast(color, page) >= 3


def test_runs_that_follow_each_other_differ() -> None:
    colors = [run_color(number) for number in range(1, 61)]
    assert len(set(colors)) == 60
    assert ACCENT not in colors


def test_text_on_coloured_cells_has_the_colour_of_the_page_text() -> None:
    assert ink(is_dark=False) == THEMES["light"]["textColor"].lower()
    assert ink(is_dark=True) == THEMES["dark"]["textColor"].lower()


def test_known_contrasts() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#777777") == pytest.approx(1)
    assert translucent("#102030", 0.5) == "rgba(16,32,48,0.5)"
