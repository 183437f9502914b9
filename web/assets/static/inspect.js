// <token-inspector> decodes an access token in the browser: nothing is sent, and
// nothing is believed, for the signature is not checked. It says what `tokenos
// token inspect` says (cmd/tokenos/tokenwarning.go); a test compares the two. It is a
// module.

const longestLife = 24 * 3600 // of a key's tokens, in seconds
const leeway = 30 // by which keyauth lets clocks differ

// first are the claims that people look for, in this order.
const first = ['iss', 'client_id', 'sub', 'root_id', 'owner', 'env', 'aud', 'scp', 'scope', 'iat', 'nbf', 'exp', 'key_expires_at']

class TokenInspector extends HTMLElement {
  connectedCallback() {
    const field = this.querySelector('textarea')
    this.place = this.querySelector('[data-inspected]')
    if (!field || !this.place) return
    const look = () => this.show(field.value)
    field.addEventListener('input', look)
    // A look-up sends the token and shows another page: nothing stays in this one.
    addEventListener('pagehide', () => { field.value = ''; this.place.replaceChildren() })
    look()
  }

  show(text) {
    this.place.replaceChildren()
    const token = tokenIn(text)
    if (!token) return
    const seen = inspect(token, Date.now() / 1000)
    if (seen.error) {
      this.place.append(alertBox('bad', 'This cannot be decoded', [seen.error]))
      return
    }
    const words = seen.format === 'opaque'
      ? 'An opaque token. It holds nothing that could be decoded; the server knows what it stands for.'
      : 'A JWT. Its signature is not checked here: anybody can have made it.'
    this.place.append(element('p', 'inspected', words))
    if (seen.warnings.length) this.place.append(alertBox('warn', 'What an API would mind', seen.warnings))
    else if (seen.format === 'jwt') this.place.append(alertBox('ok', 'An API would mind nothing of what it says', []))
    if (seen.claims) this.place.append(table('Claims', seen.claims, seen.times), table('Header', seen.header, {}))
  }
}
customElements.define('token-inspector', TokenInspector)

// tokenIn finds the token: alone, in a header, or in the answer of a token endpoint
// (RFC 6749 section 5.1).
function tokenIn(text) {
  text = text.trim()
  try {
    const answer = JSON.parse(text)
    if (answer && typeof answer.access_token === 'string') text = answer.access_token
  } catch { /* the token itself */ }
  return text.replace(/^Authorization:\s*/i, '').replace(/^Bearer\s+/i, '')
}

// inspect answers {error}, or {format, header, claims, times, warnings}.
function inspect(token, now) {
  const parts = token.split('.')
  if (token.length > 65536) return { error: 'The token is longer than 64 KiB.' }
  if (parts.length === 5) return { error: 'The token is encrypted (JWE): only who has the key can read it.' }
  if (parts.length === 3) return inspectJWT(parts, now)
  if (token.startsWith('tos_')) return { error: 'This is a client secret, not an access token. Take care whom you show it to.' }
  if (!/^[A-Za-z0-9_~+/-]+(\.[A-Za-z0-9_~+/-]+)?=*$/.test(token)) return { error: 'This is no access token.' }
  const other = token.startsWith('ory_') && !token.startsWith('ory_at_')
  return { format: 'opaque', warnings: other ? ['this is a token of Hydra of another kind, such as a refresh token or a code, which no API takes'] : [] }
}

function inspectJWT(parts, now) {
  const decoded = []
  for (const i of [0, 1]) {
    const found = objectIn(parts[i])
    if (!found) return { error: `This is no JWT: part ${i + 1} is no JSON object in base64url, or one that has a member twice.` }
    decoded.push(found)
  }
  const [header, claims] = decoded
  const times = {}
  for (const name of ['iat', 'nbf', 'exp', 'auth_time']) {
    const at = timeOf(claims, name)
    if (at !== undefined) times[name] = when(at, now)
  }
  const end = momentOf(claims.key_expires_at)
  if (end !== undefined) times.key_expires_at = when(end, now)
  return { format: 'jwt', header, claims, times, warnings: minds.map((see) => see(header, claims, now)).filter(Boolean) }
}

// objectIn decodes a JSON object in base64url. A member that is there twice is
// refused, which parsers read in different ways.
function objectIn(part) {
  try {
    if (!/^[A-Za-z0-9_-]+$/.test(part)) return undefined
    const bytes = Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const value = JSON.parse(text)
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
    const written = [...text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/gs)].filter((m) => m[1]).length
    return written === members(value) ? value : undefined
  } catch {
    return undefined
  }
}

function members(value) {
  if (value === null || typeof value !== 'object') return 0
  const inner = Object.values(value).reduce((n, v) => n + members(v), 0)
  return inner + (Array.isArray(value) ? 0 : Object.keys(value).length)
}

const textOf = (claims, name) => (typeof claims[name] === 'string' ? claims[name] : '')

// timeOf reads a NumericDate (RFC 7519 section 2) within the years 1970 to 9999.
function timeOf(claims, name) {
  const n = claims[name]
  return typeof n === 'number' && n >= 0 && n < 253402300800 ? Math.floor(n) : undefined
}

function momentOf(text) {
  if (typeof text !== 'string' || !/^\d{4}-\d\d-\d\dT/.test(text)) return undefined
  const at = Date.parse(text) / 1000
  return Number.isNaN(at) ? undefined : at
}

// minds are what an API would mind, each "" or words.
const minds = [
  (_, c) => {
    if ('nonce' in c || 'at_hash' in c) return 'this is an ID token (OpenID Connect), which says who signed in and opens no API'
    const iss = textOf(c, 'iss')
    if (iss && iss === textOf(c, 'sub') && (c.client_id ?? null) === null) return 'this is a client assertion, which is for Hydra alone: `tokenos assertion explain` looks at it'
    return ''
  },
  (h) => {
    const alg = textOf(h, 'alg')
    if (!alg || alg.toLowerCase() === 'none') return 'it is not signed: anybody can have made it'
    return alg.startsWith('HS') ? `it is signed with a shared secret (${alg}): whoever can check it can also make it` : ''
  },
  (_, c, now) => {
    const exp = timeOf(c, 'exp')
    if (exp === undefined) return 'it has no exp that is a time, so no API should take it'
    if (now >= exp) return `it expired ${span(now - exp)} ago`
    const end = momentOf(c.key_expires_at)
    return end !== undefined && now >= end ? 'the key that it was issued to expired at ' + stamp(end) : ''
  },
  (_, c, now) => {
    for (const name of ['nbf', 'iat']) {
      const at = timeOf(c, name)
      if (at !== undefined && at > now + leeway) return `its ${name} lies in the future: the clock of this machine or of the issuer is wrong`
    }
    return ''
  },
  (_, c) => {
    const [exp, iat] = [timeOf(c, 'exp'), timeOf(c, 'iat')]
    return exp !== undefined && iat !== undefined && exp - iat > longestLife ? `it lives ${span(exp - iat)}: who finds it can use it for as long` : ''
  },
  (_, c) => {
    const iss = textOf(c, 'iss')
    if (!iss) return 'it does not say who issued it (iss), so no API can know whose keys check it'
    return iss.startsWith('https://') ? '' : 'its issuer has no https URL: its public keys could be forged on the way'
  },
  (_, c) => {
    const aud = Array.isArray(c.aud) ? c.aud : [c.aud]
    if (aud.some((a) => typeof a === 'string' && a)) return ''
    return 'it is meant for no API (aud is empty): ask for one with the parameter audience when you buy it'
  },
  (_, c) => {
    if ((Array.isArray(c.scp) && c.scp.length) || textOf(c, 'scope') || textOf(c, 'scp')) return ''
    return 'it allows nothing (no scope): ask for scopes with the parameter scope when you buy it'
  },
  (_, c) => {
    const id = textOf(c, 'client_id')
    if (!id) return 'it does not say which client it was issued to (client_id)'
    return id === textOf(c, 'sub') ? '' : "it stands for another than its client (sub is not client_id): a person's, not a key's own"
  },
  (_, c) => ('cnf' in c ? "it is bound to its client's key or certificate (cnf): alone it is of no use" : ''),
  (_, c) => ('status' in c ? '' : 'it names no status list: where tokens are not looked up it works to its exp, also if its key is disabled'),
]

const stamp = (seconds) => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')

// when is a time, and how far it is.
function when(at, now) {
  const d = Math.round(at - now)
  const far = d > 0 ? ` (in ${span(d)})` : d < 0 ? ` (${span(-d)} ago)` : ' (now)'
  return stamp(at) + far
}

// span is a length of time, as exact as people want it.
function span(seconds) {
  const day = 86400
  if (seconds >= 2 * day) return Math.floor(seconds / day) + 'd'
  if (seconds >= 7200) return `${Math.floor(seconds / 3600)}h${Math.floor((seconds % 3600) / 60)}m`
  if (seconds >= 60) return `${Math.floor(seconds / 60)}m${Math.floor(seconds % 60)}s`
  return Math.floor(seconds) + 's'
}

// The page is built of elements and text, never of markup.
function element(name, className, text) {
  const e = document.createElement(name)
  if (className) e.className = className
  if (text !== undefined) e.textContent = text
  return e
}

function alertBox(tone, title, lines) {
  const box = element('div', 'alert ' + tone)
  box.append(element('p', 'alert-title', title))
  if (lines.length) {
    const list = element('ul')
    for (const line of lines) list.append(element('li', '', line))
    box.append(list)
  }
  return box
}

function table(title, object, times) {
  const names = Object.keys(object)
  const ordered = [...first.filter((n) => names.includes(n)), ...names.filter((n) => !first.includes(n)).sort()]
  const part = element('section')
  const list = element('dl', 'rules')
  for (const name of ordered) {
    const value = object[name]
    const row = element('div')
    const shown = element('dd')
    shown.append(element('code', '', typeof value === 'string' ? value : JSON.stringify(value)))
    if (Object.hasOwn(times, name)) shown.append(' ', element('span', 'muted', times[name]))
    row.append(element('dt', '', name), shown)
    list.append(row)
  }
  part.append(element('h3', '', title), list)
  return part
}
