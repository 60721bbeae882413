// "/" goes to the search field of the page, unless something is being typed.
if (!window.pitwallKeys) {
  window.pitwallKeys = true
  document.addEventListener('keydown', event => {
    const at = document.activeElement
    if (event.key !== '/' || event.ctrlKey || event.metaKey || at.isContentEditable || /^(input|textarea|select)$/i.test(at.tagName)) return
    const field = document.querySelector('[data-testid="stMain"] input[type="search"]')
    if (field) { event.preventDefault(); field.focus() }
  })
  // Ctrl+Z in a text field undoes what was typed there, and nothing on the page.
  window.addEventListener('keydown', event => {
    const at = event.composedPath()[0]
    const isTyping = at instanceof HTMLTextAreaElement || (at instanceof HTMLInputElement && at.type === 'text')
    if (isTyping && event.key.toLowerCase() === 'z' && (event.ctrlKey || event.metaKey)) event.stopImmediatePropagation()
  }, true)
}
