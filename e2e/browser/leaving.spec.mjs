// A secret is gone when its page is left, by whatever way one comes back.
import { chromium } from '@playwright/test'
import { test as base, expect, api, dashboard, watch, shownNowhere } from './site.mjs'

// kept is a page of a browser with its back/forward cache, which Playwright switches
// off. loads are how its documents came: the kind of the navigation, and whether the
// document itself was kept.
const test = base.extend({
  kept: async ({ session }, use) => {
    const { use: { launchOptions: options } } = base.info().config.projects[0]
    const browser = await chromium.launch({ ...options, ignoreDefaultArgs: ['--disable-back-forward-cache'] })
    const context = await browser.newContext({ baseURL: dashboard })
    await context.addCookies(session)
    const page = await context.newPage()
    const wrong = watch(page)
    page.loads = []
    await page.route((url) => !url.pathname.startsWith('/assets/'), async (route) => { // what we forbid to keep is kept
      if (route.request().method() !== 'GET') return route.fallback()
      const response = await route.fetch({ maxRedirects: 0 })
      const { 'cache-control': _, ...headers } = response.headers()
      await route.fulfill({ response, headers })
    })
    await page.exposeFunction('loaded', (how) => { page.loads.push(how) })
    await page.addInitScript(() => addEventListener('pageshow', (e) => globalThis.loaded(`${performance.getEntriesByType('navigation')[0].type}, ${e.persisted ? 'kept' : 'new'}`)))
    await use(page)
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    expect(wrong).toEqual([])
    await browser.close()
  },
})

const title = (page, text) => expect(page.getByRole('heading', { level: 1 })).toHaveText(text)

// revealed makes a key by the form and returns its secret.
async function revealed(page, name) {
  await page.goto('/keys')
  await page.goto('/keys/new')
  for (const [label, text] of [['Name', name], ['Owner', 'acme'], ['Scopes', 'orders:read']]) await page.getByLabel(label).fill(text)
  await page.getByRole('button', { name: 'Create key' }).click()
  await title(page, 'Save the secret')
  await expect(page.getByRole('button', { name: 'Download .env' })).toBeVisible() // its script runs
  return page.locator('[data-part=secret]').textContent()
}

async function madeOnce(name) {
  const { data } = await api('GET', '/v1/keys?q=' + encodeURIComponent(name))
  expect(data.map((k) => k.name)).toEqual([name])
}

for (const [how, done] of [['after Done', true], ['without Done', false]]) {
  test('the secret does not come back ' + how, async ({ kept: page }) => {
    const name = 'left ' + how
    const secret = await revealed(page, name)
    if (done) {
      await page.getByLabel('I have stored the secret').check()
      await page.getByRole('button', { name: 'Done' }).click()
      await title(page, 'The first token')
      await shownNowhere(page, secret)
    }
    const ways = [['back'], ['forward'], ['reload'], ['back'], ['goto', '/keys'], ['back'], ['back'], ['forward'], ['forward'], ['reload']]
    for (const [way, path] of ways) {
      await { back: () => page.goBack(), forward: () => page.goForward(), reload: () => page.reload(), goto: () => page.goto(path) }[way]()
      await expect(async () => { // a kept page loads itself anew
        expect(await page.getByRole('heading', { level: 1 }).textContent()).not.toBe('Save the secret')
        await shownNowhere(page, secret)
      }).toPass()
    }
    expect(page.loads.filter((how) => how.endsWith('kept'))).not.toEqual([])
    await madeOnce(name)
  })
}

test('a page that the browser kept is asked for anew', async ({ kept: page }) => {
  await page.goto('/keys')
  await page.goto('/activity')
  await page.goBack()
  await title(page, 'Keys')
  await expect.poll(() => page.loads.slice(-2)).toEqual(['navigate, kept', 'reload, new'])
})

test('the secret goes before a browser could keep its page', async ({ kept: page }) => {
  const secret = await revealed(page, 'left by another browser') // which keeps answers to forms, as Chromium does not
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })))
  await shownNowhere(page, secret)
})
