"""Samples to look through: thumbnails or texts as tiles that are picked by a click or by the arrow keys.

The browser fetches a picture only when it scrolls into view.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from app.ui.components.files import component_from_files


@dataclass(frozen=True)
class Tile:
    """One sample: its row in the table, a picture's address or a text, and a short caption under it."""

    row: int
    caption: str
    src: str = ""
    text: str = ""


def gallery(tiles: Sequence[Tile], *, selected: int | None, label: str, key: str, tile_px: int = 88) -> int | None:
    """Show tiles and return the row that is picked; it starts from `selected`, and jumps to it when that changes.

    Left, right, up and down move; Home and End jump. A picked row that is not among the tiles any more counts as none.
    """
    result = _COMPONENT(
        key=key,
        data={
            "tiles": [asdict(tile) for tile in tiles],
            "selected": selected,
            "label": label,
            "tile_px": tile_px,
        },
        on_picked_change=lambda: None,  # a state exists only where its callback is named
    )
    picked = result.picked
    rows = {tile.row for tile in tiles}
    if isinstance(picked, int) and picked in rows:
        return picked
    return selected if selected in rows else None


_COMPONENT = component_from_files(__file__, "pitwall_gallery")
