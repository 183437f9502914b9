// The dashboard's behaviour: small custom elements and a few listeners. Every page
// works without it. Values are only ever set as text.
'use strict'

// <copy-text> copies its data-value, else the text of its <code>.
class CopyText extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector('button')
    const code = this.querySelector('code')
    if (!button || !code || !navigator.clipboard) return
    button.hidden = false
    const label = button.textContent
    button.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(this.dataset.value ?? code.textContent)
        button.textContent = 'Copied'
        say('Copied')
      } catch {
        getSelection().selectAllChildren(code)
        say('Press Ctrl C to copy')
      }
      setTimeout(() => { button.textContent = label }, 1500)
    })
  }
}
customElements.define('copy-text', CopyText)

// say tells a short message where screen readers hear it.
function say(text) {
  const place = document.getElementById('toasts')
  if (!place) return
  const toast = document.createElement('div')
  toast.className = 'toast neutral'
  const p = document.createElement('p')
  p.textContent = text
  toast.append(p)
  place.append(toast)
  setTimeout(() => toast.remove(), 4000)
}

// localTimes adds the local time to what a moment shows when it is pointed at.
function localTimes(root) {
  for (const time of root.querySelectorAll('time[datetime]:not([data-local])')) {
    const at = new Date(time.dateTime)
    if (isNaN(at)) continue
    time.dataset.local = ''
    time.title = at.toLocaleString() + ' (' + time.title + ')'
  }
}

// The theme changes at once; the form tells the server, which keeps it.
document.addEventListener('submit', (event) => {
  const form = event.target
  if (!(form instanceof HTMLFormElement) || !form.matches('[data-theme-switch]')) return
  event.preventDefault()
  const choice = event.submitter?.value ?? ''
  if (choice) document.documentElement.dataset.theme = choice
  else delete document.documentElement.dataset.theme
  for (const b of form.querySelectorAll('button')) b.setAttribute('aria-pressed', String(b === event.submitter))
  const body = new URLSearchParams(new FormData(form, event.submitter))
  fetch(form.action, { method: 'POST', body, headers: { 'HX-Request': 'true' } }).catch(() => {})
})

// Escape and a click elsewhere close an open menu.
document.addEventListener('click', (event) => {
  for (const menu of document.querySelectorAll('[data-menu][open]')) {
    if (!menu.contains(event.target)) menu.open = false
  }
})
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') {
    for (const menu of document.querySelectorAll('[data-menu][open]')) {
      menu.open = false
      menu.querySelector('summary')?.focus()
    }
    return
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.('input, textarea, select, [contenteditable]')) return
  if (document.documentElement.dataset.shortcuts === 'off' || document.querySelector('dialog[open]')) return
  const keys = event.key === 'g' ? 'g' : (event.timeStamp < leadUntil ? 'g ' : '') + event.key
  leadUntil = keys === 'g' ? event.timeStamp + 1500 : 0
  const target = document.querySelector(`[data-shortcut="${CSS.escape(keys)}"]`)
  if (!target) return
  event.preventDefault()
  if (target.matches('a, button')) target.click()
  else target.focus()
})

// A table whose rows are picked: the box in its head picks all, and how many are
// picked is told beside the button.
function picking(root) {
  const all = root.querySelector('[data-pick-all]')
  const told = root.querySelector('[data-picked-count]')
  const button = root.querySelector('[data-picked]')
  if (!all || !told || !button) return
  const boxes = () => [...document.querySelectorAll('tbody .row-pick input')]
  const words = told.textContent
  const tell = () => {
    const n = boxes().filter((b) => b.checked).length
    told.textContent = n ? n + ' selected' : words
    button.disabled = n === 0
    all.firstChild.checked = n > 0 && n === boxes().length
    all.firstChild.indeterminate = n > 0 && n < boxes().length
  }
  all.hidden = false
  all.addEventListener('change', () => {
    for (const b of boxes()) b.checked = all.firstChild.checked
    tell()
  })
  for (const b of boxes()) b.addEventListener('change', tell)
  tell()
}

// leadUntil is until when a key is the second of two, after "g".
let leadUntil = 0

// ready runs for the page, and again for what was swapped in.
function ready(root) {
  localTimes(root)
  picking(root)
  root.querySelector('[data-focus]')?.focus()
}
document.documentElement.classList.add('script')
ready(document)
document.addEventListener('htmx:after:swap', () => ready(document))

// A page that the browser kept must not be shown again after sign-out.
addEventListener('pageshow', (event) => { if (event.persisted) location.reload() })
