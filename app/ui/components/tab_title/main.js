const INPUTS = ['pointerdown', 'keydown', 'wheel', 'touchstart', 'focus']

// The newest unseen mark (a bad one first), else what trains; then the title that the page gave itself.
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

// One set of listeners for the life of the tab; the component is mounted anew when the sidebar opens.
function watchTab() {
  const tab = { session: '', marks: [], training: '', seen: -1, own: document.title, title: document.title, at: null }
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

export default function ({ data }) {
  if (!data) return
  const tab = window.pitwallTab ??= watchTab()
  if (tab.session !== data.session) tab.seen = -1
  Object.assign(tab, data)
  paint(tab)
}
