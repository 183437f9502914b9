// Pages on which keys and secrets are made. A secret or private key stands in the
// page's text alone: never in an address, a form, a cookie or a store of the
// browser, and it leaves the page's text when the page is left.
'use strict'

// save offers text as a file.
function save(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }))
  const a = document.createElement('a')
  a.href = url
  a.download = name
  document.body.append(a)
  a.click()
  a.remove()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

// A form that makes something is sent once, however often its button is pressed.
document.addEventListener('submit', (event) => {
  if (!event.target.matches('[data-once]')) return
  if ('sent' in event.target.dataset) event.preventDefault()
  event.target.dataset.sent = ''
  setTimeout(() => delete event.target.dataset.sent, 5000) // if it was not answered
})

// <code-tabs> shows one of its sections at a time.
class CodeTabs extends HTMLElement {
  static chosen = ''
  connectedCallback() {
    const sections = [...this.querySelectorAll(':scope > section')]
    if (sections.length === 0 || this.querySelector('[role=tablist]')) return
    const list = document.createElement('div')
    list.setAttribute('role', 'tablist')
    list.setAttribute('aria-label', 'Language')
    this.tabs = sections.map((section) => {
      const tab = document.createElement('button')
      tab.type = 'button'
      tab.id = 'tab-' + section.dataset.tab
      tab.textContent = section.dataset.label
      tab.setAttribute('role', 'tab')
      section.id = 'panel-' + section.dataset.tab
      tab.setAttribute('aria-controls', section.id)
      section.setAttribute('role', 'tabpanel')
      section.setAttribute('aria-labelledby', tab.id)
      section.querySelector('h3').hidden = true
      tab.addEventListener('click', () => this.choose(tab))
      list.append(tab)
      return tab
    })
    list.addEventListener('keydown', (event) => {
      const at = this.tabs.indexOf(event.target)
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: this.tabs.length - 1 }[event.key]
      if (at < 0 || to === undefined) return
      event.preventDefault()
      const tab = this.tabs[(to + this.tabs.length) % this.tabs.length]
      this.choose(tab)
      tab.focus()
    })
    this.prepend(list)
    this.choose(this.tabs.find((t) => t.id === CodeTabs.chosen) ?? this.tabs[0])
  }

  choose(chosen) {
    CodeTabs.chosen = chosen.id
    for (const tab of this.tabs) {
      const on = tab === chosen
      tab.setAttribute('aria-selected', String(on))
      tab.tabIndex = on ? 0 : -1
      document.getElementById(tab.getAttribute('aria-controls')).hidden = !on
    }
  }
}
customElements.define('code-tabs', CodeTabs)

const base64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)))

// holdsPrivate reports whether text is, or holds, a private key.
function holdsPrivate(text) {
  if (/PRIVATE KEY/.test(text)) return true
  try {
    const found = JSON.parse(text)
    return [found, ...(Array.isArray(found?.keys) ? found.keys : [])].some((k) => k && typeof k === 'object' && ('d' in k || 'k' in k))
  } catch {
    return false
  }
}

// <key-pair> makes a key pair. The private key stays in this element.
class KeyPair extends HTMLElement {
  connectedCallback() {
    this.field = this.querySelector('textarea')
    this.stored = this.part('stored')
    if (globalThis.crypto?.subtle) this.part('make').hidden = false
    this.querySelector('[data-do=make]').addEventListener('click', () => this.make())
    this.querySelector('[data-do=download]').addEventListener('click', () => save(this.part('pem').textContent, 'private-key.pem'))
    this.querySelector('[data-do=copy]').addEventListener('click', async () => {
      await navigator.clipboard.writeText(this.part('pem').textContent)
      say('Copied')
    })
    // In the capturing phase: before anything else reads or sends the field.
    this.addEventListener('input', (event) => { if (event.target === this.field) this.look(event) }, true)
    addEventListener('beforeunload', (event) => { if (this.unsaved()) event.preventDefault() })
    addEventListener('pagehide', () => this.forget())
    const methods = document.getElementsByName(this.closest('section').dataset.method)
    document.addEventListener('change', (event) => { if ([...methods].includes(event.target)) this.gate() })
    document.addEventListener('htmx:after:swap', () => this.gate()) // the methods may be others
    this.gate()
  }

  part(name) { return this.querySelector(`[data-part=${name}]`) }

  unsaved() { return !this.part('made').hidden && !this.stored.checked && this.checkVisibility() }

  // gate keeps the form back until the private key is stored, if there is one.
  gate() {
    this.field.required = this.checkVisibility()
    this.stored.required = this.field.required && !this.part('made').hidden
  }

  look(event) {
    const refused = this.part('refused')
    if (this.field.value) refused.hidden = true
    if (holdsPrivate(this.field.value)) {
      this.field.value = ''
      refused.textContent = 'That was a private key. It was not sent, and is no longer in the field. Paste the public half.'
      refused.hidden = false
      event.stopPropagation()
    }
    if (this.field.value !== this.made) this.forget()
  }

  async make() {
    const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
    const der = base64(await crypto.subtle.exportKey('pkcs8', pair.privateKey))
    const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey)
    this.part('pem').textContent = `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g).join('\n')}\n-----END PRIVATE KEY-----\n`
    this.made = JSON.stringify({ kty, crv, x, y, alg: 'ES256', use: 'sig' }, null, 2)
    this.field.value = this.made
    this.stored.checked = false
    this.part('made').hidden = false
    this.gate()
    this.field.dispatchEvent(new Event('input', { bubbles: true }))
    this.querySelector('[data-do=make]').textContent = 'Make another pair'
    this.querySelector('[data-do=download]').focus()
    say('A key pair is made. Store the private key.')
  }

  forget() {
    this.part('pem').textContent = ''
    this.part('made').hidden = true
    this.gate()
  }
}
customElements.define('key-pair', KeyPair)

// <reveal-once> shows a secret until the page is left. Its entry in the history
// becomes that of another page, so that a reload does not send the form again.
class RevealOnce extends HTMLElement {
  connectedCallback() {
    history.replaceState(null, '', this.dataset.after)
    const env = this.querySelector('[data-part=env]')
    const stored = this.querySelector('[data-part=stored]')
    const secret = this.querySelector('[data-part=secret]')
    if (env) env.hidden = false
    this.querySelector('[data-do=env]')?.addEventListener('click', () => save([
      ['TOKENOS_TOKEN_URL', env.dataset.tokenUrl],
      ['TOKENOS_CLIENT_ID', this.querySelector('[data-part=id]').textContent],
      ['TOKENOS_CLIENT_SECRET', secret.textContent],
      ['TOKENOS_SCOPE', env.dataset.scope],
      ['TOKENOS_AUDIENCE', env.dataset.audience],
    ].filter(([, value]) => value).map(([name, value]) => `${name}='${value.replaceAll("'", `'\\''`)}'\n`).join(''), 'tokenos.env')) // a browser renames a file that begins with a dot
    this.warn = (event) => { if (secret.isConnected && !stored.checked) event.preventDefault() }
    addEventListener('beforeunload', this.warn)
    addEventListener('pagehide', () => this.replaceChildren())
  }

  disconnectedCallback() { removeEventListener('beforeunload', this.warn) }
}
customElements.define('reveal-once', RevealOnce)
