import { test, expect, everyLook, key, api } from './site.mjs'

const hostile = '<img src=x onerror=alert(1)>'

// looked goes to tabs of a key by their links and looks at each.
async function looked(site, tabs) {
  for (const [tab, text, open] of tabs) {
    await site.getByRole('navigation', { name: 'Parts of the key' }).getByRole('link', { name: tab }).click()
    await expect(site.locator('main')).toContainText(text)
    await open?.()
    await everyLook(site, 'key-' + tab.split(' ')[0].toLowerCase())
  }
}

test('what a key is and does', async ({ site }) => {
  const made = await key({ name: 'billing worker ' + hostile, description: hostile + '\nsecond line', labels: { team: 'billing', note: hostile }, scopes: ['orders:read', 'orders:write'],
    expires_at: new Date(Date.now() + 864e6).toISOString().slice(0, 19) + 'Z' })
  const { token_url } = await api('GET', '/v1/capabilities')
  for (let i = 0; i < 2; i++) {
    const answer = await fetch(token_url, { method: 'POST',
      headers: { Authorization: 'Basic ' + btoa(`${made.key.id}:${made.client_secret}`), 'Content-Type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'orders:read', audience: 'https://api.example.com' }) })
    expect(answer.status).toBe(200)
  }
  await site.goto('/keys/' + made.key.id)
  await expect(site.getByRole('heading', { level: 1 })).toHaveText('billing worker ' + hostile)
  await expect(site.getByText('It ends soon')).toBeVisible()
  await everyLook(site, 'key-overview')
  await looked(site, [['Usage', 'Scopes asked for', async () => {
    await expect.poll(async () => { await site.reload(); return site.getByRole('img', { name: /2 issued, 0 denied/ }).count() }).toBe(1)
    await site.getByText('Show the numbers as a table').click()
  }]])
})

test('a key from its other sides', async ({ site }) => {
  const { key: { id } } = await key({ name: 'other sides', description: hostile })
  await site.goto('/keys/' + id)
  await looked(site, [['Credentials', 'Secret ends with'], ['Events', 'by key:', () => site.locator('.key-event summary').first().click()], ['Code', id], ['Danger zone', 'Nothing undoes it']])
})

test('the code is the key\'s own, and is copied', async ({ site }) => {
  const { key: { id } } = await key({ name: 'copied code' })
  await site.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await site.goto(`/keys/${id}?tab=code`)
  await site.getByRole('navigation', { name: 'Language' }).getByRole('link', { name: 'Python' }).click()
  await site.getByRole('button', { name: 'Copy the Python code' }).click()
  const code = await site.evaluate(() => navigator.clipboard.readText())
  expect(code).toContain(id)
  expect(code).toContain('TOKENOS_CLIENT_SECRET')
})

test('a key is disabled, enabled, revoked by its name and deleted', async ({ site }) => {
  const name = `worker "to be ended"`
  const { key: { id } } = await key({ name })
  await site.goto('/keys/' + id)
  await site.getByRole('link', { name: 'Disable', exact: true }).click()
  await expect(site.getByText('Verifiers that introspect')).toBeVisible()
  await site.getByRole('button', { name: 'Disable the key' }).click()
  await expect(site.getByRole('status').filter({ hasText: 'The key is disabled.' })).toBeVisible()
  expect((await api('GET', '/v1/keys/' + id)).status).toBe('disabled')
  await site.getByRole('link', { name: 'Enable', exact: true }).click()
  await site.getByRole('button', { name: 'Enable the key' }).click()
  await expect(site.getByRole('status').filter({ hasText: 'The key is enabled.' })).toBeVisible()

  await site.getByRole('link', { name: 'Danger zone' }).click()
  await site.getByRole('link', { name: /^Revoke/ }).click()
  await site.getByLabel('Why').selectOption('key_compromise')
  await site.getByLabel('Type the key\'s name').fill('worker')
  await site.getByRole('button', { name: 'Revoke for good' }).click()
  await expect(site.getByRole('alert')).toContainText('not the key\'s name')
  await expect(site.getByRole('alert')).toBeFocused()
  await everyLook(site, 'key-revoke-wrong')
  await expect(site.getByLabel('Why')).toHaveValue('key_compromise')
  await site.getByLabel('Type the key\'s name').fill(name)
  await site.keyboard.press('Enter')
  await expect(site.getByText('Revoked for good')).toBeVisible()
  expect((await api('GET', '/v1/keys/' + id)).revocation_reason).toBe('key_compromise')

  await site.getByRole('link', { name: 'Danger zone' }).click()
  await site.getByRole('link', { name: /^Delete/ }).click()
  await site.getByLabel('Type the key\'s name').fill(name)
  await site.getByRole('button', { name: 'Delete the record' }).click()
  await expect(site).toHaveURL('/keys')
  await expect(api('GET', '/v1/keys/' + id)).rejects.toThrow('404')
})

test('what is taken away is shown first, and two people do not undo each other', async ({ site }) => {
  const { key: { id } } = await key({ name: 'shared worker', scopes: ['orders:read', 'orders:write'] })
  await site.goto(`/keys/${id}/edit`)
  await everyLook(site, 'key-edit')
  const scopes = site.getByLabel('Scopes')
  await scopes.fill('orders:read')
  await site.getByRole('button', { name: 'Save' }).click()
  await expect(site.getByText('Scopes that go')).toBeVisible()
  await everyLook(site, 'key-edit-impact')
  await api('PATCH', '/v1/keys/' + id, { name: 'other worker', scopes: ['orders:write'] })
  await site.getByRole('button', { name: 'Save' }).click()
  await expect(site.getByRole('heading', { level: 1 })).toContainText('Somebody changed other worker')
  await everyLook(site, 'key-edit-compare')
  await site.getByLabel('Keep what it is now').check()
  await site.getByRole('button', { name: 'Save' }).click()
  await expect(site.getByRole('heading', { level: 1 })).toHaveText('other worker')
  expect((await api('GET', '/v1/keys/' + id)).scopes).toEqual(['orders:write'])
})
