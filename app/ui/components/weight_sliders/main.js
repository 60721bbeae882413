const banks = new WeakMap()
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

function makeRow(bank, index) {
  const row = document.createElement('div')
  row.className = 'row'
  row.innerHTML = `<button type="button" class="lock">${LOCK}</button><span class="name"><i class="dot"></i><b></b></span>` +
    '<span class="score"></span><span class="track"><input type="range" min="0" max="1" step="0.01"><i class="mark" hidden></i></span>' +
    '<input type="number" min="0" max="1" step="0.01">'
  listen(bank, row, value => {
    // Runs that were chosen had their shrinkage among themselves: it is in the weights already, and all that a hand takes over.
    if (bank.kind === 'chosen') bank.shrinkage = 0
    bank.kind = 'plain'
    bank.weights = share(bank.base, bank.locked, index, value)
  })
  row.querySelector('button').onclick = () => { bank.locked[index] = !bank.locked[index]; bank.base = null; paint(bank, null); send(bank) }
  return row
}

// A slider and a number for one value: `change` is told each value, the server too, and at the end that it was let go.
function listen(bank, row, change) {
  const [slider, number] = [row.querySelector('[type=range]'), row.querySelector('[type=number]')]
  const move = (value, source) => {
    if (!bank.base) { bank.base = bank.weights.slice(); bank.gesture += 1 }
    change(value)
    paint(bank, source)
    send(bank)
  }
  const settle = () => { if (bank.base) { bank.base = null; send(bank) } paint(bank, null) }
  slider.oninput = () => move(Number(slider.value), slider)
  slider.onchange = settle
  slider.onblur = settle
  number.oninput = () => { if (number.value.trim() !== '' && Number.isFinite(number.valueAsNumber)) move(number.valueAsNumber, number) }
  number.onchange = settle
  number.onblur = settle
}

function paint(bank, source) {
  const text = bank.labels
  const open = bank.locked.filter(l => !l).length
  bank.rows.forEach((data, i) => {
    const row = bank.box.children[i], w = bank.weights[i]
    const [button, slider, number] = [row.querySelector('button'), row.querySelector('[type=range]'), row.querySelector('[type=number]')]
    const stuck = bank.locked[i] || open < 2
    row.style.setProperty('--run', data.color)
    row.querySelector('b').textContent = data.name
    row.querySelector('b').title = data.name
    row.querySelector('.score').textContent = data.score
    button.setAttribute('aria-pressed', String(bank.locked[i]))
    button.setAttribute('aria-label', `${bank.locked[i] ? text.unlock : text.lock}: ${data.name}`)
    button.title = bank.locked[i] ? text.unlock : text.lock
    slider.setAttribute('aria-label', `${text.weight}: ${data.name}`)
    slider.setAttribute('aria-valuetext', `${(100 * w).toFixed(1)} %`)
    number.setAttribute('aria-label', `${text.number}: ${data.name}`)
    slider.disabled = number.disabled = stuck
    slider.title = stuck && !bank.locked[i] ? text.alone : ''
    slider.style.setProperty('--at', `calc(8px + ${w} * (100% - 16px))`)
    if (source !== slider) slider.value = w
    if (source !== number) number.value = w.toFixed(3)
    // Where shrinkage draws a weight: what the run really has in the blend.
    const mark = row.querySelector('.mark'), real = (1 - bank.shrinkage) * w + bank.shrinkage / bank.rows.length
    mark.hidden = bank.kind === 'chosen' || bank.kind === 'apart' || Math.abs(real - w) < 0.004
    mark.title = `${text.share}: ${real.toFixed(3)}`
    mark.style.setProperty('--share', real)
  })
  const [slider, number] = [bank.foot.querySelector('[type=range]'), bank.foot.querySelector('[type=number]')]
  bank.foot.querySelector('b').textContent = text.shrinkage
  bank.foot.title = text.shrinkage_help
  slider.setAttribute('aria-label', text.shrinkage)
  number.setAttribute('aria-label', text.shrinkage_number)
  slider.disabled = number.disabled = bank.kind === 'apart'
  slider.style.setProperty('--at', `calc(8px + ${bank.shrinkage} * (100% - 16px))`)
  if (source !== slider) slider.value = bank.shrinkage
  if (source !== number) number.value = bank.shrinkage.toFixed(2)
  for (const kind of ['loose', 'apart']) bank.box.parentElement.classList.toggle(kind, bank.kind === kind)
}

// At most one message in `throttle` ms, and always one for the last state.
function send(bank) {
  const wait = bank.sent + bank.throttle - performance.now()
  if (wait > 0) { bank.timer ??= setTimeout(() => { bank.timer = null; send(bank) }, wait); return }
  bank.sent = performance.now()
  const { weights, locked, gesture, shrinkage, revision } = bank
  const held = bank.base !== null
  bank.set('bank', { ids: bank.rows.map(row => row.id), weights: weights.slice(), locked: locked.slice(), gesture, shrinkage, revision, held })
}

export default function (component) {
  const { data, parentElement, setStateValue } = component
  const root = parentElement.querySelector('.bank')
  if (!root || !data) return
  const known = banks.get(root)
  const bank = known ?? { box: root.querySelector('.rows'), foot: root.querySelector('.foot'), sent: -Infinity, timer: null, base: null, revision: null }
  if (!known) listen(bank, bank.foot, value => { bank.shrinkage = Math.min(Math.max(value, 0), 1) })
  banks.set(root, bank)
  Object.assign(bank, { labels: data.labels, throttle: data.throttle_ms, set: setStateValue })
  const ids = data.rows.map(r => r.id).join()
  const isNew = bank.revision !== data.revision || bank.ids !== ids
  if (isNew) {
    const { rows, weights, locked, gesture, shrinkage, revision } = data
    Object.assign(bank, { rows, ids, weights: weights.slice(), locked: locked.slice(), gesture, shrinkage, revision, base: null })
    clearTimeout(bank.timer)
    bank.timer = null
    bank.box.replaceChildren(...data.rows.map((_, i) => makeRow(bank, i)))
  }
  bank.rows = data.rows
  if (!bank.base) bank.kind = data.kind
  root.setAttribute('aria-label', data.labels.weights)
  for (const name of ['run', 'score', 'weight']) root.querySelector('.h-' + name).textContent = data.labels[name]
  const active = parentElement.activeElement ?? document.activeElement
  paint(bank, !isNew && root.contains(active) ? active : null)
  return () => { clearTimeout(bank.timer); bank.timer = null }
}
