"""The weights of a blend and their shrinkage as sliders that speak while they are dragged, which `st.slider` does not.

Locking and normalising happen in the browser: weights always sum to one, and moving one shares the rest among the unlocked
in proportion. Scoring happens in core; the browser is told nothing that it could score with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st
from streamlit.components.v2 import component

THROTTLE_MS = 80


@dataclass(frozen=True)
class BankRow:
    """One run in the bank. `score` is text: the page knows how a score is written."""

    run_id: int
    name: str
    color: str
    score: str


@dataclass(frozen=True)
class BankState:
    """What the bank says: weights by run id (sum one), locked runs, and a count of gestures (one drag is one gesture).

    `shrinkage` is how far the weights are drawn to equal ones; `is_held` while the pointer has not let go.
    """

    weights: Mapping[int, float]
    locked: frozenset[int]
    gesture: int
    shrinkage: float = 0.0
    is_held: bool = False


Kind = Literal["plain", "chosen", "loose", "apart"]
"""What the weights are: the blend's own; those after a shrinkage that only the chosen runs had; a mean over classes; or no part of it."""


def heard(key: str, ids: Sequence[int], revision: int) -> BankState | None:
    """What the browser said last, before the bank is drawn again; None when it said nothing about these runs and this revision."""
    said = st.session_state.get(key)
    return read_state(said.get("bank") if isinstance(said, Mapping) else None, ids, revision)


def weight_bank(
    rows: Sequence[BankRow], state: BankState, *, revision: int, labels: Mapping[str, str], key: str, kind: Kind = "plain"
) -> None:
    """Show the bank; `heard` tells what is done in it.

    The browser owns the weights while `revision` stays the same; a new revision makes it take over `state`. `labels` are the
    texts: lock, unlock, run, score, weight, number, weights, alone, shrinkage, shrinkage_help, shrinkage_number, share.
    """
    ids = [row.run_id for row in rows]
    _COMPONENT(
        key=key,
        data={
            "rows": [{"id": row.run_id, "name": row.name, "color": row.color, "score": row.score} for row in rows],
            "weights": [state.weights[run_id] for run_id in ids],
            "locked": [run_id in state.locked for run_id in ids],
            "gesture": state.gesture,
            "shrinkage": state.shrinkage,
            "kind": kind,
            "revision": revision,
            "throttle_ms": THROTTLE_MS,
            "labels": dict(labels),
        },
        on_bank_change=_nothing,
    )


def read_state(sent: Any, ids: Sequence[int], revision: int) -> BankState | None:
    """Check what the browser sent against the runs and the revision it should be about; None when it is about something else.

    Weights that are not finite, are negative or belong to other runs are not taken.
    """
    if not isinstance(sent, Mapping) or sent.get("revision") != revision or sent.get("ids") != list(ids):
        return None
    weights, locked, gesture = sent.get("weights"), sent.get("locked"), sent.get("gesture")
    if not (isinstance(weights, list) and isinstance(locked, list) and isinstance(gesture, int)):
        return None
    if len(weights) != len(ids) or len(locked) != len(ids):
        return None
    if not all(isinstance(w, int | float) and math.isfinite(w) and w >= 0 for w in weights) or sum(weights) <= 0:
        return None
    shrinkage, is_held = sent.get("shrinkage"), sent.get("held")
    if not (isinstance(shrinkage, int | float) and 0 <= shrinkage <= 1 and isinstance(is_held, bool)):
        return None
    total = sum(weights)
    return BankState(
        weights={run_id: weight / total for run_id, weight in zip(ids, weights, strict=True)},
        locked=frozenset(run_id for run_id, is_locked in zip(ids, locked, strict=True) if is_locked),
        gesture=gesture,
        shrinkage=float(shrinkage),
        is_held=is_held,
    )


def _nothing() -> None:
    """A state key exists only where its callback is named."""


_HTML = """
<div class="bank" role="group">
  <div class="head" aria-hidden="true"><span></span><span class="h-run"></span><span class="h-score"></span><span class="h-weight"></span><span></span></div>
  <div class="rows"></div>
  <div class="row foot"><span></span><span class="name"><b></b></span><span class="score"></span>
    <span class="track"><input type="range" min="0" max="1" step="0.01"></span><input type="number" min="0" max="1" step="0.01"></div>
</div>
"""

_CSS = """
.bank { container-type: inline-size; font-family: var(--st-font); font-size: 0.875rem; color: var(--st-text-color); font-variant-numeric: tabular-nums; }
.head, .row { display: grid; grid-template-columns: 30px minmax(96px, 1.1fr) minmax(64px, auto) minmax(110px, 1.5fr) 76px; align-items: center; column-gap: 10px; }
.head { font-size: 0.75rem; opacity: 0.65; padding: 0 0 4px; border-bottom: 1px solid var(--st-border-color-light, var(--st-border-color)); }
.h-score { text-align: right; }
.row { min-height: 40px; border-bottom: 1px solid var(--st-border-color-light, var(--st-border-color)); }
.foot { border-bottom: none; --run: var(--st-gray-color, #8a8f98); }
.foot b { font-weight: 400; opacity: 0.85; }
.track { position: relative; display: grid; }
.mark { position: absolute; top: 3px; left: calc(8px + var(--share) * (100% - 16px)); width: 2px; height: 18px; margin-left: -1px;
  background: var(--st-text-color); opacity: 0.75; pointer-events: none; }
.loose .rows input[type=range]::-webkit-slider-thumb { border-style: dotted; opacity: 0.8; }
.loose .rows input[type=range]::-moz-range-thumb { border-style: dotted; opacity: 0.8; }
.apart .rows .track { opacity: 0.4; }
.name { display: flex; align-items: center; gap: 8px; min-width: 0; }
.name b { font-weight: 500; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.dot { flex: none; width: 10px; height: 10px; border-radius: 50%; background: var(--run); }
.score { text-align: right; opacity: 0.85; white-space: nowrap; }
.lock { width: 28px; height: 28px; padding: 0; display: grid; place-items: center; border: 1px solid transparent; border-radius: var(--st-button-radius, 6px);
  background: none; color: inherit; opacity: 0.45; cursor: pointer; }
.lock:hover { opacity: 1; background: var(--st-secondary-background-color); }
.lock[aria-pressed=true] { opacity: 1; color: var(--st-primary-color); border-color: var(--st-primary-color); }
.lock svg { width: 15px; height: 15px; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.lock .open, .lock[aria-pressed=true] .shut { display: inline; }
.lock .shut, .lock[aria-pressed=true] .open { display: none; }
input[type=range] { -webkit-appearance: none; appearance: none; width: 100%; height: 24px; margin: 0; background: none; cursor: pointer; }
input[type=range]::-webkit-slider-runnable-track { height: 6px; border-radius: 3px;
  background: linear-gradient(to right, var(--run) var(--at), var(--st-border-color) var(--at)); }
input[type=range]::-moz-range-track { height: 6px; border-radius: 3px; background: linear-gradient(to right, var(--run) var(--at), var(--st-border-color) var(--at)); }
input[type=range]::-webkit-slider-thumb { -webkit-appearance: none; width: 16px; height: 16px; margin-top: -5px; border-radius: 50%;
  background: var(--st-background-color); border: 3px solid var(--run); }
input[type=range]::-moz-range-thumb { width: 10px; height: 10px; border-radius: 50%; background: var(--st-background-color); border: 3px solid var(--run); }
input[type=range]:disabled { cursor: not-allowed; opacity: 0.45; }
input[type=number] { box-sizing: border-box; width: 100%; height: 30px; padding: 0 6px; font: inherit; text-align: right; color: inherit;
  background: var(--st-secondary-background-color); border: 1px solid var(--st-widget-border-color, transparent); border-radius: var(--st-base-radius, 6px); }
input[type=number]::-webkit-inner-spin-button { display: none; }
input[type=number]:disabled { opacity: 0.5; cursor: not-allowed; }
@container (max-width: 440px) {
  .head, .row { grid-template-columns: 28px minmax(48px, 1fr) auto minmax(56px, 1.2fr) 60px; column-gap: 6px; }
  .name { gap: 5px; }
  input[type=number] { padding: 0 3px; }
}
:is(input, button):focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
"""

_JS = """
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
"""

_COMPONENT = component("pitwall_weight_bank", html=_HTML, css=_CSS, js=_JS)
