// <api-reference> shows our OpenAPI document with Swagger UI. It is a module.
class ApiReference extends HTMLElement {
  async connectedCallback() {
    const place = this.querySelector('[data-reference]')
    const answer = await fetch(this.dataset.url)
    if (!place || !answer.ok) return
    const spec = await answer.json()
    // The policy of the page lets it speak to this server alone, so it cannot buy
    // a token at Hydra: one is pasted instead.
    delete spec.components?.securitySchemes?.oauth2
    this.querySelector('[data-fallback]')?.remove()
    window.SwaggerUIBundle({
      spec,
      domNode: place,
      deepLinking: false, // its links would stand in buttons
      docExpansion: 'list',
      defaultModelsExpandDepth: 0,
      validatorUrl: null,
      syntaxHighlight: false,
      persistAuthorization: false,
      // The page has a heading of its own.
      plugins: [() => ({ wrapComponents: { InfoContainer: () => () => null } })],
    })
    followTheme()
    new MutationObserver(() => mend(place)).observe(place, { childList: true, subtree: true })
  }
}
customElements.define('api-reference', ApiReference)

// mend corrects what misleads screen readers: the page has one main part already.
function mend(place) {
  for (const main of place.querySelectorAll('main:not([role])')) main.setAttribute('role', 'presentation')
}

// followTheme tells Swagger UI which of its themes ours is.
function followTheme() {
  const html = document.documentElement
  const system = matchMedia('(prefers-color-scheme: dark)')
  const set = () => html.classList.toggle('dark-mode', (html.dataset.theme ?? (system.matches ? 'dark' : 'light')) === 'dark')
  system.addEventListener('change', set)
  new MutationObserver(set).observe(html, { attributes: true, attributeFilter: ['data-theme'] })
  set()
}
