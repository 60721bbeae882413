// What the keyboard does on every page, beside what the page's own buttons say. The list of it is `common.keys_*` of app/words.
if (!window.pitwallKeys) {
  window.pitwallKeys = true
  const inside = event => event.composedPath()[0]
  const isTyping = node => node.isContentEditable || /^(input|textarea|select)$/i.test(node.tagName)
  const press = selector => { const found = document.querySelector(selector); found?.click(); return found }
  let going = 0  // when "g" was pressed: the digit after it names a page of the sidebar
  document.addEventListener('keydown', event => {
    const at = inside(event)
    if (event.altKey && event.code === 'KeyH') {  // the help of the field that has the focus
      const help = at.closest('[data-testid="stElementContainer"]')?.querySelector('[data-testid="stTooltipIcon"] button:not([data-testid])')
      if (help) { event.preventDefault(); help.focus() }
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(at)) return
    if (event.key === '/') {
      const field = document.querySelector('[data-testid="stMain"] input[type="search"]')
      if (field) { event.preventDefault(); field.focus() }
    }
    if (event.key === '?') press('.st-key-keys-list button')
    if (event.key === 'g') going = event.timeStamp
    else if (/^[1-8]$/.test(event.key) && event.timeStamp - going < 2000) {
      going = 0
      document.querySelectorAll('.st-key-side-flow a')[Number(event.key) - 1]?.click()
    }
  })
  // Ctrl+Z in a text field undoes what was typed there, and nothing on the page.
  window.addEventListener('keydown', event => {
    const at = inside(event)
    const isText = at instanceof HTMLTextAreaElement || (at instanceof HTMLInputElement && at.type === 'text')
    if (isText && event.key.toLowerCase() === 'z' && (event.ctrlKey || event.metaKey)) event.stopImmediatePropagation()
  }, true)
  // A "?" beside each field is no stop of the Tab key: a form has a dozen. Alt+H opens the help of the field one is in.
  // What opens over the page stands outside of it in the document, and must know whether it is dark.
  const root = document.documentElement
  const skip = () => {
    waits = false
    const scheme = getComputedStyle(document.querySelector('.stApp')).colorScheme
    if (root.style.colorScheme !== scheme) root.style.colorScheme = scheme
    for (const help of document.querySelectorAll('[data-testid="stTooltipIcon"] button:not([data-testid], [tabindex])')) help.tabIndex = -1
  }
  let waits = false  // a page is drawn in dozens of changes: they are looked at together
  new MutationObserver(() => { if (!waits) { waits = true; setTimeout(skip, 50) } }).observe(document.body, { childList: true, subtree: true })
  skip()
}
