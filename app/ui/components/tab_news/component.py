"""News in the browser: cards at the corner of the window, whatever the page, and a mark on the tab's title until somebody looks.

`st.toast` is not used, since two of its toasts from one fragment overwrite each other, and each runs out although nobody sees the tab.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from streamlit.components.v2 import component

SHOWN_S = 10


@dataclass(frozen=True)
class Card:
    """What is shown once: a name, and lines under it. One that is bad stays until it is closed."""

    number: int
    name: str
    lines: tuple[str, ...]
    is_bad: bool


@dataclass(frozen=True)
class Mark:
    """What the title says while nobody has looked since."""

    number: int
    text: str
    is_bad: bool


def tab_news(watch: str, *, cards: Sequence[Card], marks: Sequence[Mark], training: str, labels: Mapping[str, str]) -> None:
    """Show the cards that this tab has not shown yet, and put the marks that nobody has seen, or what trains, before its title.

    `watch` names the session: numbers of another one begin anew. `labels` are the texts close and news.
    """
    _COMPONENT(
        key="tab-news",
        data={
            "watch": watch,
            "cards": [asdict(card) for card in cards],
            "marks": [asdict(mark) for mark in marks],
            "training": training,
            "shown_ms": 1000 * SHOWN_S,
            "labels": dict(labels),
        },
    )


_CSS = """
:host { position: fixed; right: 16px; bottom: 16px; z-index: 1000000; width: min(360px, calc(100vw - 32px)); display: flex; flex-direction: column; gap: 8px;
  font-family: var(--st-font); font-size: 0.86rem; line-height: 1.45; color: var(--st-text-color); font-variant-numeric: tabular-nums; word-break: keep-all;
  overflow-wrap: break-word; }
.card { display: flex; gap: 10px; align-items: flex-start; padding: 10px 8px 10px 12px; background: var(--st-background-color);
  border: 1px solid var(--st-border-color); border-left: 3px solid var(--st-green-color); border-radius: var(--st-base-radius, 6px);
  box-shadow: 0 4px 18px color-mix(in srgb, black 20%, transparent); animation: rise 0.18s ease-out; }
.card.is-bad { border-left-color: var(--st-red-color); }
.text { flex: 1; min-width: 0; }
b { font-weight: 600; }
p { margin: 0; opacity: 0.85; }
button { flex: none; width: 26px; height: 26px; padding: 0; font: inherit; font-size: 1.1rem; line-height: 1; color: inherit; opacity: 0.6; background: none;
  border: none; border-radius: var(--st-button-radius, 6px); cursor: pointer; }
button:hover { opacity: 1; background: var(--st-secondary-background-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); }
@keyframes rise { from { transform: translateY(8px); opacity: 0; } }
@media (prefers-reduced-motion: reduce) { .card { animation: none; } }
"""

_JS = """
const CSS = CARD_CSS
const LOOKS = ['font', 'text-color', 'background-color', 'secondary-background-color', 'border-color', 'primary-color', 'green-color', 'red-color',
  'base-radius', 'button-radius']
const INPUTS = ['pointerdown', 'keydown', 'wheel', 'touchstart', 'focus']

// What the tab shows: the worst unseen news, else what trains, then the title that the page gave itself.
function paint(tab) {
  const fresh = tab.marks.filter(mark => mark.number > tab.seen)
  const shown = fresh.findLast(mark => mark.is_bad) ?? fresh.at(-1)
  const more = fresh.length > 1 ? ` +${fresh.length - 1}` : ''
  tab.title = [shown ? shown.text + more : tab.training, tab.own].filter(Boolean).join(' · ')
  if (document.title !== tab.title) document.title = tab.title
}

function look(tab) {
  const newest = tab.marks.at(-1)?.number ?? -1
  if (document.visibilityState === 'hidden' || newest <= tab.seen) return
  tab.seen = newest
  paint(tab)
}

// One set of listeners for the life of the tab; the component may come and go with the sidebar.
function watchTab() {
  const tab = { watch: '', marks: [], training: '', seen: -1, own: document.title, title: document.title, at: null }
  for (const name of INPUTS) window.addEventListener(name, () => look(tab), { capture: true, passive: true })
  document.addEventListener('visibilitychange', () => look(tab))
  // A pointer that lies still also "moves" when something is drawn under it.
  window.addEventListener('pointermove', ({ screenX: x, screenY: y }) => {
    if (tab.at && Math.hypot(x - tab.at[0], y - tab.at[1]) > 2) look(tab)
    tab.at = [x, y]
  }, { capture: true, passive: true })
  new MutationObserver(() => {
    if (document.title === tab.title) return
    tab.own = document.title
    paint(tab)
  }).observe(document.head, { childList: true, subtree: true, characterData: true })
  return tab
}

// The cards lie in the page itself, so that neither a closed sidebar nor another page takes them away.
function makeCorner() {
  const corner = document.createElement('div')
  corner.id = 'pitwall-news'
  corner.setAttribute('role', 'region')
  corner.attachShadow({ mode: 'open' }).append(Object.assign(document.createElement('style'), { textContent: CSS }))
  document.body.append(corner)
  return corner
}

function show(tab, card) {
  const box = document.createElement('div')
  box.className = card.is_bad ? 'card is-bad' : 'card'
  box.setAttribute('role', card.is_bad ? 'alert' : 'status')
  const text = document.createElement('div')
  text.className = 'text'
  text.append(Object.assign(document.createElement('b'), { textContent: card.name }))
  for (const line of card.lines) text.append(Object.assign(document.createElement('p'), { textContent: line }))
  const close = Object.assign(document.createElement('button'), { type: 'button', textContent: '×', onclick: () => box.remove() })
  close.setAttribute('aria-label', tab.labels.close)
  box.append(text, close)
  tab.corner.shadowRoot.append(box)
  if (!card.is_bad) runOut(box, tab.shown_ms)
}

// Time passes only while the tab can be seen and nobody is at the card.
function runOut(box, ms) {
  const step = 250
  const timer = setInterval(() => {
    if (!box.isConnected) return clearInterval(timer)
    if (document.visibilityState === 'hidden' || box.matches(':hover, :focus-within')) return
    ms -= step
    if (ms <= 0) box.remove()
  }, step)
}

export default function ({ data, parentElement }) {
  if (!data) return
  const tab = window.pitwallTab ??= watchTab()
  if (tab.watch !== data.watch) tab.seen = tab.told = -1
  Object.assign(tab, data)
  paint(tab)
  const looks = getComputedStyle(parentElement.host ?? parentElement)
  tab.corner ??= makeCorner()
  tab.corner.setAttribute('aria-label', data.labels.news)
  for (const name of LOOKS) tab.corner.style.setProperty(`--st-${name}`, looks.getPropertyValue(`--st-${name}`))
  for (const card of data.cards.filter(card => card.number > tab.told)) show(tab, card)
  tab.told = data.cards.at(-1)?.number ?? tab.told
}
"""

_COMPONENT = component("pitwall_tab_news", html="<span hidden></span>", js=_JS.replace("CARD_CSS", json.dumps(_CSS)))
