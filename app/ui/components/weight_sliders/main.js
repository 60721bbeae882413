const states = new WeakMap()
const LOCK = '<svg viewBox="0 0 24 24" aria-hidden="true"><rect x="5" y="11" width="14" height="9" rx="2"/>' +
  '<path class="shut" d="M8 11V8a4 4 0 0 1 8 0v3"/><path class="open" d="M8 11V7a4 4 0 0 1 7.5-2"/></svg>'

// What each weight is when `moved` wants a value: locked ones stay, the others share what is left as they shared it in `base`, the
// weights at the start of the gesture (so that going to one end and back loses nothing).
function share(base, locked, moved, wanted) {
  const free = base.map((_, i) => i !== moved && !locked[i])
  const held = base.reduce((sum, w, i) => sum + (locked[i] && i !== moved ? w : 0), 0)
  const room = Math.max(0, 1 - held)
  const value = Math.min(Math.max(wanted, 0), room)
  const others = base.reduce((sum, w, i) => sum + (free[i] ? w : 0), 0)
  const count = free.filter(Boolean).length
  if (!count) return base.slice()
  return base.map((w, i) => i === moved ? value : !free[i] ? w : others > 1e-9 ? (room - value) * w / others : (room - value) / count)
}

function makeRow(state, index) {
  const row = document.createElement('div')
  row.className = 'row'
  row.innerHTML = `<button type="button" class="lock">${LOCK}</button><span class="name"><i class="dot"></i><b></b></span>` +
    '<span class="score"></span><span class="track"><input type="range" min="0" max="1" step="0.01"><i class="mark" hidden></i></span>' +
    '<input type="number" min="0" max="1" step="0.01">'
  listen(state, row, value => {
    // Runs that were chosen had their shrinkage among themselves: it is in the weights already, and all that a hand takes over.
    if (state.kind === 'chosen') state.shrinkage = 0
    state.kind = 'plain'
    state.weights = share(state.base, state.locked, index, value)
  })
  row.querySelector('button').onclick = () => { state.locked[index] = !state.locked[index]; state.base = null; paint(state, null); send(state) }
  return row
}

// A slider and a number for one value: `change` is told each value, the server too, and at the end that it was let go.
function listen(state, row, change) {
  const [slider, number] = [row.querySelector('[type=range]'), row.querySelector('[type=number]')]
  const move = (value, source) => {
    if (!state.base) { state.base = state.weights.slice(); state.gesture += 1 }
    change(value)
    paint(state, source)
    send(state)
  }
  const settle = () => { if (state.base) { state.base = null; send(state) } paint(state, null) }
  slider.oninput = () => move(Number(slider.value), slider)
  slider.onchange = settle
  slider.onblur = settle
  number.oninput = () => { if (number.value.trim() !== '' && Number.isFinite(number.valueAsNumber)) move(number.valueAsNumber, number) }
  number.onchange = settle
  number.onblur = settle
}

function paint(state, source) {
  const text = state.labels
  const open = state.locked.filter(l => !l).length
  state.rows.forEach((data, i) => {
    const row = state.box.children[i], w = state.weights[i]
    const [button, slider, number] = [row.querySelector('button'), row.querySelector('[type=range]'), row.querySelector('[type=number]')]
    const stuck = state.locked[i] || open < 2
    row.style.setProperty('--run', data.color)
    row.querySelector('b').textContent = data.name
    row.querySelector('b').title = data.name
    row.querySelector('.score').textContent = data.score
    button.setAttribute('aria-pressed', String(state.locked[i]))
    button.setAttribute('aria-label', `${state.locked[i] ? text.unlock : text.lock}: ${data.name}`)
    button.title = state.locked[i] ? text.unlock : text.lock
    slider.setAttribute('aria-label', `${text.weight}: ${data.name}`)
    slider.setAttribute('aria-valuetext', `${(100 * w).toFixed(1)} %`)
    number.setAttribute('aria-label', `${text.weight_number}: ${data.name}`)
    slider.disabled = number.disabled = stuck
    slider.title = stuck && !state.locked[i] ? text.alone : ''
    slider.style.setProperty('--at', `calc(8px + ${w} * (100% - 16px))`)
    if (source !== slider) slider.value = w
    if (source !== number) number.value = w.toFixed(3)
    // Where shrinkage draws a weight: what the run really has in the blend.
    const mark = row.querySelector('.mark'), real = (1 - state.shrinkage) * w + state.shrinkage / state.rows.length
    mark.hidden = state.kind === 'chosen' || state.kind === 'stacking' || Math.abs(real - w) < 0.004
    mark.title = `${text.share}: ${real.toFixed(3)}`
    mark.style.setProperty('--share', real)
  })
  const [slider, number] = [state.foot.querySelector('[type=range]'), state.foot.querySelector('[type=number]')]
  state.foot.querySelector('b').textContent = text.shrinkage
  state.foot.title = text.shrinkage_help
  slider.setAttribute('aria-label', text.shrinkage)
  number.setAttribute('aria-label', text.shrinkage_number)
  slider.disabled = number.disabled = state.kind === 'stacking'
  slider.style.setProperty('--at', `calc(8px + ${state.shrinkage} * (100% - 16px))`)
  if (source !== slider) slider.value = state.shrinkage
  if (source !== number) number.value = state.shrinkage.toFixed(2)
  for (const kind of ['by_class', 'stacking']) state.box.parentElement.classList.toggle(kind, state.kind === kind)
}

// At most one message in `throttle` ms, and always one for the last state.
function send(state) {
  const wait = state.sent + state.throttle - performance.now()
  if (wait > 0) { state.timer ??= setTimeout(() => { state.timer = null; send(state) }, wait); return }
  state.sent = performance.now()
  const { weights, locked, gesture, shrinkage, revision } = state
  const held = state.base !== null
  state.set('weights', { ids: state.rows.map(row => row.id), weights: weights.slice(), locked: locked.slice(), gesture, shrinkage, revision, held })
}

export default function (component) {
  const { data, parentElement, setStateValue } = component
  const root = parentElement.querySelector('.sliders')
  if (!root || !data) return
  const known = states.get(root)
  const state = known ?? { box: root.querySelector('.rows'), foot: root.querySelector('.foot'), sent: -Infinity, timer: null, base: null, revision: null }
  if (!known) listen(state, state.foot, value => { state.shrinkage = Math.min(Math.max(value, 0), 1) })
  states.set(root, state)
  Object.assign(state, { labels: data.labels, throttle: data.throttle_ms, set: setStateValue })
  const ids = data.rows.map(r => r.id).join()
  const isNew = state.revision !== data.revision || state.ids !== ids
  if (isNew) {
    const { rows, weights, locked, gesture, shrinkage, revision } = data
    Object.assign(state, { rows, ids, weights: weights.slice(), locked: locked.slice(), gesture, shrinkage, revision, base: null })
    clearTimeout(state.timer)
    state.timer = null
    state.box.replaceChildren(...data.rows.map((_, i) => makeRow(state, i)))
  }
  state.rows = data.rows
  if (!state.base) state.kind = data.kind
  root.setAttribute('aria-label', data.labels.weights)
  for (const name of ['run', 'own_score', 'weight']) root.querySelector('.h-' + name).textContent = data.labels[name]
  const active = parentElement.activeElement ?? document.activeElement
  paint(state, !isNew && root.contains(active) ? active : null)
  return () => { clearTimeout(state.timer); state.timer = null }
}
