const lists = new WeakMap()
const PATHS = {
  grip: '<circle cx="9" cy="6" r="1.6"/><circle cx="15" cy="6" r="1.6"/><circle cx="9" cy="12" r="1.6"/><circle cx="15" cy="12" r="1.6"/>' +
    '<circle cx="9" cy="18" r="1.6"/><circle cx="15" cy="18" r="1.6"/>',
  next: '<path d="M6 5l9 7-9 7zM18 5v14"/>', up: '<path d="M12 19V5M6 11l6-6 6 6"/>', down: '<path d="M12 5v14M6 13l6 6 6-6"/>',
  pause: '<path d="M9 5v14M15 5v14"/>', resume: '<path d="M7 5l11 7-11 7z"/>',
}
const PATIENCE_MS = 6000  // after which the store's order is shown even if an act was never answered
const START_PX = 4
const EDGE_PX = 70

const icon = name => `<svg viewBox="0 0 24 24" aria-hidden="true">${PATHS[name]}</svg>`
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name])

// An act is sent again with the next one until it is answered, so that of two quick ones none is lost; the server counts.
function act(list, kind, row, extra = {}) {
  list.sent += 1
  list.acts = [...list.acts, { number: list.sent, kind, run: row.id, after: null, place: 0, ...extra }]
  list.actedAt = performance.now()
  list.send('acts', list.acts)
}

// Put a row where it was dropped, show it there at once, and say so to the server.
function drop(list, from, to) {
  if (from === to) return
  const [row] = list.rows.splice(from, 1)
  list.rows.splice(to, 0, row)
  act(list, 'move', row, { after: list.rows[to - 1]?.id ?? null, place: to })
}

function press(list, row, kind) {
  const at = list.rows.indexOf(row), last = list.rows.length - 1
  const to = { next: 0, up: Math.max(0, at - 1), down: Math.min(last, at + 1) }[kind]
  if (to !== undefined) list.rows.splice(to, 0, ...list.rows.splice(at, 1))
  if (kind === 'pause' || kind === 'resume' || kind === 'next') row.is_paused = kind === 'pause'
  act(list, kind, row)
  draw(list)
  // A button that has just been switched off loses the focus; the row's handle takes it.
  const item = list.box.children[list.rows.indexOf(row)]
  const button = item.querySelector(kind === 'pause' ? '.resume' : kind === 'resume' ? '.pause' : '.' + kind)
  ;(button.disabled ? item.querySelector('.grip') : button).focus()
}

function say(list, key, row, place) {
  list.said.textContent = fill(list.labels[key], { run: row.name, place: place + 1, n: list.nWaiting })
}

// Lifting: `at` is where the row was, `to` where it would be put down now. The others make room by moving aside.
function lift(list, at, how) {
  const boxes = [...list.box.children].map(item => item.getBoundingClientRect())
  const top = list.box.getBoundingClientRect().top
  list.lifted = { at, to: at, how, row: list.rows[at], mids: boxes.map(b => b.top - top + b.height / 2), heights: boxes.map(b => b.height), y: 0 }
  const item = list.box.children[at]
  item.classList.add('lifted')
  item.classList.toggle('dragged', how === 'pointer')
  item.querySelector('.grip').setAttribute('aria-pressed', 'true')
  requestAnimationFrame(() => { if (list.lifted) list.box.classList.add('moving') })
}

function shift(list, to) {
  const { at, how, mids, heights, y } = list.lifted
  list.lifted.to = to
  ;[...list.box.children].forEach((item, i) => {
    const aside = i === at ? (how === 'pointer' ? y : mids[to] - mids[at]) : i > at && i <= to ? -heights[at] : i < at && i >= to ? heights[at] : 0
    item.style.transform = aside ? `translateY(${aside}px)` : ''
  })
}

function putDown(list, isWanted, keepsFocus = true) {
  const { at, to, row, how } = list.lifted
  list.lifted = null
  if (isWanted) drop(list, at, to)
  say(list, isWanted ? 'dropped' : 'given_up', row, isWanted ? to : at)
  draw(list)
  if (how === 'keyboard' && keepsFocus) list.box.children[isWanted ? to : at].querySelector('.grip').focus()
  if (list.late) { const data = list.late; list.late = null; take(list, data) }
}

function onKey(list, event) {
  const index = [...list.box.children].indexOf(event.currentTarget.closest('.row'))
  const key = event.key
  if (!list.lifted) {
    if (key !== ' ' && key !== 'Enter') return
    event.preventDefault()
    lift(list, index, 'keyboard')
    say(list, 'lifted', list.rows[index], index)
    return
  }
  if (list.lifted.how !== 'keyboard') return
  const last = list.rows.length - 1
  const to = { ArrowUp: list.lifted.to - 1, ArrowDown: list.lifted.to + 1, Home: 0, End: last }[key]
  if (key === ' ' || key === 'Enter') putDown(list, true)
  else if (key === 'Escape') putDown(list, false)
  else if (to !== undefined) {
    shift(list, Math.min(Math.max(to, 0), last))
    say(list, 'moved', list.lifted.row, list.lifted.to)
  } else return
  event.preventDefault()
  event.stopPropagation()
}

function onPointer(list, event) {
  const isGrip = event.target.closest('.grip')
  if (event.button !== 0 || list.lifted || (event.target.closest('button') && !isGrip)) return
  if (event.pointerType !== 'mouse' && !isGrip) return  // a finger on a row scrolls the page
  const item = event.currentTarget, at = [...list.box.children].indexOf(item)
  const scroller = scrolled(list.box)
  const start = event.clientY + list.box.getBoundingClientRect().top * -1
  let y = event.clientY, frame = 0
  const follow = () => {
    if (!list.lifted) return
    const { mids } = list.lifted, last = mids.length - 1
    const moved = y - list.box.getBoundingClientRect().top - start
    list.lifted.y = Math.min(Math.max(moved, mids[0] - mids[at]), mids[last] - mids[at])
    const centre = mids[at] + list.lifted.y
    let to = at
    while (to > 0 && centre <= (mids[to - 1] + mids[to]) / 2) to -= 1
    while (to < last && centre >= (mids[to + 1] + mids[to]) / 2) to += 1
    shift(list, to)
  }
  const scroll = () => {
    const by = y < EDGE_PX ? -10 : y > window.innerHeight - EDGE_PX ? 10 : 0
    if (by && scroller) { scroller.scrollTop += by; follow() }
    frame = requestAnimationFrame(scroll)
  }
  const onMove = move => {
    y = move.clientY
    if (!list.lifted) {
      if (Math.abs(y - event.clientY) < START_PX) return
      lift(list, at, 'pointer')
      item.setPointerCapture(event.pointerId)
      frame = requestAnimationFrame(scroll)
    }
    follow()
  }
  const end = isWanted => {
    for (const [name, handler] of handlers) window.removeEventListener(name, handler, true)
    cancelAnimationFrame(frame)
    if (list.lifted?.how === 'pointer') putDown(list, isWanted)
  }
  const ours = each => each.pointerId === event.pointerId
  const onEscape = key => { if (key.key === 'Escape' && list.lifted) { key.preventDefault(); key.stopPropagation(); end(false) } }
  const handlers = [
    ['pointermove', move => ours(move) && onMove(move)], ['pointerup', up => ours(up) && end(true)],
    ['pointercancel', gone => ours(gone) && end(false)], ['keydown', onEscape],
  ]
  for (const [name, handler] of handlers) window.addEventListener(name, handler, true)
}

// The nearest ancestor that scrolls, also outside the shadow root.
function scrolled(node) {
  for (let at = node; at; at = at.parentElement ?? at.getRootNode().host) {
    if (at.scrollHeight > at.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(at).overflowY)) return at
  }
  return null
}

function makeRow(list) {
  const item = document.createElement('li')
  item.className = 'row'
  const button = name => `<button type="button" class="${name}">${icon(name)}${name === 'next' ? '<span></span>' : ''}</button>`
  item.innerHTML = `${button('grip')}<span class="place"></span><i class="dot"></i><span class="name"></span><span class="facts"></span>` +
    ['next', 'up', 'down', 'pause', 'resume'].map(button).join('')
  const rowOf = () => list.rows[[...list.box.children].indexOf(item)]
  for (const kind of ['next', 'up', 'down', 'pause', 'resume']) item.querySelector('.' + kind).onclick = () => press(list, rowOf(), kind)
  const grip = item.querySelector('.grip')
  grip.setAttribute('aria-describedby', 'how')
  grip.onkeydown = event => onKey(list, event)
  grip.onblur = () => { if (list.lifted?.how === 'keyboard') putDown(list, false, false) }
  item.onpointerdown = event => { if (list.canSteer) onPointer(list, event) }
  return item
}

function draw(list) {
  const text = list.labels
  while (list.box.children.length < list.rows.length) list.box.append(makeRow(list))
  while (list.box.children.length > list.rows.length) list.box.lastChild.remove()
  list.box.classList.remove('moving')
  list.rows.forEach((row, i) => {
    const item = list.box.children[i]
    item.className = row.is_paused ? 'row is-paused' : 'row'
    item.style.transform = ''
    item.style.setProperty('--run', row.color)
    item.querySelector('.place').textContent = i + 1
    item.querySelector('.name').textContent = item.querySelector('.name').title = row.name
    item.querySelector('.facts').textContent = item.querySelector('.facts').title = row.facts
    item.querySelector('.next span').textContent = text.next
    item.querySelector('.grip').setAttribute('aria-pressed', 'false')
    // A paused run that is first still has to be resumed to run next.
    const off = { next: i === 0 && !row.is_paused, up: i === 0, down: i === list.nWaiting - 1 }
    for (const name of ['grip', 'next', 'up', 'down', 'pause', 'resume']) {
      const button = item.querySelector('.' + name)
      button.title = list.canSteer ? fill(text[name + '_help'], { run: row.name }) : text.read_only
      button.setAttribute('aria-label', name === 'next' ? `${text.next}: ${row.name}` : fill(text[name + '_help'], { run: row.name }))
      button.disabled = !list.canSteer || Boolean(off[name])
    }
    item.querySelector('.pause').hidden = row.is_paused
    item.querySelector('.resume').hidden = !row.is_paused
    for (const name of ['pause', 'resume']) item.querySelector('.' + name).style.display = item.querySelector('.' + name).hidden ? 'none' : ''
  })
}

// Take over what the server says, unless it has not heard of our last act yet.
function take(list, data) {
  list.acts = list.acts.filter(each => each.number > data.answered)
  if (list.lifted) { list.late = data; return }
  if (list.acts.length && performance.now() - list.actedAt < PATIENCE_MS) return
  list.acts = []
  list.rows = data.rows.map(row => ({ ...row }))
  list.nWaiting = data.n_waiting
  draw(list)
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector('.order')
  if (!root || !data) return
  const list = lists.get(root) ?? {
    box: root.querySelector('.rows'), said: root.querySelector('.said'), rows: [], nWaiting: 0, acts: [], sent: data.answered, actedAt: 0,
    lifted: null, late: null,
  }
  lists.set(root, list)
  Object.assign(list, { labels: data.labels, canSteer: data.can_steer, send: setTriggerValue })
  root.classList.toggle('can-steer', data.can_steer)
  root.querySelector('.how').textContent = data.labels.how
  list.box.setAttribute('aria-label', data.labels.list)
  take(list, data)
}
