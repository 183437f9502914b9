import { test, expect, everyLook, signIn, spareLink } from './site.mjs'

test('settings: checks come by themselves, the theme is there from the first byte, keys can be switched off', async ({ site }) => {
  await site.goto('/settings')
  await expect(site.getByRole('heading', { name: 'What the checks found' })).toBeVisible()
  await everyLook(site, 'settings')

  await site.getByLabel('Dark', { exact: true }).check()
  await site.getByRole('button', { name: 'Save theme' }).click()
  await expect(site.locator('html')).toHaveAttribute('data-theme', 'dark')
  expect(await (await site.request.get('/settings')).text()).toMatch(/^<!doctype html><html lang="en" data-theme="dark"/i)

  await site.keyboard.press('?')
  await expect(site.getByRole('dialog')).toBeVisible()
  await everyLook(site, 'shortcuts')
  await site.keyboard.press('Escape')
  await site.keyboard.press('g')
  await site.keyboard.press('k')
  await expect(site).toHaveURL('/keys')
  await site.goto('/settings')
  await site.getByLabel('Off', { exact: true }).check()
  await site.getByRole('button', { name: 'Save shortcuts' }).click()
  await expect(site.getByText('Single keys do nothing now.')).toBeVisible()
  await site.keyboard.press('?')
  await expect(site.getByRole('dialog')).toBeHidden()
})

test('a session that is ended elsewhere', async ({ site, browser }) => {
  const other = await (await browser.newContext({ baseURL: process.env.TOKENOS_DASHBOARD, userAgent: 'Other/1.0' })).newPage()
  await signIn(other, spareLink)
  await other.goto('/settings')
  await site.goto('/settings')
  await site.getByRole('button', { name: 'End the session of Other/1.0' }).click()
  await expect(site.getByText('The session has ended.')).toBeVisible()
  await other.getByRole('button', { name: 'Save shortcuts' }).click()
  await expect(other.getByRole('heading', { level: 1 })).toHaveText('Your session has ended')
  await everyLook(other, 'session-ended')
  await other.context().close()
})
