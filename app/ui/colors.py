"""The colours of the app. A run's colour is a pure function of its id, so it is the same on every page.

All colours sit at middle lightness, where they keep a contrast of 3:1 (WCAG 1.4.11) on white and on the dark background alike.
"""

import math
from functools import cache

BAD = "#d9534f"
QUIET = "#8a8f98"
ACCENT = "#14889f"

# Hues in degrees of OKLCH, in an order where neighbours differ most: runs that are compared were usually made one after another.
# The hues around the accent are left to blends.
_HUES = (250, 50, 155, 330, 95, 290, 20, 125, 350, 70)


@cache
def run_color(run_id: int) -> str:
    """The colour of a run as `#rrggbb`. Ten hues, then the same hues shifted and a little lighter or darker."""
    cycle, place = divmod(run_id - 1, len(_HUES))
    hue = _HUES[place] + 8 * cycle
    lightness = (0.62, 0.56, 0.64)[cycle % 3]
    return oklch(lightness, 0.15, hue)


def ink(*, is_dark: bool) -> str:
    """The theme's text colour, for text that is drawn onto coloured cells."""
    return "#e2e8ec" if is_dark else "#1a242c"


def translucent(color: str, alpha: float) -> str:
    """`#rrggbb` as `rgba(r,g,b,alpha)`, which sits on a light and on a dark page alike."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def oklch(lightness: float, chroma: float, hue_deg: float) -> str:
    """A colour of OKLCH (Ottosson 2020) as `#rrggbb`; the chroma is lowered until it fits into sRGB."""
    rgb = _linear_srgb(lightness, chroma, math.radians(hue_deg))
    if not all(-1e-4 <= value <= 1 + 1e-4 for value in rgb):
        return oklch(lightness, chroma - 0.005, hue_deg)
    clipped = [min(max(value, 0.0), 1.0) for value in rgb]
    gamma = [12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055 for value in clipped]
    return "#" + "".join(f"{round(255 * value):02x}" for value in gamma)


def _linear_srgb(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
