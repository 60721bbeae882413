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
