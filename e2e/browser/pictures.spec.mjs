// The pictures of the README and docs/dashboard.md: `make pictures`. They show a
// server of their own, with keys that nobody uses.
import { test, expect, api, key, tokenURL } from './site.mjs'

const looks = ['light', 'dark']
const api1 = 'https://api.example.com'
const days = (n) => new Date(Date.now() + n * 86_400_000 + 3_600_000).toISOString().replace(/\.\d+Z/, 'Z')

// keys are those of two customers, oldest first.
const keys = [
  { name: 'warehouse sync', owner: 'globex', scopes: ['stock:read', 'stock:write'], labels: { team: 'logistics' } },
  { name: 'partner gateway', owner: 'globex', scopes: ['orders:read', 'orders:write', 'invoices:read'], expires_at: days(340), labels: { team: 'partners' } },
  { name: 'nightly export', owner: 'acme', scopes: ['orders:read'], environment: 'test', expires_at: days(60) },
  { name: 'search indexer', owner: 'acme', scopes: ['products:read'], expires_at: days(180), labels: { team: 'search' } },
  { name: 'old importer', owner: 'acme', scopes: ['orders:write'] },
  { name: 'billing worker', owner: 'acme', scopes: ['orders:read', 'invoices:write'], expires_at: days(21), labels: { team: 'billing', region: 'eu' }, description: 'Writes an invoice for each order, every hour.', token: { format: 'jwt' } },
]

const buy = (k, scope) => fetch(tokenURL, {
  method: 'POST',
  headers: { Authorization: 'Basic ' + Buffer.from(k.key.id + ':' + k.client_secret).toString('base64') },
  body: new URLSearchParams({ grant_type: 'client_credentials', scope, audience: api1 }),
})

async function picture(page, name) {
  await page.evaluate(() => { document.activeElement?.blur(); scrollTo(0, 0) })
  for (const colorScheme of looks) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.screenshot({ path: `${process.env.TOKENOS_DOCS_PICTURES}/${name}-${colorScheme}.png` })
  }
}

test('pictures', async ({ site }) => {
  test.setTimeout(120_000)
  await site.setViewportSize({ width: 1280, height: 800 })
  const made = []
  for (const k of keys) made.push(await key({ audiences: [api1], ...k }))
  const id = made.at(-1).key.id
  for (const k of made) for (let i = 0; i < 3; i++) await buy(k, k.key.scopes[0])
  await buy(made.at(-1), 'payments:write') // is refused
  await api('POST', `/v1/keys/${made[4].key.id}/disable`, {})
  await api('POST', `/v1/keys/${made[3].key.id}/rotations`, { grace_period: '72h' })
  await expect(async () => expect((await api('GET', '/v1/keys/' + id)).last_used_at).toBeTruthy()).toPass({ timeout: 20_000 })

  await site.goto('/keys')
  await picture(site, 'keys')
  await site.goto('/')
  await expect(site.locator('#figures[aria-busy], #checks-brief[aria-busy]')).toHaveCount(0, { timeout: 30_000 })
  await picture(site, 'overview')
  await site.goto('/keys/' + id)
  await picture(site, 'key')
  await site.goto(`/keys/${id}?tab=usage`)
  await picture(site, 'usage')
  await site.goto('/activity')
  await picture(site, 'activity')

  await site.goto('/keys/new')
  for (const [label, value] of Object.entries({ Name: 'report builder', Owner: 'acme', Scopes: 'orders:read', Audiences: api1 })) await site.getByLabel(label).fill(value)
  await expect(site.locator('#code pre').first()).toContainText(api1)
  await picture(site, 'new-key')
  await site.getByRole('button', { name: 'Create key' }).click()
  await expect(site.getByRole('heading', { level: 1 })).toHaveText('Save the secret')
  await picture(site, 'reveal')
  await site.getByLabel('I have stored the secret').check()
})
