// Loads each page TOKENOS_ROUNDS times by a link that nobody followed, and writes
// what the browser measured to TOKENOS_PAINTS, a line for each load. A cold load is
// the first one of a new profile, a warm one comes from another page of ours.
import { appendFileSync } from 'node:fs'
import { test } from '@playwright/test'

const pages = JSON.parse(process.env.TOKENOS_PAGES)

test('paint', async ({ browser, page }) => {
  test.setTimeout(170_000)
  await page.goto(process.env.TOKENOS_LINK)
  await page.getByRole('button').filter({ hasText: 'Sign in' }).click()
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  const signedIn = await page.context().storageState()
  for (let round = 0; round < Number(process.env.TOKENOS_ROUNDS); round++) {
    for (const [name, path] of pages) {
      const context = await browser.newContext({ storageState: signedIn })
      const page = await context.newPage()
      await load(page, name, path, 'cold')
      await page.goto('/tools')
      await load(page, name, path, 'warm')
      await context.close()
    }
  }
})

// load measures from the beginning of the navigation, in milliseconds.
async function load(page, name, path, cache) {
  await page.goto(path)
  const seen = await page.evaluate(async () => {
    const paint = await new Promise((found) => {
      new PerformanceObserver((list) => {
        const first = list.getEntriesByName('first-contentful-paint')[0]
        if (first) found(first.startTime)
      }).observe({ type: 'paint', buffered: true })
    })
    while (document.querySelector('[aria-busy]')) await new Promise((next) => requestAnimationFrame(next))
    const whole = performance.now()
    const [document_] = performance.getEntriesByType('navigation')
    const loaded = [document_, ...performance.getEntriesByType('resource')]
    return { first_byte: document_.responseStart, paint, whole, bytes: loaded.reduce((n, l) => n + l.transferSize, 0) }
  })
  appendFileSync(process.env.TOKENOS_PAINTS, JSON.stringify({ page: name, cache, ...seen }) + '\n')
}
