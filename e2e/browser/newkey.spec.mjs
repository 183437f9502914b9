import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test, expect, everyLook, key, api, shownNowhere } from './site.mjs'

const scope = 'orders:read'
const audience = 'https://api.example.com'

// buy asks Hydra for a token.
async function buy(fields, headers = {}) {
  const { token_url: at } = await api('GET', '/v1/capabilities')
  const answer = await fetch(at, { method: 'POST', headers, body: new URLSearchParams({ grant_type: 'client_credentials', scope, audience, ...fields }) })
  return answer.json()
}

const basic = (id, secret) => ({ Authorization: 'Basic ' + Buffer.from(id + ':' + secret).toString('base64') })

// assertion proves that its maker has the private key (RFC 7523 section 3).
async function assertion(id, pem) {
  const { token_url: aud } = await api('GET', '/v1/capabilities')
  const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  const kid = (await api('GET', '/v1/keys/' + id)).public_keys[0].kid
  const text = part({ alg: 'ES256', kid }) + '.' + part({ iss: id, sub: id, aud, jti: randomUUID(), exp: now + 60 })
  return text + '.' + sign('sha256', Buffer.from(text), { key: createPrivateKey(pem), dsaEncoding: 'ieee-p1363' }).toString('base64url')
}

// fillIn writes the form for a new key.
async function fillIn(page, name, more = {}) {
  await page.goto('/keys/new')
  for (const [label, value] of Object.entries({ Name: name, Owner: 'acme', Scopes: scope, ...more })) await page.getByLabel(label).fill(value)
}

test('a key is made by keyboard alone, and its secret is shown once', async ({ site }) => {
  const { keyboard } = site
  const tabTo = async (target) => {
    for (let i = 0; i < 60; i++) {
      if (await target.evaluate((e) => e === document.activeElement)) return
      await keyboard.press('Tab')
    }
    throw new Error('not reached by Tab')
  }
  await site.goto('/keys')
  await tabTo(site.getByRole('link', { name: 'New key' }))
  await keyboard.press('Enter')
  await expect(site.getByRole('heading', { level: 1 })).toHaveText('New key')
  for (const [label, text] of [['Name', 'made by keyboard'], ['Owner', 'acme'], ['Scopes', scope], ['Audiences', audience]]) {
    await tabTo(site.getByLabel(label))
    await keyboard.type(text)
  }
  await expect(site.locator('#code pre').first()).toContainText(audience)
  await expect(site.locator('#code pre').first()).toContainText(scope)
  await tabTo(site.getByRole('radio', { name: '90 days' }))
  await keyboard.press('ArrowUp')
  await expect(site.getByRole('radio', { name: '30 days' })).toBeChecked()
  await tabTo(site.getByRole('button', { name: 'Create key' }))
  await site.evaluate(() => scrollTo(0, 0)) // nothing half under the header
  await everyLook(site, 'new-key')
  await site.getByRole('button', { name: 'Create key' }).press('Enter')
  await expect(site.getByRole('heading', { level: 1 })).toHaveText('Save the secret')
  const secret = await site.locator('[data-part=secret]').textContent()
  expect(secret).toMatch(/^tos_/)
  await site.getByRole('button', { name: 'Done' }).press('Enter') // the box is not ticked
  await expect(site.getByRole('heading', { level: 1 })).toHaveText('Save the secret')
  await site.getByLabel('I have stored the secret').press('Space')
  await site.getByRole('button', { name: 'Done' }).press('Enter')
  await expect(site.getByText('Waiting for the first token')).toBeVisible()
  await shownNowhere(site, secret)
  await site.goBack()
  await expect(site.getByRole('heading', { level: 1 })).toHaveText('The first token')
  await shownNowhere(site, secret)
  await site.goForward()
  await shownNowhere(site, secret)
})

test('a secret buys a token, and the page sees it', async ({ site }) => {
  await fillIn(site, 'buys', { Audiences: audience })
  await site.getByRole('button', { name: 'Create key' }).dblclick() // makes one key
  const id = await site.locator('[data-part=id]').textContent()
  const secret = await site.locator('[data-part=secret]').textContent()
  const [download] = await Promise.all([site.waitForEvent('download'), site.getByRole('button', { name: 'Download .env' }).click()])
  expect(await readFile(await download.path(), 'utf8')).toContain(`TOKENOS_CLIENT_ID='${id}'\nTOKENOS_CLIENT_SECRET='${secret}'\n`)
  await everyLook(site, 'reveal')
  await site.getByLabel('I have stored the secret').check()
  await site.getByRole('button', { name: 'Done' }).click()
  expect(await buy({ scope: '' }, basic(id, secret))).toHaveProperty('access_token')
  await expect(site.getByText('Hydra issued a token')).toBeVisible()
  await expect(site.getByText('No scope asked')).toBeVisible()
})

test('a reload shows no secret, and leaving it unsaved warns', async ({ site }) => {
  await fillIn(site, 'left in a hurry')
  await site.getByRole('button', { name: 'Create key' }).click()
  const secret = await site.locator('[data-part=secret]').textContent()
  await site.route('**/first-token?look=*', (route) => route.fulfill({ status: 204 })) // it stays as it is
  await site.reload()
  expect(site.warned).toBe(1)
  await expect(site.getByRole('heading', { level: 1 })).toHaveText('The first token')
  await expect(site.getByText('aud is empty')).toBeVisible()
  await shownNowhere(site, secret)
  await everyLook(site, 'first-token')
  await site.goBack()
  await expect(site.getByRole('heading', { level: 1 })).toHaveText('New key')
  await shownNowhere(site, secret)
})

test('a key pair is made in the browser, and its private half buys a token', async ({ site }) => {
  const sent = []
  site.on('request', (r) => sent.push(r.postData() ?? '', r.url()))
  await fillIn(site, 'signs', { Audiences: audience })
  await site.getByRole('radio', { name: /^Key pair/ }).check()
  const mine = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await site.getByLabel('Public key').fill(mine.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await expect(site.getByText('That was a private key')).toBeVisible()
  await expect(site.getByLabel('Public key')).toHaveValue('')
  await site.getByRole('button', { name: 'Make a key pair' }).click()
  const [download] = await Promise.all([site.waitForEvent('download'), site.getByRole('button', { name: 'Download private-key.pem' }).click()])
  const pem = await readFile(await download.path(), 'utf8')
  await site.evaluate(() => scrollTo(0, 0))
  await everyLook(site, 'new-key-pair')
  await site.getByRole('button', { name: 'Create key' }).click()
  await expect(site.getByRole('heading', { level: 1 })).toHaveText('New key') // the box is not ticked
  await site.getByLabel('I have stored the private key').check()
  const jwk = JSON.parse(await site.getByLabel('Public key').inputValue())
  expect(createPublicKey(pem).export({ format: 'jwk' }).x).toBe(jwk.x)
  await site.getByRole('button', { name: 'Create key' }).click()
  await expect(site.getByText('Waiting for the first token')).toBeVisible()
  const id = new URL(site.url()).pathname.split('/')[2]
  const line = pem.split('\n')[1]
  expect(sent.join('\n').replaceAll('%2B', '+').replaceAll('%2F', '/')).not.toContain(line)
  await shownNowhere(site, line)
  expect(await buy({ client_id: id, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: await assertion(id, pem) })).toHaveProperty('access_token')
  await expect(site.getByText('Hydra issued a token')).toBeVisible()
})

test('what is wrong is told at each field, and nothing typed is lost', async ({ site }) => {
  await fillIn(site, 'kept', { Scopes: 'all*', Audiences: 'no-uri' })
  await site.getByRole('radio', { name: 'On a date' }).check()
  await site.getByRole('button', { name: 'Create key' }).click()
  await expect(site.getByRole('alert')).toBeFocused()
  await expect(site.getByRole('alert').getByRole('link')).toHaveCount(3)
  await everyLook(site, 'new-key-wrong')
  await site.getByRole('link', { name: /^Scopes:/ }).click()
  await expect(site.getByLabel('Scopes')).toBeFocused()
  await expect(site.getByLabel('Name')).toHaveValue('kept')
})

test('a secret is rotated, and the rotation completed', async ({ site }) => {
  const made = await key({ name: 'rotated', audiences: [audience] })
  const id = made.key?.id ?? made.id
  await site.goto(`/keys/${id}/rotate`)
  await site.getByRole('button', { name: 'See what it does' }).click()
  await expect(site.getByText('A new key, with an id of its own')).toBeVisible()
  await everyLook(site, 'rotate-impact')
  await site.getByRole('button', { name: 'Rotate now' }).click()
  const newID = await site.locator('[data-part=id]').textContent()
  const secret = await site.locator('[data-part=secret]').textContent()
  expect(newID).not.toBe(id)
  expect(await buy({}, basic(newID, secret))).toHaveProperty('access_token')
  await site.getByLabel('I have stored the secret').check()
  await site.goto(`/keys/${newID}/rotate`)
  await shownNowhere(site, secret)
  await everyLook(site, 'rotate-pending')
  await site.getByLabel('No program needs the older credential').check()
  await site.getByRole('button', { name: 'End the older credential' }).click()
  await expect(site.getByText('The older credential has ended')).toBeVisible()
  expect((await api('GET', '/v1/keys/' + id)).status).toBe('expired')
})

test('the code follows, and nobody is interrupted in typing', async ({ site }) => {
  await site.goto('/keys/new')
  const followed = () => site.waitForResponse((r) => r.url().endsWith('/keys/new/code') && r.ok())
  await Promise.all([followed(), site.getByLabel('Name').pressSequentially('bill')])
  await site.waitForTimeout(300) // what would move the focus comes after the answer
  await expect(site.getByLabel('Name')).toBeFocused()
  const pair = site.getByRole('radio', { name: /Key pair/ })
  await Promise.all([followed(), pair.check()])
  await expect(site.locator('#code pre').first()).toContainText('TOKENOS_PRIVATE_KEY_FILE')
  await expect(pair).toBeFocused()
  await site.getByRole('button', { name: 'Make a key pair' }).click()
  await Promise.all([followed(), site.getByLabel('Scopes').fill(scope)])
  await expect(site.locator('#code pre').first()).toContainText(scope)
})
