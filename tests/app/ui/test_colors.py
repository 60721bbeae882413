"""A run keeps one colour, and it can be seen on both themes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from app.ui.colors import ACCENT, BAD, QUIET, ink, run_color, translucent

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


def test_a_translucent_colour_has_the_same_channels() -> None:
    assert translucent("#102030", 0.5) == "rgba(16,32,48,0.5)"


def contrast(a: str, b: str) -> float:
    """The contrast of two colours by WCAG 2, from 1 to 21."""
    bright, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    channels = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
