import { test, expect, everyLook, key, signIn } from './site.mjs'

test('nobody is let in without signing in', async ({ page }) => {
  await page.goto('/keys?status=active')
  await expect(page).toHaveURL(/\/sign-in\?return=/)
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Sign in')
  await everyLook(page, 'sign-in')
})

test('a link signs in once, and signing out ends it', async ({ page }) => {
  await signIn(page)
  await expect(page.getByRole('status').filter({ hasText: 'signed in as Developer' })).toBeVisible()
  await page.locator('.menu summary').click()
  await page.getByRole('button', { name: 'Sign out', exact: true }).click()
  await expect(page.getByText('You are signed out.')).toBeVisible()
  await page.goBack()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Sign in')
})

test('the overview, empty and with keys', async ({ site }) => {
  const checks = site.locator('#checks-brief')
  await expect(checks.getByText('Checked')).toBeVisible({ timeout: 20_000 })
  await everyLook(site, 'overview-empty')
  await key({ name: 'billing worker', expires_at: new Date(Date.now() + 864e5).toISOString().slice(0, 19) + 'Z' })
  await site.reload()
  await expect(site.getByRole('link', { name: /Expiring 1/ })).toBeVisible()
  await expect(checks.getByText('Checked')).toBeVisible({ timeout: 20_000 })
  await everyLook(site, 'overview')
})

test('the theme is kept from page to page', async ({ site }) => {
  await site.getByRole('button', { name: 'Dark theme' }).click()
  await expect(site.locator('html')).toHaveAttribute('data-theme', 'dark')
  await expect(site.getByRole('button', { name: 'Dark theme' })).toHaveAttribute('aria-pressed', 'true')
  await expect.poll(async () => (await site.context().cookies()).some((c) => c.name === 'tokenos-theme')).toBe(true)
  await site.goto('/keys')
  await expect(site.locator('html')).toHaveAttribute('data-theme', 'dark')
})

test('the skip link comes first and leads to the content', async ({ site }) => {
  await site.keyboard.press('Tab')
  const skip = site.getByRole('link', { name: 'Skip to content' })
  await expect(skip).toBeFocused()
  await skip.press('Enter')
  await expect(site.locator('main')).toBeFocused()
})

test('a page that there is not', async ({ site }) => {
  await site.goto('/nothing')
  await expect(site.getByRole('heading', { level: 1 })).toHaveText('Nothing here')
  await everyLook(site, 'not-found')
})
