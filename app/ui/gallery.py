"""Samples to look through: thumbnails or texts as tiles that are picked by a click or by the arrow keys.

Pictures come from the thumbnail route and only when they scroll into view; without that route they travel inside the page.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from streamlit.components.v2 import component

from app.shell import runtime
from app.shell.thumbnails import draw, thumbnail_url
from app.ui.colors import ACCENT, BAD, QUIET, translucent
from core.store.contests import Contest


@dataclass(frozen=True)
class Tile:
    """One sample: its row in the table, a picture's address or a text, and a short caption under it."""

    row: int
    caption: str
    src: str = ""
    text: str = ""


def gallery(tiles: Sequence[Tile], *, selected: int | None, label: str, key: str, tile_px: int = 88) -> int | None:
    """Show tiles and return the row that is picked; `selected` is what it starts from, and what a changed value makes it jump to.

    Left, right, up and down move; Home and End jump. A picked row that is not among the tiles any more counts as none.
    """
    result = _COMPONENT(
        key=key,
        data={
            "tiles": [{"row": tile.row, "caption": tile.caption, "src": tile.src, "text": tile.text} for tile in tiles],
            "selected": selected,
            "label": label,
            "tile_px": tile_px,
        },
        on_picked_change=_nothing,
    )
    picked = result.picked
    rows = {tile.row for tile in tiles}
    if isinstance(picked, int) and picked in rows:
        return picked
    return selected if selected in rows else None


def picture(contest: Contest, part: str, row: int) -> str:
    """The address of a row's thumbnail: the route where this server has it, else the picture itself as a data address."""
    if runtime.has_thumbnails():
        return thumbnail_url(contest, part, row)
    return f"data:image/webp;base64,{base64.b64encode(draw(contest, part, row)).decode('ascii')}"


def probability_bars(
    names: Sequence[str],
    probs: Sequence[float],
    *,
    true: Collection[str],
    predicted: Collection[str],
    marks: Mapping[str, str],
    thresholds: Sequence[float] = (),
) -> str:
    """The probabilities of some classes as HTML bars, largest first as given; `marks` holds the words for true and predicted.

    Where each class is given above a threshold of its own, its bar has a mark there, and is red when it is given and not true.
    """
    cells = []
    for place, (name, prob) in enumerate(zip(names, probs, strict=True)):
        tags = [marks[kind] for kind, which in (("true", true), ("predicted", predicted)) if name in which]
        tag = f'<small style="opacity:.65;padding-left:6px">{escape(" · ".join(tags))}</small>' if tags else ""
        fill = f"display:block;height:10px;border-radius:5px;width:{100 * prob:.2f}%;min-width:{2 if prob > 0.0005 else 0}px"
        color = ACCENT if name in true else BAD if thresholds and name in predicted else QUIET
        mark = _THRESHOLD.format(left=100 * thresholds[place]) if thresholds else ""
        cells.append(
            f'<span style="overflow:hidden;text-overflow:ellipsis;white-space:nowrap" title="{escape(name)}">{escape(name)}{tag}</span>'
            f'<span style="position:relative;height:10px;border-radius:5px;background:{translucent(QUIET, 0.22)}">'
            f'<span style="{fill};background:{color}"></span>{mark}</span>'
            f'<span style="text-align:right">{100 * prob:.2f} %</span>'
        )
    grid = "display:grid;grid-template-columns:fit-content(55%) minmax(60px,1fr) auto;gap:7px 12px;align-items:center;font-size:0.875rem"
    return f'<div style="{grid}">{"".join(cells)}</div>'


_THRESHOLD = '<span style="position:absolute;left:{left:.2f}%;top:-3px;width:2px;height:16px;background:currentColor;opacity:.7"></span>'


def _nothing() -> None:
    """A state key exists only where its callback is named."""


_HTML = """
<div class="tiles" role="listbox" tabindex="0">
</div>
"""

_CSS = """
.tiles { font-family: var(--st-font); font-size: 0.75rem; color: var(--st-text-color); display: grid; gap: 8px; padding: 3px; outline: none; }
.tiles.pictures { grid-template-columns: repeat(auto-fill, minmax(var(--tile), 1fr)); }
.tile { border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius, 5px); overflow: hidden; cursor: pointer;
  background: var(--st-secondary-background-color); }
.tile:hover { border-color: var(--st-primary-color); }
.tile[aria-selected=true] { border-color: var(--st-primary-color); box-shadow: 0 0 0 2px var(--st-primary-color); }
.tiles:focus-visible .tile[aria-selected=true] { box-shadow: 0 0 0 3px var(--st-primary-color); }
.tile img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: rgba(128, 140, 150, 0.12); }
.tile span { display: block; padding: 3px 6px; opacity: 0.8; font-variant-numeric: tabular-nums; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.tile p { margin: 0; padding: 7px 10px 1px; font-size: 0.875rem; line-height: 1.4; overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 3; overflow: hidden; }
.texts .tile span { padding: 0 10px 6px; }
"""

_JS = """
const states = new WeakMap()

function pick(state, row, scroll) {
  state.picked = row
  for (const tile of state.box.children) {
    const is = Number(tile.dataset.row) === row
    tile.setAttribute('aria-selected', String(is))
    if (is) state.box.setAttribute('aria-activedescendant', tile.id)
    if (is && scroll) tile.scrollIntoView({ block: 'nearest' })
  }
}

function columns(box) {
  const top = box.children[0].offsetTop
  const next = [...box.children].findIndex(tile => tile.offsetTop !== top)
  return next < 0 ? box.children.length : next
}

export default function (component) {
  const { data, parentElement, setStateValue } = component
  const box = parentElement.querySelector('.tiles')
  if (!box || !data) return
  const state = states.get(box) ?? { box, picked: null, asked: undefined, shown: null }
  states.set(box, state)
  const shown = JSON.stringify(data.tiles)
  if (state.shown !== shown) {
    state.shown = shown
    state.asked = undefined
    box.className = 'tiles ' + (data.tiles.some(tile => tile.src) ? 'pictures' : 'texts')
    box.style.setProperty('--tile', data.tile_px + 'px')
    box.replaceChildren(...data.tiles.map(item => {
      const tile = document.createElement('div')
      tile.className = 'tile'
      tile.id = 'tile-' + item.row
      tile.dataset.row = item.row
      tile.setAttribute('role', 'option')
      if (item.src) {
        const image = document.createElement('img')
        image.loading = 'lazy'
        image.alt = item.caption
        image.src = item.src
        tile.append(image)
      }
      if (item.text) {
        const text = document.createElement('p')
        text.textContent = item.text
        tile.append(text)
      }
      const caption = document.createElement('span')
      caption.textContent = item.caption
      caption.title = item.caption
      tile.append(caption)
      tile.onclick = () => { pick(state, item.row, false); setStateValue('picked', item.row); box.focus({ preventScroll: true }) }
      return tile
    }))
  }
  box.setAttribute('aria-label', data.label)
  if (state.asked !== data.selected) { state.asked = data.selected; pick(state, data.selected, false) }
  box.onkeydown = event => {
    const rows = data.tiles.map(tile => tile.row)
    const at = rows.indexOf(state.picked)
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(box), ArrowDown: columns(box), Home: -rows.length, End: rows.length }[event.key]
    if (!step || !rows.length) return
    event.preventDefault()
    const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)]
    pick(state, next, true)
    setStateValue('picked', next)
  }
}
"""

_COMPONENT = component("pitwall_gallery", html=_HTML, css=_CSS, js=_JS)
