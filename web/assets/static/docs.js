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
      plugins: [parts],
      layout: 'Parts',
    })
    followTheme()
  }
}
customElements.define('api-reference', ApiReference)

// parts is a layout without what the page has already: a main part and a heading.
function parts({ React: { createElement: make } }) {
  const Parts = ({ getComponent }) => make('div', { className: 'swagger-ui' },
    make(getComponent('SvgAssets')),
    make('div', { className: 'scheme-container' }, make(getComponent('AuthorizeBtnContainer', true))),
    make(getComponent('operations', true)),
    make(getComponent('Models', true)))
  return { components: { Parts } }
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
