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
