// What every test of the dashboard stands on: a signed-in browser, keys made
// through the REST API, and a watch over each page.
import { test as base, expect } from '@playwright/test'
import AxeBuilder from '@axe-core/playwright'

export { expect }

const dev = JSON.parse(process.env.TOKENOS_DEV)

// links sign in, each once. The last is for the test of the sign-in itself; the
// others are for the workers, of which a failure starts a new one.
const links = JSON.parse(process.env.TOKENOS_LINKS)

// tokenURL is where keys buy tokens.
export const tokenURL = dev.token_url

// spareLink signs in a second browser.
export const spareLink = links.at(-2)

// api calls the REST API as the management key of tokenos dev.
export async function api(method, path, body) {
  const answer = await fetch(dev.api_url + path, {
    method,
    headers: { Authorization: 'Bearer ' + dev.management_token, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  })
  if (answer.status === 429) { // many keys are made faster than one caller may
    await new Promise((done) => setTimeout(done, 1000 * answer.headers.get('Retry-After')))
    return api(method, path, body)
  }
  const said = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${said}`)
  return said ? JSON.parse(said) : undefined
}

// dashboard is where the pages are.
export const dashboard = dev.api_url

// key makes a key; what is not said has a value.
export async function key(params) {
  return api('POST', '/v1/keys', { owner: 'acme', scopes: ['orders:read'], audiences: ['https://api.example.com'], ...params })
}

// watch notes what no page of ours may do: break its policy, fail in its script, ask
// another origin, or come back with a server error other than page.expected.
export function watch(page) {
  const wrong = []
  page.on('console', (m) => { if (/Content Security Policy|Refused to/i.test(m.text())) wrong.push(m.text()) })
  page.on('pageerror', (e) => wrong.push('script: ' + e.message))
  page.on('dialog', (d) => {
    if (d.type() === 'beforeunload') { // a page with something unsaved warns; the test goes on
      page.warned = (page.warned ?? 0) + 1
      return d.accept()
    }
    wrong.push('dialog: ' + d.message())
    d.dismiss()
  })
  page.on('request', (r) => { if (!r.url().startsWith(dev.api_url + '/') && !r.url().startsWith('data:')) wrong.push('outside: ' + r.url()) })
  page.on('response', (r) => { if (r.status() >= 500 && r.status() !== page.expected) wrong.push(`${r.status()} ${r.url()}`) })
  return wrong
}

// accessible runs axe on what is shown now, and checks that nothing is cut off at
// the side.
export async function accessible(page, what) {
  const found = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']).analyze()
  expect(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`), what).toEqual([])
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  expect(wide, what + ' is too wide').toBeLessThanOrEqual(0)
}

// shownNowhere checks that a text has left the page, its address and every store.
export async function shownNowhere(page, secret) {
  expect(await page.content()).not.toContain(secret)
  const kept = await page.evaluate(async () => JSON.stringify([location.href, { ...localStorage }, { ...sessionStorage }, history.state, document.cookie, await indexedDB.databases(),
    await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).map((r) => r.url)))]))
  expect(kept).not.toContain(secret)
}

// looks are the ways in which every page must hold.
export const looks = [
  { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { name: 'narrow', colorScheme: 'light', viewport: { width: 320, height: 640 } },
]

// everyLook runs check on a page in each look, and keeps a picture of it.
export async function everyLook(page, name, check = async () => {}) {
  for (const look of looks) {
    await page.emulateMedia({ colorScheme: look.colorScheme, reducedMotion: 'reduce' })
    await page.setViewportSize(look.viewport)
    await accessible(page, `${name}, ${look.name}`)
    await check(look)
    if (process.env.TOKENOS_TEST_PICTURES) await page.screenshot({ path: `${process.env.TOKENOS_TEST_PICTURES}/${name}-${look.name}.png`, fullPage: true })
  }
  await page.setViewportSize(looks[0].viewport)
}

// signIn uses up a link.
export async function signIn(page, link = links.at(-1)) {
  await page.goto(link)
  await page.getByRole('button', { name: 'Sign in as developer' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Overview' })).toBeVisible()
}

// test has a page under watch; site is the same, signed in.
export const test = base.extend({
  page: async ({ page }, use) => {
    const wrong = watch(page)
    await use(page)
    expect(wrong).toEqual([])
  },
  session: [async ({ browser }, use, worker) => {
    const page = await browser.newPage({ baseURL: dev.api_url })
    await signIn(page, links[worker.workerIndex])
    await use(await page.context().cookies())
    await page.context().close()
  }, { scope: 'worker' }],
  site: async ({ page, session }, use) => {
    await page.context().addCookies(session)
    await page.goto('/')
    await use(page)
  },
})
