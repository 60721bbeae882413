// Every visible text whose contrast with what lies behind it is below 4.5 to 1 (WCAG 1.4.3), by its place; disabled controls are exempt.
() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const parse = text => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = text
    canvas.fillRect(0, 0, 1, 1)
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data
    return [r, g, b, a / 255]
  }
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1)
  const linear = v => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) }
  const above = node => node.parentElement ?? node.getRootNode().host ?? null
  const chain = node => { const nodes = []; for (let at = node; at; at = above(at)) nodes.push(at); return nodes }
  const behind = nodes => {
    const layers = nodes.map(at => parse(getComputedStyle(at).backgroundColor)).filter(color => color[3] > 0)
    return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255, 1])
  }
  const pale = new Map()
  const look = root => {
    for (const node of root.querySelectorAll('*')) {
      if (node.shadowRoot) look(node.shadowRoot)
      const text = [...node.childNodes].filter(each => each.nodeType === 3).map(each => each.textContent).join(' ').trim()
      const box = node.getBoundingClientRect()
      if (!text || box.width < 2 || box.height < 2 || !node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue
      if (node.closest('[disabled], [aria-disabled=true], style, script, canvas') || node.closest('label')?.querySelector(':disabled')) continue
      const nodes = chain(node), style = getComputedStyle(node), isSvg = node instanceof SVGElement, under = behind(nodes)
      const ink = parse(isSvg ? style.fill : style.color)
      const alpha = nodes.reduce((product, at) => product * Number(getComputedStyle(at).opacity), ink[3] * (isSvg ? Number(style.fillOpacity) : 1))
      const ratio = contrast(over([...ink.slice(0, 3), alpha], under), under)
      if (ratio < 4.5) pale.set(`${node.closest('[data-testid]')?.dataset.testid ?? node.className} ${node.tagName}`, `${ratio.toFixed(2)} ${text.slice(0, 40)}`)
    }
  }
  look(document)
  return [...pale].map(each => each.join(': '))
}
