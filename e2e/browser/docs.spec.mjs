import { test, expect, everyLook } from './site.mjs'

test('the API reference is shown under our own policy, readable in both themes', async ({ site }) => {
  test.slow() // the page is large
  await site.goto('/docs')
  await expect(site.getByText('/v1/capabilities', { exact: true })).toBeVisible()
  await site.locator('#operations-capabilities-get-capabilities .opblock-summary-control').click()
  await expect(site.getByRole('button', { name: 'Try it out' })).toBeVisible()
  await everyLook(site, 'docs')
})
