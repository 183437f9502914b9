import { test, expect, everyLook, key } from './site.mjs'

test('the list is searched as one types, and Back comes back', async ({ site }) => {
  for (const name of ['search indexer', 'partner gateway', '<img src=x onerror=alert(1)>']) await key({ name, owner: 'globex' })
  await site.goto('/keys')
  await expect(site.getByRole('link', { name: 'partner gateway' })).toBeVisible()
  await everyLook(site, 'keys')
  await site.keyboard.press('/')
  await expect(site.getByRole('searchbox')).toBeFocused()
  await site.keyboard.type('indexer')
  await expect(site.getByRole('link', { name: 'partner gateway' })).toBeHidden()
  await expect(site.getByRole('link', { name: 'search indexer' })).toBeVisible()
  await expect(site.getByRole('searchbox')).toBeFocused()
  await expect(site).toHaveURL('/keys?q=indexer')
  await everyLook(site, 'keys-found')
  await site.getByLabel('Status').selectOption('revoked')
  await expect(site.getByText('No key matches')).toBeVisible()
  await expect(site).toHaveURL('/keys?q=indexer&status=revoked')
  await everyLook(site, 'keys-none')
  await site.goBack()
  await expect(site.getByRole('link', { name: 'search indexer' })).toBeVisible()
  await site.getByRole('link', { name: 'Remove filter: Search: indexer' }).click()
  await expect(site.getByRole('link', { name: 'partner gateway' })).toBeVisible()
})

test('the table is ordered in place', async ({ site }) => {
  await site.goto('/keys')
  await site.getByRole('link', { name: 'Name' }).click()
  await expect(site.getByRole('columnheader', { name: 'Name' })).toHaveAttribute('aria-sort', 'ascending')
  await site.getByRole('link', { name: 'Name' }).click()
  await expect(site.getByRole('columnheader', { name: 'Name' })).toHaveAttribute('aria-sort', 'descending')
  await expect(site).toHaveURL('/keys?sort=-name')
})

test('a key id is copied', async ({ site }) => {
  const made = await key({ name: 'to be copied' })
  await site.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await site.goto('/keys')
  await site.getByRole('button', { name: 'Copy the id of to be copied' }).click()
  expect(await site.evaluate(() => navigator.clipboard.readText())).toBe(made.key?.id ?? made.id)
})

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false })
  test('keys are searched and read', async ({ site }) => {
    await key({ name: 'plain worker' })
    await site.goto('/keys')
    await site.getByRole('searchbox').fill('plain')
    await site.getByRole('button', { name: 'Apply' }).click()
    await expect(site.getByRole('link', { name: 'plain worker' })).toBeVisible()
    await expect(site.getByRole('button', { name: /^Copy/ })).toBeHidden()
  })
})
