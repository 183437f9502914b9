// What holds on every page: it can be read at 200 %, walked through by keyboard, and
// used without JavaScript.
import { test, expect, key, api } from './site.mjs'

let one // the key that the pages show

test.beforeAll(async () => {
  ({ key: one } = await key({ name: 'walked through', owner: 'walk', description: 'A worker that sends bills.', labels: { team: 'billing' } }))
  for (let i = 0; i < 2; i++) await key({ name: 'beside ' + i, owner: 'walk' })
})

// pages are all of them, but for the API reference.
const pages = () => ['/', '/keys?owner=walk', '/keys?q=no-such-key', '/keys/new', ...['', '?tab=credentials', '?tab=usage', '?tab=events', '?tab=code', '?tab=danger', '/edit', '/rotate', '/disable', '/revoke', '/first-token'].map((side) => `/keys/${one.id}${side}`),
  '/activity?key=' + one.id, '/tools', '/settings', '/nothing']

// opened goes to a page, and waits for what it fetches afterwards.
async function opened(page, path) {
  await page.goto(path, { waitUntil: 'domcontentloaded' })
  await page.waitForFunction(() => !document.querySelector('[aria-busy=true]'))
}

// faults are what is cut off at the side, or cannot be reached by a pointer: texts
// wider than their boxes, what stands out of the window, and buttons under something.
const faults = (page) => page.evaluate(() => {
  const out = []
  const name = (e) => `${e.localName}.${e.className} "${e.textContent.trim().slice(0, 30)}"`
  const scrolls = (e) => { for (let p = e; p; p = p.parentElement) if (/auto|scroll/.test(getComputedStyle(p).overflowX)) return true }
  if (document.documentElement.scrollWidth > innerWidth) out.push(`the page is ${document.documentElement.scrollWidth} wide`)
  for (const e of document.querySelectorAll('body *')) {
    if (!e.checkVisibility() || e.closest('.hidden, .skip, svg, option') || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || scrolls(e)) continue
    const box = e.getBoundingClientRect()
    const style = getComputedStyle(e)
    if (style.clipPath !== 'none' || box.width <= 1) continue
    if (box.left < -1 || box.right > innerWidth + 1) out.push('stands out: ' + name(e))
    if (style.overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1) out.push('is cut off: ' + name(e))
    if (style.overflowY !== 'visible' && e.scrollHeight > e.clientHeight + 1) out.push('is cut off below: ' + name(e))
  }
  for (const e of document.querySelectorAll('main :is(.button, button, summary, input, select, textarea)')) {
    if (!e.checkVisibility()) continue
    e.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' })
    const box = e.getBoundingClientRect()
    const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
    if (!top || !(e.contains(top) || top.contains(e))) out.push(`under ${top && name(top)}: ${name(e)}`)
  }
  scrollTo(0, 0)
  return out
})

// stop is where the focus is: whether it shows, and whether something hides it.
const stop = (page) => page.evaluate(() => {
  const e = document.activeElement
  if (!e || e === document.body) return null
  e.dataset.stop ??= String(document.querySelectorAll('[data-stop]').length)
  const style = getComputedStyle(e)
  const box = e.getBoundingClientRect()
  const [left, right] = [Math.max(box.left, 0), Math.min(box.right, innerWidth)]
  const [top, bottom] = [Math.max(box.top, 0), Math.min(box.bottom, innerHeight)]
  const seen = [0.1, 0.3, 0.5, 0.7, 0.9].some((y) => {
    const at = document.elementFromPoint((left + right) / 2, top + (bottom - top) * y)
    return at && (e.contains(at) || at.contains(e))
  })
  const shown = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 || style.outlineStyle === 'auto'
  return { id: e.dataset.stop, dated: /date/.test(e.type), name: `${e.localName}#${e.id}.${e.className} "${(e.ariaLabel ?? e.textContent).trim().slice(0, 30)}"`, shown, seen: seen && right > left && bottom > top }
})

// walk goes through a page by Tab until the focus leaves it, and returns what is wrong.
async function walk(page, most = 150) {
  const wrong = []
  const been = new Set()
  for (let at, inside = 0; been.size < most;) {
    await page.keyboard.press('Tab')
    const before = at
    at = await stop(page)
    if (at?.dated && at.id === before?.id && ++inside < 8) continue // from its year to its month
    inside = 0
    if (!at || at.id === '0' && been.size > 0) return been.size > 2 ? wrong : [...wrong, `only ${been.size} stops`]
    if (been.has(at.id)) return [...wrong, 'a trap: ' + at.name]
    been.add(at.id)
    if (!at.shown) wrong.push('the focus does not show: ' + at.name)
    if (!at.seen) wrong.push('the focus is hidden: ' + at.name)
  }
  return [...wrong, `more than ${most} stops`]
}

test.describe('at 200 %', () => {
  test.use({ viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 })
  test('nothing is cut off or covered, and the focus is seen', async ({ site }) => {
    test.slow()
    for (const path of pages()) {
      await opened(site, path)
      expect.soft(await faults(site), path).toEqual([])
      expect.soft(await walk(site), path).toEqual([])
      if (process.env.TOKENOS_TEST_PICTURES) await site.screenshot({ path: `${process.env.TOKENOS_TEST_PICTURES}/zoom-${pages().indexOf(path)}.png`, scale: 'css' })
    }
  })
})

test('with text of twice the size nothing is cut off or covered', async ({ site }) => {
  test.slow()
  for (const path of pages()) {
    await opened(site, path)
    await site.evaluate(() => { document.documentElement.style.fontSize = '200%' })
    expect.soft(await faults(site), path).toEqual([])
    if (process.env.TOKENOS_TEST_PICTURES) await site.screenshot({ path: `${process.env.TOKENOS_TEST_PICTURES}/text-${pages().indexOf(path)}.png`, scale: 'css' })
  }
})

test.describe('dark', () => {
  test.use({ colorScheme: 'dark' })
  test('every page is walked through by keyboard', async ({ site }) => {
    test.slow()
    for (const path of pages()) {
      await opened(site, path)
      expect.soft(await walk(site), path).toEqual([])
    }
  })
})

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false })
  test('everything is read, searched and sent', async ({ site }) => {
    for (const path of pages()) {
      const answer = await site.goto(path)
      expect(answer.status(), path).toBe(path === '/nothing' ? 404 : 200)
      await expect(site.getByRole('heading', { level: 1 }), path).toBeVisible()
      if (path.startsWith('/keys/key_')) await expect(site.locator('main'), path).toContainText('walked through')
    }
    await site.goto('/keys')
    await site.getByRole('searchbox').fill('beside')
    await site.getByLabel('Status').selectOption('active')
    await site.getByRole('button', { name: 'Apply' }).click()
    await expect(site.getByRole('link', { name: 'beside 0' }).first()).toBeVisible()
    await expect(site.getByRole('link', { name: 'walked through' })).toHaveCount(0)
    await expect(site.getByRole('button', { name: /^Copy/ })).toHaveCount(0)
    await site.getByRole('link', { name: /^Name/ }).click()
    await expect(site).toHaveURL(/sort=name/)

    await site.goto('/keys/new')
    await site.getByLabel('Name').fill('made by a plain form')
    await site.getByLabel('Owner').fill('walk')
    await site.getByLabel('Scopes').fill('all*')
    await site.getByRole('button', { name: 'Create key' }).click()
    await expect(site.getByRole('alert')).toContainText('Scopes')
    await site.getByLabel('Scopes').fill('orders:read')
    await site.getByRole('button', { name: 'Create key' }).click()
    const id = await site.locator('[data-part=id]').textContent()
    expect(await site.locator('[data-part=secret]').textContent()).toMatch(/^tos_/)
    await site.getByLabel('I have stored the secret').check()
    await site.getByRole('button', { name: 'Done' }).click()
    await expect(site.getByRole('heading', { level: 1 })).toHaveText('The first token')
    expect((await api('GET', '/v1/keys/' + id)).name).toBe('made by a plain form')

    await site.goto(`/keys/${id}/edit`)
    await site.getByLabel('Name').fill('renamed by a plain form')
    await site.getByRole('button', { name: 'Save' }).click()
    await expect(site.getByRole('heading', { level: 1 })).toHaveText('renamed by a plain form')
    await site.goto(`/keys/${id}/disable`)
    await site.getByRole('button', { name: 'Disable the key' }).click()
    expect((await api('GET', '/v1/keys/' + id)).status).toBe('disabled')
  })
})
