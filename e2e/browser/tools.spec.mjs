import { execFileSync } from 'node:child_process'
import { test, expect, everyLook, key, tokenURL } from './site.mjs'

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const jwt = (claims, header = { alg: 'ES256', kid: 'k' }) => [part(header), part(claims), 'c2ln'].join('.')

test('a token is decoded in the browser, and sent only when asked to', async ({ site }) => {
  await site.goto('/tools')
  await expect(site.getByRole('textbox', { name: 'Access token' })).toBeVisible()
  await everyLook(site, 'tools')
  const sent = []
  site.on('request', (r) => sent.push(r.method() + ' ' + r.url()))
  const field = site.getByRole('textbox', { name: 'Access token' })
  const now = Math.floor(Date.now() / 1000)
  const good = { iss: 'https://hydra.example.com', client_id: 'k1', sub: 'k1', aud: ['https://api.example.com'], scp: ['a'], iat: now, nbf: now, exp: now + 900, status: {} }
  for (const [text, said] of [
    [jwt(good), 'An API would mind nothing'],
    ['Authorization: Bearer ' + jwt({ ...good, exp: now - 120 }), 'it expired 2m'],
    [JSON.stringify({ access_token: jwt({ ...good, aud: [] }) }), 'it is meant for no API'],
    [jwt({ ...good, scp: [] }), 'it allows nothing (no scope)'],
    [jwt(good, { alg: 'none' }), 'it is not signed'],
    [jwt({ ...good, sub: 'ana' }), "a person's, not a key's own"],
    [[part('{"alg":"ES256"}'), part('{"iss":"a","iss":"b"}'), 'c2ln'].join('.'), 'has a member twice'],
    ['ory_at_abc.def', 'An opaque token'],
    ['ory_rt_abc.def', 'of another kind'],
    ['tos_abc', 'This is a client secret'],
    ['<img src=x onerror=alert(1)>', 'This is no access token.'],
    [jwt({ ...good, note: '<img src=x onerror=alert(1)>', __proto__x: '"a":' }), '<img src=x onerror=alert(1)>'],
  ]) {
    await field.fill(text)
    await expect(site.getByText(said).first()).toBeVisible()
  }
  await everyLook(site, 'tools-decoded')
  expect(sent).toEqual([])

  const made = await key({ name: 'looked up' })
  const answer = await fetch(tokenURL, {
    method: 'POST',
    headers: { Authorization: 'Basic ' + btoa(made.key.id + ':' + made.client_secret) },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'orders:read', audience: 'https://api.example.com' }),
  })
  await field.fill(await answer.text())
  await expect(site.getByText('An opaque token')).toBeVisible()
  await site.getByRole('button', { name: 'Look up at the server' }).click()
  await expect(site.getByRole('region', { name: 'What the server says of the token' })).toContainText('active')
  await expect(site.getByRole('link', { name: made.key.id })).toBeVisible()
  await expect(field).toHaveValue('')
  await everyLook(site, 'tools-found')
})

// said is what `tokenos token inspect` minds about a token.
function said(token) {
  const env = { ...process.env, TOKENOS_ACCESS_TOKEN: '', HOME: process.env.TOKENOS_BROWSER_OUTPUT }
  const shown = JSON.parse(execFileSync(process.env.TOKENOS_PROGRAM, ['token', 'inspect', '-o', 'json', '-'], { input: token, env }))
  return shown.warnings.map((w) => w.detail)
}

test('the page minds what the command line minds, in the same words', async ({ site }) => {
  await site.goto('/tools')
  const field = site.getByRole('textbox', { name: 'Access token' })
  const now = Math.floor(Date.now() / 1000)
  const day = 86400
  const good = { iss: 'https://hydra.example.com', client_id: 'k1', sub: 'k1', aud: ['https://api.example.com'], scp: ['a'], iat: now, nbf: now, exp: now + 900, status: {} }
  const seen = new Set()
  for (const [change, header] of [
    [{}], [{ nonce: 'n' }], [{ at_hash: 'h' }], [{ iss: 'k1', client_id: undefined }], [{ iss: 'k1', client_id: null }],
    [{}, { alg: 'none' }], [{}, { alg: 'NONE' }], [{}, {}], [{}, { alg: 7 }], [{}, { alg: 'HS256' }],
    [{ exp: now - 3 * day }], [{ exp: undefined }], [{ exp: 'soon' }], [{ exp: -1 }], [{ exp: 1e300 }], [{ exp: now + 900.5 }],
    [{ key_expires_at: '2026-01-15T07:59:59Z' }], [{ key_expires_at: '2026-01-15T09:59:59+02:00' }], [{ key_expires_at: 'never' }], [{ key_expires_at: '2999-01-01T00:00:00Z' }],
    [{ nbf: now + 3600 }], [{ iat: now + 600 }], [{ iat: now - 3 * day }], [{ exp: now + day + 3700 }], [{ exp: now + 3 * day }],
    [{ iss: undefined }], [{ iss: 7 }], [{ iss: 'http://hydra.example.com' }],
    [{ aud: undefined }], [{ aud: [] }], [{ aud: '' }], [{ aud: [7, ''] }], [{ aud: 'a' }], [{ aud: [7, 'a'] }],
    [{ scp: undefined }], [{ scp: [] }], [{ scp: '' }], [{ scp: undefined, scope: 'a b' }], [{ scp: 'a b' }],
    [{ sub: 'ana' }], [{ sub: undefined }], [{ client_id: undefined }], [{ client_id: 7 }],
    [{ cnf: {} }], [{ cnf: null }], [{ status: undefined }], [{ status: null }],
    [{ nonce: 1, exp: undefined, iss: undefined, aud: undefined, scp: undefined, client_id: undefined, cnf: 1, status: undefined }, { alg: 'HS512' }],
  ]) {
    const token = jwt({ ...good, ...change }, header)
    await field.fill(token)
    const warnings = said(token)
    await expect(site.locator('[data-inspected] .alert.warn li'), JSON.stringify([change, header])).toHaveText(warnings)
    for (const w of warnings) seen.add(w.replace(/\d.*/, ''))
  }
  expect([...seen].length, 'kinds of warnings').toBeGreaterThan(15)
  for (const token of ['ory_rt_abc.def', 'ory_at_abc.def']) {
    await field.fill(token)
    await expect(site.locator('[data-inspected] .inspected')).toContainText('opaque')
    await expect(site.locator('[data-inspected] .alert.warn li')).toHaveText(said(token))
  }
})
