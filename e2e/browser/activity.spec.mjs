import { test, expect, everyLook, key, api } from './site.mjs'

test('activity: newest first, narrowed in place, with what changed', async ({ site }) => {
  const made = await key({ name: '<img src=x onerror=alert(1)>', owner: 'initech' })
  const id = made.key?.id ?? made.id
  await api('PATCH', '/v1/keys/' + id, { name: 'renamed', labels: { team: 'a "quoted" <b>team</b>' } })
  await api('POST', `/v1/keys/${id}/disable`, {})
  await site.goto('/activity?key=' + id)
  await site.locator('summary', { hasText: 'Key changed' }).press('Enter')
  await expect(site.getByRole('cell', { name: 'renamed' })).toBeVisible()
  await expect(site.getByRole('cell', { name: '<img src=x onerror=alert(1)>' })).toBeVisible()
  await everyLook(site, 'activity')
  await site.getByLabel('Action', { exact: true }).selectOption('key.disabled')
  await expect(site.locator('summary', { hasText: 'Key changed' })).toBeHidden()
  await expect(site).toHaveURL(`/activity?action=key.disabled&key=${id}`)
  await site.getByLabel('Action', { exact: true }).selectOption('key.revoked')
  await expect(site.getByText('Nothing matches')).toBeVisible()
  await everyLook(site, 'activity-none')
  await site.goBack()
  await expect(site.locator('summary', { hasText: 'Key disabled' })).toBeVisible()
})
