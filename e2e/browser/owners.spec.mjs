// People at `tokenos serve`: each signs in at an OpenID Connect provider, in a
// browser of their own, and sees the keys of their owners alone.
import { test as base, expect, everyLook, watch, api, key, dashboard } from './site.mjs'

// people are who the provider knows.
const people = {
  ana: { name: 'Ana', roles: ['editor'], teams: ['acme'] },
  bo: { name: 'Bo', roles: ['editor'], teams: ['globex'] },
  vi: { name: 'Vi', roles: ['viewer'], teams: ['acme'] },
  fay: { name: 'Fay', roles: ['viewer'], teams: ['initech'] }, // in haste
}

// accept answers a request of the provider's for sign-in or consent, and returns
// where the browser goes on.
async function accept(kind, challenge, body) {
  const answer = await fetch(`${process.env.TOKENOS_PROVIDER}/admin/oauth2/auth/requests/${kind}/accept?${new URLSearchParams({ [kind + '_challenge']: challenge })}`,
    { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
  expect(answer.status).toBe(200)
  return (await answer.json()).redirect_to
}

// signIn goes through the provider from the page that asks for it. It is not under
// watch: the provider's pages are not ours.
async function signIn(page, who) {
  await page.getByRole('link', { name: 'Continue with single sign-on' }).click()
  await page.waitForURL(/login_challenge=/)
  await page.goto(await accept('login', new URL(page.url()).searchParams.get('login_challenge'), { subject: who }))
  await page.waitForURL(/consent_challenge=/)
  await page.goto(await accept('consent', new URL(page.url()).searchParams.get('consent_challenge'), { grant_scope: ['openid', 'profile'], session: { id_token: people[who] } }))
  await expect(page.getByRole('status').filter({ hasText: `signed in as ${people[who].name}` })).toBeVisible()
}

// hydra halts or resumes the server's Hydra.
async function hydra(what) {
  const answer = await fetch(`${process.env.TOKENOS_HYDRA}/${what}`, { method: 'POST' })
  expect(answer.status).toBe(200)
}

// opened is a browser in which somebody is signed in; its page is under watch.
const test = base.extend({
  opened: async ({ browser }, use) => {
    const pages = []
    await use(async (who) => {
      const context = await browser.newContext({ baseURL: dashboard, ignoreHTTPSErrors: true })
      const door = await context.newPage()
      await door.goto('/')
      await signIn(door, who)
      await door.close()
      const page = await context.newPage()
      pages.push({ page, wrong: watch(page) })
      return page
    })
    for (const { page, wrong } of pages) {
      expect(wrong).toEqual([])
      await page.context().close()
    }
  },
})

const heading = (page) => page.getByRole('heading', { level: 1 })

// statusOf is how a page or a form is answered.
async function statusOf(page, path, form) {
  const answer = form ? await page.request.post(path, { form, headers: { Origin: dashboard }, maxRedirects: 0 }) : await page.request.get(path)
  return [answer.status(), /<h1>(.*?)<\/h1>/.exec(await answer.text())?.[1]]
}

test('two people of two owners see nothing of each other', async ({ opened }) => {
  const ana = await opened('ana')
  const bo = await opened('bo')
  await bo.goto('/')
  await everyLook(bo, 'owners-overview-empty')
  await bo.goto('/keys')
  await everyLook(bo, 'owners-keys-empty')
  await bo.goto('/activity')
  await everyLook(bo, 'owners-activity-empty')

  await ana.goto('/keys/new')
  await ana.getByLabel('Name').fill('acme billing')
  await ana.getByLabel('Scopes').fill('orders:read')
  await ana.getByRole('button', { name: 'Create key' }).click()
  const id = await ana.locator('[data-part=id]').textContent()
  await ana.getByLabel('I have stored the secret').check()
  await ana.goto('/keys')
  await expect(ana.getByRole('link', { name: 'acme billing' })).toBeVisible()
  expect((await api('GET', '/v1/keys/' + id)).owner).toBe('acme')
  await bo.goto('/keys')
  await expect(bo.getByText('No keys yet')).toBeVisible()
  const { key: theirs } = await key({ name: 'globex gateway', owner: 'globex', auth_method: 'client_secret_basic' })

  for (const [page, own, other, owner] of [[bo, theirs.id, id, 'acme'], [ana, id, theirs.id, 'globex']]) {
    const hidden = owner === 'acme' ? 'acme billing' : 'globex gateway'
    for (const path of ['/', '/keys', `/keys?q=${encodeURIComponent(hidden)}`, '/keys?q=' + other, '/keys?owner=' + owner, '/keys?root_id=' + other, '/activity', '/activity?key=' + other, '/settings']) {
      await page.goto(path)
      await expect(heading(page)).toBeVisible()
      if (!path.includes('?q=')) expect(await page.locator('main').textContent(), path).not.toContain(hidden)
      await expect(page.getByRole('link', { name: hidden, exact: true }), path).toHaveCount(0)
      expect(await page.locator(`a[href*="${other}"]`).evaluateAll((links) => links.map((l) => l.pathname).filter((p) => p.startsWith('/keys/'))), path).toEqual([])
    }
    const absent = own.slice(0, -4) + (own.endsWith('0000') ? '1111' : '0000')
    for (const side of ['', '?tab=credentials', '?tab=usage', '?tab=events', '?tab=code', '?tab=danger', '/edit', '/rotate', '/disable', '/enable', '/revoke', '/delete', '/revoke-tokens', '/first-token']) {
      const [status, title] = await statusOf(page, `/keys/${other}${side}`)
      expect([status, title], side).toEqual([404, 'Nothing here'])
      expect(await statusOf(page, `/keys/${absent}${side}`), side).toEqual([404, 'Nothing here'])
    }
    for (const [side, form] of [['/edit', { name: 'mine now', revision: '1' }], ['/rotate', { grace: '0s', confirmed: 'yes', once: other + 'r' }], ['/disable', { once: other + 'd' }], ['/revoke', { reason: 'unspecified', confirm: hidden, once: other + 'k' }],
      ['/delete', { confirm: hidden }], ['/rotate/complete', { once: other + 'c' }], ['/public-keys', { public_key: '{}' }]]) {
      expect((await statusOf(page, `/keys/${other}${side}`, form))[0], side).toBe(404)
    }
    await page.request.post('/keys/disable', { form: { id: other, confirmed: 'yes', once: other + 'b' }, headers: { Origin: dashboard } })
    const [planted] = await statusOf(page, '/keys/new', { name: 'planted', owner, scopes: 'orders:read', once: other + 'n', auth_method: 'client_secret_basic', environment: 'live', expires: 'never', format: 'opaque', lifetime: '15m' })
    expect([403, 422]).toContain(planted)
    await page.goto('/keys/' + own)
    await expect(page.getByRole('link', { name: 'Edit', exact: true })).toBeVisible()
  }
  for (const k of [id, theirs.id]) {
    const now = await api('GET', '/v1/keys/' + k)
    expect([now.status, now.revision]).toEqual(['active', 1])
  }
  expect((await api('GET', '/v1/keys?q=planted')).data).toEqual([])

  await ana.locator('.menu summary').click()
  await ana.getByRole('button', { name: 'Sign out', exact: true }).click()
  await expect(ana.getByText('You are signed out.')).toBeVisible()
  await bo.goto('/keys')
  await expect(bo.getByRole('link', { name: 'globex gateway' })).toBeVisible()
})

test('a viewer looks, and is told which right is missing', async ({ opened }) => {
  const { key: { id } } = await key({ name: 'looked at', owner: 'acme', auth_method: 'client_secret_basic' })
  const vi = await opened('vi')
  await vi.goto('/keys')
  await expect(vi.getByRole('link', { name: 'looked at' })).toBeVisible()
  const acts = vi.locator('main').locator(`form[method=post], button:has-text("Disable"), a:is([href$="/new"], [href$="/edit"], [href$="/rotate"], [href$="/disable"], [href$="/revoke"], [href$="/delete"])`)
  await expect(acts).toHaveCount(0)
  for (const tab of ['overview', 'credentials', 'usage', 'events', 'code', 'danger']) {
    await vi.goto(`/keys/${id}?tab=${tab}`)
    await expect(heading(vi)).toBeVisible()
    await expect(acts, tab).toHaveCount(0)
  }
  for (const side of ['new', id + '/edit', id + '/rotate', id + '/revoke']) {
    await vi.goto('/keys/' + side)
    await expect(heading(vi)).toHaveText('Not allowed')
    await expect(vi.getByText('needs the right keys:write')).toBeVisible()
  }
  await everyLook(vi, 'forbidden')
  expect((await statusOf(vi, `/keys/${id}/disable`, { once: 'x' }))[0]).toBe(403)
  expect((await api('GET', '/v1/keys/' + id)).status).toBe('active')
})

test('nothing typed is lost when the session ends', async ({ opened }) => {
  const ana = await opened('ana')
  await ana.goto('/keys/new')
  await ana.getByText('Description and labels').click()
  const typed = { Name: 'typed "before" <b>', Scopes: 'orders:read', Description: 'first line\nsecond line', Labels: 'team=billing' }
  for (const [label, text] of Object.entries(typed)) await ana.getByLabel(label).fill(text)
  await ana.context().clearCookies({ name: '__Host-tokenos' })
  await ana.getByRole('button', { name: 'Create key' }).click()
  await expect(heading(ana)).toHaveText('Your session has ended')
  await everyLook(ana, 'session-ended-form')
  const [door] = await Promise.all([ana.context().waitForEvent('page'), ana.getByRole('link', { name: 'Sign in in a new tab' }).click()])
  await signIn(door, 'ana')
  await door.close()
  await ana.getByRole('button', { name: 'Send again' }).click()
  await expect(heading(ana)).toHaveText('Save the secret')
  const made = await api('GET', '/v1/keys/' + await ana.locator('[data-part=id]').textContent())
  expect([made.name, made.description, made.labels, made.scopes]).toEqual([typed.Name, typed.Description, { team: 'billing' }, ['orders:read']])
  await ana.getByLabel('I have stored the secret').check()
})

test('whoever is too fast is told when to go on', async ({ opened }) => {
  const fay = await opened('fay')
  let answer
  do {
    await Promise.all(Array.from({ length: 40 }, () => fay.request.get('/keys')))
    answer = await fay.goto('/keys')
  } while (answer.status() === 200)
  expect(answer.status()).toBe(429)
  expect(Number(answer.headers()['retry-after'])).toBeGreaterThan(0)
  await expect(heading(fay)).toHaveText('Too many requests')
  await everyLook(fay, 'too-many')
})

test('a key that is in another state by now', async ({ opened }) => {
  const { key: { id } } = await key({ name: 'ended meanwhile', owner: 'acme', auth_method: 'client_secret_basic' })
  const ana = await opened('ana')
  await ana.goto(`/keys/${id}/rotate`)
  await api('POST', `/v1/keys/${id}/revoke`, { reason: 'superseded' })
  await ana.getByRole('button', { name: 'See what it does' }).click()
  await expect(heading(ana)).toHaveText('Not in this state')
  await everyLook(ana, 'conflict')
})

test('while Hydra is away everything is shown, and each change says what becomes of it', async ({ opened }) => {
  test.slow() // it waits for a Hydra that is not there
  const { key: { id } } = await key({ name: 'in the outage', owner: 'acme', auth_method: 'client_secret_basic' })
  const ana = await opened('ana')
  await ana.goto('/keys/new')
  await ana.getByLabel('Name').fill('made in the outage')
  await ana.getByLabel('Scopes').fill('orders:read')
  await hydra('halt')
  try {
    ana.expected = 503
    await ana.getByRole('button', { name: 'Create key' }).click()
    await expect(ana.getByText('Nothing you typed is lost')).toBeVisible()
    await expect(ana.getByLabel('Name')).toHaveValue('made in the outage')
    await everyLook(ana, 'away-new-key')
    const form = await ana.context().newPage()
    await form.goto('/keys')
    await expect(async () => {
      await form.reload()
      await expect(form.getByText('Hydra does not answer.')).toBeVisible({ timeout: 500 })
    }).toPass()
    await expect(form.getByRole('link', { name: 'in the outage' })).toBeVisible()
    await everyLook(form, 'away-keys')
    await form.goto('/')
    await everyLook(form, 'away-overview')
    await form.goto(`/keys/${id}/edit`)
    await form.getByLabel('Name').fill('renamed in the outage')
    await expect(form.getByText('is refused until it answers again')).toBeVisible()
    await form.getByRole('button', { name: 'Save' }).click()
    await expect(form.getByText('What you typed is still here')).toBeVisible()
    await expect(form.getByLabel('Name')).toHaveValue('renamed in the outage')
    await everyLook(form, 'away-edit')
    await form.goto(`/keys/${id}/disable`)
    await expect(form.getByText('It is accepted all the same')).toBeVisible()
    await everyLook(form, 'away-disable')
    await form.getByRole('button', { name: 'Disable the key' }).click()
    await expect(heading(form)).toHaveText('in the outage')
    await expect(form.getByText('gets no token any more')).toBeVisible()
    expect((await api('GET', '/v1/keys/' + id)).flags).toContain('disabling')
    await everyLook(form, 'away-disabled')
    await form.goto('/settings')
    await expect(form.getByText('Hydra does not answer.')).toBeVisible()
    await form.close()
  } finally {
    await hydra('resume')
  }
  await expect(async () => { // it is sent once more, as it was, and makes one key
    await ana.getByRole('button', { name: 'Create key' }).click()
    await expect(heading(ana)).toHaveText('Save the secret', { timeout: 2000 })
  }).toPass()
  await ana.getByLabel('I have stored the secret').check()
  const { data } = await api('GET', '/v1/keys?q=outage')
  expect(data.filter((k) => k.name === 'made in the outage')).toHaveLength(1)
})
